# The first Python that really runs and can make environments, else the first that runs: make_environment.py then says what it lacks.
# Tried by running: pyenv puts a python3.10 on the PATH that only says that it is not installed.
PYTHONS := python3 python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9
PYTHON ?= $(shell for needed in "venv, ensurepip" venv; do for p in $(PYTHONS); do \
	$$p -c "import sys, $$needed; sys.exit(sys.version_info < (3, 9))" >/dev/null 2>&1 && echo $$p && exit; done; done)
RUN := .venv/bin/python
MAKE_ENVIRONMENT = $(or $(PYTHON),$(error No Python from 3.9 on runs on this machine. Install one: python.org, or your \
	system's packages)) make_environment.py
# Whether an environment is active, such as conda's, that can show trainings; asked only where there is no .venv.
ACTIVE := python -c "import sys, importlib.util; sys.exit(not all(map(importlib.util.find_spec, ['tensorboard', 'tensorflow'])))"
# Whose trainings `make tensorboard` shows: this folder's, or those of WORKSPACE=demo.
WORKSPACE ?= .
# TensorFlow's remarks on starting: CPU instructions, missing GPU libraries.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help environment demo test campaign tensorboard

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

environment:  ## find or bring Python 3.11 and install the packages into .venv, if they are not there
	@$(MAKE_ENVIRONMENT)

demo: environment  ## every step, in order, on generated slices, in the folder demo
	@$(RUN) src/demo.py

test: environment  ## the whole test suite
	@$(RUN) -m pytest -q -rs -n 2 --dist loadfile tests

campaign: environment  ## kill steps, damage their files, mutate CSV texts: about 15 minutes, not part of the test suite
	@$(RUN) tests/campaign_files.py
	@$(RUN) tests/campaign_csv.py

tensorboard:  ## see the trainings in the browser (make tensorboard WORKSPACE=demo: the demo's)
	@if test ! -e .venv/installed && $(ACTIVE) >/dev/null 2>&1; then run=python; else $(MAKE_ENVIRONMENT) && run=$(RUN); fi && \
	exec $$run src/show_tensorboard.py "$(WORKSPACE)"
