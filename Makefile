# make quickstart [MUSIC=FOLDER]   set up .venv, pre-train both tiny models on two CPU cores, probe them: one table
# make test [ARGS=...]             set up .venv, run every test
# make lint | make bench           style | every benchmark
VENV := .venv
PYTHON ?= python3
JOBS ?= 2
RUN := $(VENV)/bin/python

# The quick start's music: made here unless MUSIC names a folder. What is probed always has labels made here.
QUICKSTART ?= runs/quickstart
MUSIC ?= $(QUICKSTART)/demo/pretrain
LAUNCH := $(VENV)/bin/accelerate launch --quiet --cpu --num_processes 1 --num_machines 1 \
	--mixed_precision no --dynamo_backend no run_pretraining.py

.PHONY: install quickstart test lint bench

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

quickstart: install
	$(VENV)/bin/musicssl demo --out $(QUICKSTART)/demo
	$(LAUNCH) --config music2vec_tiny --train_data "$(MUSIC)" --output_dir $(QUICKSTART)/music2vec
	$(LAUNCH) --config musichubert_tiny --train_data "$(MUSIC)" --output_dir $(QUICKSTART)/musichubert
	$(RUN) run_probing.py --model $(QUICKSTART)/music2vec $(QUICKSTART)/musichubert \
		random:$(QUICKSTART)/music2vec random:$(QUICKSTART)/musichubert mfcc \
		--custom_task $(QUICKSTART)/demo/probe/notes --label instrument pitch_class \
		--learning_rates 1e-3 5e-3 --seeds 3 --feature_store $(QUICKSTART)/features --output_dir $(QUICKSTART)/probe
	@echo "checkpoints and training curves: $(QUICKSTART)/music2vec $(QUICKSTART)/musichubert (training.png)"
	@echo "probing report with its pictures: $(QUICKSTART)/probe/report.html"

test: install
	$(RUN) -m pytest -n $(JOBS) -q $(ARGS)

lint: install
	$(VENV)/bin/ruff check .

bench: install
	$(RUN) benchmarks/all.py $(ARGS)
