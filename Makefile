# README.md explains these targets. Each one begins with the environment that it
# runs in: tools/environment.py makes it, if it is not there or not up to date.

# One of 3.11, 3.12 or 3.13.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
NOTEBOOKS ?=
SEEDS ?= 1 2 3 4 5

PY := "$(VENV)/bin/python"
LINT_PY := "$(VENV)-lint/bin/python"
PYTEST := $(PY) -m pytest --nbval -n $(WORKERS)
CHECK_NAMES = $(if $(strip $(NOTEBOOKS)),$(PY) tools/notebooks.py --check $(NOTEBOOKS))
# XLA keeps what it has compiled in the environment, for the next kernel and the
# next run. It reports each part that it finds there as an error, below level 3.
KEEP := TF_CPP_MIN_LOG_LEVEL=3 TF_XLA_FLAGS="$(TF_XLA_FLAGS) \
  --tf_xla_persistent_cache_directory='$$(cd "$(VENV)" && pwd)/xla'"

# Packages of another Python would come before the environment's own.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help site test test-notebooks lab notebooks replicate checkpoints lint \
  format lock clean _environment _lint

help:
	@grep -E '^    make ' README.md

_environment:
	@$(PYTHON) tools/environment.py "$(VENV)"

_lint:
	@$(PYTHON) tools/environment.py --lint "$(VENV)-lint"

site: _environment
	$(PY) "$(VENV)/bin/jupyter-book" build . -W --keep-going -n
	@echo "The book is built: open $(CURDIR)/_build/html/index.html"

# The data are fetched first, so that two notebooks do not fetch them at once.
# With NOTEBOOKS: the rules of the book, and these notebooks only.
test: _environment
	@$(CHECK_NAMES)
	@$(PY) -c 'from helpers import data; data.load_mnist()'
	$(KEEP) $(PYTEST) $(if $(strip $(NOTEBOOKS)),tests/test_book.py $(NOTEBOOKS))

test-notebooks: _environment
	@$(CHECK_NAMES)
	$(KEEP) $(PYTEST) $(or $(strip $(NOTEBOOKS)),book)

lab: _environment
	$(PY) -m jupyterlab

# What the site shows was made with all of MNIST, never with the sample.
notebooks: _environment
	BOOK_DATA_TIER=full BOOK_SEED=0 $(PY) tools/notebooks.py $(NOTEBOOKS)

replicate: _environment
	$(KEEP) BOOK_DATA_TIER=full $(PY) tools/replicate.py \
	  --workers $(WORKERS) --seeds "$(SEEDS)" $(NOTEBOOKS)

checkpoints: _environment
	$(PY) tools/checkpoints.py
	$(PY) tools/published.py

lint: _lint
	$(LINT_PY) -m ruff check .
	@$(LINT_PY) -m ruff format --diff . || (echo "make format does this"; exit 1)
	$(LINT_PY) -m mypy
	$(LINT_PY) tools/prose.py

format: _lint
	$(LINT_PY) -m ruff check --select I --fix .
	$(LINT_PY) -m ruff format .

lock:
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-emit-package helpers --no-annotate --no-header \
	  requirements.txt --output-file requirements.lock

clean:
	rm -rf _build
