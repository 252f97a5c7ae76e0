# Every command of the project. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= python3
VENV := .venv
TOOLS := .tools
PY := $(VENV)/bin/python
# The interpreter is the user's own: never fetch another one.
export UV_PYTHON_DOWNLOADS := never

# ---- set up -----------------------------------------------------------------------------------------------------------

# uv from PATH, else fetched by pip, by hash, into a folder of this checkout.
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/bin/uv)

$(TOOLS)/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.13 …" >&2; exit 1; }
	$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "pip is needed to fetch uv (Debian: apt install python3-pip), or install uv yourself" >&2; exit 1; }
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--require-hashes --requirement requirements/uv.txt --upgrade --target $(TOOLS) >&2
	touch $@

# Distributions of the workspace, installed from their folders.
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard packages/*/pyproject.toml))

# The stamp is newer than the lock: nothing to do. The environment is brought to the lock exactly, by hash.

$(VENV)/.stamp: requirements/dev.lock $(MEMBERS:=/pyproject.toml) | $(UV)
	@test -x $(PY) || $(UV) venv --quiet --python $(PYTHON) $(VENV) >&2
	$(UV) pip sync --quiet --python $(PY) --require-hashes requirements/dev.lock >&2
	$(if $(MEMBERS),$(UV) pip install --quiet --python $(PY) --no-deps $(MEMBERS:%=--editable %) >&2)
	touch $@

.PHONY: install
install: $(VENV)/.stamp ## Install the locked dependencies into .venv

# `uv run` resolves by itself. The pins of dev.lock, put into pyproject.toml as constraints, make it come to the same
# versions; before a new lock they are taken out, as they would bind it.
WITHOUT_PINS := awk '/^constraint-dependencies = / { skip = 1 } !skip { print } /^]$$/ { skip = 0 }'
WITH_PINS := awk -v lock=requirements/dev.lock '{ print } /^\[tool.uv]$$/ { \
	print "constraint-dependencies = [  \# requirements/dev.lock; written by make lock, for uv run"; \
	while ((getline pin < lock) > 0) if (pin ~ /^[^ ]+==/ && sub(/ \\$$/, "", pin)) print "    \"" pin "\","; \
	print "]" }'

.PHONY: lock
lock: | $(UV) ## Lock the dependencies again, after a change of pyproject.toml (UPGRADE=1 takes newer versions)
	@compile="$(UV) pip compile --universal --generate-hashes --no-header --quiet $(if $(UPGRADE),--upgrade) $(patsubst packages/%,--no-emit-package %,$(MEMBERS))"
	cp pyproject.toml pyproject.toml.old
	trap 'mv pyproject.toml.old pyproject.toml' EXIT
	$(WITHOUT_PINS) pyproject.toml.old > pyproject.toml
	$$compile $(wildcard packages/starpost/pyproject.toml) pyproject.toml -o requirements/runtime.lock
	# Without files: a wheel can be no constraint.
	mkdir -p $(TOOLS)
	awk '/^[^ ]+==/ && sub(/ \\$$/, "")' requirements/runtime.lock > $(TOOLS)/runtime.lock
	$$compile $(MEMBERS:=/pyproject.toml) pyproject.toml --group dev -c $(TOOLS)/runtime.lock -o requirements/dev.lock
	sed -i.old 's|-c $(TOOLS)/runtime.lock|-c requirements/runtime.lock|' requirements/dev.lock
	rm requirements/dev.lock.old
	for name in uv copier; do
		echo $$name | $(UV) pip compile - --universal --generate-hashes --no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade) -o requirements/$$name.txt
	done
	$(WITH_PINS) pyproject.toml > pyproject.toml.old

# ---- run --------------------------------------------------------------------------------------------------------------

# PORT, WORKERS, RELOAD and KEYCLOAK reach the script by the environment. HOST only by the command line: as a variable of the
# environment it is often the machine's own name, or a compiler's target.
.PHONY: serve
serve: $(VENV)/.stamp ## Serve the application with all it needs (PORT=8000 HOST=127.0.0.1 WORKERS=1 RELOAD=1 KEYCLOAK=real)
	@exec $(PY) -m scripts.serve --end-with-parent $(if $(filter command,$(origin HOST)),--host "$(HOST)")

.PHONY: services
services: $(VENV)/.stamp ## Run PostgreSQL, Valkey and the development realm alone, and print their addresses
	@exec $(PY) -m starpost_dev.services --end-with-parent

# ---- database ---------------------------------------------------------------------------------------------------------

.PHONY: migrate
migrate: $(VENV)/.stamp ## Bring the database to the newest migration (REVISION=, -1 is one back)
	@exec $(PY) -m scripts.migrate $(if $(REVISION),$(if $(filter -% base,$(REVISION)),downgrade,upgrade) "$(REVISION)")

.PHONY: migration
migration: $(VENV)/.stamp ## Write a migration from the change of the models (M="Add a column")
	@test -n "$(M)" || { echo 'Say what changes: make migration M="Add a column"' >&2; exit 2; }
	exec $(PY) -m scripts.migrate revision --message "$(M)"

.PHONY: seed
seed: $(VENV)/.stamp ## Add the domains' example data where it is missing
	@exec $(PY) -m scripts.seed

# ---- check ------------------------------------------------------------------------------------------------------------

# Some hundreds of processes are started, each of which would compile everything anew where no bytecode is kept. Files
# are taken in the order of pyproject.toml, the longest first, and not by their number of tests.
.PHONY: test
test: $(VENV)/.stamp ## Run the tests, with services of their own, four files at a time (ARGS="-k packets -x", ARGS="-n 0")
	@env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) </dev/null

.PHONY: check
check: $(VENV)/.stamp ## Types, style, docstrings, dead code, spelling, security, dependencies, permissions, lists (ARGS="types style")
	@$(PY) -m starpost_dev.checks.check $(ARGS)

.PHONY: check-actions
check-actions: $(VENV)/.stamp ## Who may do what: roles by packets and routes; fails when rules and code differ (JSON=1)
	@$(PY) -m scripts.check_actions $(if $(JSON),--json)

.PHONY: audit
audit: $(VENV)/.stamp ## Known vulnerabilities of what is locked; fails on those with a fix (asks a database on the network)
	@$(PY) -m starpost_dev.checks.audit

# The same by the names that they have in many projects.
.PHONY: ruff-check
ruff-check: $(VENV)/.stamp ## Style and format alone
	@$(PY) -m starpost_dev.checks.check style format

.PHONY: dead-code-scan
dead-code-scan: $(VENV)/.stamp ## Dead code alone
	@$(PY) -m starpost_dev.checks.check "dead code"

.PHONY: bandit-scan
bandit-scan: $(VENV)/.stamp ## Security of the code alone
	@$(PY) -m starpost_dev.checks.check security

.PHONY: skjold-scan
skjold-scan: audit ## The audit

.PHONY: outdated-pkgs-scan
outdated-pkgs-scan: $(VENV)/.stamp | $(UV) ## Newer versions of what is locked, direct and indirect (asks the index)
	@$(UV) pip list --python $(PY) --outdated --exclude-editable

.PHONY: format
format: $(VENV)/.stamp ## Format the code, and fix what can be fixed without a decision
	@$(PY) -m ruff check --fix --quiet --exit-zero .
	$(PY) -m ruff format .

.PHONY: env-example
env-example: $(VENV)/.stamp ## Write .env.example from the settings
	@$(PY) -m scripts.env_example

.PHONY: hooks
hooks: $(VENV)/.stamp ## Check at each commit (pre-commit, all from the locked environment)
	@$(PY) -m pre_commit install

.PHONY: clean
clean: ## Remove what the other commands made; data of the development services stay
	@rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# ---- packets ----------------------------------------------------------------------------------------------------------

.PHONY: ws-handlers
ws-handlers: $(VENV)/.stamp ## Every packet with its payload, reply, rule and handler (JSON=1)
	@exec $(PY) -m scripts.ws_handlers $(if $(JSON),--json)

# Only by the command line: such names in the environment mean something else. A quote in a value stays one.
handler_options = $(foreach name,DOMAIN PACKET FIELDS REPLY RULE SUMMARY,$(if $(filter command,$(origin $(name))),--$(shell echo $(name) | tr A-Z a-z) '$(subst ','\'',$($(name)))'))

.PHONY: new-ws-handlers
new-ws-handlers: $(VENV)/.stamp ## Write a packet: number, structs, handler, rule and test (DOMAIN= PACKET= FIELDS= REPLY= RULE=; else it asks)
	@exec $(PY) -m scripts.new_ws_handler $(handler_options)

domain_options = $(foreach name,NAME SINGULAR FIELDS READER EDITOR ADMIN,$(if $(filter command,$(origin $(name))),--$(shell echo $(name) | tr A-Z a-z) '$(subst ','\'',$($(name)))'))

.PHONY: new-domain
new-domain: $(VENV)/.stamp ## Write a domain: table, migration, service, packets, routes, rules, topic, seed, tests (NAME= FIELDS=; else it asks)
	@exec $(PY) -m scripts.new_domain $(domain_options)

.PHONY: remove-example
remove-example: $(VENV)/.stamp ## Remove the example's domain (DOMAIN= another one; KEEP_MIGRATIONS=1 drops its tables by a migration; FORCE=1)
	@exec $(PY) -m scripts.remove_example $(if $(filter command,$(origin DOMAIN)),--domain "$(DOMAIN)") \
		$(if $(KEEP_MIGRATIONS),--keep-migrations) $(if $(filter command,$(origin FORCE)),--force)

# ---- containers (development; see docs/deployment.md) -----------------------------------------------------------------

COMPOSE ?= docker compose -f docker/compose.yml

.PHONY: build
build: ## Build the image
	@$(COMPOSE) build

.PHONY: start
start: ## Start the application with PostgreSQL, Valkey and Keycloak in containers
	@$(COMPOSE) up --build --detach --wait

.PHONY: stop
stop: ## Stop the containers; their data stay
	@$(COMPOSE) down

.PHONY: shell
shell: ## A shell in the application's container
	@$(COMPOSE) exec app bash

# ---- identity ---------------------------------------------------------------------------------------------------------

# USER and USERNAME only by the command line: in the environment they are the login's own.
.PHONY: token
token: $(VENV)/.stamp ## Print one access token and nothing else (make -s token USER=alice [PASSWORD=…])
	@exec $(PY) -m scripts.get_token "$(if $(filter command,$(origin USER)),$(USER),alice)"

.PHONY: keycloak
keycloak: $(VENV)/.stamp ## Run the real Keycloak with the project's realm, until Ctrl-C (KEYCLOAK_PORT=0, a free one)
	@exec $(PY) -m starpost_dev.keycloak --port "$${KEYCLOAK_PORT:-0}"

.PHONY: check-realm
check-realm: $(VENV)/.stamp ## What is wrong with a realm, and how to mend it (FILE=realm.json, or KEYCLOAK_BASE_URL=https://…)
	@exec $(PY) -m scripts.check_realm $(if $(FILE),--file "$(FILE)") $(if $(filter command,$(origin USERNAME)),--username "$(USERNAME)") $(if $(PRODUCTION),--production)

include $(wildcard *.mk)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-18s %s\n", $$1, $$2}'
