# The first Python that really runs and can make environments, else the first that runs: make_environment.py then says what it lacks.
# Tried by running: pyenv puts a python3.10 on the PATH that only says that it is not installed.
PYTHONS := python3 python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9
PYTHON ?= $(shell for needed in "venv, ensurepip" venv; do for p in $(PYTHONS); do \
	$$p -c "import sys, $$needed; sys.exit(sys.version_info < (3, 9))" >/dev/null 2>&1 && echo $$p && exit; done; done)
# STACK=new: with the packages of requirements-new.txt, in an environment beside .venv.
STACK ?=
VENV := $(if $(filter new,$(STACK)),.venv-new,.venv)
RUN := $(VENV)/bin/python
MAKE_ENVIRONMENT = $(if $(STACK),SEGMENTER_STACK=$(STACK) )$(or $(PYTHON),$(error No Python from 3.9 on runs on this machine. Install one: python.org, or your \
	system's packages)) make_environment.py $(filter-out .venv,$(VENV))
# Whether an environment is active, such as conda's, that can show trainings; asked only where there is no .venv.
ACTIVE := python -c "import sys, importlib.util; sys.exit(not all(map(importlib.util.find_spec, ['tensorboard', 'tensorflow'])))"
# Whose trainings `make tensorboard` shows: this folder's, or those of WORKSPACE=demo.
WORKSPACE ?= .
# What `make test` runs.
TESTS ?= tests
# TensorFlow's remarks on starting: CPU instructions, missing GPU libraries.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help environment demo test lint format coverage docs campaign tensorboard

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

environment:  ## install Python and the packages into .venv, if needed
	@$(MAKE_ENVIRONMENT)

demo: environment  ## run all steps on synthetic slices, in the folder demo
	@$(RUN) src/demo.py

test: environment  ## run the test suite (STACK=new: with requirements-new.txt, in .venv-new)
	@$(RUN) -m pytest -q -rs -n 2 --dist loadfile $(TESTS)

lint: environment  ## check code style (ruff) and types (mypy)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check -q .
	@$(RUN) -m mypy

format: environment  ## format the code (ruff)
	@$(RUN) -m ruff format -q .
	@$(RUN) -m ruff check --fix -q .

coverage: environment  ## run the test suite with line coverage of src
	@$(RUN) -m pytest -q -n 2 --dist loadfile --cov --cov-report term:skip-covered tests

docs: environment  ## write config_template.py and docs/settings.md from the declarations
	@cd src && ../$(RUN) -m settings.documents

campaign: environment  ## kill steps, damage their files, mutate CSV texts: about 15 minutes
	@$(RUN) tests/campaign_files.py
	@$(RUN) tests/campaign_csv.py

tensorboard:  ## show the trainings in the browser (WORKSPACE=demo: those of the demo)
	@if test ! -e $(VENV)/installed && $(ACTIVE) >/dev/null 2>&1; then run=python; else $(MAKE_ENVIRONMENT) && run=$(RUN); fi && \
	exec $$run src/show_tensorboard.py "$(WORKSPACE)"
