# make run: everything, from raw files to a served endpoint. make test: every test. Both need Python 3.11-3.13 only.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c '$(FITS)' 2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

export ML_PLATFORM_HOME ?= $(CURDIR)/.ml_platform
export DAGSTER_HOME ?= $(ML_PLATFORM_HOME)/dagster
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.PHONY: help env env-dev home run test drill check image ui stop clean bench lock snapshot screenshot notebook
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

env: $(VENV)/.installed ## the environment, from requirements.lock
env-dev: $(VENV)/.installed-dev ## the same with every cloud's SDK and what tests need, from requirements-dev.lock

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' \
	  || { echo "no Python 3.11, 3.12 or 3.13 was found; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --editable . --config-settings editable_mode=compat
	@touch $@

home: env # DAGSTER_HOME, with the repository's dagster.yaml in it
	@mkdir -p "$(DAGSTER_HOME)"
	@ln -sf "$(CURDIR)/dagster.yaml" "$(DAGSTER_HOME)/dagster.yaml"

SELECT ?= *
PARTITIONS ?=

run: home ## the whole graph, then the endpoint serves; SELECT and PARTITIONS narrow it
	@$(BIN)/ml-platform run --select '$(SELECT)' $(if $(PARTITIONS),--partitions $(PARTITIONS))

# The graph on a cloud's stand-ins, which this starts and ends: the whole of it, a request to its endpoint, the log of it.
run-%: home env-dev
	@$(BIN)/python -m resources.$*.testing sh -c "ml-platform run --select '$(SELECT)' && \
	  ml-platform invoke arrival_delay && ml-platform run --select 'key:\"endpoints/arrival_delay__log\"'"

test: env-dev ## every test, on three processes, for they wait for others
	$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder

drill: env ## the fire drill: faults in a scratch platform, and the guard that fires for each
	@$(BIN)/ml-platform drill

check: env-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

IMAGE ?= ml_platform
ENGINE ?= $(shell command -v docker || command -v podman)

# What an image on another base needs: where its Python is, and who runs programs in it.
BUILD_ARGS = $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(IMAGE_VENV),--build-arg VENV=$(IMAGE_VENV)) \
  $(if $(IMAGE_USER),--build-arg RUNS_AS=$(IMAGE_USER))

image: ## the image that jobs and servers run in, where docker or podman is; IMAGE names it
	@test -n "$(ENGINE)" || { echo "no container engine was found; install docker or podman, or name one: make ENGINE=…" >&2; exit 1; }
	$(ENGINE) build $(BUILD_ARGS) --tag $(IMAGE) .

ui: home ## the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/ml-platform ui

stop: env ## ends what was started: the endpoint's server, the UI
	@$(BIN)/ml-platform stop

clean: ## forgets everything: data, models, state, environment
	-@test ! -x $(BIN)/ml-platform || $(BIN)/ml-platform stop
	rm -rf "$(ML_PLATFORM_HOME)" $(VENV) $(VENV)-screenshot $(VENV)-notebook build *.egg-info .pytest_cache .mypy_cache .ruff_cache

snapshot: env-dev ## renews tests/declarations.txt from what is declared
	$(BIN)/python tests/test_declarations.py

BENCH ?= $(sort $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py)))

bench: env-dev ## every benchmark, an hour in all; BENCH='run gold' picks some; figures are kept in docs/bench.json
	@for name in $(BENCH); do PYTHONPATH=. $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

screenshot: home ## docs/lineage.png, from the UI; needs Debian's chromium
	@test -x $(VENV)-screenshot/bin/python || $(PYTHON) -m venv $(VENV)-screenshot
	@$(VENV)-screenshot/bin/python -m pip install --quiet playwright
	@$(VENV)-screenshot/bin/python docs/screenshot.py $(BIN)

PLATFORM = import site; print("import site; site.addsitedir(" + repr(site.getsitepackages()[0]) + ")")

notebook: home ## docs/notebook.ipynb, executed on what make run has made
	@test -x $(VENV)-notebook/bin/python || $(PYTHON) -m venv $(VENV)-notebook
	@$(VENV)-notebook/bin/python -m pip install --quiet nbclient ipykernel ipywidgets
	@$(BIN)/python -c '$(PLATFORM)' > "$$($(VENV)-notebook/bin/python -c 'import site; print(site.getsitepackages()[0])')/platform.pth"
	@$(VENV)-notebook/bin/python docs/execute.py

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
  --no-strip-extras --generate-hashes pyproject.toml

lock: env ## renews the three requirements locks from pyproject.toml
	$(INSTALL) uv
	$(COMPILE) --all-extras --group dev --upgrade -o requirements-dev.lock
	$(COMPILE) --group tools --constraint requirements-dev.lock --upgrade -o requirements.lock
	$(subst pyproject.toml,,$(COMPILE)) --group image --constraint requirements-dev.lock --upgrade -o requirements-image.lock
