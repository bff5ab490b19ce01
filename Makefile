# make help lists the targets. PYTHON and CC choose the interpreter and the compiler:
#     make test PYTHON=python3.13 CC=clang

PYTHON ?= python3
CC ?= cc
VENV = .venv
BIN = $(VENV)/bin
# Files in the environment that say how far it is: made, minilm copied into it, minilm linked to it.
EMPTY = $(VENV)/empty
COPIED = $(VENV)/minilm-copied
LINKED = $(VENV)/minilm-linked

C_FILES := $(shell find csrc/core csrc/python -name '*.[ch]')
TABLES := $(shell find csrc/core csrc/python -name '*.def')
PYTHON_FILES := $(shell find minilm -name '*.py')
BUILD_FILES = setup.py pyproject.toml $(C_FILES) $(TABLES)

export CC

.PHONY: help demo test slow ctest neon notebooks asan bench grid scaling fmt lint clean
.DEFAULT_GOAL = help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

demo: $(COPIED) ## install minilm and train a language model on the text it carries: about a minute
	$(BIN)/minilm train --level word --out runs/demo

test: ctest $(LINKED) ## all tests but the slow ones: C, Python, notebooks
	$(BIN)/pytest

slow: $(LINKED) ## the tests that take minutes, such as sdist -> wheel -> install
	$(BIN)/pytest -m slow

ctest: ## the tests of the C core: gradients in double precision, no Python needed
	$(MAKE) --no-print-directory -k -C csrc/tests

neon: ## the C tests on the kernels for arm64, on x86: needs gcc-aarch64-linux-gnu and qemu-user
	$(MAKE) --no-print-directory -k -C csrc/tests neon

notebooks: $(LINKED) ## execute the notebooks, as the tests do
	$(BIN)/pytest -m notebook

bench: $(VENV)/bench ## time training steps of minilm, torch and JAX side by side in one run
	$(BIN)/python benchmarks/run.py

grid: $(VENV)/bench ## time layers alone against torch; fails where torch is faster
	$(BIN)/python benchmarks/grid.py

scaling: $(VENV)/bench ## how time grows with sizes, what odd conditions cost, whether data keeps up
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/robust.py
	$(BIN)/python benchmarks/data.py

fmt: $(VENV)/dev ## rewrite Python and C in the house style
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_FILES) csrc/tests/*.[ch]

lint: $(VENV)/dev ## style, types, and the type stub of the extension
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run -Werror $(C_FILES) csrc/tests/*.[ch]
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml minilm._core

clean: ## remove what builds leave behind; environments and runs stay
	rm -rf build dist *.egg-info minilm/_libs minilm/_core*.so $(COPIED) $(LINKED)

# --- environments -------------------------------------------------------------------------------

$(EMPTY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"minilm needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# One environment holds minilm either copied or linked, so each recipe ends the other's claim.
$(COPIED): $(BUILD_FILES) $(PYTHON_FILES) | $(EMPTY)
	$(BIN)/python -m pip install --quiet .
	@rm -f $(LINKED) && touch $@

$(LINKED): $(BUILD_FILES) | $(EMPTY)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@rm -f $(COPIED) && touch $@

$(VENV)/%: $(LINKED)
	$(BIN)/python -m pip install --quiet -e '.[$*]'
	@touch $@

# --- sanitizers: Linux with gcc -----------------------------------------------------------------

SANITIZE = address,undefined
ASAN_VENV = .venv-asan

asan: ## C and Python tests under the address and undefined-behaviour sanitizers
	$(MAKE) --no-print-directory -k -C csrc/tests SANITIZE=$(SANITIZE)
	$(MAKE) --no-print-directory asan-python VENV=$(ASAN_VENV)

# The interpreter is not instrumented, so the run-time libraries must be loaded before it.
# It also keeps memory until it ends: leaks are looked for in the C tests alone.
asan-python: $(EMPTY)
	MINILM_SANITIZE=$(SANITIZE) $(BIN)/python -m pip install --quiet '.[test]'
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
	$(BIN)/pytest -m "not slow and not notebook"
