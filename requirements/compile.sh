#!/usr/bin/env bash
# Renews the hash-pinned requirements (needs uv). run.txt: the product with the embedded broker; dev.txt: the checks too;
# bench.txt: what draws the plots of `make bench`; image.txt: what the container image has, for every role; build.txt: what makes its wheel.
set -euo pipefail
cd "$(dirname "$0")/.."
pin() { uv pip compile "$@" --universal --python-version 3.11 --only-binary :all: \
    --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet; }
pin pyproject.toml requirements/build.in --extra all -o requirements/run.txt
pin pyproject.toml requirements/build.in --extra all --extra plot --group dev -c requirements/run.txt -o requirements/dev.txt
pin pyproject.toml --extra claims --extra otel --extra postgres --extra processors --extra scaler --extra speed -c requirements/run.txt -o requirements/image.txt
pin requirements/build.in -c requirements/run.txt -o requirements/build.txt
pin --group bench -c requirements/dev.txt -o requirements/bench.txt
