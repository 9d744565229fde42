# `make` alone prints what is there to do. Everything works in .venv, which is made on first use.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The Python that makes .venv (3.11, 3.12 or 3.13).
PYTHON ?= python3
# The parts of the project to install; pyproject.toml says what each one brings.
EXTRAS ?= notebooks,minihack,vlm,test
# Which build of torch: auto takes the one for this machine's GPU, or the small one for CPUs. It comes from PyTorch's own
# index; where that cannot be reached, torch comes from where everything else does (on Linux that build is 5 GB).
TORCH_BACKEND ?= auto

# On Linux: large memory pages for everything that is started here, notebooks too (see sensei_lite/training/machine.py).
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

# What makes the book stands beside it, outside the package: `python -m make.bench` and the like.
export PYTHONPATH := book
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS)]'
READY := .venv/ready-$(subst $(,),-,$(EXTRAS))
, := ,

.PHONY: help setup run test test-all lab bench clip lint format notebooks student try-notebooks nightly book check-book constraints clean

help:  ## print this list
	@echo "sensei_lite: an agent that explores what a vision-language model finds interesting"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## make .venv with everything the other commands need

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"sensei_lite needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is {v[0]}.{v[1]}. Name another: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/uv || { echo "Installing uv into .venv ..."; $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@echo "Installing sensei_lite[$(EXTRAS)] into .venv (once; a minute or two) ..."
	@$(INSTALL) --torch-backend=$(TORCH_BACKEND) 2>/dev/null || $(INSTALL)
	@rm -f .venv/ready-* && touch $@

run: setup  ## the whole method on KeyRoom: annotate, distil, explore, compare; ends with a report (under half an hour)
	@$(BIN)/sensei-lite run --preset lab

test: lint  ## check style and types, then run the tests (under 15 minutes)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: lint  ## the same with the tests that need minutes each (half an hour)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m ""

lab: setup  ## open JupyterLab on the first notebook
	@$(BIN)/jupyter lab notebooks/00_start_here.ipynb

bench: setup  ## measure speed on this machine, beside the peers (minutes); WHAT=learner measures less
	@$(BIN)/python -m make.bench $(if $(WHAT),--what $(WHAT))

clip: setup  ## train both small CLIPs anew, one after the other, and measure them (half an hour)
	@$(BIN)/python -m make.clip.training

lint: setup  ## check style and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup  ## put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

notebooks: setup  ## write the .ipynb files anew from the .py files
	@$(BIN)/python -m sensei_lite.course.editions notebooks

student: setup  ## write the student's and the instructor's edition of the notebooks into build/
	@$(BIN)/python -m sensei_lite.course.editions editions

try-notebooks: setup  ## try every notebook and its widgets in JupyterLab, in Chromium (needs Chromium)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS),book]'
	@$(BIN)/python -m make.site.try_notebooks --screenshots build/trial

nightly: setup  ## run every notebook at full length and record the minutes that the book shows (a quarter of an hour)
	@$(BIN)/python -m make.site.time_notebooks

# Give FRESH=1 to run all notebooks again, PRESET=smoke to run them with small numbers.
book: setup  ## run the notebooks that changed and build the online book into build/book/html (needs npm)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS),book,dream]'
	@$(BIN)/python -m make.site.build $(if $(FRESH),--fresh) $(if $(PRESET),--preset $(PRESET))

check-book: setup  ## look at every page of the built book in Chromium, and step through its dream (needs Chromium and npm)
	@$(BIN)/python -m make.site.check

constraints: setup  ## choose the tested versions anew and write constraints.txt
	@$(BIN)/python tests/make_constraints.py

clean:  ## remove .venv and everything that commands made
	@rm -rf .venv runs .mypy_cache .ruff_cache
