"""Step 6 of this checkout against another commit: images per second, or the memory over many images.

    python benchmarks/prediction.py                       40 phantoms of 512 px, the default U-Net, against 3c0ec4c
    python benchmarks/prediction.py --memory --images 2000 --size 64
    python benchmarks/prediction.py --model "model"       with a trained model's weights; set --size to its image size

Both predict the same files with the same weights, and the script compares their masks. A round is the whole step,
including reading and compiling the model. The first round, which loads libraries, does not count. The two take turns.
The other commit is checked out in a temporary folder.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from checkouts import worktree

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE, THERE = "this checkout", "the other"


def main():
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Removes the temporary checkout.
    if options.serve:
        serve(*map(pathlib.Path, options.serve))
        return
    with tempfile.TemporaryDirectory() as folder, worktree(pathlib.Path(folder) / "checkout", options.commit) as other:
        for name in (HERE, THERE):
            prepare(pathlib.Path(folder) / name, options)
        programs = {name: Program(root, pathlib.Path(folder) / name) for name, root in ((HERE, ROOT), (THERE, other))}
        try:
            rounds = [[program.run() for program in programs.values()] for _ in range(options.rounds)]
        finally:
            for program in programs.values():
                program.end()
        same = compared(*(pathlib.Path(folder) / name for name in programs))
    report(options, rounds if options.memory else rounds[1:], same)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="3c0ec4c")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model")
    parser.add_argument("--memory", action="store_true", help="one round; prints the memory at fifths of it")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = 1 if options.memory else options.rounds + 1
    return options


class Program:
    """Step 6 of a checkout in a separate process, which runs it once per line of input."""

    def __init__(self, checkout, workspace):
        command = [sys.executable, __file__, *sys.argv[1:], "--serve", str(checkout), str(workspace)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self):
        """Runs one round and returns its seconds and the memory in MB at fifths of it."""
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        seconds, *memory = map(float, self._process.stdout.readline().split())
        return seconds, memory

    def end(self):
        self._process.terminate()
        self._process.wait()


def serve(checkout, root):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(checkout / "src"))
    import command_line

    # Commits before abf46c1 use the second name.
    (getattr(command_line, "disable_malloc_trim", None) or command_line.keep_memory)()
    import prediction
    import storage

    workspace = storage.Workspace(root)
    for _ in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            start, memory = time.perf_counter(), Memory()
            prediction.predict_new_images(workspace)
            seconds, fifths = time.perf_counter() - start, memory.fifths()
        print(seconds, *fifths, flush=True)


def prepare(root, options):
    """Writes a model and `options.images` phantoms of eight kinds into the workspace `root`."""
    sys.path.insert(0, str(ROOT / "src"))
    import numpy as np
    import pandas as pd
    from tensorflow import keras

    import provenance
    import storage
    from data import csv_array, out_of_distribution, phantoms
    from networks import build, saved_model
    from settings.hyperparameters import Hyperparameters

    workspace = storage.Workspace(root)
    workspace.new_images.mkdir(parents=True)
    for number in range(options.images):
        csv_array.write(workspace.new_images / f"{number:05d}.csv", phantoms.draw(number % 8, options.size)[0])
    if options.model:
        shutil.copytree(options.model, workspace.model)
        return
    keras.utils.set_random_seed(1)
    values = {"architecture": "unet", "filters": 32, "stem_patch_px": 4, "clip_hu": (-200, 200)}
    training = provenance.Training(
        images=0,
        image_size=options.size,
        batch_size=1,
        epochs=0,
        minutes=0.0,
        peak_learning_rate=0.0,
        precision="float32",
        encoder_weights=None,
        seed=1,
        python="",
        tensorflow="",
        hyperparameters=Hyperparameters(**values),
        image_sha256=[],
        mask_sha256=[],
        train_set_statistics=out_of_distribution.train_set_statistics([np.linspace(-1, 1, 64)], [0.3]),
        cleaning_is_harmless=True,
    )
    workspace.model.mkdir()
    network = build(image_size=options.size, **values)
    saved_model.write(workspace.model, network, training, pd.DataFrame())


class Memory:
    """This program's memory, sampled ten times a second. Linux only."""

    def __init__(self):
        self._values, self._ended = [], threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while not self._ended.wait(0.1):
            pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
            self._values.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    def fifths(self):
        self._ended.set()
        self._thread.join()
        return [self._values[len(self._values) * fifth // 5 - 1] for fifth in range(1, 6)]


def compared(one, other):
    """Compares up to 8 masks: returns how many differ, how many were compared, and the share of pixels in the masks."""
    import numpy as np

    names = sorted(path.name for path in (one / "new predictions").glob("[!_]*.csv"))
    folders = [root / "new predictions" for root in (one, other)]
    pairs = [[np.loadtxt(folder / name, int, delimiter=",") for folder in folders] for name in names[:8]]
    return sum(not np.array_equal(*pair) for pair in pairs), len(pairs), np.mean([pair[0].mean() for pair in pairs])


def report(options, rounds, same):
    different, count, share = same
    print(f"{different} of {count} masks differ; they cover {share:.1%} of the image")
    programs = list(zip(*rounds, strict=True))
    if options.memory:
        for name, ((_, memory),) in zip((HERE, THERE), programs, strict=True):
            growth = 1000 * (memory[-1] - memory[0]) / (0.8 * options.images)
            values = ", ".join(f"{value:.0f}" for value in memory)
            print(f"{name}: MB at fifths of {options.images} images: {values}; {growth:.1f} kB per image")
        return
    speeds = [statistics.median(options.images / seconds for seconds, _ in results) for results in programs]
    ratios = sorted(other_seconds / seconds for (seconds, _), (other_seconds, _) in rounds)
    for name, speed in zip((HERE, THERE), speeds, strict=True):
        print(f"{name}: {speed:.2f} images of {options.size} px per s")
    print(f"ratio: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}, {len(rounds)} rounds")


if __name__ == "__main__":
    main()
