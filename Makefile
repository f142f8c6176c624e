# Everything from a fresh clone: `make demo` shows a real result, `make test` runs the suite.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = $(VENV)/.demo
DEV = $(VENV)/.dev

.PHONY: help setup demo test chaos kernels test-lowest resolve lint type docs bench clean
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## a virtual environment in .venv with the package and all tools

$(DEMO): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(DEV): $(DEMO)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(DEMO) ## two real pretrained models on the built-in image–text set, scored over all layer pairs
	$(BIN)/vlalign demo

# the tests of a file share fixtures, and the ports of launchers; files in their order, as the longest hold few tests,
# and would else come last, on one core
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(DEV) ## the whole test suite with doctests, on two cores
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PYTEST)

# pages, figures, settings, names, files and what resumes hold no numbers that depend on kernels
NO_KERNELS = $(patsubst %,--ignore-glob='tests/%',*/report/* */*figures* */*config* */*names* */*resume* \
	multibench/data/* */test_collect* */test_records* */test_cells* */test_sources*)

kernels: $(DEV) ## the tests of numbers as another processor and number of threads compute them
	MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE $(PYTEST) -q $(NO_KERNELS) \
		$(addprefix tests/,metrics stats scoring synthetic multibench decomposition advice reproduce)

chaos: $(DEV) ## every command killed at each change of a file and run again (hours; `make test` has a sample)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m chaos.campaign

LOWEST = .venv-lowest
test-lowest: $(DEV) ## tests of metrics, statistics, store and command line with the oldest dependencies that are allowed
	$(BIN)/uv venv --quiet --clear $(LOWEST)
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST) --extra demo --output-file $(LOWEST)/lowest.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(LOWEST) --requirement $(LOWEST)/lowest.txt hypothesis polars pytest pytest-timeout
	$(BIN)/uv pip install --quiet --python $(LOWEST) --no-deps --editable .
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q $(addprefix tests/,metrics stats store cli test_imports.py)

PLATFORMS = x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc
resolve: $(DEV) ## whether the dependencies resolve on other platforms, without installing anything
	for platform in $(PLATFORMS); do for python in 3.11 3.13; do \
		$(BIN)/uv pip compile --quiet --python-platform $$platform --python-version $$python pyproject.toml >/dev/null && \
		echo "$$platform, Python $$python: resolves" || exit 1; done; done

lint: $(DEV) ## ruff: style and mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(DEV) ## mypy
	$(BIN)/mypy

docs: $(DEV) ## the documentation's site, in build/site/; RUN=1: with outputs of the notebooks
	NO_MKDOCS_2_WARNING=1 RUN=$(RUN) $(BIN)/mkdocs build --quiet --strict

bench: $(DEV) ## speeds as ratios (docs/speed.md); takes real data sets by path, see --help
	$(BIN)/python benchmarks/cpu.py

clean: ## remove what building and testing left; features and results stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
