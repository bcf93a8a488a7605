# `make` sets up what runs, and runs the pipeline over models/; `make exports` sets up what exports to ONNX and TensorFlow
# Lite need besides; `make test` sets up what tests need besides, and runs the checks of `make lint` and the tests;
# `make test-slurm` runs those that need a cluster, on one that it starts on this machine.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_EXPORT := $(VENV)/.ready-to-export
READY_TO_TEST := $(VENV)/.ready-to-test
# The lists have all that their packages need, of which one asks for TensorFlow by another of its names.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --no-deps
SNAKEFLAGS ?=

.PHONY: all exports test test-slurm lint models clean

all: $(READY)
	$(BIN)/snakemake $(SNAKEFLAGS)

exports: $(READY_TO_EXPORT)

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slurm: $(READY_TO_TEST)
	$(BIN)/python -m pytest tests/slurm

lint: $(READY_TO_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	PYTHONPATH=scripts $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

models: $(READY)
	$(BIN)/python models/make_models.py

clean: $(READY)
	$(BIN)/snakemake $(SNAKEFLAGS) clean

$(READY): requirements.txt
	@if [ -L $(VENV) ]; then echo "$(VENV) is a link, and what it leads to would be emptied to set it up anew; delete the" \
	"link, or, where all is installed there: touch $(READY) $(READY_TO_EXPORT) $(READY_TO_TEST)" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	"Permafrost needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is " + sys.version.split()[0] + \
	"; name another one with: make PYTHON=python3.11")'
	@echo "Setting up $(VENV), once: TensorFlow and what else runs is downloaded and installed, which takes minutes."
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) -r requirements.txt
	@touch $@

$(READY_TO_EXPORT): requirements-export.txt $(READY)
	@echo "Installing what exports to ONNX and TensorFlow Lite need besides, which takes a minute or more."
	$(INSTALL) -r requirements-export.txt
	@touch $@

$(READY_TO_TEST): requirements-dev.txt requirements-export.txt $(READY)
	@echo "Installing what tests need besides, which takes a minute or more."
	$(INSTALL) -r requirements-dev.txt
	@touch $@
