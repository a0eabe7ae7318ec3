"""Measures peak memory, overhead per trial and disk space of a search.

    python benchmarks/exploration.py [--trials 30] [--size 256]

The peak memory is that of the program and of each trial's process. All trials train networks of one size on phantoms,
so that they are comparable. The peaks are the kernel's, since the start of the process (Linux).
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
EXPLORATION_SEARCH_SPACE = {{"architecture": "unet", "filters": 16, "stem_patch_px": 2}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    # The trials' processes import `train_and_measure` from this folder.
    os.environ["PYTHONPATH"] = str(pathlib.Path(__file__).parent)
    peaks, seconds, run = [], [], isolated_process.run

    def measured(function, *arguments):
        history, peak = run(importlib.import_module("exploration").train_and_measure, *arguments)
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
        numbers = " ".join(f"{peak:.0f}" for peak in column)
        print(f"peak memory of {name}, MB: {numbers}; last against third: {column[-1] / column[2] - 1:+.1%}")
    print(
        f"time per trial: {whole / arguments.trials:.1f} s, of which its epoch {sum(seconds) / arguments.trials:.1f} s"
    )
    print(f"disk space: {size / arguments.trials:.2f} MB per trial, including the weights of one trial")


def train_and_measure(*arguments):
    return model_training.train(*arguments), peak_mb()


def peak_mb():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
