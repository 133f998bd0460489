#!/usr/bin/env bash
# Renews the hash-pinned requirements (needs uv). run.txt: the product with the embedded broker; dev.txt: the checks too.
set -euo pipefail
cd "$(dirname "$0")/.."
pin() { uv pip compile "$@" --extra all --universal --python-version 3.11 --only-binary :all: \
    --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet; }
pin pyproject.toml requirements/build.in -o requirements/run.txt
pin pyproject.toml requirements/build.in --group dev -c requirements/run.txt -o requirements/dev.txt
