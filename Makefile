# Everything starts here, on a machine that has python3 and make. `make help` lists what can be made.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-times style types arrows tests docs notebooks structure format install pins clean
.NOTPARALLEL:

help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## */  \1\t/' | expand -t 14

# ------------------------------------------------------------------------------------------------ for a first look

demo: $(VENV)/.has-core  ## install what is needed, simulate an arena, fit it, write demo-out/report.html
	@$(BIN)/emjax demo --out demo-out --overwrite

# -------------------------------------------------------------------------------------------------- for every change

# Much of the tests' time is compilation, so XLA is asked to compile fast, to code that is slower but small data hardly
# notice: without optimization, and without the passes over loops that cost most. The long tests compile as by default.
UNNEEDED = while-loop-invariant-code-motion,while-loop-trip-count-annotator,simplify-while-loops
QUICK_XLA = --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false \
            --xla_cpu_parallel_codegen_split_count=1 --xla_disable_hlo_passes=$(UNNEEDED)
# Two workers; a file stays with one of them, so that what its tests share is made once.
SPREAD = -n 2 --dist loadfile

test: style types arrows tests docs  ## all checks below, in this order; what has to pass before a change lands
	@echo "== all checks passed"

style: $(VENV)/.has-all  ## lint and formatting (ruff)
	@echo "== style"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "not formatted: run 'make format'"; exit 1; }

types: $(VENV)/.has-all  ## static types (pyright)
	@echo "== types"
	@$(BIN)/pyright --pythonpath $(BIN)/python

arrows: $(VENV)/.has-all  ## which package may import which (import-linter)
	@echo "== arrows"
	@$(BIN)/lint-imports --no-cache --no-logo

tests: $(VENV)/.has-all  ## tests, doctests, examples; one part of them with ARGS="-k cells"
	@echo "== tests"
	@XLA_FLAGS="$(QUICK_XLA)" $(BIN)/pytest -q $(SPREAD) -m "not long" --doctest-modules tests emjax $(ARGS)

test-all: test  ## `make test`, and then the long tests, which compile as by default
	@echo "== long tests"
	@$(BIN)/pytest -q $(SPREAD) -m long tests $(ARGS)
	@echo "== all tests passed"

test-times: $(VENV)/.has-all  ## seconds and compiled programs of `make tests`, per file, and its slowest tests
	@PYTHONPATH=tests XLA_FLAGS="$(QUICK_XLA)" $(BIN)/pytest -q $(SPREAD) -m "not long" -p timing --doctest-modules tests emjax $(ARGS)

docs: $(VENV)/.has-all  ## the documentation, into build/docs
	@echo "== docs"
	@$(BIN)/sphinx-build -q -W --keep-going -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

notebooks: $(VENV)/.has-all  ## run the notebooks in examples/ at full size and keep what they show (minutes)
	@$(BIN)/python docs/run_notebooks.py $(ARGS)

structure: $(BIN)/python  ## count files, lines, class tests and refusals for docs/architecture.md
	@$(BIN)/python docs/structure_figures.py
	@$(BIN)/python docs/capability_table.py

format: $(VENV)/.has-all  ## put the sources into shape
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

# ---------------------------------------------------------------------------------------------------- installation
# A stamp is newer than the two files it was made from for as long as nothing has to be installed again.

install: $(VENV)/.has-all  ## the package with everything that the checks need, into .venv

$(BIN)/python:
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.has-core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing emjax"
	@$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e .
	@touch $@

$(VENV)/.has-all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing emjax with everything that the checks need (minutes, the first time)"
	@$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[all]'
	@touch $@ $(VENV)/.has-core

pins:  ## write constraints.txt anew, from the newest versions that go together
	@mkdir -p build && rm -rf build/pins
	@grep -E '^#|^torch==' constraints.txt > build/kept.txt
	@$(PYTHON) -m venv build/pins
	@build/pins/bin/python -m pip install --quiet -c build/kept.txt -e '.[all]'
	@build/pins/bin/python -m pip freeze --exclude-editable | sed 's/+.*//' | grep -v '^torch==' > build/found.txt
	@cat build/kept.txt build/found.txt > constraints.txt
	@wc -l constraints.txt

clean:  ## remove what was made, but for .venv
	@rm -rf build demo-out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
