"""Step 1 on CT-like data of 512 x 512: seconds and bytes per pair against a baseline; memory with ten times the pairs.

The plain way reads each file with numpy.loadtxt to float64 and writes each array as one float64 tensor file, in one
process. python benchmarks/step1.py
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import storage
from data import phantoms

FEW, MANY, ROUNDS = 60, 600, 3


def main():
    with tempfile.TemporaryDirectory() as folder:
        few, many = (storage.Workspace(pathlib.Path(folder) / name) for name in ("few", "many"))
        write_pairs(few, FEW)
        write_pairs(many, MANY)
        rounds = [[run(way, many) for way in ("ours", "plain")] for _ in range(ROUNDS)]
        own, other = (
            statistics.median(seconds for seconds, _ in column) / MANY for column in zip(*rounds, strict=True)
        )
        print(f"{'':24}{'ours':>12}{'the plain way':>16}{'ratio':>8}   medians of {ROUNDS} rounds of {MANY} pairs")
        print(f"{'seconds per pair':24}{own:12.4f}{other:16.4f}{other / own:8.1f}")
        sizes = [
            sum(path.stat().st_size for path in written.rglob("*.*") if path.suffix != ".csv") / MANY
            for written in (many.preloaded_dataset, many.results)
        ]
        print(f"{'bytes per pair':24}{sizes[0]:12.0f}{sizes[1]:16.0f}{sizes[1] / sizes[0]:8.1f}")
        peaks = [run("ours", workspace)[1] for workspace in (few, many)]
        print(
            f"\npeak memory, {FEW} and {MANY} pairs: {peaks[0]:.0f} and {peaks[1]:.0f} MB, "
            f"{peaks[1] / peaks[0] - 1:+.1%}"
        )


def write_pairs(workspace, count):
    """Ten phantoms, repeated with another value in the first pixel: duplicate images would be a fault."""
    folder = workspace.original_dataset / "phantoms"
    phantoms.write_original_dataset(folder, 10)
    for number in range(10, count):
        for kind in ("images", "masks"):
            text = (folder / kind / f"phantom_{number % 10:03d}.csv").read_text()
            first = str(2000 + number) if kind == "images" else text[0]
            (folder / kind / f"phantom_{number:03d}.csv").write_text(first + text[text.index(",") :])


def run(way, workspace):
    """Seconds and peak MB of one run in a process of its own: of the work, without the imports."""
    ended = subprocess.run(
        [sys.executable, __file__, way, str(workspace.root)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return tuple(map(float, ended.stdout.splitlines()[-1].split()))


def ours(workspace):
    import command_line
    from data import original_dataset

    command_line.disable_malloc_trim()  # As main.py does for every step.
    original_dataset.create_preloaded_dataset(workspace)


def plain(workspace):
    import numpy as np
    import tensorflow as tf

    workspace.results.mkdir(exist_ok=True)
    for path in sorted(workspace.original_dataset.rglob("*.csv")):
        tensor = tf.constant(np.loadtxt(path, delimiter=","), tf.float64)
        tf.io.write_file(
            str(workspace.results / f"{path.parent.name}_{path.stem}.tensor"), tf.io.serialize_tensor(tensor)
        )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        import resource

        if sys.argv[1] == "plain":
            import tensorflow  # noqa: F401  Not counted.
        else:
            from data import original_dataset  # noqa: F401
        start = time.perf_counter()
        {"ours": ours, "plain": plain}[sys.argv[1]](storage.Workspace(pathlib.Path(sys.argv[2])))
        seconds = time.perf_counter() - start
        # The process itself and, twice, the largest of its workers: joblib starts one for each core.
        peak = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(seconds, sum(peak))
