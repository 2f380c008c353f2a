# Everything runs in .venv, made here; see README.md.
SHELL := /bin/bash
# The first that really runs: a version manager may leave a name on the PATH with nothing behind it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
BIN := .venv/bin
STORE ?= sqlite:data
ARGS ?=
# What the tests run on Node: installed where there is npm; tests that need it are skipped elsewhere.
# npm 9, which Debian has, cannot read the version that a dead dependency of cube asks for.
NPM = $(if $(filter-out 1 2 3 4 5 6 7 8 9,$(firstword $(subst ., ,$(shell npm --version)))),npm,npx --yes npm@10.9.4)
NODE_READY := $(if $(shell command -v npm),tests/node/node_modules/.ready)

.PHONY: run setup test check docs bench soak fuzz format clean
.DEFAULT_GOAL := run

run: .venv/.run-ready
	@exec bin/cube serve --store "$(STORE)" $(ARGS)

setup: .venv/.dev-ready .venv/datacoral/.ready $(NODE_READY)

# -n 3: the machine that the bound of ten minutes is for has two cores, and tests wait now and then. worksteal:
# the tests of a file stay together, so what they share is made once.
test: .venv/.dev-ready .venv/datacoral/.ready $(NODE_READY)
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: .venv/.dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs
	$(MAKE) --no-print-directory docs

# The pages as a site, in build/site; a link that leads nowhere is an error.
docs: .venv/.dev-ready
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/site

# BASE=COMMIT runs that commit beside this tree; ARGS names workloads, or is --quick.
bench: .venv/.dev-ready
	bin/bench $(if $(findstring --quick,$(ARGS)),,--write) $(ARGS)

# Five minutes at five times what the store takes, without a spool and with one; then that is drained.
soak: .venv/.dev-ready
	$(BIN)/python -m tests.soak $(ARGS)

# At least 100 000 hostile inputs to both daemons on both stores: about a quarter of an hour.
fuzz: .venv/.dev-ready
	$(BIN)/python -m tests.fuzz $(ARGS)

# And the tables that the code makes.
format: .venv/.dev-ready
	$(BIN)/python -m docs.made
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv tests/node/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis tests/artefacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Cube needs Python 3.11 or later; name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -f $@; exit 1; } # where Debian's python3-venv is missing, one without pip is left

.venv/.run-ready: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.dev-ready: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv"
	@$(PIP) install --constraint constraints.txt --editable '.[test,check]'
	@touch $@ .venv/.run-ready

# A client that cannot live beside our own packages.
.venv/datacoral/.ready: tests/clients/datacoral.txt | .venv/bin/python
	@echo "Installing into .venv/datacoral"
	@rm -rf .venv/datacoral
	@$(PIP) install --no-deps --target .venv/datacoral --requirement $< && touch $@ || echo "Tests that need it are skipped." >&2

tests/node/node_modules/.ready: tests/node/package.json tests/node/package-lock.json tests/node/.npmrc
	@echo "Installing into tests/node"
	@$(NPM) --prefix tests/node ci --silent && touch $@ || echo "Tests that need them are skipped." >&2
