"""How a network is trained: what it is, what it sees, who watches, and the training itself. Every step that trains does it with these."""

import math
import pathlib
import sys
import types
from collections.abc import Sequence

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
from data import augmentation, pipeline
from model_training import diagnosis, distribution, hardware, progress
from model_training.budget import Budget, CosineSchedule, peak_rate
from model_training.hyperparameters import Hyperparameters
from networks import objectives

# Whose predictions tell whether a network learns.
WATCHED_CASES = 2


def compiled_network(
    hyperparameters: Hyperparameters, cases: pd.DataFrame, options: types.SimpleNamespace
) -> keras.Model:
    """The network that `hyperparameters` describe, ready to be trained on `cases`, rows of cases.csv, with first weights drawn from the SEED setting."""
    keras.utils.set_random_seed(options.SEED)
    keras.mixed_precision.set_global_policy(hardware.precision(options.MIXED_PRECISION))
    values = hyperparameters
    with distribution.strategy().scope():
        network = networks.build(
            values.architecture,
            options.IMAGE_SIZE,
            values.filters,
            values.patch_px,
            values.clip_hu,
            options.ENCODER_WEIGHTS,
        )
        networks.set_prior(network, cases["mask_px"].mean() / options.IMAGE_SIZE**2)
        # Keras' newer Adam spells its steps out for each variable: the first step takes 2 to 3 times as long to build, in every trial.
        optimizer = keras.optimizers.legacy.Adam(values.learning_rate)
        # Its variables, were they made in the first step, would have that step built twice: seconds again.
        optimizer._create_all_weights(network.trainable_variables)
        network.compile(optimizer, objectives.LOSSES[values.loss], [objectives.Dice()])
    keras.mixed_precision.set_global_policy(
        "float32"
    )  # What is built next, to predict with, is not to depend on what was trained before.
    return network


def encoder_name(options: types.SimpleNamespace) -> str | None:
    """Which encoder weights the settings ask for, by the file's name alone: where the project's folder lies is no matter."""
    return options.ENCODER_WEIGHTS and pathlib.Path(options.ENCODER_WEIGHTS).name


def training_batches(
    folder: pathlib.Path | str,
    cases: list[str],
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """An endless stream of augmented (images, masks), float32 and uint8 (batch, size, size, 1), from an epoch's first batch on.

    All workers' batches together are TRAINING_BATCH_SIZE large, and hold the images that a single worker's would.
    """
    values, start = hyperparameters, first_epoch * steps_per_epoch(cases, options) * options.TRAINING_BATCH_SIZE
    ranges = augmentation.Augmentation(
        values.horizontal_flip,
        values.rotation_degrees,
        values.scale,
        values.gamma,
        values.gaussian_noise,
        values.clip_hu,
        values.augmentation_probability,
    )

    def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
        part = (context.input_pipeline_id, context.num_input_pipelines, options.TRAINING_BATCH_SIZE)
        samples = pipeline.endless_pairs(folder, cases, options.IMAGE_SIZE, options.SEED, start, part)
        versions = samples.map(
            lambda *sample: augmentation.augment(*sample, ranges), num_parallel_calls=tf.data.AUTOTUNE
        )
        return versions.batch(
            context.get_per_replica_batch_size(options.TRAINING_BATCH_SIZE), drop_remainder=True
        ).prefetch(tf.data.AUTOTUNE)

    return distribution.strategy().distribute_datasets_from_function(share)


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
    is_trial: bool = False,
) -> list[keras.callbacks.Callback]:
    """What every training needs: the learning rate's schedule, a look at whether it learns, and what the terminal shows."""
    heading = (
        f"Training {network.name}, {network.count_params() / 1e6:.2g} million parameters, on {len(cases)} cases, {hardware.name()} "
        f"in {hardware.precision(options.MIXED_PRECISION)}"
    )
    watched = cases.nlargest(WATCHED_CASES, "mask_px")["case"].tolist()
    return [
        CosineSchedule(budget, peak_rate(hyperparameters.learning_rate, options.TRAINING_BATCH_SIZE)),
        diagnosis.CollapseMonitor(_shown(train_set, watched, options), hyperparameters, budget, is_trial),
        progress.Display(budget, options.TRAINING_BATCH_SIZE, heading),
    ]


def fit(
    network: keras.Model,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    checkpoint: progress.TrainingCheckpoint,
    validation: Sequence[str] = (),
    more: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains a compiled network on `cases`, rows of cases.csv, from where the `checkpoint` ends to the end of the budget.

    Each epoch is scored on the cases named in `validation`, of the same set, too. `more` are further callbacks.
    """
    names = cases["case"].tolist()
    steps = steps_per_epoch(names, options)
    budget = Budget(
        steps,
        options.TRAINING_EPOCHS,
        options.TRAINING_TIME_LIMIT_MINUTES,
        checkpoint.epochs_done,
        checkpoint.history["seconds"].sum(),
    )
    if checkpoint.epochs_done:
        print(f"Going on after epoch {checkpoint.epochs_done}" + (f" of {budget.epochs}." if budget.epochs else "."))
    if budget.fraction_done >= 1:
        return
    logs = checkpoint.folder / "logs"
    kind, shown = ("validation cases", validation) if validation else ("train cases", names)
    network.fit(
        training_batches(
            options.TRAIN_SET_LOCATION or train_set, names, hyperparameters, options, checkpoint.epochs_done
        ),
        steps_per_epoch=steps,
        validation_data=pipeline.pairs(train_set, validation, options.IMAGE_SIZE).batch(options.TRAINING_BATCH_SIZE)
        if validation
        else None,
        initial_epoch=checkpoint.epochs_done,
        epochs=budget.epochs or sys.maxsize,
        callbacks=[
            # Trials alone have validation cases.
            *callbacks(network, train_set, cases, hyperparameters, options, budget, is_trial=bool(validation)),
            progress.Panel(logs, kind, _shown(train_set, shown[: progress.PANEL_CASES], options), budget),
            progress.tensorboard(logs),
            *more,
            checkpoint,  # An epoch it has noted has been logged.
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: _end(network, budget)
            ),  # What was done between epochs took time, too.
        ],
        verbose=0,
    )


def _end(network: keras.Model, budget: Budget) -> None:
    network.stop_training = network.stop_training or budget.fraction_done >= 1


def _shown(
    train_set: pathlib.Path, cases: Sequence[str], options: types.SimpleNamespace
) -> tuple[tf.Tensor, tf.Tensor]:
    return next(iter(pipeline.pairs(train_set, cases, options.IMAGE_SIZE).batch(len(cases))))
