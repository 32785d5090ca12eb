# make quickstart [MUSIC=FOLDER]   set up .venv, pre-train both tiny models on two CPU cores, probe them: one table
# make test [ARGS=...]             set up .venv with the test extra, run every test
# make lint | make docs            style and types | the documentation as a site, in site/
# make bench [ARGS=...]            every benchmark
VENV := .venv
PYTHON ?= python3
JOBS ?= 2
RUN := $(VENV)/bin/python
PIP := $(VENV)/bin/pip install --quiet --constraint constraints.txt
QUICKSTART ?= runs/quickstart

.PHONY: install quickstart test lint docs bench

# The package and what every command needs; each extra is added to the same environment when a target needs it.
install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(PIP) --editable ".[$*]"
	touch $@

quickstart: install
	$(RUN) -m musicssl quickstart --output_dir "$(QUICKSTART)" $(if $(MUSIC),--music "$(MUSIC)")

test: $(VENV)/.installed-test
	$(RUN) -m pytest -n $(JOBS) -q $(ARGS)

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell
	$(VENV)/bin/mypy

docs: $(VENV)/.installed-docs
	$(VENV)/bin/mkdocs build --strict --quiet

bench: $(VENV)/.installed-test
	$(RUN) benchmarks/all.py $(ARGS)
