# make demo · make test · make lint · make lock · make clean — each does all its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
export WATCHONCE_HOME ?= $(CURDIR)/$(DEMO)/library
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup demo test fuzz lint lock clean

help:
	@echo "make demo   set up, draw a 30-minute film, watch it once, delete it, ask 12 questions"
	@echo "make test   set up, lint, types, tests with line coverage"
	@echo "make fuzz   change bytes of videos and memories for MINUTES=10, FUZZ=both, videos or memories"
	@echo "make lint   format, lint and types alone"
	@echo "make lock   resolve pyproject.toml into requirements.lock"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "watchonce needs Python 3.11 or newer; give one: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --without-pip $(VENV)
	@uv=$$(grep -o '^uv==[^ ]*' requirements.lock); \
		$(BIN)/python -m pip install --quiet $$uv 2>/dev/null || \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet $$uv || \
		{ echo "pip could not install uv; give this Python its pip (Debian: python3-venv)"; exit 2; }
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

demo: setup
	@mkdir -p $(DEMO)
	@rm -rf $(DEMO)/home.memory
	$(BIN)/watchonce draw $(DEMO)/home.mp4 --minutes 30 --seed 7
	$(BIN)/watchonce watch $(DEMO)/home.mp4 -o $(DEMO)/home.memory --recipe diary
	rm $(DEMO)/home.mp4
	$(BIN)/python examples/demo.py $(DEMO)/home.memory $(DEMO)/home.json

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --warnings

test: lint
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --cov=watchonce --cov-report=term:skip-covered

MINUTES ?= 10
FUZZ ?= both

fuzz: setup
	OMP_NUM_THREADS=1 WATCHONCE_HOME=$(CURDIR)/fuzz/home $(BIN)/python benchmarks/fuzz.py \
		--minutes $(MINUTES) --kind $(FUZZ) --folder fuzz

lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) $(DEMO) results .pytest_cache .ruff_cache .coverage
