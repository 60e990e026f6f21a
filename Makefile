# mofonon: everything a developer or a reader runs. Each target does its own set-up.
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
JOBS   ?= 2
PEERS  ?= build/peers
export PEERS := $(abspath $(PEERS))
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test test-fast lint format docs model peers bench bench-small bench-page clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       the whole chain, from samples to thermal expansion, with stand-ins (minutes)"
	@echo "make test       all tests"
	@echo "make test-fast  the quick ones"
	@echo "make lint       ruff and mypy"
	@echo "make format     format the code"
	@echo "make bench      all benchmarks against the peers, and docs/benchmarks.md (hours)"
	@echo "make bench-small  most of them on small structures (a quarter of an hour)"
	@echo "make docs       the site, in docs/_build/html; warnings are errors"
	@echo "make model      distil the demo model anew (an hour and a half)"

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "mofonon needs Python 3.11 or newer: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# torch first and alone: a CPU build already there keeps pip from fetching CUDA packages
$(VENV)/.torch: | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt $(TORCH)
	@touch $@

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/.torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run
	MOFONON_STANDIN_POTENTIAL=demo PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/standin/run.py \
	  sh -c 'mofonon campaign plan workflows/demo.yaml && mofonon run workflows/demo.yaml --output demo-output'
	$(BIN)/mofonon bulk-modulus --config docs/examples/bulk-modulus-demo.yaml
	$(BIN)/mofonon qha --config docs/examples/qha-demo.yaml
	@echo "pages: phonons demo-output/page.html, demo-output/bulk-modulus/page.html, demo-output/qha/page.html"

test: $(VENV)/.dev
	MOFONON_THREADS=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-fast: $(VENV)/.dev
	MOFONON_THREADS=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(JOBS) --dist loadfile \
	  -m "not slow and not mongo and not slurm and not browser"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

model: $(VENV)/.dev
	$(BIN)/python tools/distill_demo_model.py --work build/demo-model --threads 1

# environments of the peers; what is there already stays
peers: $(VENV)/.dev
	PYTHON=$(BIN)/python benchmarks/make_peers.sh $(PEERS)

bench: $(VENV)/.dev peers
	$(BIN)/python benchmarks/evaluation_cost.py
	$(BIN)/python benchmarks/displacement_error.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/page_load.py
	$(BIN)/python benchmarks/phonons.py --potentials springs demo
	$(BIN)/python benchmarks/phonons.py --rounds 1 --potentials medium --name phonons_medium
	$(BIN)/python benchmarks/qha.py
	$(BIN)/python benchmarks/volumes.py
	$(BIN)/python benchmarks/relaxation.py --by-symmetry --shipped
	$(BIN)/python benchmarks/relaxation.py --by-symmetry --model chgnet --all-methods none
	$(BIN)/python benchmarks/campaign_scale.py --run 1000 --simulate 1000 20000
	$(BIN)/python benchmarks/page.py

# most scripts, on what is small; the results beside the page's, in build/
bench-small: export BENCHMARK_RESULTS = build/benchmarks-small
bench-small: $(VENV)/.dev peers
	$(BIN)/python benchmarks/evaluation_cost.py --rounds 1 --repeat 1 1 1
	$(BIN)/python benchmarks/scaling.py --largest 40 --count 2
	$(BIN)/python benchmarks/phonons.py --rounds 1 --structure "Zn(CN)2.cif" --potentials springs
	$(BIN)/python benchmarks/qha.py --structures alloy "Zn(CN)2" --rounds 1
	$(BIN)/python benchmarks/relaxation.py "src/mofonon/data/structures/Zn(CN)2.cif"
	$(BIN)/python benchmarks/volumes.py MOF-5 --volumes 2

bench-page: $(VENV)/.dev
	$(BIN)/python benchmarks/page.py

clean:
	rm -rf $(VENV) demo-output docs/_build .mypy_cache .ruff_cache .pytest_cache
