# `make demo` and `make test` do everything on a machine with Python >= 3.11, make and a package index.
PYTHON ?= $(firstword $(foreach python,python3.13 python3.12 python3.11 python3,$(if $(shell command -v $(python)),$(python))))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo test lint clean

demo: $(INSTALLED)
	$(BIN)/primaps demo --out demo-run

test: $(INSTALLED) lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# Made anew only when the dependencies change. The reference for the CRF is compiled on installation; without a compiler
# the tests that compare with it are skipped and say so.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	$(BIN)/python -m pip install --quiet --editable '.[crf-oracle]' \
		|| echo 'pydensecrf2 could not be built here: the tests that compare with it will be skipped.'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo-run
