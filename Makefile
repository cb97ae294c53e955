# Needs Python 3.11 or newer, make and the package index, nothing else.
# Every target makes what it needs in .venv and does so once.

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers check soak interop bench evidence docs reference clean

BIN := .venv/bin
# No byte of a caller's own environment may leak into ours; without bytecode every command compiles its imports anew.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE
# Options for the target's main program: make demo ARGS=--no-browser, make test ARGS='-k index'
ARGS ?=
# One more than the two cores that a run is meant for: many tests wait for a process, a server or a clock.
WORKERS ?= 3

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

# One stamp per set of packages; a set is installed again only when what is asked for has changed.
.venv/.stamp-%: pyproject.toml uv.lock tools/environment
	@tools/environment $*
	@touch $@

demo: .venv/.stamp-demo ## a simulated microscope, a trust store and an editor, end to end
	@$(BIN)/rawtrace demo $(ARGS)

test: .venv/.stamp-test ## the quick tests, at most five minutes
	@echo "test: everything but soak and interop, on two cores"
	@tools/web_setup
	@$(BIN)/pytest -q -m "not soak and not interop" -n $(WORKERS) --dist worksteal $(ARGS)

lint: .venv/.stamp-dev ## ruff: rules and format
	@echo "lint: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

types: .venv/.stamp-dev ## mypy, strict
	@echo "types: mypy, strict"
	@$(BIN)/mypy --no-error-summary

layers: .venv/.stamp-dev ## imports run downward only
	@echo "layers: import-linter"
	@$(BIN)/lint-imports --no-cache > .venv/layers.log 2>&1 || { cat .venv/layers.log; exit 1; }

check: lint types layers ## lint, types and layers

# Only modules that have such tests are imported. pytest exits with 5 where nothing was selected: that is said, and is no pass.
soak: .venv/.stamp-fuzz ## what takes long: kill loops, full disks, fuzzing
	@echo "soak: tests marked soak"
	@$(BIN)/pytest -q -m soak -n $(WORKERS) --dist loadgroup $$(grep -rl --include='test_*.py' 'mark\.soak' tests) $(ARGS) || { code=$$?; [ $$code -eq 5 ] || exit $$code; echo "soak: NOT RUN: no test is marked soak"; }

interop: .venv/.stamp-test ## other people's verifiers on our seals
	@echo "interop: tests marked interop"
	@if [ -x tools/interop_setup ]; then tools/interop_setup && $(BIN)/pytest -q -m interop tests/interop $(ARGS); \
	else echo "interop: NOT RUN: tools/interop_setup is not there"; fi

bench: .venv/.stamp-test ## speed and size, as ratios within one run
	@if [ -f benchmarks/run.py ]; then $(BIN)/python benchmarks/run.py $(ARGS); \
	else echo "bench: NOT RUN: benchmarks/run.py is not there"; fi

evidence: .venv/.stamp-dev ## how good the matching of pictures is, in tables
	@$(BIN)/python benchmarks/matching/run.py $(ARGS)

reference: .venv/.stamp-dev ## write docs/reference anew from the code
	@$(BIN)/python tools/generate_reference.py

docs: reference ## the documentation, into docs/_build/html
	@echo "docs: Sphinx, warnings are errors"
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

clean: ## remove the environment and all that was built
	@rm -rf .venv docs/_build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools docs -name __pycache__ -type d -prune -exec rm -rf {} +
