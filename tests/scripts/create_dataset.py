"""Runs step 1: create_dataset.py WORKSPACE."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

if __name__ == "__main__":
    import command_line
    import storage

    command_line.install_error_handler()
    from data.original_dataset import create_preloaded_dataset

    create_preloaded_dataset(storage.Workspace(pathlib.Path(sys.argv[1])))
