PYTHON ?= python3
VENV ?= .venv-dev
ARGS ?=

.PHONY: demo test test-girder3 lint bench fuzz chaos clean

demo: $(VENV)/.demo
	$(VENV)/bin/girder-zarr demo $(ARGS)

test: $(VENV)/.tox
	$(VENV)/bin/tox

test-girder3: $(VENV)/.tox
	$(VENV)/bin/tox -e girder3

lint: $(VENV)/.tox
	$(VENV)/bin/tox -e lint

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: setup.py pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/.tox: tox.ini | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet 'tox>=4.20'
	touch $@

# SECONDS=3600 make fuzz: an hour of damaged files
fuzz: $(VENV)/.tox
	GIRDER_ZARR_FUZZ_SECONDS=$${SECONDS:-600} GIRDER_ZARR_FUZZ_SEED=$${SEED:-$$(date +%s)} \
		$(VENV)/bin/tox -e core -- -k test_fuzz -q

clean:
	rm -rf $(VENV) .tox build plugin/*.egg-info plugin/girder_zarr/web_client plugin/web_client/node_modules

bench: $(VENV)/.bench
	$(VENV)/bin/python benchmarks/run.py $(VENV)/bin/python $(VENV)-1.35.6/bin/python --output docs/benchmarks-all.md $(ARGS)
	$(VENV)/bin/python benchmarks/compare_reading.py $(VENV)/bin/python $(VENV)-1.35.6/bin/python --output docs/benchmarks.md

$(VENV)/.bench: setup.py benchmarks/requirements-1.35.6.txt | $(VENV)/bin/python
	GIRDER_ZARR_SKIP_WEB_BUILD=1 $(VENV)/bin/python -m pip install --quiet --editable '.[bench]'
	$(PYTHON) -m venv $(VENV)-1.35.6
	$(VENV)-1.35.6/bin/python -m pip install --quiet -r benchmarks/requirements-1.35.6.txt
	touch $@

# ARGS='--kills 300 --seed 7' make chaos: more, and others
chaos: $(VENV)/.chaos
	$(VENV)/bin/python tests/chaos/kill_writes.py
	PYTHONPATH=tests $(VENV)/bin/python -m chaos.kill_stack $(ARGS)

$(VENV)/.chaos: setup.py pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable '.[demo,bench]'
	touch $@
