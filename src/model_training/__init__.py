"""Step 3: trains the final model on the whole train set. Steps that train other models do so with the same pieces.

While it trains, `unfinished model` holds a checkpoint, history.csv and TensorBoard's logs, all renewed after every epoch. A training that
was stopped, in whatever way, goes on from there: the same images in the same order, as if it had not been stopped. One that comes to
nothing is ended with an explanation, and what it left is kept as `failed model`.
"""
import contextlib
import dataclasses
import math
import pathlib
import shutil
import sys
import types
from collections.abc import Iterator
from typing import Any

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
import settings
import storage
from data import augmentation, familiarity, preloaded_dataset
from model_training import diagnosis, machine, progress
from model_training.budget import Budget, Schedule, peak_rate
from model_training.hyperparameters import Hyperparameters, from_settings
from networks import objectives, saved_model

# Whose predictions tell whether a network learns.
WATCHED_CASES = 2


def train_final_model(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model` from the train set, with the hyperparameters of config.py. Goes on where a former run was stopped.

    OtherTask where an unfinished training was begun with other settings or data; MissingResult where step 1 has not run; TrainingFailed
    where the network learns nothing.
    """
    options = settings.load(workspace.root)
    hyperparameters = from_settings(options.HYPERPARAMETERS)
    cases = preloaded_dataset.read_cases(workspace, "train")
    diagnosis.hint(hyperparameters, cases)
    history = train(workspace.train_set, cases, hyperparameters, options, workspace.unfinished_model, workspace.model)
    print(
        f"Model trained for {len(history)} epochs in {history['seconds'].sum() / 60:.1f} min, "
        f"Dice {history['dice'].iloc[-1]:.3f} on the images it was trained on."
    )


def train(
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    unfinished: pathlib.Path,
    target: pathlib.Path,
) -> pd.DataFrame:
    """Trains a network on `cases`, rows of cases.csv, writes it to the folder `target`, and returns its history.csv.

    Grows in the folder `unfinished`, and goes on where a former call was stopped. Errors as `train_final_model`.
    """
    machine.prepare(options)
    facts = _facts(hyperparameters, options, cases)
    storage.begin_or_go_on(unfinished, facts)
    network = compiled_network(hyperparameters, options)
    with _told_failures(unfinished):
        history = _fit(network, train_set, cases, hyperparameters, options, unfinished)
    with storage.replacing(target) as draft:
        known = {"known": _known(network, train_set, cases, options)}
        saved_model.write(draft, network, dataclasses.asdict(hyperparameters), facts | known, history)
        shutil.copytree(unfinished / "logs", draft / "logs")
    shutil.rmtree(unfinished)
    return history


def compiled_network(hyperparameters: Hyperparameters, options: types.SimpleNamespace) -> keras.Model:
    """The network that `hyperparameters` describe, ready to be trained, with first weights drawn from the SEED setting."""
    keras.utils.set_random_seed(options.SEED)
    keras.mixed_precision.set_global_policy(machine.precision(options.MIXED_PRECISION))
    values = hyperparameters
    network = networks.build(
        values.architecture, options.IMAGE_SIZE, values.filters, values.patch_px, values.clip_hu, options.ENCODER_WEIGHTS
    )
    # Keras' newer Adam spells its steps out for each variable: the first step takes 2 to 3 times as long to build, in every trial.
    optimizer = keras.optimizers.legacy.Adam(values.learning_rate)
    network.compile(optimizer, objectives.LOSSES[values.loss], [objectives.Dice()])
    keras.mixed_precision.set_global_policy("float32")  # What is built next, to predict with, is not to depend on what was trained before.
    return network


def training_batches(
    folder: pathlib.Path, cases: list[str], hyperparameters: Hyperparameters, options: types.SimpleNamespace, first_epoch: int = 0
) -> tf.data.Dataset:
    """An endless stream of augmented (images, masks), float32 and uint8 (TRAINING_BATCH_SIZE, size, size, 1), from an epoch's first batch on."""
    values, start = hyperparameters, first_epoch * steps_per_epoch(cases, options) * options.TRAINING_BATCH_SIZE
    samples = preloaded_dataset.endless_pairs(folder, cases, options.IMAGE_SIZE, options.SEED, start)
    changes = (values.horizontal_flip, values.rotation_degrees, values.scale, values.gamma, values.gaussian_noise)
    versions = samples.map(
        lambda *sample: augmentation.augment(*sample, *changes, values.clip_hu, values.augmentation_probability),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return versions.batch(options.TRAINING_BATCH_SIZE, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(cases: list[str], options: types.SimpleNamespace) -> int:
    """How many batches show every case once. All batches are full: the last of an epoch borrows from the next."""
    return math.ceil(len(cases) / options.TRAINING_BATCH_SIZE)


def callbacks(
    network: keras.Model,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    budget: Budget,
) -> list[keras.callbacks.Callback]:
    """What every training needs: the learning rate's schedule, a look at whether it learns, and what the terminal shows."""
    heading = (
        f"Training {network.name}, {network.count_params() / 1e6:.1f} million parameters, on {len(cases)} cases, {machine.name()} "
        f"in {machine.precision(options.MIXED_PRECISION)}"
    )
    watched = cases.nlargest(WATCHED_CASES, "mask_px")
    return [
        Schedule(budget, peak_rate(hyperparameters.learning_rate, options.TRAINING_BATCH_SIZE)),
        diagnosis.Watch(_shown(train_set, watched, options), hyperparameters, budget),
        progress.Display(budget, options.TRAINING_BATCH_SIZE, heading),
    ]


def _facts(hyperparameters: Hyperparameters, options: types.SimpleNamespace, cases: pd.DataFrame) -> dict[str, Any]:
    # What must be the same for a stopped training to go on.
    return {
        "image_size": options.IMAGE_SIZE,
        "seed": options.SEED,
        "batch_size": options.TRAINING_BATCH_SIZE,
        "precision": machine.precision(options.MIXED_PRECISION),
        "encoder_weights": options.ENCODER_WEIGHTS if hyperparameters.architecture == "deeplabv3_plus" else None,
        "hyperparameters": dataclasses.asdict(hyperparameters),
        "image_sha256": cases["image_sha256"].tolist(),
        "mask_sha256": cases["mask_sha256"].tolist(),
    }


@contextlib.contextmanager
def _told_failures(unfinished: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except diagnosis.TrainingFailed:
        # Out of the way of the next try, which will have other settings.
        failed = unfinished.with_name(unfinished.name.replace("unfinished", "failed"))
        shutil.rmtree(failed, ignore_errors=True)
        unfinished.rename(failed)
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise storage.PlainError(machine.OUT_OF_MEMORY) from error


def _fit(
    network: keras.Model,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    folder: pathlib.Path,
) -> pd.DataFrame:
    names = cases["case"].tolist()
    diary = progress.Diary(folder, network)
    steps = steps_per_epoch(names, options)
    budget = Budget(steps, options.TRAINING_EPOCHS, options.TRAINING_TIME_LIMIT_MINUTES, diary.epochs_done, diary.history["seconds"].sum())
    if diary.epochs_done:
        print(f"Going on after epoch {diary.epochs_done}" + (f" of {budget.epochs}." if budget.epochs else "."))
    if budget.share < 1:
        logs = folder / "logs"
        network.fit(
            training_batches(train_set, names, hyperparameters, options, diary.epochs_done),
            steps_per_epoch=steps,
            initial_epoch=diary.epochs_done,
            epochs=budget.epochs or sys.maxsize,
            callbacks=[
                *callbacks(network, train_set, cases, hyperparameters, options, budget),
                progress.Panel(logs, _shown(train_set, cases.head(progress.PANEL_CASES), options), budget),
                progress.tensorboard(logs),
                diary,  # The last: an epoch it has noted has been logged.
            ],
            verbose=0,
        )
    return diary.history


def _shown(train_set: pathlib.Path, cases: pd.DataFrame, options: types.SimpleNamespace) -> tuple[tf.Tensor, tf.Tensor]:
    return next(iter(preloaded_dataset.pairs(train_set, cases["case"].tolist(), options.IMAGE_SIZE).batch(len(cases))))


def _known(network: keras.Model, train_set: pathlib.Path, cases: pd.DataFrame, options: types.SimpleNamespace) -> dict[str, Any]:
    scale = network.get_layer("scale_intensity")
    images = preloaded_dataset.images(train_set, cases["case"].tolist(), options.IMAGE_SIZE)
    return familiarity.describe((scale(image[None]).numpy() for image in images), cases["mask_px"] / options.IMAGE_SIZE**2)
