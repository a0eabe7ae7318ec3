"""Step 3: trains the final model on the whole train set. Step 2 trains its many models with the same pieces.

While it trains, `unfinished model` holds a checkpoint, history.csv and TensorBoard's logs, all renewed after every epoch. A training that
was stopped, in whatever way, goes on from there: the same images in the same order, as if it had not been stopped.
"""
import dataclasses
import math
import pathlib
import platform
import shutil
import sys
import types
from typing import Any

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
import settings
import storage
from data import augmentation, preloaded_dataset
from model_training import progress
from model_training.hyperparameters import Hyperparameters, from_settings
from networks import objectives, saved_model


def train_final_model(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model` from the train set, with the hyperparameters of config.py. Goes on where a former run was stopped.

    OtherTask where an unfinished training was begun with other settings or data; MissingResult where step 1 has not run.
    """
    options = settings.load(workspace.root)
    hyperparameters = from_settings(options.HYPERPARAMETERS)
    cases = preloaded_dataset.read_cases(workspace, "train")
    _hint(hyperparameters, cases)
    facts = _facts(hyperparameters, options, cases)
    storage.begin_or_go_on(workspace.unfinished_model, facts)
    network = compiled_network(hyperparameters, options)
    print(f"Training {network.name} ({network.count_params() / 1e6:.1f} million parameters) on {len(cases)} cases, {_device()}.")
    history = _train(network, workspace, cases["case"].tolist(), hyperparameters, options)
    with storage.replacing(workspace.model) as draft:
        saved_model.write(draft, network, dataclasses.asdict(hyperparameters), facts | _versions(), history)
        shutil.copytree(workspace.unfinished_model / "logs", draft / "logs")
    shutil.rmtree(workspace.unfinished_model)
    print(f"Model trained in {history['seconds'].sum() / 60:.1f} min, Dice {history['dice'].iloc[-1]:.3f} on the images it was trained on.")


def compiled_network(hyperparameters: Hyperparameters, options: types.SimpleNamespace) -> keras.Model:
    """The network that `hyperparameters` describe, ready to be trained, with first weights drawn from the SEED setting."""
    keras.utils.set_random_seed(options.SEED)
    keras.mixed_precision.set_global_policy(_precision(options.MIXED_PRECISION))
    network = networks.build(
        hyperparameters.architecture, options.IMAGE_SIZE, hyperparameters.filters, hyperparameters.clip_hu, options.ENCODER_WEIGHTS
    )
    # Keras' newer Adam spells its steps out for each variable: the first step takes 2 to 3 times as long to build, in every trial.
    optimizer = keras.optimizers.legacy.Adam(hyperparameters.learning_rate)
    network.compile(optimizer, objectives.LOSSES[hyperparameters.loss], [objectives.Dice()])
    keras.mixed_precision.set_global_policy("float32")  # What is built next, to predict with, is not to depend on what was trained before.
    return network


def training_batches(
    folder: pathlib.Path, cases: list[str], hyperparameters: Hyperparameters, options: types.SimpleNamespace, first_epoch: int = 0
) -> tf.data.Dataset:
    """An endless stream of augmented (images, masks), float32 and uint8 (TRAINING_BATCH_SIZE, size, size, 1), from an epoch's first batch on."""
    start = first_epoch * steps_per_epoch(cases, options) * options.TRAINING_BATCH_SIZE
    samples = preloaded_dataset.endless_pairs(folder, cases, options.IMAGE_SIZE, options.SEED, start)
    versions = samples.map(
        lambda lot, image, mask: augmentation.augment(
            lot, image, mask, hyperparameters.horizontal_flip, hyperparameters.rotation_degrees, hyperparameters.gaussian_noise
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return versions.batch(options.TRAINING_BATCH_SIZE, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(cases: list[str], options: types.SimpleNamespace) -> int:
    """How many batches show every case once. All batches are full: the last of an epoch borrows from the next."""
    return math.ceil(len(cases) / options.TRAINING_BATCH_SIZE)


def verbosity() -> int:
    """Keras' way to show progress: a bar where somebody watches, a line per epoch where the output goes to a file."""
    return 1 if sys.stdout.isatty() else 2


def _hint(hyperparameters: Hyperparameters, cases: pd.DataFrame) -> None:
    # Every CT slice holds air, -1000 HU.
    if hyperparameters.clip_hu and cases["minimum"].median() > -200:
        print(
            f"Note: the images' values ({cases['minimum'].min():g} to {cases['maximum'].max():g}) do not look like Hounsfield units, but clip_hu "
            f"is {hyperparameters.clip_hu}. If they are not, set HYPERPARAMETERS = {{\"clip_hu\": None}} in config.py."
        )


def _facts(hyperparameters: Hyperparameters, options: types.SimpleNamespace, cases: pd.DataFrame) -> dict[str, Any]:
    # What must be the same for a stopped training to go on.
    return {
        "image_size": options.IMAGE_SIZE,
        "seed": options.SEED,
        "batch_size": options.TRAINING_BATCH_SIZE,
        "mixed_precision": options.MIXED_PRECISION,
        "encoder_weights": options.ENCODER_WEIGHTS if hyperparameters.architecture == "deeplabv3_plus" else None,
        "hyperparameters": dataclasses.asdict(hyperparameters),
        "image_sha256": cases["image_sha256"].tolist(),
        "mask_sha256": cases["mask_sha256"].tolist(),
    }


def _precision(mixed: bool) -> str:
    if not mixed:
        return "float32"
    return "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


def _device() -> str:
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"on {gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "on the CPU"


def _train(
    network: keras.Model, workspace: storage.Workspace, cases: list[str], hyperparameters: Hyperparameters, options: types.SimpleNamespace
) -> pd.DataFrame:
    diary = progress.Diary(workspace.unfinished_model, network, options.TRAINING_TIME_LIMIT_MINUTES)
    if diary.epochs_done:
        print(f"Going on after epoch {diary.epochs_done} of {options.TRAINING_EPOCHS}.")
    if not diary.is_over(options.TRAINING_EPOCHS):
        logs = workspace.unfinished_model / "logs"
        shown = next(iter(preloaded_dataset.pairs(workspace.train_set, cases[: progress.PANEL_CASES], options.IMAGE_SIZE).batch(progress.PANEL_CASES)))
        network.fit(
            training_batches(workspace.train_set, cases, hyperparameters, options, diary.epochs_done),
            steps_per_epoch=steps_per_epoch(cases, options),
            initial_epoch=diary.epochs_done,
            epochs=options.TRAINING_EPOCHS,
            # The diary comes last: an epoch it has noted has been logged.
            callbacks=[progress.LearningRate(), progress.Panel(logs, shown, options.TRAINING_EPOCHS), progress.tensorboard(logs), diary],
            verbose=verbosity(),
        )
    return diary.history


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "tensorflow": tf.__version__}
