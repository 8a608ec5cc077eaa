# Everything a newcomer needs: `make run`, `make test`, `make serve`. Each sets up .venv first, from PyPI, by hash.

# The first Python from 3.11 to 3.14 at hand, or the one asked for: make setup PYTHON=python3.13 makes .venv anew with it.
PYTHON ?= $(firstword $(foreach minor,11 12 13 14,$(shell command -v python3.$(minor))) python3)
BIN := .venv/bin
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) # of tests: one more than there are cores, as some wait
PIN := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11
COMPILE := $(PIN) pyproject.toml

export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup run test test-all pytest lint serve bench bench-quality clean requirements

setup:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 14) else f"fedelta needs Python 3.11 to 3.14; $(PYTHON) is {v[0]}.{v[1]}: make setup PYTHON=python3.11")'
	@! test -e .venv/ready || test "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" || rm -rf .venv # of another Python
	@$(MAKE) --no-print-directory .venv/ready

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@mkdir -p .venv/link && ln -sfn ../.. .venv/link/fedelta # where mypy finds the package
	@touch $@

run: setup
	$(BIN)/fedelta run

test: setup
	@$(MAKE) --no-print-directory --jobs=2 lint pytest # what is read beside what runs: neither leaves a core idle

test-all: # with the tests that take long, as in CI
	@FEDELTA_LONG_TESTS=1 $(MAKE) --no-print-directory test

pytest: setup
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder # a file on one core: what its tests share is made once

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: setup
	$(BIN)/fedelta serve

bench: setup
	$(BIN)/python benchmarks/features.py

bench-quality: setup
	$(BIN)/python benchmarks/quality.py

clean:
	rm -rf data reports mlflow.db mlruns mlartifacts .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# After a change of pyproject.toml: pin everything again, by hash, naming no index.
requirements:
	$(COMPILE) --extra score --extra serve --extra pipeline --extra postgres --extra lakes --extra datasets --extra dev -o requirements/dev.txt
	$(COMPILE) --extra serve -o requirements/serve.txt
	$(COMPILE) --extra spark --constraint requirements/dev.txt -o requirements/spark.txt
	$(COMPILE) --extra serve --extra score --constraint requirements/dev.txt -o requirements/scoring.txt
	echo "uv==$$($(BIN)/uv --version | cut -d' ' -f2)" | $(PIN) - -o requirements/uv.txt
	echo "setuptools>=80" | $(PIN) --constraint requirements/dev.txt - -o requirements/build.txt
	printf 'mlflow\npsycopg[binary]\n' | $(PIN) --constraint requirements/dev.txt - -o requirements/mlflow.txt
