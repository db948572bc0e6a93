# Each target makes what it needs: a virtual environment in .venv, installed anew when a pin changes, for the
# tests with all kernels compiled. The demo accepts exit code 1: there a query answers that it found a counterexample.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt

.PHONY: demo test lint bench

demo: .venv/installed
	@printf '\n$$ bnnverify robustness --index 3 --eps 3\n\n'
	@$(BIN)/bnnverify robustness --index 3 --eps 3 || test $$? -eq 1
	@printf '\n$$ bnnverify count --index 3 --eps 3\n\n'
	@$(BIN)/bnnverify count --index 3 --eps 3 || test $$? -eq 1

test: .venv/installed-all
	$(BIN)/python -m pytest

lint: .venv/installed-all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/installed-all
	$(BIN)/python -m benchmarks

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

.venv/installed-all: .venv/installed
	$(INSTALL) --editable '.[all,dev]'
	$(BIN)/bnnverify engines --compile >/dev/null
	@touch $@
