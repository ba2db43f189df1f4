# Two commands: `make run` and `make test`. Each gets what it needs by itself.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run install test test-fast lint format clean systems oidc-provider front-end npm wordpress strace chromium

help:
	@echo "make run       start Plumbline with its demo on http://127.0.0.1:8000"
	@echo "make install   only install what it needs to run, into $(VENV)"
	@echo "make test      run every test, those in a browser and on PostgreSQL included"
	@echo "make test-fast run the tests of what needs no server, in about a minute"
	@echo "make systems   test flows between a real WordPress, a mail server and the demo"
	@echo "make lint      style, types, layers and connectors"
	@echo "make format    rewrite the code in the project's format"
	@echo "make clean     remove $(VENV) (your data stays in instance/)"

run: $(VENV)/.run
	@exec $(BIN)/plumbline serve --demo

install: $(VENV)/.run

# Three groups that are every test together: what needs neither browser nor processes in two workers, then the
# browser's, then those that start, kill and count.  A group that fails does not keep the others from running.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
test: $(VENV)/.test chromium strace oidc-provider
	@failed=0; export PLUMBLINE_REQUIRE_ALL=1; for group in "not product" "browser" "product and not browser"; do \
	  echo "Tests: $$group"; $(PYTEST) -m "$$group" || failed=1; \
	done; exit $$failed

test-fast: $(VENV)/.test
	@$(PYTEST) -m "not product and not postgres" tests/flows tests/catalog tests/calls tests/connectors tests/contracts \
	  tests/bring tests/bring_flows $(wildcard tests/test_*.py)

lint: $(VENV)/.test front-end
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/plumbline connectors check
	$(FRONT_END)/node_modules/.bin/biome check --config-path=tests/front_end app/static/css

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Plumbline needs into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q app
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.run
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# ---------------------------------------------------------------- what tests need beside Python

# Installs Debian's packages $(1), as root; else ends with the sentence $(2), which has no comma.
define debian
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "Installing $(1) for the tests ..."; \
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(1) >/dev/null; \
else echo "$(2)"; exit 1; fi
endef

FRONT_END := build/front-end
NPM_FLAGS := --ignore-scripts --no-audit --no-fund --fetch-retries=5 --loglevel=error

# Sign-ins are tested against a certified provider. The lock file has the hash of every package, Node's included.
PROVIDER := build/oidc-provider
oidc-provider: $(PROVIDER)/.ready

$(PROVIDER)/.ready: tests/oauth/oidc/package-lock.json | npm
	@echo "Installing oidc-provider for the tests of sign-ins into $(PROVIDER) ..."
	@mkdir -p $(PROVIDER) && cp tests/oauth/oidc/package.json tests/oauth/oidc/package-lock.json $(PROVIDER)/
	@cd $(PROVIDER) && npm ci $(NPM_FLAGS) --no-update-notifier >/dev/null
	@touch $@

npm:
	@if [ -e $(PROVIDER)/.ready ] || command -v npm >/dev/null; then exit 0; fi; \
	$(call debian,npm,The tests of sign-ins need npm: install your system's package 'npm'.)

# Biome checks the style sheets. The lock file has the hash of every package.
front-end: $(FRONT_END)/.ready

$(FRONT_END)/.ready: tests/front_end/package-lock.json | npm
	@echo "Installing Biome into $(FRONT_END) ..."
	@mkdir -p $(FRONT_END) && cp tests/front_end/package.json tests/front_end/package-lock.json $(FRONT_END)/
	@cd $(FRONT_END) && npm ci $(NPM_FLAGS) --no-update-notifier >/dev/null
	@touch $@

# Flows between real servers: WordPress, MariaDB and PHP come from Debian, MailDev from npm.
MAILDEV := build/maildev/node_modules/.bin/maildev
systems: $(VENV)/.test wordpress $(MAILDEV)
	PLUMBLINE_REQUIRE_ALL=1 $(BIN)/python -m pytest tests/systems

$(MAILDEV): | npm
	@echo "Installing MailDev for the tests with real servers into build/maildev ..."
	@npm install --prefix build/maildev --no-save $(NPM_FLAGS) maildev@2.1.0 >/dev/null

wordpress:
	@if command -v mariadbd >/dev/null && command -v php >/dev/null && [ -d /usr/share/wordpress ]; then exit 0; fi; \
	$(call debian,wordpress php-cli php-mysql mariadb-server,These tests need these packages of Debian: wordpress php-cli php-mysql \
	  mariadb-server.)

strace:
	@if command -v strace >/dev/null; then exit 0; fi; \
	$(call debian,strace,The tests need strace: install your system's package 'strace'.)

chromium:
	@if [ -n "$${PLUMBLINE_CHROMIUM:-}" ]; then command -v "$$PLUMBLINE_CHROMIUM" >/dev/null && exit 0; \
	else for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; fi; \
	$(call debian,chromium fonts-dejavu-core,The tests need Chromium: install your system's package 'chromium' or name \
	  an executable with make test PLUMBLINE_CHROMIUM=/path/to/chrome)
