# `make demo` and `make test` need Python >= 3.11 with venv, and make; everything else they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# setuptools warns of every editable install that a folder may shadow the package: this layout is made for it (docs/adr/0002).
INSTALL := PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet

.PHONY: demo test lint type check format docs bench wheel clean

demo: $(VENV)/.demo  ## Real jobs on a replayed grid day, then the report
	$(BIN)/carbonq demo

test: $(VENV)/.dev  ## Every test but the benchmarks
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint type test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache  # its cache tells breaches that are none once modules have moved

type: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev  ## Write the generated pages and schemas anew
	$(BIN)/python -m carbonq.schemas
	$(BIN)/python docs/generate.py

bench: $(VENV)/.dev  ## Every benchmark, one after the other
	set -e; for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b; done

wheel: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "carbonq needs Python 3.11 or newer with venv ($(PYTHON) is `$(PYTHON) --version 2>&1`)."; \
	  echo "On Debian or Ubuntu: apt-get install python3-venv; or name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade "pip>=25.1"

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable ".[demo,entsoe]" --group dev
	@touch $@ $(VENV)/.demo
