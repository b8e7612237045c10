# Two commands are all the set-up there is: `make audit` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: help audit test oldest proofs fuzz guided lint format bench known-faults docs clean
help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "lmia needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev,private]'
	@touch $@

audit: $(VENV)/.stamp  ## install, audit the embedded demo, and again with sides drawn unlike
	$(BIN)/lmia audit --plugin wsa
	$(BIN)/lmia audit --config configs/worlds/unlike.yaml >/dev/null
	$(BIN)/lmia show lmia-audit lmia-audit/unlike

test: $(VENV)/.stamp  ## install, and run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not slow and not network and not gpu'

oldest:  ## the same tests with the oldest packages that pyproject.toml allows, in an environment of their own
	$(PYTHON) -m venv $(VENV)/oldest
	$(VENV)/oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/oldest/bin/uv pip install --quiet --python $(VENV)/oldest --resolution lowest-direct --editable '.[demo,dev]'
	OMP_NUM_THREADS=1 $(VENV)/oldest/bin/python -m pytest -n $(JOBS) --dist worksteal -W default -m 'not slow and not network and not gpu'

proofs: $(VENV)/.stamp  ## the slow proofs: many seeds, real pictures from a package, other devices
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m 'slow or network or gpu'

fuzz: $(VENV)/.stamp  ## ten thousand broken inputs for every reader; READERS="tar table", INPUTS and SEED choose
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(READERS) $(if $(INPUTS),--inputs $(INPUTS)) --seed $(or $(SEED),0)

guided: $(VENV)/.stamp  ## a search for bytes that break a reader, led by coverage; READER=tar, SECONDS=60; needs pip install atheris
	PYTHONPATH=tests $(BIN)/python tests/fuzz/coverage_guided.py $(or $(READER),tar) -max_total_time=$(or $(SECONDS),60)

lint: $(VENV)/.stamp  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.stamp  ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.stamp  ## every ratio of speed and memory, each against a ceiling or rival of the same run
	$(BIN)/python -m benchmarks

known-faults:  ## what an advisory service knows of the pinned packages; needs one in reach
	$(PYTHON) -m venv $(VENV)/faults
	$(VENV)/faults/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(VENV)/faults/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

clean:  ## remove what was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache lmia-audit
