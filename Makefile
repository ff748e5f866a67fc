# make run: everything, from raw files to a served endpoint. make test: every test. Both need Python 3.11-3.13 only.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,$(shell command -v $(name) 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/bin

export ML_PLATFORM_HOME ?= $(CURDIR)/.ml_platform
export ML_PLATFORM_DAGSTER ?= $(ML_PLATFORM_HOME)/dagster
export DAGSTER_HOME ?= $(CURDIR)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.PHONY: help env run test check ui stop clean bench lock snapshot screenshot
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

env: $(VENV)/.installed ## the environment, from requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python is $$("$(PYTHON)" --version 2>&1), but 3.11, 3.12 or 3.13 is needed: make PYTHON=…"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . --config-settings editable_mode=compat
	@touch $@

run: env ## the whole graph, then the endpoint serves
	@mkdir -p "$(ML_PLATFORM_DAGSTER)"
	@$(BIN)/ml-platform run

test: env ## every test
	$(BIN)/python -m pytest

check: env ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: env ## the Dagster UI on http://127.0.0.1:3000
	@mkdir -p "$(ML_PLATFORM_DAGSTER)"
	@$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

stop: env ## ends the endpoint's server
	@$(BIN)/ml-platform stop

clean: ## forgets everything: data, models, state, environment
	@test ! -x $(BIN)/ml-platform || $(BIN)/ml-platform stop
	rm -rf "$(ML_PLATFORM_HOME)" $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

snapshot: env ## renews tests/declarations.txt from what is declared
	$(BIN)/python -m pytest -q tests/test_declarations.py --renew

lock: env ## renews requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	  --no-strip-extras --generate-hashes pyproject.toml --group dev --upgrade -o requirements.lock
