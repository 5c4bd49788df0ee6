# `make` lists the verbs. Everything runs from .venv, which `setup` makes from the locked dependencies.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: .venv/.dev ## install everything a developer needs into .venv

.venv/.server: requirements/server.lock pyproject.toml
	@$(call install,server)

.venv/.dev: requirements/dev.lock pyproject.toml
	@$(call install,dev)
	@touch .venv/.server

.venv/.bench: requirements/bench.lock pyproject.toml
	@$(call install,bench)
	@touch .venv/.server .venv/.dev

# uv where there is one, else venv and pip: the same locked files either way.
define install
	echo "Installing the locked dependencies into .venv …"; \
	if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/$(1).lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps -e .; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	fi && touch .venv/.$(1)
endef

demo: .venv/.server ## play the main job on real input (UNATTENDED=1 plays the approvers too)
	@HOST=$(HOST) PORT=$(PORT) UNATTENDED=$(UNATTENDED) $(BIN)/python -m examples.demo

serve: .venv/.server ## set up and serve on HOST:PORT
	@export COUNTERSIGN_BASE_URL=$${COUNTERSIGN_BASE_URL:-http://$(HOST):$(PORT)}; \
	  $(BIN)/python manage.py setup && $(BIN)/python manage.py up --host $(HOST) --port $(PORT)

test: .venv/.dev ## the whole suite, on real servers
	@$(BIN)/python -m tests

soak: .venv/.dev ## the suite with the full counts of races, models and kills
	@COUNTERSIGN_SOAK=1 $(BIN)/python -m tests

storm: .venv/.dev ## connectors and journeys in bad weather (SEED=2 for another)
	@COUNTERSIGN_TEST_STORM=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/connectors tests/lookalikes \
	  tests/journeys/test_everywhere.py tests/journeys/test_demo.py

browser-test: .venv/.dev ## only what needs a real Chromium
	@$(BIN)/python -m pytest -m browser tests

coverage: .venv/.dev ## the suite again, with the lines and branches it never takes (about twice its time)
	@$(BIN)/python -m pytest -q --cov --cov-branch --cov-report=term --cov-report=html:var/coverage tests

check: .venv/.dev format-check lint types contracts templates test ## all that must hold before a commit

format-check: .venv/.dev
	@$(BIN)/ruff format --check --quiet .

format: .venv/.dev ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: .venv/.dev
	@$(BIN)/ruff check --quiet .

types: .venv/.dev
	@$(BIN)/mypy

contracts: .venv/.dev
	@$(BIN)/lint-imports

# Linted, not reformatted: where white space is shown as it is, the formatter would push values about.
templates: .venv/.dev
	@$(BIN)/djlint --quiet --lint templates

bench: .venv/.bench ## measure, print the table, write var/bench.json
	@$(BIN)/python -m bench

docs: .venv/.dev ## check that the docs say what the code does
	@$(BIN)/python -m pytest -q tests/docs

lock: ## resolve the dependencies anew (needs uv)
	@for extras in server "server dev" "server dev bench"; do \
	  uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-strip-extras --python-version 3.11 \
	    $$(printf -- '--extra %s ' $$extras) pyproject.toml -o requirements/$${extras##* }.lock; done

clean: ## remove what the verbs made
	rm -rf .venv var .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* dist

.PHONY: help setup demo serve test soak storm browser-test coverage check format format-check lint types contracts templates bench docs lock clean
