# The first python3 that runs; any from 3.9 on will do to make the environment.
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do $$p -c "import venv" 2>/dev/null && echo $$p && break; done)
RUN := .venv/bin/python
# Whose trainings `make tensorboard` shows: this folder's, or those of WORKSPACE=demo.
WORKSPACE ?= .
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help environment demo test tensorboard

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

environment:  ## install Python 3.11 and the packages into .venv, if they are not there
	@$(or $(PYTHON),$(error No python3 runs on this machine. Install one: python.org, or your system's packages)) make_environment.py

demo: environment  ## every step, in order, on generated slices, in the folder demo
	@$(RUN) src/demo.py

test: environment  ## the whole test suite
	@$(RUN) -m pytest -q tests

tensorboard: environment  ## see the trainings in the browser (make tensorboard WORKSPACE=demo: the demo's)
	@$(RUN) -W ignore -m tensorboard.main --host localhost --logdir_spec "exploration:$(WORKSPACE)/model tuning/logs,training:$(WORKSPACE)/unfinished model/logs,model:$(WORKSPACE)/model/logs"
