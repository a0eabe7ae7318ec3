"""Prints "inside" if it can read or replace a result, else the error: open_result.py read|write FOLDER."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import storage

folder = pathlib.Path(sys.argv[2])
try:
    with storage.reading(folder, "train_final_model") if sys.argv[1] == "read" else storage.atomic_folder(folder):
        print("inside")
except storage.UserError as error:
    print(error)
