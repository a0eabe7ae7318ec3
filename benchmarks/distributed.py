"""Images per second of a training by one process and by two that share its batches, on this machine.

    python benchmarks/distributed.py [--size 512] [--steps 20] [--batch 4] [--rounds 3]

The default U-Net on phantoms, a batch of the same size for both; two processes as on two machines, by TF_CONFIG. One
process uses all cores, too: what two gain here is what a single one leaves idle, less what talking costs. It is no
forecast for two machines.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import storage
from data import original_dataset, phantoms

TRAIN = """
import pathlib, sys
sys.path.insert(0, {src!r})
import command_line
command_line.disable_malloc_trim()
import settings, storage, model_training
from data import preloaded_dataset
from model_training import budget, fitting, hardware

workspace = storage.Workspace(pathlib.Path({root!r}))
options = settings.load(workspace.root)
hardware.prepare(options)
values = options.hyperparameters
cases = preloaded_dataset.read_cases(workspace, "train")
network = fitting.compiled_network(values, cases, options)
batches = fitting.training_batches(workspace.train_set, cases["case"].tolist(), values, options)
spent = budget.Budget({steps}, 1)
network.fit(batches, steps_per_epoch={steps}, epochs=1, callbacks=[budget.CosineSchedule(spent, 1e-3)], verbose=0)
print(options.TRAINING_BATCH_SIZE / spent.seconds_per_step)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("--size", 512), ("--steps", 20), ("--batch", 4), ("--rounds", 3)):
        parser.add_argument(name, type=int, default=value)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = storage.Workspace(pathlib.Path(folder) / "training")
        phantoms.write_original_dataset(workspace.original_dataset / "phantoms", 12, arguments.size)
        (workspace.root / "config.py").write_text(
            f"IMAGE_SIZE = {arguments.size}\nTRAINING_BATCH_SIZE = {arguments.batch}\n"
        )
        original_dataset.create_preloaded_dataset(workspace)
        rows = []
        for _ in range(arguments.rounds):
            rows.append([images_per_second(workspace, arguments.steps, count) for count in (1, 2)])
            print("one process {:.2f}, two {:.2f} images per second".format(*rows[-1]), flush=True)
    ratios = [two / one for one, two in rows]
    one, two = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"two processes: {two / one:.2f} times one ({min(ratios):.2f} to {max(ratios):.2f} in {len(rows)} rounds), "
        f"batches of {arguments.batch}"
    )


def images_per_second(workspace, steps, count):
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
        if count > 1:
            environment["TF_CONFIG"] = json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            )
        script = TRAIN.format(src=str(ROOT / "src"), root=str(workspace.root), steps=steps)
        processes.append(
            subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        )
    # All work at the same pace: each one's figure is that of the whole.
    return statistics.mean(float(process.communicate()[0].splitlines()[-1]) for process in processes)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("localhost", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


if __name__ == "__main__":
    main()
