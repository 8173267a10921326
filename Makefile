# Sets up a virtual environment and runs the main jobs in it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup quickstart test lowest lint clean

setup: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'keras_roots needs Python 3.11 or later: make PYTHON=python3.11'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

quickstart: setup
	$(BIN)/keras-roots-quickstart --output_dir=quickstart

test: setup lint
	$(BIN)/python -m pytest -n auto --dist loadfile

# The lowest versions that setup.cfg allows: what is released loads, and nothing is newer.
LOWEST := .venv-lowest
lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --editable . pytest 'keras==3.12.0' 'tensorflow==2.20.*'
	$(LOWEST)/bin/python -m pytest tests/models/test_released.py \
		tests/utils/test_configuration.py tests/utils/test_loading.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) $(LOWEST) quickstart build dist *.egg-info .pytest_cache .ruff_cache
