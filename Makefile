# `make site` and `make test` are the two commands of this book; README.md
# explains them all. Every target sets up .venv first, once.

PYTHON ?= python3
WORKERS ?= 2
SEEDS ?= 1 2 3 4 5

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help site test lab notebooks checkpoints reseed lint lock clean

VENV := .venv
PY := $(VENV)/bin/python
# The folder's own path is part of the name: a virtual environment does not
# survive being moved, so a moved project makes a new one.
READY := $(VENV)/ready-$(shell pwd | cksum | cut -d' ' -f1)

help:
	@grep -E '^    make' README.md

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) tools/check_python.py
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

site: $(READY)
	$(VENV)/bin/jupyter-book build . -W --keep-going -n
	@echo "The book is built: open $(CURDIR)/_build/html/index.html"

LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11

lock:
	$(LOCK) --no-emit-package helpers --no-annotate --no-header \
	  requirements.txt --output-file requirements.lock
