# `make demo` and `make test` work in a fresh clone with Python 3.11, make and pip; both set up .venv first.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help venv demo test test-all lint format bench constraints clean

help:
	@echo "make venv   set up .venv (PYTHON=python3.x chooses the interpreter)"
	@echo "make demo   draw people, train on them, judge on strangers, write runs/demo/report.html"
	@echo "make test   lint, types, floors and the tests (under 8 minutes on two cores)"
	@echo "make test-all  the same with the slow tests"
	@echo "make bench  the benchmarks, each with its baseline in the same run"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "make: $(PYTHON) is not here; say which Python with PYTHON=python3.x (3.11 or newer)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: venv
	$(BIN)/marginface demo --out runs/demo

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

PYTEST := $(BIN)/python -m pytest -n logical --dist loadfile  # a process a core, since most tests use one thread

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m "not gpu"

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

constraints:  # writes what a new .venv resolved to; look at the difference before committing it
	@(echo "# What \`make\` installs, exactly. pyproject.toml states the open lower bounds; this file is made by \`make constraints\`."; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//') > constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
