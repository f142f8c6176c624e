# Everything from a fresh clone: `make demo` shows a real result, `make test` runs the suite.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: help setup demo test lint type bench clean
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## a virtual environment in .venv with the package and its tools

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(STAMP) ## two real pretrained models on the built-in image–text set, scored over all layer pairs
	$(BIN)/vlalign demo

test: $(STAMP) ## the whole test suite with doctests, on two cores
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(STAMP) ## ruff: style and mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMP) ## mypy
	$(BIN)/mypy

bench: $(STAMP) ## speeds as ratios (README, "Measured"); takes real data sets by path, see --help
	$(BIN)/python scripts/bench.py

clean: ## remove what building and testing left; features and results stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
