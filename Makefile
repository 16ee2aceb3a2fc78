# Everything a person types. `make help` lists it.
PYTHON ?= python3.11
BIN := .venv/bin
# The activated environment: its commands on the path, the settings of .env exported
ACTIVE := . $(BIN)/activate &&
# What the pipeline and the server need, and what a developer needs besides
PINS := requirements.txt requirements-dev.txt
# Ten times as fast as pip, which is used where uv is not to be had
SYNC := VIRTUAL_ENV=.venv uv pip sync --quiet --compile-bytecode --require-hashes $(PINS)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.DEFAULT_GOAL := help
.PHONY: help demo setup up down data new-data sweep promote rollback report history verify key serve predict
.PHONY: test test-fast test-long test-emulated test-clusters lint bench quality chaos docs notebook sbom lock

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup ## From nothing to a served prediction: S3, data, pipeline, push, server
	@$(ACTIVE) python -m local.demo

setup: .venv/installed ## Install the environment; write .env and .dvc/config.local
	@$(BIN)/python -m local.setup

.venv/installed: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 is needed (PyCaret runs on nothing newer), and '$(PYTHON)' is not it. Name one: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing the environment into .venv: about a minute"
	@$(PYTHON) -m venv .venv
	@if command -v uv >/dev/null; then $(SYNC); else \
	  awk '/^[a-z]/ {keep = /^uv==/} keep' requirements-dev.txt > .venv/uv.txt && \
	  $(PIP) -r .venv/uv.txt && PATH="$(BIN):$$PATH" && $(SYNC) || $(PIP) $(PINS:%=-r %); fi
	@touch $@

up: setup ## Start what .env puts on 127.0.0.1: S3 and MLflow; STREAM=1: a broker, too
	@$(BIN)/python -m local.services up $(if $(STREAM),--stream)

down: .venv/installed ## Stop what `up` started
	@$(BIN)/python -m local.services down

data: up ## Bring data/ as data.dvc pins it
	@$(ACTIVE) python -m local.sample_table

new-data: setup ## Point the project at your table: TABLE=file TARGET=column [NAME=model MINUTES=3]
	@test -n "$(TABLE)" -a -n "$(TARGET)" || { echo 'Say which: make new-data TABLE=file.csv TARGET=column'; exit 1; }
	@$(ACTIVE) python -m lifecycle.new_data "$(TABLE)" "$(TARGET)" $(if $(NAME),--name "$(NAME)") $(if $(MINUTES),--minutes $(MINUTES))

SWEEP ?= train.models=[lightgbm],[xgboost],[catboost] train.blend=0
JOBS ?= 2
sweep: up ## Try a grid and rank it: SWEEP='train.folds=3,5 train.blend=0,2' JOBS=2
	@$(ACTIVE) python -m lifecycle.sweep --jobs $(JOBS) $(foreach one,$(SWEEP),'$(one)')

promote: setup ## Serve the version of REV (a commit, branch, tag or DVC experiment); PUSH=1: for a team
	@test -n "$(REV)" || { echo 'Say which: make promote REV=commit-or-experiment'; exit 1; }
	@$(ACTIVE) python -m lifecycle.deployments promote "$(REV)" $(if $(PUSH),--push)

rollback: setup ## Take the last promotion back; PUSH=1: for a team
	@$(ACTIVE) python -m lifecycle.deployments rollback $(if $(PUSH),--push)

report: setup ## A page on REV (what was made here last) next to the version before: HTML, Markdown, MLflow
	@$(ACTIVE) python -m lifecycle.report $(if $(REV),"$(REV)")

history: setup ## What was promoted and rolled back: version, metrics, when, commit
	@$(ACTIVE) python -m lifecycle.deployments show

verify: setup ## Rebuild REV (HEAD) elsewhere and compare every byte; SIGN=key signs the result
	@$(ACTIVE) python -m lifecycle.verification rebuild "$(or $(REV),HEAD)" $(if $(SIGN),--sign "$(SIGN)")

key: .venv/installed ## A key pair that `verify` signs with: KEY=path
	@test -n "$(KEY)" || { echo 'Say where: make key KEY=path'; exit 1; }
	@$(BIN)/python -m lifecycle.verification key "$(KEY)"

serve: setup ## The API, from the version locked in dvc.lock; SERVE_PORT=8001 make serve
	@$(ACTIVE) python -m app

# More options: PREDICT='--keep id --probabilities'
PREDICT ?=
predict: setup ## Score a file or folder, here or in S3: IN=file OUT=file
	@test -n "$(IN)" -a -n "$(OUT)" || { echo 'Say which: make predict IN=data/diamonds.csv OUT=scored.csv'; exit 1; }
	@$(ACTIVE) python -m app.batch "$(IN)" "$(OUT)" $(PREDICT)

stream: setup ## Answer a stream's requests, NATS's or Kafka's: STREAM_OPTIONS='--probabilities'
	@$(ACTIVE) python -m app.stream $(STREAM_OPTIONS)

stream-demo: setup ## Send the holdout through a stream of its own; rates and latencies
	@$(BIN)/python -m local.services up --stream
	@$(ACTIVE) python -m local.stream_demo

# More of pytest's options, say TESTS='--cov' or TESTS='-k sweep'
TESTS ?=
# A file stays on one worker, as its fixtures do; files in the order of tests/conftest.py
PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: .venv/installed ## The test suite, on ports and in folders of its own
	@$(BIN)/python -m pytest $(PARALLEL) $(TESTS)

test-fast: .venv/installed ## The tests of the inner loop: those not marked as slow
	@$(BIN)/python -m pytest -m 'not slow and not long and not emulated and not clusters' $(PARALLEL) $(TESTS)

test-long: .venv/installed ## The longest tests, which `make test` leaves out
	@$(BIN)/python -m pytest -m long $(PARALLEL) $(TESTS)

test-emulated: .venv/installed ## All stages on an emulated processor without AVX (Debian: qemu-user)
	@$(BIN)/python -m pytest -m emulated tests/test_arithmetic.py

ENGINES := $(CURDIR)/.local/clusters
test-clusters: .venv/installed ## docs/clusters.md on Spark (which needs Java) and Ray
	@test -x $(ENGINES)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(ENGINES)
	@$(BIN)/uv pip install --quiet --python $(ENGINES)/bin/python -r app/requirements.txt -r tests/app/batch/clusters.txt
	@CLUSTER_PYTHON=$(ENGINES)/bin/python $(BIN)/python -m pytest -m clusters tests/app/batch/test_clusters.py

lint: .venv/installed ## Formatter, linter, type checker, the ways imports may go
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

# More options: FAULTS=server, FAULTS='store fuzz', FAULTS='pipeline --part 0.2'
FAULTS ?=
chaos: .venv/installed ## Every fault many times; what survived, was lost, was wrong: FAULTS=server
	@$(BIN)/python -m tests.chaos $(FAULTS)

bench: .venv/installed ## Every benchmark; each prints one JSON line
	@for program in serving reload explanation batch stream pipeline; do $(BIN)/python -m benchmarks.$$program || exit 1; done

# More options: QUALITY='--minutes 1 --tables houses credit --peers autogluon_medium flaml'
QUALITY ?=
quality: .venv/installed ## First tries at ten tables beside AutoML: an hour or more (docs/quality.md)
	@$(BIN)/python -m benchmarks.quality $(QUALITY)

docs: .venv/installed ## These documents as a site, in .local/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && cp -r deploy .local/site/ && echo .local/site/index.html

# Jupyter's page would load two libraries from elsewhere, which it does not need
QUIET := --log-level ERROR --ExecutePreprocessor.extra_arguments=--IPKernelApp.log_level=40
ALONE := --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url=
notebook: setup ## docs/explore.py run on the served model and the experiments, as a page
	@$(ACTIVE) dvc status --quiet || echo "The files here are not all those of dvc.lock; should a cell fail: dvc pull"
	@$(ACTIVE) mkdir -p .local && jupytext --quiet --to ipynb --output .local/explore.ipynb docs/explore.py && \
	  jupyter nbconvert --execute --to html $(QUIET) $(ALONE) .local/explore.ipynb && echo .local/explore.html

SBOM ?= .local/sbom.json
sbom: .venv/installed ## The server's bill of materials, as CycloneDX (JSON): SBOM=file
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/cyclonedx-py requirements app/requirements.txt --output-reproducible -o $(SBOM) && echo $(SBOM)

# Keeps every pin that still fits. The pipeline's come first: the other lists follow them
COMPILE = $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes $(UPGRADE:%=--upgrade-package %)
lock: .venv/installed ## Compile the requirements*.in; UPGRADE='ruff mypy' takes newer ones
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) app/requirements.in -c requirements.txt -o app/requirements.txt
	$(COMPILE) app/requirements-stream.in -c requirements.txt -o app/requirements-stream.txt
	$(COMPILE) app/requirements-dask.in -c requirements.txt -o app/requirements-dask.txt
	$(COMPILE) app/requirements-clouds.in -c requirements.txt -o app/requirements-clouds.txt
