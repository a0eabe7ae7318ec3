"""The cost of a training step of the default U-Net against its bare forward and backward pass on a batch in memory.

    python benchmarks/step.py WORKSPACE [--rounds 5] [--steps 20]      # a folder in which step 1 has run

The training step reads, augments, trains, and is watched and told, as in step 3; what comes between epochs (checkpoint,
pictures) is not in it. Both take turns; in each round the mean of all steps counts but the first, which waits for the
pipeline to fill. The ratio is that of the rounds' medians; its smallest and largest of a round tell how even the
machine was. The settings are that folder's: DETERMINISTIC = True tells what that costs.
"""

import argparse
import contextlib
import io
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line

command_line.disable_malloc_trim()

import tensorflow as tf
from tensorflow import keras

import settings
import storage
from data import preloaded_dataset
from model_training import fitting, hardware
from model_training.budget import Budget
from settings.hyperparameters import from_settings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    workspace = storage.Workspace(arguments.workspace)
    options = settings.load(workspace.root)
    hardware.prepare(options)
    values = from_settings(options.HYPERPARAMETERS)
    cases = preloaded_dataset.read_cases(workspace, "train")
    network = fitting.compiled_network(values, cases, options)
    batches = fitting.training_batches(workspace.train_set, cases["case"].tolist(), values, options)
    batch = next(iter(batches))

    @tf.function
    def bare(images, masks):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network.loss(masks, network(images, training=True)))
        return loss, tape.gradient(loss, network.trainable_variables)

    def bare_round():
        times = []
        for _ in range(arguments.steps):
            bare(*batch)[0].numpy()
            times.append(time.perf_counter())
        return (times[-1] - times[0]) / (arguments.steps - 1)

    def training_round():
        times = []
        watching = fitting.callbacks(network, workspace.train_set, cases, values, options, Budget(arguments.steps, 1))
        watching.append(keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: times.append(time.perf_counter())))
        with contextlib.redirect_stdout(io.StringIO()):
            network.fit(batches, steps_per_epoch=arguments.steps, epochs=1, callbacks=watching, verbose=0)
        return (times[-1] - times[0]) / (arguments.steps - 1)

    bare_round(), training_round()
    rows = []
    for _ in range(arguments.rounds):
        rows.append((bare_round(), training_round()))
        print(
            f"bare {rows[-1][0]:.3f} s, training step {rows[-1][1]:.3f} s, batch of {options.TRAINING_BATCH_SIZE}",
            flush=True,
        )
    ratios = [step / passes for passes, step in rows]
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(
        f"a training step costs {medians[1] / medians[0]:.2f} times the bare passes "
        f"({min(ratios):.2f} to {max(ratios):.2f} in {len(rows)} rounds)"
    )


if __name__ == "__main__":
    main()
