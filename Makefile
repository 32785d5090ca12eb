# make quickstart [MUSIC=FOLDER]   set up .venv, pre-train both tiny models, probe them, print one table
# make test                        set up .venv, run every test
VENV := .venv
PYTHON ?= python3
JOBS ?= 2
RUN := $(VENV)/bin/python

.PHONY: quickstart test lint bench install


install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

test: install
	$(RUN) -m pytest -n $(JOBS) -q $(ARGS)

lint: install
	$(VENV)/bin/ruff check .

bench: install
	$(RUN) benchmarks/all.py $(ARGS)
