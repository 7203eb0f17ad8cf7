# Everything happens in .venv, which the first command creates; nothing is installed elsewhere.

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

LABFLAGS ?=
PYTEST_ARGS ?=
JOBS ?= auto
SIDE_BY_SIDE = --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
DATA ?= $(or $(MNIST_HELPERS_DATA),data)
NOTEBOOKS ?=
HASHES ?=
UPGRADE ?= --upgrade

TOO_OLD = import sys; sys.exit(sys.version_info < (3, 10))

# What pip installs. With HASHES=1 each file must be one of those that `make pins` saw. A PyTorch
# that is there already and is not PyPI's (2.14.1+cpu, say) needs no NVIDIA libraries from PyPI.
PINS = --requirement requirements.txt
ifneq ($(HASHES),)
OWN_TORCH = from importlib.metadata import distributions as d; \
  print(any(p.name == 'torch' and '+' in p.version for p in d()))
PINS = --require-hashes --only-binary :all: --requirement requirements-hashed.txt \
  $$($(BIN)/python -c "$(OWN_TORCH)" | grep -q True \
  || echo --requirement requirements-hashed-nvidia.txt)
$(READY): again
endif

.PHONY: help setup again lab test test-fast test-mnist run book linkcheck page picture lint format pins \
  audit sbom repository clean distclean

help:
	@echo "make lab      open the notebooks in JupyterLab     (LABFLAGS=--no-browser)"
	@echo "make test     run all tests and all notebooks      (PYTEST_ARGS='tests -k canvas', --random-order;"
	@echo "                                                    JOBS=4: four files at a time, not one per core)"
	@echo "make test-fast   the tests that take less than two minutes together"
	@echo "make test-mnist  what needs all of MNIST as well   (DATA=/folder/with/mnist)"
	@echo "make run      execute all notebooks in order, into outputs/notebooks/"
	@echo "                                                   (NOTEBOOKS=notebooks/04_prediction.ipynb)"
	@echo "make book     build outputs/book/index.html: the course with its outputs, to read anywhere"
	@echo "make page     build outputs/page/index.html, which reads drawn digits without a server"
	@echo "make setup    create .venv; lab, test, run do it   (PYTHON=python3.12; HASHES=1 checks each file)"
	@echo
	@echo "make lint     check code and notebooks with ruff"
	@echo "make format   format them, and strip the notebooks' outputs"
	@echo "make pins     choose the versions in requirements*.txt anew   (UPGRADE= keeps what fits)"
	@echo "make audit    report on vulnerabilities and licences, into outputs/audit/; make sbom: the SBOM alone"
	@echo "make picture  record docs/canvas.gif, the canvas at work, in a browser"
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
ifneq ($(HASHES),)
	@there="$$($(BIN)/python -m pip freeze --exclude-editable)"; [ -z "$$there" ] || \
	  printf 'Already in $(VENV), so not checked (make distclean, and again, to check all):\n%s\n' "$$there"
endif
	$(BIN)/python -m pip install $(PINS)
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $(READY)

lab: setup
	$(BIN)/jupyter lab --notebook-dir=notebooks $(LABFLAGS)

test: setup
	$(BIN)/python -m pytest --nbmake $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# What one runs while working: below two minutes.
test-fast: setup
	$(BIN)/python -m pytest --fast $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# What needs all of MNIST, and the notebooks on it.
test-mnist: setup
	$(BIN)/python -m pytest --nbmake -m mnist --mnist="$(DATA)" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

run: setup
	$(BIN)/python tools/run_notebooks.py $(NOTEBOOKS)

book: setup
	$(BIN)/python tools/build_book.py

# Asks other servers whether what the book links to is still there; not part of the tests.
linkcheck: setup
	$(BIN)/python tools/build_book.py --linkcheck

page: setup
	$(BIN)/python tools/build_page.py

# CI=1: without a browser it fails, and nothing of an earlier run is taken.
picture: setup
	CI=1 $(BIN)/python -m pytest tests/browser/test_canvas_in_jupyterlab.py -k recorded
	cp outputs/screenshots/canvas_at_work.gif docs/canvas.gif
	cp outputs/screenshots/canvas_at_work.png docs/canvas.png

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

# One choice for Python 3.10 and newer on every system, with hashes and without. NVIDIA's libraries
# are left to torch, which names their versions itself, so that PyTorch's CPU build can be installed
# without them; their hashes have a file of their own. pip is there already: Windows cannot replace
# it while it runs.
NVIDIAS = ^(nvidia-|cuda-|triton==)
pins: setup
	cat requirements.txt requirements-hashed-nvidia.txt > .pins
	$(BIN)/uv pip compile --universal --python-version 3.10 $(UPGRADE) --all-extras \
	  --generate-hashes --no-emit-package pip \
	  --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --output-file .pins pyproject.toml
	{ echo '# The versions of requirements.txt, with the hashes of their files: make pins'; \
	  awk '/^[^ ]/ { keep = !/^#|$(NVIDIAS)/ } keep' .pins; } > requirements-hashed.txt
	{ echo '# What torch needs for NVIDIA'\''s cards, with the hashes of the files: make pins'; \
	  awk '/^[^ ]/ { keep = /$(NVIDIAS)/ } keep' .pins; } > requirements-hashed-nvidia.txt
	{ echo '# The tested versions, chosen by: make pins'; \
	  echo "# NVIDIA's libraries are absent on purpose: torch names the versions that it needs."; \
	  sed -n 's/^\([^# ].*[^ ]\) *\\$$/\1/p' requirements-hashed.txt; } > requirements.txt
	rm .pins

# Reports only: what is found there fails nothing; a tool that breaks does.
audit: setup
	$(BIN)/python tools/audit.py

sbom: setup
	$(BIN)/python tools/audit.py --only sbom

repository: setup
	$(BIN)/python tools/repository.py $(URL)

clean:
	rm -rf outputs build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	  -type d -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
