# make demo    pick particles in simulated micrographs, as RELION would have it done
# make test    run the tests
# make lint    style, formatting, types
# make bench   speed and accuracy on simulated micrographs, beside RELION's LoG and Topaz; some minutes
# make topaz   install Topaz in an environment of its own, to compare with
# make docs    build the pages into site/; open site/index.html
# make venv    only install, with everything that the tests need
# make clean   remove what the others have made
#
# Needed: Python 3.10 or newer with venv, network to PyPI at the first call. `make PYTHON=/path/to/python3.12 test` takes another one.

PYTHON ?= python3
VENV := .venv
TOPAZ := .venv-topaz
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt

# One for each core, at most 4; 0 runs all tests in one process, one after the other.
TEST_PROCESSES ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))

DEMO_STRUCTURE := 6zu5
DEMO_DIAMETER := 280
DEMO_PIXEL := 3.5

.PHONY: help demo test lint docs bench topaz venv clean
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE = 1
export MPLBACKEND = Agg

help:
	@sed -n 's/^# \(make \)/\1/p' Makefile

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/ganpick simulate --out demo --n 3 --width 1200 --height 900 --angpix $(DEMO_PIXEL) --kind $(DEMO_STRUCTURE) --diameter $(DEMO_DIAMETER) --seed 1
	mkdir -p demo/External/job001
	cd demo && ../bin/relion_ganpick --o External/job001/ --in_mics micrographs.star --diameter $(DEMO_DIAMETER) --j 2
	$(BIN)/ganpick evaluate --picks demo/External/job001 --truth demo/truth --diameter $(DEMO_DIAMETER) --angpix $(DEMO_PIXEL)
	@echo
	@echo "Coordinates and lists for RELION: demo/External/job001/"
	@echo "Picks drawn into the micrographs:"
	@find demo/External/job001 -name '*.png' | sort | sed 's/^/  /' | grep .
	@echo "To look at them and slide the threshold, open in a browser:"
	@ls demo/External/job001/report.html | sed 's/^/  /'

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard relion_ganpick cryosparc_tool)
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The pages: site/index.html"

bench: $(VENV)/.installed-dev $(TOPAZ)/.installed
	$(BIN)/python benchmarks/bench.py --json bench.json

topaz: $(TOPAZ)/.installed

venv: $(VENV)/.installed-dev

clean:
	rm -rf $(VENV) $(TOPAZ) bench.json demo site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed; name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "A virtual environment could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing relion-ganpick into $(VENV) (some minutes at the first time)"
	@$(INSTALL) --editable '.[inspect]'
	@$(check_opencv)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) --editable '.[dev,pipeliner,cryosparc,inspect,cluster]'
	@$(check_opencv)
	@touch $@

$(TOPAZ)/.installed: $(BIN)/python benchmarks/topaz.txt benchmarks/install_topaz.py
	@echo "Installing Topaz into $(TOPAZ)"
	@$(BIN)/python benchmarks/install_topaz.py $(TOPAZ)
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed-dev
	@$(INSTALL) --editable '.[docs]'
	@touch $@

# OpenCV's usual build is linked against libraries of the desktop that a bare machine lacks. Its build without windows has
# the same functions that we use.
define check_opencv
$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  echo "OpenCV misses system libraries; for its usual build: apt-get install libgl1 libglib2.0-0 (as root)." >&2; \
	  echo "Taking opencv-python-headless instead." >&2; \
	  $(INSTALL) --force-reinstall --no-deps opencv-python-headless && $(BIN)/python -c 'import cv2'; } || { \
	  echo "OpenCV cannot be imported. On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0, then make again." >&2; exit 1; }
endef
