"""What a search takes: the peak memory of the program and of the process of each trial, the seconds beside its training, and the disk.

    python benchmarks/exploration.py [--trials 30] [--size 256]

Phantoms, and a network of one size, so that the trials are comparable. The peaks are the kernel's, since the process began (Linux).
"""

import argparse
import importlib
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line

command_line.disable_malloc_trim()

import isolated_process
import model_exploration
import model_training
import storage
from data import original_dataset, phantoms

CONFIG = """
IMAGE_SIZE = {size}
EXPLORATION_EPOCHS = 1
EXPLORATION_REPEATS = 0
EXPLORATION_MAX_TRIALS = {trials}
EXPLORATION_SEARCH_SPACE = {{"architecture": "unet", "filters": 16, "patch_px": 2}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(pathlib.Path(__file__).parent)  # So that the trials' processes find `trained`.
    peaks, seconds, call = [], [], isolated_process.run

    def measured(function, *others):
        history, peak = call(importlib.import_module("exploration").trained, *others)
        peaks.append((peak, peak_mb()))
        seconds.append(history["seconds"].sum())
        return history

    isolated_process.run = measured
    with tempfile.TemporaryDirectory() as folder:
        workspace = storage.Workspace(pathlib.Path(folder) / "search")
        phantoms.write_original_dataset(workspace.original_dataset / "phantoms", 25, arguments.size)
        (workspace.root / "config.py").write_text(CONFIG.format(**vars(arguments)))
        original_dataset.create_preloaded_dataset(workspace)
        start = time.perf_counter()
        model_exploration.explore_hyperparameters(workspace)
        whole = time.perf_counter() - start
        size = sum(path.stat().st_size for path in workspace.model_tuning.rglob("*") if path.is_file()) / 1e6
    print()
    for name, column in zip(("the trials' processes", "the program"), zip(*peaks, strict=True), strict=True):
        print(
            f"peak memory of {name}, MB: {' '.join(f'{peak:.0f}' for peak in column)}; the last against the third: {column[-1] / column[2] - 1:+.1%}"
        )
    print(f"a trial: {whole / arguments.trials:.1f} s, of which {sum(seconds) / arguments.trials:.1f} s are its epoch")
    print(f"on disk: {size / arguments.trials:.2f} MB a trial, with one trial's weights")


def trained(*others):
    return model_training.train(*others), peak_mb()


def peak_mb():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
