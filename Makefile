# make lab        work through the course, in work/
# make test       check everything: code, notebooks, browser
# make check      the style, and the fast tests
# make notebooks  build the notebooks from solutions/*.py
# make clean      remove the environment and what tools leave behind; never work/ or runs/
#
# PYTHON=python3.12 chooses the interpreter that .venv is made with; LAB="--no-browser --port 9000" goes to JupyterLab.

PYTHON ?=
LAB ?=

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10)

# Notebooks run in the environment's own kernel, whatever else is installed. JupyterLab asks no one for news or updates.
export JUPYTER_PREFER_ENV_PATH := 1
unexport PYTHONPATH PYTHONHOME DGMCOURSE_STRICT
QUIET_LAB := --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	--LabApp.app_settings_dir="$(CURDIR)/etc/lab"
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# nbgrader calls its tools by name, and a terminal in JupyterLab should meet this environment first.
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

# One thread a process, and an empty home of the course, so that no test touches anyone's progress.
PYTEST := home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT HUP INT TERM && \
	$(IN_VENV) OMP_NUM_THREADS=1 DGMCOURSE_HOME="$$home" IPYTHONDIR="$$home/ipython" $(PY) -m pytest -n 2
NBVAL := --nbval-lax --nbval-cell-timeout 300 --nbval-current-env

.PHONY: help install lab test check notebooks clean
.DEFAULT_GOAL := help

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

install: $(INSTALLED)

$(PY):
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv --clear $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "$$python could not make $(VENV). On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
			exit 1; \
		fi; \
	done; \
	echo "No Python 3.10 or newer found (tried: $(PYTHONS))." >&2; \
	echo "Install one from https://www.python.org, or name yours: make lab PYTHON=/path/to/python3" >&2; \
	exit 1

$(INSTALLED): pyproject.toml requirements.txt constraints.txt | $(PY)
	@$(PY) -m pip install --disable-pip-version-check -r requirements.txt || { \
		echo "The installation did not finish; the lines above say why." >&2; \
		echo "It needs a network and some GB of disk, once; the README says how to get a smaller torch." >&2; \
		exit 1; }
	@touch $@

lab: $(INSTALLED)
	@$(PY) -m dgmcourse start work
	@cd work && export $(IN_VENV) && exec ../$(PY) -m jupyterlab $(QUIET_LAB) $(AS_ROOT) \
		--LabApp.default_url="/lab/tree/$$(ls [0-9]*.ipynb | head -n 1)" $(LAB)

test: $(INSTALLED)
	@$(PYTEST) --dist loadscope $(NBVAL) tests solutions lessons

check: $(INSTALLED)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PYTEST) -m "not browser and not slow" tests

notebooks: $(INSTALLED)
	@$(PY) -m dgmcourse notebooks

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find dgmcourse tests solutions benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
