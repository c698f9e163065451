# `make help` lists what there is. Everything works on a machine with Python >= 3.11, make and a package index; on
# Windows from Git's bash.
# The first interpreter that starts, is new enough and can make environments (a name on the PATH may be an empty shim).
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
DEMO_INSTALLED := $(VENV)/.installed-demo
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs
WORKERS ?= 2
NPM ?= npm
TSC := $(VENV)/typescript/node_modules/.bin/tsc
VIEWER := src/primaps/outputs/viewer/jsconfig.json

PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest

.DEFAULT_GOAL := help
.PHONY: help demo test quick test-one coverage lint javascript docs dist try-wheel sbom audit changelog notes bench hooks readers clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO_INSTALLED) ## the product on real photographs, in demo-run
	$(BIN)/primaps demo --out demo-run

test: $(INSTALLED) lint ## lint, types and all tests
	$(PYTEST) -n $(WORKERS)

quick: $(INSTALLED) ## the tests that are not slow
	$(PYTEST) -n $(WORKERS) -m 'not slow'

test-one: $(INSTALLED) ## one file or test: make test-one T=tests/test_types.py::test_name
	@test -n '$(T)' || { echo 'Which one? make test-one T=tests/test_types.py'; exit 2; }
	$(PYTEST) '$(T)'

# Compiled loops and processes of their own are not seen, so the figure is too low for both.
coverage: $(INSTALLED) ## all tests, and which lines of the package they reach
	$(PYTEST) -n $(WORKERS) --cov --cov-report=term

lint: $(INSTALLED) javascript ## ruff format --check, ruff check, mypy --strict, and `make javascript`
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# TypeScript only checks the types that stand in the comments: the modules ship as they are.
javascript: ## types of the viewer's JavaScript, by tsc --noEmit; passed over without npm
	@if [ -x '$(TSC)' ] || { command -v '$(NPM)' >/dev/null && '$(NPM)' install --silent --no-save --no-package-lock \
			--no-audit --no-fund --prefix '$(VENV)/typescript' typescript@5; }; then \
		echo '$(TSC) --noEmit -p $(VIEWER)' && '$(TSC)' --noEmit -p '$(VIEWER)'; \
	else \
		echo 'The types of the JavaScript are NOT checked: npm is missing, or has no TypeScript 5. All else is.'; \
	fi

# Not with --quiet: what mkdocs does not print, it does not count as a warning either.
docs: $(DOCS_INSTALLED) ## links and named files of the documentation, then its site in site/, to open from disk
	$(BIN)/python tools/check_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What makes a release has an environment of its own: little is installed where the wheel is built.
RELEASE := .venv-release
RELEASE_BIN := $(RELEASE)/$(notdir $(BIN))
# The dates of all files within are that of the commit, so that everybody gets the same bytes.
DATED = SOURCE_DATE_EPOCH=$(or $(shell git log -1 --format=%ct 2>/dev/null),1580601600)

dist: $(RELEASE)/.installed ## sdist and the wheel made from it, in dist, and what they hold checked
	rm -rf dist
	$(DATED) $(RELEASE_BIN)/python -m build --outdir dist
	$(RELEASE_BIN)/twine check --strict dist/*
	$(RELEASE_BIN)/python tools/check_sdist.py dist/primaps-*.tar.gz
	$(RELEASE_BIN)/python tools/check_wheel.py dist/primaps-*.whl

# KEEP=DIR leaves the environment and what was made there in a new folder.
try-wheel: ## the wheel of dist installed in an empty environment and used from elsewhere; minutes, gigabytes
	$(PYTHON) tools/try_wheel.py dist/primaps-*.whl $(if $(KEEP),--keep '$(KEEP)')

ENVIRONMENT ?= $(VENV)
EXTRAS ?= demo,studio
sbom: $(RELEASE)/.installed ## bill of materials of primaps in .venv, or in ENVIRONMENT=DIR, as dist-sbom/primaps.cdx.json
	$(RELEASE_BIN)/python tools/make_sbom.py dist-sbom/primaps.cdx.json --environment '$(ENVIRONMENT)' --extras '$(EXTRAS)'

# Builds for CPUs, such as 2.9+cpu, are looked up as what they were built from. What cannot be looked up is an error.
audit: $(INSTALLED) $(RELEASE)/.installed ## known vulnerabilities of what is installed in .venv
	$(BIN)/python -m pip list --format freeze --exclude-editable | sed 's/+.*//' > $(RELEASE)/installed.txt
	$(RELEASE_BIN)/pip-audit --strict --progress-spinner off --no-deps --disable-pip \
		--requirement $(RELEASE)/installed.txt

changelog: $(RELEASE)/.installed ## what the fragments of changelog.d will say in CHANGELOG.md
	$(RELEASE_BIN)/towncrier build --draft --version next

notes: ## notes of a release: make notes TAG=v0.2.0; says what is missing for it
	@$(PYTHON) tools/check_release.py '$(TAG)'

$(RELEASE)/.installed: pyproject.toml
	$(PYTHON) -m venv $(RELEASE)
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["release"], \
		sep="\n")' > $(RELEASE)/requirements.txt
	$(RELEASE_BIN)/python -m pip install --quiet --requirement $(RELEASE)/requirements.txt
	touch $(RELEASE)/.installed

# ONLY=crf,em takes some of them.
bench: $(INSTALLED) ## speed and memory as one table, appended to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py $(if $(ONLY),--only $(ONLY))

hooks: $(INSTALLED) javascript ## check every commit: ruff, mypy, tsc and the links of the documentation
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/pre-commit install

# Made anew only when the dependencies change. The demo needs no tests.
$(DEMO_INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer with the module venv is needed; name one with: make PYTHON=/path/to/python'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $(DEMO_INSTALLED)

$(DOCS_INSTALLED): $(DEMO_INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $(DOCS_INSTALLED)

# The reference for the CRF is compiled on installation; without a compiler the tests that compare with it are skipped
# and say so.
$(INSTALLED): $(DEMO_INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[demo,test,release]'
	$(BIN)/python -m pip install --quiet --editable '.[crf-oracle]' \
		|| echo 'pydensecrf2 could not be built here: the tests that compare with it will be skipped.'
	touch $(INSTALLED)

clean: ## remove the environments, what was built and the demo's folders
	rm -rf $(VENV) $(RELEASE) dist dist-sbom site demo-run demo-run-photographs

# Exports read back by the programs that they are for. These pull in much, and want older versions of
# numpy and pillow than the package does, so they have an environment of their own.
READERS := .venv-readers

readers: $(READERS)/.installed ## exports read back by the programs that they are for
	PYTHONPATH=src QT_QPA_PLATFORM=offscreen $(READERS)/bin/python -m pytest -o filterwarnings=default \
		tests/e2e/test_export_readers.py tests/e2e/test_mended_readers.py tests/outputs/export

$(READERS)/.installed:
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip install --quiet pytest numpy scipy pillow pycocotools datumaro label-studio-sdk \
		labelme datasets fiftyone rasterio shapely opencv-python-headless pyyaml
	touch $(READERS)/.installed
