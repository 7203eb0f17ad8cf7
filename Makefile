# Everything happens in .venv, which the first command creates; nothing is installed elsewhere.

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

LABFLAGS ?=
PYTEST_ARGS ?=
NOTEBOOKS ?=

TOO_OLD = import sys; sys.exit(sys.version_info < (3, 10))

.PHONY: help setup lab test run book linkcheck page lint format pins repository clean distclean

help:
	@echo "make lab      open the notebooks in JupyterLab     (LABFLAGS=--no-browser)"
	@echo "make test     run all tests and all notebooks      (PYTEST_ARGS='tests -k canvas')"
	@echo "make run      execute all notebooks in order, into outputs/notebooks/"
	@echo "                                                   (NOTEBOOKS=notebooks/04_prediction.ipynb)"
	@echo "make book     build outputs/book/index.html: the course with its outputs, to read anywhere"
	@echo "make page     build outputs/page/index.html, which reads drawn digits without a server"
	@echo "make setup    create .venv; lab, test, run do it   (PYTHON=python3.12)"
	@echo
	@echo "make lint     check code and notebooks with ruff"
	@echo "make format   format them, and strip the notebooks' outputs"
	@echo "make pins     choose the versions in requirements.txt anew"
	@echo "make repository URL=https://github.com/you/yours   move to another address"
	@echo "make clean    delete outputs/ and caches; distclean also deletes .venv"

setup: $(READY)

# The mark $(READY) is set last, so an interrupted set-up is taken up again by the next make.
$(READY): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no $(PYTHON) here: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"; \
	  exit 1; }
	@"$(PYTHON)" -c '$(TOO_OLD)' || { \
	  echo "$$("$(PYTHON)" --version 2>&1) is too old: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"; \
	  exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) lacks its venv module: install it (Debian and Ubuntu: sudo apt install python3-venv) and try again."; \
	  exit 1; }
	@rm -f $(READY)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && $(BIN)/python -c '$(TOO_OLD)' \
	  || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --requirement requirements.txt
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $(READY)

lab: setup
	$(BIN)/jupyter lab --notebook-dir=notebooks $(LABFLAGS)

test: setup
	$(BIN)/python -m pytest --nbmake $(PYTEST_ARGS)

run: setup
	$(BIN)/python tools/run_notebooks.py $(NOTEBOOKS)

book: setup
	$(BIN)/python tools/build_book.py

# Asks other servers whether what the book links to is still there; not part of the tests.
linkcheck: setup
	$(BIN)/python tools/build_book.py --linkcheck

page: setup
	$(BIN)/python tools/build_page.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

# One file for Python 3.10 and newer on every system. NVIDIA's libraries are left to torch, which
# names their versions itself, so that PyTorch's CPU build can be installed without them.
pins: setup
	$(BIN)/uv pip compile --universal --python-version 3.10 --upgrade --all-extras \
	  --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make pins" --output-file .pins pyproject.toml
	grep '^#' .pins > requirements.txt
	echo "# NVIDIA's libraries are absent on purpose: torch names the versions that it needs." >> requirements.txt
	grep -vE '^(#|nvidia-|cuda-|triton==)' .pins >> requirements.txt
	rm .pins

repository: setup
	$(BIN)/python tools/repository.py $(URL)

clean:
	rm -rf outputs build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	  -type d -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
