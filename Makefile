# Any of Python 3.11 to 3.13, as PYTHON=...
PYTHON ?= python3
VENV ?= .venv-dev
TOX_DIR ?= .tox
ARGS ?=
# What is installed has the versions of the lock; LOCK=/dev/null takes the newest that setup.py allows.
LOCK ?= requirements/lock.txt
UV = 0.13.9

PIP = $(VENV)/bin/python -m pip install --quiet
TOX = GIRDER_ZARR_LOCK=$(LOCK) $(VENV)/bin/tox --workdir $(TOX_DIR)
# A venv of another Python than the one that is asked for is made anew.
VERSION := $(shell $(PYTHON) -c 'import platform; print(platform.python_version())')
READY = $(VENV)/.python-$(VERSION)

.PHONY: demo test test-core test-girder3 test-rabbitmq test-latest test-one check lint lock bench fuzz chaos clean

demo: $(VENV)/.demo
	$(VENV)/bin/girder-zarr demo $(ARGS)

test: $(VENV)/.tox
	$(TOX)

test-core: $(VENV)/.tox
	$(TOX) -e core

test-girder3: $(VENV)/.tox
	$(TOX) -e girder3

# What needs a rabbitmq-server, which this fetches from Debian's packages; test runs it where one is installed.
test-rabbitmq: $(VENV)/.tox
	GIRDER_ZARR_REQUIRE_RABBITMQ=1 $(TOX) -e girder -- tests/e2e/test_rabbitmq.py tests/e2e/test_chaos.py

# Everything without the lock, in environments of its own: what users get who install today.
test-latest:
	$(MAKE) test LOCK=/dev/null VENV=$(VENV)-latest TOX_DIR=$(TOX_DIR)-latest

# make test-one T=tests/stack/test_folder.py, or T='tests/image -k pyramid'; quick once its environment is there
test-one: $(VENV)/.tox
	@test -n "$(T)" || { echo "Say what to test: make test-one T=tests/..."; exit 2; }
	$(eval ONE = $(if $(filter tests/girder3%,$(T)),girder3,$(if $(filter tests/image% tests/stitch% tests/common%,$(T)),core,girder)))
	@$(TOX) -q -e $(ONE) $$(test -e $(TOX_DIR)/$(ONE)/bin/pytest && echo --skip-pkg-install) -- $(T)

lint: $(VENV)/.tox
	$(TOX) -e lint

# Lint, types and quick tests of every room: before each commit.
QUICK = $(wildcard tests/test_*.py tests/common tests/stack tests/cli)
check: $(VENV)/.tox
	$(TOX) -e lint
	$(TOX) -e girder -- -n 2 $(QUICK)

lock: $(READY)
	$(PIP) uv==$(UV)
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		$(foreach extra,demo test browser bench lint validate registration,--extra $(extra)) \
		setup.py requirements/tools.in --output-file requirements/lock.txt
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		--extra girder3 setup.py requirements/girder3.in --output-file requirements/girder3.txt
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		requirements/napari.in --output-file requirements/napari.txt

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"$(PYTHON) is Python {sys.version.split()[0]}; this needs 3.11 to 3.13: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --upgrade --constraint $(LOCK) pip
	touch $@

$(VENV)/.demo: setup.py pyproject.toml $(LOCK) | $(READY)
	$(PIP) --constraint $(LOCK) --editable '.[demo]'
	touch $@

$(VENV)/.tox: tox.ini $(LOCK) | $(READY)
	$(PIP) --constraint $(LOCK) --requirement requirements/tools.in
	touch $@

# SECONDS=3600 make fuzz: an hour of damaged files. Read by make, since bash has a SECONDS of its own.
fuzz: $(VENV)/.tox
	GIRDER_ZARR_FUZZ_SECONDS=$(or $(SECONDS),600) GIRDER_ZARR_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) \
		$(TOX) -e core -- tests/image tests/stitch -k test_fuzz -q

clean:
	rm -rf $(VENV) $(VENV)-* $(TOX_DIR) $(TOX_DIR)-* build plugin/*.egg-info plugin/girder_zarr/web_client \
		plugin/web_client/node_modules

bench: $(VENV)/.bench
	$(VENV)/bin/python benchmarks/run.py $(VENV)/bin/python $(VENV)-1.35.6/bin/python --output docs/benchmarks-all.md $(ARGS)
	$(VENV)/bin/python benchmarks/compare_reading.py $(VENV)/bin/python $(VENV)-1.35.6/bin/python --output docs/benchmarks.md
	$(VENV)/bin/python benchmarks/at_once.py
	$(VENV)/bin/python benchmarks/composite.py
	$(VENV)/bin/python benchmarks/growth.py
	$(VENV)/bin/python benchmarks/growth_images.py
	$(VENV)/bin/python benchmarks/far.py --output docs/benchmarks.md

$(VENV)/.bench: setup.py benchmarks/requirements-1.35.6.txt $(LOCK) | $(READY)
	GIRDER_ZARR_SKIP_WEB_BUILD=1 $(PIP) --constraint $(LOCK) --editable '.[bench]'
	$(PYTHON) -m venv $(VENV)-1.35.6
	$(VENV)-1.35.6/bin/python -m pip install --quiet -r benchmarks/requirements-1.35.6.txt
	touch $@

# ARGS='--kills 300 --seed 7' make chaos: more, and others; with --broker rabbitmq that is killed as well
chaos: $(VENV)/.chaos
	$(VENV)/bin/python tests/chaos/kill_writes.py
	PYTHONPATH=tests $(VENV)/bin/python -m chaos.kill_stack $(ARGS)

$(VENV)/.chaos: setup.py pyproject.toml $(LOCK) | $(READY)
	$(PIP) --constraint $(LOCK) --editable '.[demo,bench]'
	touch $@
