# make demo        run the built-in plan, write out/demo/report.html
# make test        lint, check types and imports, run all tests
# make quick-test  run the tests that take seconds
# make stress      run the tests of kills, interruptions and damage with all their tries (20 minutes)
# make coverage    run all tests and report their coverage
# make docs        build the documentation site in out/docs
# make dist        build the sdist and the wheel in dist/
# make setup       build .venv, which all of these do first
#
# PYTHON=python3.12       another interpreter (3.11 or newer)
# TORCH_INDEX=URL         take torch from this package index first, e.g. PyTorch's own CPU index:
#                         the default index has only the CUDA build for Linux on x86-64 (several GB)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on \
  -c constraints.txt
# One test process a core, each with one thread; the tests of a file share fixtures, so they stay
# together.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
export HF_HUB_OFFLINE ?= 1

.PHONY: setup demo test quick-test stress coverage lint types imports docs dist clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "eyechart needs Python 3.11 or newer; $(PYTHON) is older (make setup PYTHON=...)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on \
	  $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==$(TORCH_VERSION)
	$(PIP) -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/eyechart run --out out/demo

test: lint types imports
	$(PYTEST)

quick-test: setup
	$(PYTEST) -m "not slow and not browser and not gpu and not serve"

stress: setup
	EYECHART_STRESS=1 $(BIN)/python -m pytest tests/run/test_stops.py \
	  tests/codecs/learned/test_damaged_bitstreams.py

coverage: setup
	$(PYTEST) --cov --cov-report=term --cov-report=xml:out/coverage.xml

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

docs: setup
	$(PIP) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: setup
	$(PIP) build
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) out dist
