"""Prints "inside" if it can lock the folder, else the error: lock_folder.py FOLDER WRITES, which is 0 or 1."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import resumable
import storage

try:
    with resumable.exclusive_lock(pathlib.Path(sys.argv[1]), sys.argv[2] == "1"):
        print("inside")
except storage.InUse as error:
    print(error)
