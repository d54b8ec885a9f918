# Two commands on a fresh machine: `make demo`, `make test`. Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SOURCES := pyproject.toml $(wildcard plugins/*/pyproject.toml)

SLURM := slurmctld slurmd slurm-client munge
DFT := cp2k cp2k-data quantum-espresso quantum-espresso-data

.PHONY: demo test programs clean

demo: $(VENV)/installed
	$(BIN)/ald run examples/molten_carbon

test: $(VENV)/installed-dev programs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/pytest -n 2

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { $(ROOT) apt-get -o DPkg::Lock::Timeout=120 update && $(ROOT) apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --editable . $(addprefix --editable ,$(PLUGINS))
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Tests start a private Slurm, CP2K and Quantum ESPRESSO; Debian has all that they need.
programs:
	@for program in munged slurmctld slurmd sbatch srun cp2k pw.x; do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$program >/dev/null || missing=$$program; done; \
	[ -z "$$missing" ] || { $(ROOT) apt-get -o DPkg::Lock::Timeout=120 update && \
	  $(ROOT) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends $(SLURM) $(DFT); }

clean:
	rm -rf $(VENV)
