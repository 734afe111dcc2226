# Two commands do all the set-up: `make demo` and `make test`. Both need Python 3.10 or newer, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check format clean

demo: $(VENV)/.demo
	$(BIN)/python jobs/demo.py --out demo-out

test: check
	$(BIN)/python -m pytest

check: $(VENV)/.test
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "artray needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	# Beside the environment, whose Pillow is newer than it says it can take.
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(VENV)/validators 'iiif-prezi3==3.1.1'
	# The oldest pyarrow that pyproject.toml allows: the jobs run with it in a process of their own.
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(VENV)/oldest 'pyarrow==20.0.0'
	# The W3C's annotation model as JSON Schema; without npm, the test that reads it is skipped.
	-npm pack --silent --pack-destination $(VENV)/validators @kba/anno-schema@0.0.8
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo-out
