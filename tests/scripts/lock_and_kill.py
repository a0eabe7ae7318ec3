"""Locks a folder and kills itself: lock_and_kill.py FOLDER."""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import resumable

with resumable.exclusive_lock(pathlib.Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
