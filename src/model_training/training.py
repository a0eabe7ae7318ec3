"""Trains one network: resumes, fits, checks and writes the model.

Used by step 3 and by the steps that train more models.

During the training, the unfinished folder has a checkpoint, history.csv and TensorBoard logs, updated after every
epoch. A stopped training resumes there: the same images in the same order. A failed one is kept beside it.
"""

import contextlib
import dataclasses
import functools
import pathlib
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import provenance
import resumable
import settings
import storage
from data import out_of_distribution, pipeline, preloaded_dataset
from masks import cleaning
from model_training import budget, checkpoint, diagnosis, distribution, fingerprint, fitting, hardware, starting_model
from networks import saved_model
from provenance import Training
from settings import Settings
from settings.hyperparameters import Hyperparameters


def train(
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: Settings,
    unfinished: pathlib.Path,
    target: pathlib.Path,
    validation: Sequence[str] = (),
    callbacks: Callable[[pathlib.Path], list[keras.callbacks.Callback]] = lambda logs: [],
    add_files: Callable[[pathlib.Path, Training, pd.DataFrame], None] = lambda folder, training, history: None,
) -> pd.DataFrame:
    """Trains a network on `cases`, rows of cases.csv, writes it to the folder `target` and returns its history.csv.

    The training grows in the folder `unfinished` and resumes there after an interruption. `validation` names cases of
    the same set that score each epoch (columns val_dice, val_loss). `callbacks` returns further Keras callbacks, given
    the folder of the logs. `add_files` writes further files into the folder before it becomes `target`. Errors as
    `train_final_model`; OutOfMemory; InUse if another program works in `unfinished`.
    """
    hardware.prepare(options)
    distribution.check(options.TRAINING_BATCH_SIZE, options.TRAINING_TIME_LIMIT_MINUTES)
    # Read now: at the end of this training the starting model may be the one that it replaces.
    start = starting_model.read(options)
    with (
        resumable.exclusive_lock(unfinished, distribution.is_chief()),
        _keep_failed_training(unfinished, _failed(unfinished, target)),
        distribution.chief_or_scratch_folder(unfinished) as folder,
    ):
        if distribution.is_chief():
            storage.check_replaceable(target)
            _remove_finished(unfinished, target, options)
        facts = functools.partial(_facts, hyperparameters, cases=cases, start=start)
        options = distribution.chief_first(lambda: _start_or_resume(unfinished, options, facts))
        network = fitting.compiled_network(hyperparameters, cases, options)
        saved = checkpoint.TrainingCheckpoint(folder, network, unfinished, options.TRAINING_BATCH_SIZE)
        fitting.fit(network, train_set, cases, hyperparameters, options, saved, validation, callbacks(folder / "logs"))
        _check_finite(network, saved.history, hyperparameters)
        training = _record(network, saved.history, train_set, cases, hyperparameters, options, start)
        with _target_draft(target) as draft:
            saved_model.write(draft, network, training, saved.history)
            if distribution.is_chief():
                shutil.copytree(folder / "logs", draft / "logs")
                add_files(draft, training, saved.history)
        if distribution.is_chief():
            storage.remove(unfinished)
    return saved.history


def _target_draft(target: pathlib.Path) -> contextlib.AbstractContextManager[pathlib.Path]:
    if distribution.is_chief():
        return storage.atomic_folder(target, storage.MODEL_WAIT_SECONDS)
    return distribution.chief_or_scratch_folder(target)


def _failed(unfinished: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """The folder for a failed training: "failed model" beside "unfinished model"."""
    kind, _, rest = unfinished.name.partition(" ")
    # The target of a symbolic link may have any name.
    place, name = (unfinished, rest) if kind == "unfinished" else (target, target.name)
    return storage.follow(place.with_name(f"failed {name}"))


def _with_former_precision(options: Settings, unfinished: pathlib.Path) -> Settings:
    """The `options` with the precision of the unfinished training if MIXED_PRECISION is None.

    ResumeMismatch if this machine does not train in that precision.
    """
    if not (unfinished / "facts.json").exists():
        return options
    fix = f"Move or delete the folder '{unfinished.name}' to start again."
    precision = storage.read_json(unfinished / "facts.json", fix, ["precision"])["precision"]
    return _in_precision(options, unfinished, precision)


def _in_precision(options: Settings, unfinished: pathlib.Path, precision: str | None) -> Settings:
    setting = next((mixed for mixed in (False, True) if hardware.precision(mixed) == precision), None)
    if setting is None:
        raise resumable.ResumeMismatch(_other_hardware(unfinished, precision))
    if options.MIXED_PRECISION is not None or precision == hardware.precision(None):
        return options
    print(f"Resuming in {precision}, the precision in which this training was started.")
    return dataclasses.replace(options, MIXED_PRECISION=setting)


def _other_hardware(unfinished: pathlib.Path, precision: str | None) -> str:
    fix = "Hide the GPU with the environment variable CUDA_VISIBLE_DEVICES=-1"
    if precision == "mixed_float16":
        fix = "Resume it on a machine with a GPU"
    return (
        f"'{unfinished.name}' ({unfinished}) was started in {precision}, which is not supported {hardware.name()}. "
        f"{fix}, or move or delete the folder to start again."
    )


def _remove_finished(unfinished: pathlib.Path, target: pathlib.Path, options: Settings) -> None:
    if starting_model.was_finished(unfinished, target, options):
        storage.remove(unfinished)


def _start_or_resume(
    unfinished: pathlib.Path, options: Settings, facts: Callable[[Settings], dict[str, Any]]
) -> Settings:
    """Starts or resumes a training with the `facts` of given options; returns the options in its precision."""
    if not distribution.is_chief():
        options = _in_precision(options, unfinished, resumable.read_facts(unfinished).get("precision"))
        resumable.join(unfinished, facts(options))
        return options
    # Without a finished epoch there is nothing to resume, and nothing to lose.
    if (unfinished / checkpoint.HISTORY).exists():
        options = _with_former_precision(options, unfinished)
    else:
        storage.remove(unfinished)
    resumable.start_or_resume(unfinished, facts(options))
    return options


def _facts(
    hyperparameters: Hyperparameters, options: Settings, cases: pd.DataFrame, start: starting_model.Start | None
) -> dict[str, Any]:
    """What must not change for a training to be resumed."""
    facts = {settings.fact_name(name): value for name, value in options.fixed(settings.TRAINING).items()}
    # Trainings of earlier versions lack it.
    del facts["start_from"]
    if start:
        facts["start_from"] = start.record.id
    return facts | {
        "precision": hardware.precision(options.MIXED_PRECISION),
        "encoder_weights": _encoder(hyperparameters, options),
        "hyperparameters": dataclasses.asdict(hyperparameters),
        "packages": provenance.installed_packages(),
        "image_sha256": cases["image_sha256"].tolist(),
        "mask_sha256": cases["mask_sha256"].tolist(),
    }


def _check_finite(network: keras.Model, history: pd.DataFrame, hyperparameters: Hyperparameters) -> None:
    # Every worker reads every weight in the same order: some are averages over all workers.
    finite = [np.isfinite(weight.numpy()).all() for weight in network.weights]
    if not all(finite) or not np.isfinite(history["loss"].iloc[-1]):
        lower = f'"learning_rate": {max(diagnosis.LOWEST_ADVISED_RATE, hyperparameters.learning_rate / 5):.3g}'
        raise diagnosis.TrainingFailed(
            "The training ended, but some weights or the last epoch's loss are NaN or infinite: no model was written.\n"
            f"Set HYPERPARAMETERS = {{{lower}}} or MIXED_PRECISION = False in config.py, then train again."
        )


@contextlib.contextmanager
def _keep_failed_training(unfinished: pathlib.Path, failed: pathlib.Path) -> Iterator[None]:
    try:
        with distribution.report_lost_workers():
            yield
    except diagnosis.TrainingFailed:
        # Moved away, because the next training will have other settings.
        if distribution.is_chief():
            storage.remove(failed)
            storage.move(unfinished, failed)
        raise
    except (tf.errors.ResourceExhaustedError, OSError) as error:
        # TensorFlow raises the same error for a full memory and a full disk.
        if storage.is_disk_full(error):
            raise storage.DiskFull from error
        if isinstance(error, OSError):
            raise
        raise hardware.OutOfMemory from error


def _record(
    network: keras.Model,
    history: pd.DataFrame,
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: Settings,
    start: starting_model.Start | None,
) -> Training:
    images = pipeline.images(train_set, cases["case"].tolist(), options.IMAGE_SIZE)
    scale = network.get_layer("scale_intensity")
    statistics = out_of_distribution.train_set_statistics(
        (scale(image[None]).numpy() for image in images), cases["mask_px"] / options.IMAGE_SIZE**2
    )
    masks = (preloaded_dataset.read(train_set / "masks", case) for case in cases["case"])
    return Training(
        images=len(cases),
        image_size=options.IMAGE_SIZE,
        batch_size=options.TRAINING_BATCH_SIZE,
        epochs=len(history),
        minutes=round(float(history["seconds"].sum()) / 60, 1),
        peak_learning_rate=budget.peak_rate(hyperparameters.learning_rate, options.TRAINING_BATCH_SIZE),
        precision=hardware.precision(options.MIXED_PRECISION),
        encoder_weights=_encoder(hyperparameters, options),
        start=start.record if start else None,
        seed=options.SEED,
        python=platform.python_version(),
        tensorflow=tf.__version__,
        hyperparameters=hyperparameters,
        chosen_defaults=fingerprint.lines(cases, hyperparameters),
        packages=provenance.installed_packages(),
        image_sha256=cases["image_sha256"].tolist(),
        earlier_image_sha256=start.seen_image_sha256 if start else [],
        mask_sha256=cases["mask_sha256"].tolist(),
        train_set_statistics=statistics,
        cleaning_is_harmless=cleaning.is_harmless(masks),
    )


def _encoder(hyperparameters: Hyperparameters, options: Settings) -> str | None:
    has_encoder = hyperparameters.architecture == "deeplabv3_plus" and options.START_FROM is None
    return fitting.encoder_name(options) if has_encoder else None
