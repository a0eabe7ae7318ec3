"""The parts of every training: the compiled network, the batches, the callbacks, and Keras' fit."""

import math
import pathlib
import sys
from collections.abc import Sequence

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
from data import augmentation, pipeline
from model_training import diagnosis, display, distribution, hardware, starting_model, tensorboard_logs
from model_training.budget import Budget, CosineSchedule, peak_rate
from model_training.checkpoint import TrainingCheckpoint
from model_training.fingerprint import SMALL_TARGET_LOSS, Fingerprint
from networks import objectives
from settings import Settings
from settings.hyperparameters import Hyperparameters

# Cases whose predictions the collapse monitor checks.
MONITORED_CASES = 2


def compiled_network(hyperparameters: Hyperparameters, cases: pd.DataFrame, options: Settings) -> keras.Model:
    """The compiled network for `cases`, rows of cases.csv.

    Its initial weights are those of START_FROM or, without it, depend on the setting SEED.
    """
    keras.utils.set_random_seed(options.SEED)
    keras.mixed_precision.set_global_policy(hardware.precision(options.MIXED_PRECISION))
    values = hyperparameters
    with distribution.strategy().scope():
        network = networks.build(
            values.architecture,
            options.IMAGE_SIZE,
            values.filters,
            values.stem_patch_px,
            values.clip_hu,
            options.ENCODER_WEIGHTS if options.START_FROM is None else None,
        )
        if options.START_FROM is None:
            networks.set_prior(network, cases["mask_px"].mean() / options.IMAGE_SIZE**2)
        else:
            starting_model.load(network, options)
        # Keras' newer Adam has an operation per variable: building the first step takes 2 to 3 times as long per trial.
        optimizer = keras.optimizers.legacy.Adam(values.learning_rate)
        _create_variables(optimizer, network)
        network.compile(optimizer, objectives.LOSSES[values.loss], [objectives.Dice()])
    # Networks that are built later, for predictions, must not depend on this training's precision.
    keras.mixed_precision.set_global_policy("float32")
    return network


def _create_variables(optimizer: keras.optimizers.legacy.Adam, network: keras.Model) -> None:
    # Creating them in the first step would build that step twice, which takes seconds.
    tf.convert_to_tensor(optimizer.iterations)
    tf.convert_to_tensor(optimizer.learning_rate)
    for moment in ("m", "v"):
        for variable in network.trainable_variables:
            optimizer.add_slot(variable, moment)


def encoder_name(options: Settings) -> str | None:
    """The setting ENCODER_WEIGHTS without its folder: a moved project can resume its work."""
    return options.ENCODER_WEIGHTS and pathlib.Path(options.ENCODER_WEIGHTS).name


def training_batches(
    folder: pathlib.Path | str,
    cases: list[str],
    hyperparameters: Hyperparameters,
    options: Settings,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """An endless stream of augmented (images, masks), float32 and uint8 (batch, size, size, 1), from `first_epoch` on.

    The batches of all workers together have TRAINING_BATCH_SIZE images: the same as for a single worker.
    """
    values, batch_size = hyperparameters, options.TRAINING_BATCH_SIZE
    start = first_epoch * steps_per_epoch(cases, options) * batch_size
    ranges = augmentation.Augmentation(
        values.horizontal_flip,
        values.rotation_degrees,
        values.max_log_scale,
        values.gamma,
        values.noise_sd,
        values.clip_hu,
        values.augmentation_probability,
    )

    def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        part = (context.input_pipeline_id, context.num_input_pipelines, batch_size)
        samples = pipeline.endless_pairs(folder, cases, options.IMAGE_SIZE, options.SEED, start, part)
        versions = samples.map(
            lambda *sample: augmentation.augment(*sample, ranges), num_parallel_calls=tf.data.AUTOTUNE
        )
        batches = versions.batch(context.get_per_replica_batch_size(batch_size), drop_remainder=True)
        return batches.prefetch(tf.data.AUTOTUNE)

    return distribution.strategy().distribute_datasets_from_function(worker_batches)


def steps_per_epoch(cases: list[str], options: Settings) -> int:
    """Batches per epoch. All batches are full: the last batch of an epoch borrows images from the next epoch."""
    return math.ceil(len(cases) / options.TRAINING_BATCH_SIZE)


def callbacks(
    network: keras.Model,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: Settings,
    budget: Budget,
    is_trial: bool = False,
) -> list[keras.callbacks.Callback]:
    """The callbacks of every training: learning-rate schedule, collapse monitor, progress in the terminal."""
    heading = (
        f"Training {network.name}, {network.count_params() / 1e6:.2g} million parameters, on {len(cases)} cases, "
        f"{hardware.name()} in {hardware.precision(options.MIXED_PRECISION)}"
    )
    monitored = cases.nlargest(MONITORED_CASES, "mask_px")["case"].tolist()
    return [
        CosineSchedule(budget, peak_rate(hyperparameters.learning_rate, options.TRAINING_BATCH_SIZE)),
        diagnosis.CollapseMonitor(
            _examples(train_set, monitored, options),
            hyperparameters,
            budget,
            is_trial,
            hyperparameters.loss == SMALL_TARGET_LOSS or Fingerprint.of(cases).is_small,
        ),
        display.Display(budget, options.TRAINING_BATCH_SIZE, heading),
    ]


def fit(
    network: keras.Model,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: Settings,
    checkpoint: TrainingCheckpoint,
    validation: Sequence[str] = (),
    additional: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains a compiled network on `cases`, rows of cases.csv, from the restored `checkpoint` to the end of the budget.

    `validation` names cases of the same set that also score each epoch. `additional` are further callbacks.
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
        print(f"Resuming after epoch {checkpoint.epochs_done}" + (f"/{budget.epochs}." if budget.epochs else "."))
    if budget.fraction_done >= 1:
        return
    logs = checkpoint.folder / "logs"
    title, shown = "train cases", tensorboard_logs.panel_cases(cases)
    if validation:
        title, shown = "validation cases", list(validation[: tensorboard_logs.PANEL_CASES])
    folder = options.TRAIN_SET_LOCATION or train_set
    network.fit(
        training_batches(folder, names, hyperparameters, options, checkpoint.epochs_done),
        steps_per_epoch=steps,
        validation_data=_batches(train_set, validation, options) if validation else None,
        initial_epoch=checkpoint.epochs_done,
        epochs=budget.epochs or sys.maxsize,
        callbacks=[
            # Only trials of a search have validation cases.
            *callbacks(network, train_set, cases, hyperparameters, options, budget, is_trial=bool(validation)),
            tensorboard_logs.PredictionPanel(logs, title, _examples(train_set, shown, options), budget),
            tensorboard_logs.tensorboard(logs),
            *additional,
            checkpoint,  # After the logs: a finished epoch is always in the logs.
            # Work between epochs takes time, too.
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: _stop_at_the_end(network, budget)),
        ],
        verbose=0,
    )


def _stop_at_the_end(network: keras.Model, budget: Budget) -> None:
    network.stop_training = network.stop_training or budget.fraction_done >= 1


def _batches(train_set: pathlib.Path, cases: Sequence[str], options: Settings) -> tf.data.Dataset:
    return pipeline.pairs(train_set, cases, options.IMAGE_SIZE).batch(options.TRAINING_BATCH_SIZE)


def _examples(train_set: pathlib.Path, cases: Sequence[str], options: Settings) -> tuple[tf.Tensor, tf.Tensor]:
    return next(iter(pipeline.pairs(train_set, cases, options.IMAGE_SIZE).batch(len(cases))))
