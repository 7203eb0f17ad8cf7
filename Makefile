# Everything happens in .venv, which the first command creates; nothing is installed elsewhere.

PYTHON ?= python3
INSTALLER ?= auto
TORCH ?=
HASHES ?=
LABFLAGS ?=
APPFLAGS ?=
PYTEST_ARGS ?=
NOTEBOOKS ?=
BENCH ?= --help
KEEP ?=
JOBS ?= auto
SIDE_BY_SIDE = --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
DATA ?= $(or $(MNIST_HELPERS_DATA),data)

# Python keeps what it has compiled: else each process, of hundreds, would compile PyTorch again.
unexport PYTHONDONTWRITEBYTECODE

PY = .venv/bin/python
LAB = .venv/.ready-lab
DEV = .venv/.ready-dev

.PHONY: help app lab test test-fast test-mnist run book page bench lint format pins audit setup again clean distclean
.NOTPARALLEL:

help:
	@echo "make app      open a page in the browser: draw a digit, see it predicted   (APPFLAGS='--port 0')"
	@echo "make lab      open the notebooks in JupyterLab     (LABFLAGS=--no-browser)"
	@echo "make test     run all tests and all notebooks      (PYTEST_ARGS='tests -k canvas', --random-order;"
	@echo "                                                    JOBS=4: four files at a time, not one per core)"
	@echo "make test-fast   the tests that take less than two minutes together"
	@echo "make test-mnist  what needs all of MNIST as well   (DATA=/folder/with/mnist)"
	@echo "make run      execute all notebooks in order, into outputs/notebooks/"
	@echo "                                                   (NOTEBOOKS=notebooks/05_prediction.ipynb)"
	@echo "make book     build outputs/book/index.html: the course with its outputs, to read anywhere"
	@echo "make page     build outputs/page/index.html, which predicts drawn digits without a server"
	@echo "make bench    compare with the usual ways          (BENCH='train --quick'; without it: what there is)"
	@echo
	@echo "make lint     check code, notebooks and types; make format: format them, strip outputs"
	@echo "make pins     choose the versions in requirements*.txt again  (KEEP=1 keeps those that fit)"
	@echo "make audit    report on vulnerabilities and licenses, with an SBOM, into outputs/audit/"
	@echo "make clean    delete outputs/ and caches; distclean also deletes .venv"
	@echo
	@echo "Each sets up .venv first (make setup: that alone). PYTHON=python3.12 names the Python, TORCH=cpu the"
	@echo "build of PyTorch, INSTALLER=pip does without uv, HASHES=1 checks each file that is downloaded."

# The marks are set last, so the next make resumes a set-up that was interrupted. It is done again
# where the project has moved, and where it is asked to choose or to check.
MOVED = $(filter-out "$(shell cat /dev/null $(wildcard $(LAB)))","$(CURDIR)")
$(LAB) $(DEV): .venv/.ready-%: requirements.txt pyproject.toml $(if $(TORCH)$(HASHES)$(MOVED),again)
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.10 or \
	newer, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" tools/set_up.py $* --installer "$(INSTALLER)" --torch "$(TORCH)" $(if $(HASHES),--hashes)

setup: $(LAB)

app: $(LAB)
	$(PY) -m mnist_helpers app $(APPFLAGS)

lab: $(LAB)
	$(PY) -m mnist_helpers lab $(LABFLAGS)

test: $(DEV)
	$(PY) -m pytest --nbmake $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# What one runs while working: below two minutes.
test-fast: $(DEV)
	$(PY) -m pytest --fast $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# What needs all of MNIST, and the notebooks on it.
test-mnist: $(DEV)
	$(PY) -m pytest --nbmake -m mnist --mnist="$(DATA)" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

run: $(DEV)
	$(PY) tools/run_notebooks.py $(NOTEBOOKS)

book: $(DEV)
	$(PY) tools/build_book.py

page: $(DEV)
	$(PY) tools/build_page.py

bench: $(DEV)
	$(PY) -m benchmarks $(BENCH)

lint: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(DEV)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(PY) -m nbstripout --keep-id notebooks/*.ipynb
	$(PY) tools/links.py

pins: $(DEV)
	$(PY) tools/pins.py $(if $(KEEP),--keep)

# Reports only: what is found there fails nothing; a tool that breaks does.
audit: $(DEV)
	$(PY) tools/audit.py

clean:
	rm -rf outputs build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	  -type d -exec rm -rf {} +

distclean: clean
	rm -rf .venv
