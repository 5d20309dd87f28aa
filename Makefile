# Everything runs inside .venv, which the first command makes. `make` alone lists the commands.
PYTHON ?= python3
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)
export OMP_NUM_THREADS := 1
# a progress bar on a page is a widget that asks the network
export TQDM_DISABLE := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# switches of `make robustness` alone
unexport TOYMODELS_SEED_SHIFT TOYMODELS_CLAIMS
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout 300
PORT ?= 8000

.PHONY: help book test notebooks serve bench bench-gpu figures-full pdf coursework sabotage robustness processor clean
.DEFAULT_GOAL := help

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An interrupted installation leaves no .venv/ok, so the next command goes on with it. The lock holds
# all packages but the CUDA libraries, which the second line adds where the build of torch wants them.
.venv/ok: requirements.lock requirements.txt pyproject.toml
	rm -f $@
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check --no-deps -r requirements.lock
	$(PY) -m pip install -q --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	$(PY) -m pip check
	touch $@

book: .venv/ok  ## execute what changed, write the book to _build/html (CHAPTER=deep_linear: only that one)
ifdef CHAPTER
	$(PY) -m tools.one_chapter $(CHAPTER)
else
	$(PY) -m tools.execute
	rm -rf _build/html _build/.doctrees _build/claims.json # kept doctrees hide the warnings of pages not read again
	jupyter-book build . -W -n --keep-going -q
	$(PY) -m tools.local_links _build/html
endif

# The browser test reads the built book, so the book is built first where there is a browser.
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
test: .venv/ok $(if $(CHROMIUM),book)  ## run everything that proves the project
	$(if $(CHROMIUM),,@echo "No Chromium: the browser test is skipped, no page will be looked at")
	ruff check .
	ruff format --check .
	codespell
	$(PY) -m pytest -q -n 2 --dist loadfile $(NBVAL) -r s tests notebooks

notebooks: .venv/ok  ## remake notebooks/ from chapters/, and the address in CITATION.cff
	$(PY) -m tools.make_citation
	$(PY) -m tools.make_notebooks

serve: book  ## build the book and open it in the browser
	$(PY) -m tools.serve $(PORT)

bench: .venv/ok  ## measure this processor beside the peers, record it in benchmarks/results
	$(PY) -m benchmarks $(ARGS)

bench-gpu: .venv/ok  ## the same for this machine's GPU
	$(PY) -m benchmarks --gpu $(ARGS)

figures-full: .venv/ok  ## train what is too large for a chapter, store it in the package (an hour)
	$(PY) -m tools.figures_full
	$(PY) -m tools.figures_tree
	$(PY) -m tools.figures_depth
	$(PY) -m tools.figures_lattice
	$(PY) -m tools.figures_hierarchy
	$(PY) -m tools.figures_matrix

pdf: .venv/ok $(if $(CHROMIUM),book)  ## print the book to one PDF (needs Chromium)
	$(PY) -m tools.make_pdf

coursework: .venv/ok  ## write student notebook, solution and autograder of each assignment (KEY="a secret")
	$(PY) -m tools.make_coursework "$(KEY)"

sabotage: .venv/ok  ## plant faults in the package, list those that no test notices (ARGS="--sample 20")
	$(PY) -m tools.sabotage $(ARGS)

processor: .venv/ok  ## test the package as on another processor: no vector units, two threads
	$(PY) -m tools.robustness --tests

robustness: .venv/ok  ## run all chapters with other seeds, processor and versions (hours)
	$(PY) -m tools.robustness $(ARGS)

clean:  ## remove what was built (the virtual environment stays)
	rm -rf _build build .pytest_cache .ruff_cache *.egg-info
