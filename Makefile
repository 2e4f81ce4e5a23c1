PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Branch coverage of these is complete; cli and demo are proven end to end.
COVERED := relay/domain/*,relay/services/*,relay/storage/*,relay/webhook/*,relay/api/*
MEASURED := tests/domain tests/services tests/storage tests/webhook tests/api tests/tracing \
	--ignore=tests/api/test_contract.py

# The tests' databases are gone after them: where memory has room for files, no disk need keep them.
IN_MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk '$$6 == "/dev/shm" && $$4 > 4000000 {print "TMPDIR=/dev/shm"}')
# Where the environment forbids Python to keep what it has compiled, each process of the tests would compile all of it.
export PYTHONDONTWRITEBYTECODE :=

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-cache --link-mode copy --compile-bytecode
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --exclude-newer "7 days" --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup demo run test coverage lint bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv from the locks

# PostgreSQL refuses to run as root: its binaries in .venv must be readable by another user.
# uv does in seconds what takes pip minutes; but where packages come from is for many a machine in what pip alone reads.
$(READY): requirements-dev.txt pyproject.toml
	umask 022 && $(PYTHON) -m venv .venv
	awk '/^uv==/,/[^\\]$$/' requirements-dev.txt | $(BIN)/pip install --quiet --require-hashes -r /dev/stdin
	umask 022 && $(INSTALL) --require-hashes -r requirements-dev.txt || \
		$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	umask 022 && $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $(READY)

demo: $(READY) ## show the main job, a crash in the middle included
	$(BIN)/relay demo

run: $(READY) ## serve with the development configuration
	$(BIN)/relay serve --config config/development.toml

test: lint ## every check but the slow ones, which .ci/run calls beside it
	$(IN_MEMORY) $(BIN)/python -m pytest -n 3 --dist loadgroup

coverage: $(READY) ## that every branch of what is held to it is tested, by the tests beside it
	$(BIN)/coverage erase
	$(IN_MEMORY) $(BIN)/coverage run -m pytest --timeout 180 -n 3 --dist loadgroup $(MEASURED)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include="$(COVERED)" --fail-under=100

lint: $(READY) ## style, types, floors, dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports
	$(BIN)/deptry relay

bench: $(READY) ## measure, and print one table
	$(BIN)/python -m tests.bench

.PHONY: e2e
e2e: $(READY) ## take the real command through its work, kills, outages, restarts and upgrades
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "e2e and not node" tests/e2e tests/recipes

.PHONY: fuzz
fuzz: $(READY) ## hold the guard to an oracle for 100,000 hostile URLs
	$(BIN)/python -m tests.guard.fuzz $(FUZZ)

lock: $(READY) ## resolve the dependencies again, leaving out releases of the last week
	$(COMPILE) pyproject.toml --extra postgres --extra ed25519 --extra otel --output-file requirements.txt
	$(COMPILE) pyproject.toml --all-extras --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(COMPILE) tests/deploy/checks/requirements-checkov.in --output-file tests/deploy/checks/requirements-checkov.txt

clean: ## remove what the other targets made, .venv included
	rm -rf .venv .tools .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find relay tests -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: chart
chart: $(READY) ## hold every shape of the chart to both Helms, four versions of Kubernetes and a policy (needs npm)
	$(BIN)/python -m tests.deploy.checks

.PHONY: chart-readme
chart-readme: $(READY) ## make the table of helm/README.md from helm/values.yaml (needs npm)
	$(BIN)/python -m tests.deploy.checks.table

# Node's packages for the tests in that folder.
.tools/%/node_modules: tests/%/package.json tests/%/package-lock.json
	mkdir -p $(@D)
	cp $^ $(@D)/
	timeout 300 npm ci --prefix $(@D) --silent --no-audit --no-fund --ignore-scripts
	touch $@

NODE := $(if $(shell command -v node),$(shell command -v npm))

.PHONY: interop
interop: $(READY) $(if $(NODE),.tools/interop/node_modules) ## verify signatures with libraries that are not ours (Node's where it is)
	$(BIN)/python -m tests.interop

.PHONY: image
image: $(READY) ## build the image and run it, read-only, as anybody, on SQLite and PostgreSQL (Debian; apt-get installs what is missing)
	$(BIN)/python -m tests.image

.PHONY: alerts
alerts: $(READY) ## fire each alert of the chart, and read its dashboard (needs npm; apt-get downloads promtool where it is missing)
	$(BIN)/python -m tests.deploy.alerts

.PHONY: rolling
rolling: $(READY) ## replace, kill and starve three replicas under load, and miss no notification (Debian; apt-get installs haproxy where it is missing)
	test -x /usr/sbin/haproxy || (apt-get update -qq && apt-get install -qq --yes --no-install-recommends haproxy)
	$(BIN)/python -m tests.rolling

.PHONY: budget
budget: $(READY) ## count what one replica and four ask of CAMB with one key, and what a 429 makes of it
	$(BIN)/python -m tests.rolling.budget

.PHONY: recipes
recipes: $(READY) $(if $(NODE),.tools/recipes/node_modules) ## run the recipes for Node as others would (those for Python are in `make test`)
	$(BIN)/python -m pytest -m node tests/recipes

.PHONY: browser
browser: $(READY) .tools/browser/node_modules ## open every page of the console in Chromium (needs npm; apt-get installs Chromium where it is missing)
	test -x /usr/bin/chromium || (apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core)
	rm -rf .tools/screenshots
	$(BIN)/python -m pytest -n 2 --timeout 240 -m browser tests/browser

.PHONY: plans
plans: $(READY) ## find no page of a million registrations that is read without an index, on SQLite and PostgreSQL
	$(BIN)/python -m pytest -m million tests/million
