#!/usr/bin/env bash
# Renews the hash-pinned requirements of the systems that `make bench` compares (needs uv): one NAME.txt for each NAME.in.
set -uo pipefail
cd "$(dirname "$0")"
for wanted in *.in; do
    uv pip compile "$wanted" --universal --python-version 3.11 --only-binary :all: \
        --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
        -o "${wanted%.in}.txt" || echo "$wanted could not be resolved" >&2
done
