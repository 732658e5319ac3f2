# Everything one does with this repository. `make` alone lists it.
# Options: ARGS="--port 9000" goes to the program; PYTHON and WORKERS may be set too.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
BIN := .venv/bin

export WORKERS

.DEFAULT_GOAL := help
.PHONY: help setup up demo test check format bench soak screenshots docs lock clean test-packages

help: ## List what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install everything into .venv; a second time takes a moment
	@$(PYTHON) scripts/set_up.py

up: setup ## Set up, then start Mainstay on http://127.0.0.1:8000
	@exec $(BIN)/mainstay up $(ARGS)

demo: setup ## The same with a sample app and its traffic
	@exec $(BIN)/mainstay up --demo $(ARGS)

test: setup test-packages ## Set up, then every check and every test
	@$(BIN)/python scripts/verify.py all

check: setup ## Format, lint, types, imports and the fast tests
	@$(BIN)/python scripts/verify.py fast

format: setup ## Format and mend what can be mended by a tool
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## Every benchmark, one after another; each prints its ratio
	@set -e; for file in benchmarks/[!_]*.py; do \
		[ "$$file" = benchmarks/soak.py ] && continue; \
		echo "== $$file"; $(BIN)/python "$$file"; \
	done

soak: setup test-packages ## Hours of load while processes are killed; counts what was lost
	@MAINSTAY_SOAK_STOPPED_SECONDS=90 $(BIN)/pytest -q server/tests/journeys/test_watching.py -k stopped
	@$(BIN)/python benchmarks/soak.py $(ARGS)

screenshots: setup test-packages ## Photograph every page in a real browser, light and dark
	@$(BIN)/python scripts/screenshots.py $(ARGS)

docs: setup ## Write the generated tables of docs/areas again
	@$(BIN)/python scripts/docs.py $(ARGS)

lock: ## Pin what pyproject.toml asks for; ARGS=--upgrade takes the newest of everything
	@$(PYTHON) scripts/lock.py $(ARGS)

clean: ## Remove caches and builds; .venv and data stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +

test-packages:
	@bash scripts/install_test_packages
