# Two commands do all the set-up: `make demo` and `make test`. Both need Python 3.10 to 3.13, nothing else.

PYTHON ?= python3
SUPPORTED := 3.10 3.11 3.12 3.13
VENV ?= .venv
BIN := $(VENV)/bin
PROCESSES := 2
EXAMPLES := few
TSC := npx --yes --package typescript@5.9.3 tsc
# Each file's tests in one of the processes: while one waits for a server or a cluster, the others work.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

# $(call supported,PYTHON,ADVICE) stops make where PYTHON is too old or too new for what artray is built on.
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
supported = $(if $(filter $(SUPPORTED),$(call version,$(1))),,$(error artray needs Python 3.10, 3.11, 3.12 or 3.13, \
and $(1) is $(or $(call version,$(1)),none). $(2)))
again = $(or $(MAKECMDGOALS),demo)
there = $(call supported,$(BIN)/python,Name another folder: make VENV=.venv312 PYTHON=python3.12 $(again))

# Each process of a run reads the package and the tests: compiled once, not by each anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo unit test both slow beside check format clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/python jobs/demo.py --out demo-out

# Each process of the tests computes in one thread: with more, they spend a fifth of the time waiting for each other.
unit slow: export OMP_NUM_THREADS = 1
unit slow: export TF_NUM_INTRAOP_THREADS = 1
unit slow: export TF_NUM_INTEROP_THREADS = 1

# A minute or two on two cores: the tests that begin no Ray, no server, no browser and no other process, properties with
# a few examples (`make test` takes them all).
unit: $(VENV)/.test
	$(PYTEST) --numprocesses $(PROCESSES) --hypothesis-profile $(EXAMPLES) -m 'not slow'

# A quarter of an hour on two cores. The check and the unit tests take what the slow tests leave of them, which wait for
# servers and clusters now and then; what the former said comes last. It is make that runs both, and no shell stands
# between it and pytest (hence `exec`, and no double quotes): where make is ended, a shell would leave pytest running.
test: $(VENV)/.test
	@rm -f $(VENV)/passed
	@-$(MAKE) --no-print-directory --keep-going --jobs 2 both
	@cat $(VENV)/beside.log
	@test -e $(VENV)/passed

both: slow beside
	@touch $(VENV)/passed

# What XLA compiles here runs a few times, and need not be the fastest code.
slow: export XLA_FLAGS = --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
slow: $(VENV)/.test
	$(PYTEST) --numprocesses 3 -m slow

# A dry run comes here too, and may have no environment.
beside: $(VENV)/.test
	@test ! -d $(VENV) || exec nice -n 5 $(MAKE) --no-print-directory check unit PROCESSES=0 EXAMPLES=artray > $(VENV)/beside.log 2>&1

# Lint, format, types and the documents; mkdocs without --quiet, which counts no warnings.
check: $(VENV)/.test
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	# The page's script, where npm brings its compiler: its types stand in comments.
	@if $(TSC) --version > /dev/null 2>&1; then $(TSC) -p artray/report/script/jsconfig.json; \
	else echo "no TypeScript by npm here: the types of the page's script were not checked"; fi
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(call supported,$(PYTHON),Name another: make PYTHON=python3.12 $(again))
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(BIN)/python
	$(if $(wildcard $(BIN)/python),$(there))
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(BIN)/python
	$(if $(wildcard $(BIN)/python),$(there))
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	# Beside the environment, whose Pillow and jsonschema are newer than they say they can take.
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(VENV)/validators 'iiif-prezi3==3.1.1' \
		'cffconvert==2.0.0'
	# The oldest pyarrow that pyproject.toml allows: the jobs run with it in a process of their own.
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(VENV)/oldest 'pyarrow==20.0.0'
	# The W3C's annotation model as JSON Schema; without npm, the test that reads it is skipped.
	-npm pack --silent --pack-destination $(VENV)/validators @kba/anno-schema@0.0.8
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo-out
