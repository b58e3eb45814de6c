# `make site` and `make test` are the two commands of this book; README.md
# explains them all. Every target sets up .venv first, once.

PYTHON ?= python3
WORKERS ?= 2
SEEDS ?= 1 2 3 4 5

VENV := .venv
PY := $(VENV)/bin/python
# The folder's own path is part of the name: a virtual environment does not
# survive being moved, so a moved project makes a new one.
READY := $(VENV)/ready-$(shell pwd | cksum | cut -d' ' -f1)
PYTEST := $(PY) -m pytest --nbval -n $(WORKERS) --dist loadfile
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help site test test-notebooks lab notebooks checkpoints reseed lint lock clean

help:
	@grep -E '^    make ' README.md

$(READY): requirements.lock pyproject.toml tools/ipython_kernel_config.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} was found; TensorFlow needs 3.11, 3.12 or 3.13. Install one and name it: make PYTHON=python3.13")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

site: $(READY)
	$(VENV)/bin/jupyter-book build . -W --keep-going -n
	@echo "The book is built: open $(CURDIR)/_build/html/index.html"

# The data are fetched first, so that two notebooks do not fetch them at once.
test: $(READY)
	@$(PY) -c 'from helpers import data; data.load_mnist()'
	$(PYTEST)

test-notebooks: $(READY)
	$(PYTEST) book

lab: $(READY)
	$(VENV)/bin/jupyter lab

# What the site shows was made with all of MNIST, never with the sample.
notebooks: $(READY)
	BOOK_DATA_TIER=full BOOK_SEED=0 $(PY) tools/notebooks.py $(NOTEBOOKS)

checkpoints: $(READY)
	$(PY) book/checkpoints/train.py

# Every seed is tried, and the ones that failed are named at the end.
reseed: $(READY)
	@failed=; for seed in $(SEEDS); do echo "BOOK_SEED=$$seed"; \
	BOOK_SEED=$$seed $(PYTEST) book || failed="$$failed $$seed"; done; \
	if [ -n "$$failed" ]; then echo "claims failed for BOOK_SEED$$failed"; exit 1; fi

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

lock:
	$(LOCK) --no-emit-package helpers --no-annotate --no-header \
	  requirements.txt --output-file requirements.lock

clean:
	rm -rf _build
