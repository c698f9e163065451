# `make demo`, `make test` and `make bench` do everything on a machine with Python >= 3.11, make and a package index.
# The first interpreter that starts, is new enough and can make environments (a name on the PATH may be an empty shim).
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo test lint bench clean

demo: $(INSTALLED)
	$(BIN)/primaps demo --out demo-run

test: $(INSTALLED) lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

# ONLY=crf,em takes some of them.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/run_all.py $(if $(ONLY),--only $(ONLY))

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# Made anew only when the dependencies change. The reference for the CRF is compiled on installation; without a compiler
# the tests that compare with it are skipped and say so.
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer with the module venv is needed; name one with: make PYTHON=/path/to/python'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	$(BIN)/python -m pip install --quiet --editable '.[crf-oracle]' \
		|| echo 'pydensecrf2 could not be built here: the tests that compare with it will be skipped.'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo-run demo-run-photographs

# Exports read back by the programs that they are for. These pull in much, and want older versions of
# numpy and pillow than the package does, so they have an environment of their own.
READERS := .venv-readers

.PHONY: readers
readers: $(READERS)/.installed
	PYTHONPATH=src QT_QPA_PLATFORM=offscreen $(READERS)/bin/python -m pytest -o filterwarnings=default \
		tests/e2e/test_export_readers.py tests/outputs/export

$(READERS)/.installed:
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip install --quiet pytest numpy scipy pillow pycocotools datumaro label-studio-sdk \
		labelme datasets fiftyone rasterio shapely opencv-python-headless pyyaml
	touch $(READERS)/.installed
