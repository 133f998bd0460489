# Needs only Python 3.11+ and make. Everything else comes hash-pinned into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOTS := schemas pipeline producers consumers processors deploy console
CODE := $(ROOTS) tests examples benchmarks

.PHONY: help install demo test test-cluster check format bench bench-report bench-quick prove prove-quick mutants docs messages pins clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Headrace needs Python 3.11 or newer, this is %s: say make PYTHON=/path/to/python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --only-binary :all: -r requirements/run.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

install: $(VENV)/.run  ## Make .venv with the product and its embedded broker

demo: $(VENV)/.run  ## Audit this Python's standard library through a real Kafka
	$(BIN)/python -m examples.source_audit

# Most tests wait for Kafka or for processes, so three parts run side by side, each on a Kafka of its
# own. What the first two say is shown when the third has ended.
GUARANTEES := $(sort $(wildcard tests/guarantees/test_*.py))
EARLY := $(filter $(addprefix tests/guarantees/test_,b% c% d%),$(GUARANTEES))
MODELS := tests/proof/test_model.py tests/proof/test_mutants.py
AWAY := tests/guarantees/test_surroundings.py
FIRST_TESTS := $(EARLY) tests/broker tests/producers tests/demo $(MODELS)
SECOND_TESTS := $(filter-out $(EARLY) $(AWAY),$(GUARANTEES)) tests/console
ELSEWHERE := $(addprefix tests/,guarantees broker producers demo console cluster __pycache__)
THIRD_TESTS := $(AWAY) $(filter-out $(ELSEWHERE),$(patsubst %/,%,$(wildcard tests/*/)))
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider --durations=15 -m "not long"

test: $(VENV)/.dev  ## Run the tests on a real Kafka
	@mkdir -p build
	@$(PYTEST) --junitxml=build/first.xml $(FIRST_TESTS) > build/first-tests.log 2>&1 & first=$$!; \
	$(PYTEST) --junitxml=build/second.xml $(SECOND_TESTS) > build/second-tests.log 2>&1 & second=$$!; \
	trap 'kill $$first $$second' INT TERM; \
	$(PYTEST) --junitxml=build/third.xml $(THIRD_TESTS) $(addprefix --ignore=,$(MODELS)); third=$$?; \
	wait $$first; one=$$?; wait $$second; two=$$?; \
	cat build/first-tests.log build/second-tests.log; exit $$((one | two | third))

test-cluster: $(VENV)/.dev  ## Manifests and scaling on the cluster of KUBECONFIG with its KEDA; CRDS="FOLDER…" for kinds that it lacks
	CRDS="$(CRDS)" CLUSTER_TESTS=1 $(PYTEST) -rA --show-capture=stdout --timeout 600 $(or $(TESTS),tests/cluster)

check: $(VENV)/.dev  ## Lint, format check, types, import layers, dead code, dependencies
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/deptry . --no-ansi

format: $(VENV)/.dev  ## Format and fix what can be fixed
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --only-binary :all: -r requirements/bench.txt
	@touch $@

bench: $(VENV)/.bench  ## An hour: all systems side by side; goes on where it was broken off (BENCH="--only celery --workload 2")
	@$(BIN)/python -m benchmarks.field.run $(BENCH); failed=$$?; \
	test -n "$(BENCH)" || $(MAKE) bench-report; exit $$failed

bench-report: $(VENV)/.bench  ## Tables and plots in docs/benchmarks from what make bench measured
	$(BIN)/python -m benchmarks.field.report
	$(BIN)/python -m benchmarks.field.capacity

bench-quick: $(VENV)/.dev  ## Headrace and a bare confluent-kafka loop, two minutes at most
	$(BIN)/python -m benchmarks.quick

prove: $(VENV)/.dev  ## 45 minutes of faults: 100,000 jobs, 200 faults, logs kept in build; then mutants and model
	$(BIN)/python -m headrace prove --minutes 40 --jobs 105000 --faults 210
	$(MAKE) mutants
	$(BIN)/python -m pytest -p no:cacheprovider -m long tests
	HEADRACE_MODEL_EXAMPLES=10000 $(BIN)/python -m pytest tests/proof/test_model.py --timeout 3600

prove-quick: $(VENV)/.run  ## Three minutes: every kind of fault at least once
	$(BIN)/python -m headrace prove --minutes 1 --jobs 3000 --faults 10

mutants: $(VENV)/.run  ## Some 20 minutes: engines with one promise broken, each of which the proof must find
	$(BIN)/python -m tests.proof.mutant_run

WIRE := processors/headrace/processors/scaler/wire
messages: $(VENV)/.dev  ## Renew the code of the scaler's gRPC messages
	$(BIN)/python -m grpc_tools.protoc -I $(WIRE) --python_out=$(WIRE) --pyi_out=$(WIRE) externalscaler.proto

pins: ## Renew requirements/*.txt (needs uv)
	requirements/compile.sh

clean:  ## Remove what the build made (keeps .headrace, the broker's data)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
