"""Holds the lock on a folder until its standard input ends: hold_lock.py FOLDER."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import storage

with storage.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
