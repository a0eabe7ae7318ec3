"""Step 3: trains the final model on the whole train set. Steps that train other models do so with the same pieces.

While it trains, `unfinished model` holds a checkpoint, history.csv and TensorBoard's logs, all renewed after every epoch. A training that
was stopped, in whatever way, goes on from there: the same images in the same order, as if it had not been stopped. One that comes to
nothing is ended with an explanation, and what it left is kept as `failed model`.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import resumable
import settings
import storage
from data import out_of_distribution, pipeline, preloaded_dataset
from masks import cleaning
from model_training import budget, diagnosis, distribution, fitting, hardware, progress
from model_training.hyperparameters import Hyperparameters, from_settings
from networks import saved_model


def train_final_model(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model` from the train set, with the hyperparameters of config.py. Goes on where a former run was stopped.

    ResumeMismatch where an unfinished training was begun with other settings or data; DamagedFile where it is damaged; MissingResult
    where step 1 has not run; TrainingFailed where the network learns nothing, or ends with weights that are not finite.
    """
    options = settings.load(workspace.root)
    hyperparameters = from_settings(options.HYPERPARAMETERS)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
        diagnosis.warn_about_intensities(hyperparameters, cases)
        history = train(
            workspace.train_set, cases, hyperparameters, options, workspace.unfinished_model, workspace.model
        )
    # The time's end may come within an epoch: its few images tell little.
    whole = history[history["images"] == history["images"].max()]
    print(
        f"Model trained for {len(history)} epochs in {history['seconds'].sum() / 60:.1f} min, "
        f"Dice {whole['dice'].iloc[-1]:.3f} on the images it was trained on{_empty_masks(cases)}."
    )


def _empty_masks(cases: pd.DataFrame) -> str:
    empty = int((cases["mask_px"] == 0).sum())
    return f" ({empty} of {len(cases)} reference masks are empty and not counted)" if empty else ""


def train(
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    hyperparameters: Hyperparameters,
    options: types.SimpleNamespace,
    unfinished: pathlib.Path,
    target: pathlib.Path,
    validation: Sequence[str] = (),
    callbacks: Callable[[pathlib.Path], list[keras.callbacks.Callback]] = lambda logs: [],
) -> pd.DataFrame:
    """Trains a network on `cases`, rows of cases.csv, writes it to the folder `target`, and returns its history.csv.

    Grows in the folder `unfinished`, and goes on where a former call was stopped. `validation` names cases of the same set that score each
    epoch (columns val_dice, val_loss); `callbacks` gives what is added to Keras' training, told the folder of the logs. Errors as
    `train_final_model`; OutOfMemory where the settings ask for more than there is; UserError where another program is at work in `unfinished`.
    """
    hardware.prepare(options)
    distribution.check(options.TRAINING_BATCH_SIZE, options.TRAINING_TIME_LIMIT_MINUTES)
    keep_failed = _keep_failed_training(unfinished, _failed(unfinished, target))
    with (
        resumable.exclusive_lock(unfinished, distribution.is_chief()),
        keep_failed,
        distribution.chief_or_scratch_folder(unfinished) as folder,
    ):
        if distribution.is_chief():
            storage.check_replaceable(target)
        options, facts = distribution.chief_first(lambda: _begin(unfinished, hyperparameters, options, cases))
        network = fitting.compiled_network(hyperparameters, cases, options)
        checkpoint = progress.TrainingCheckpoint(folder, network, unfinished, options.TRAINING_BATCH_SIZE)
        fitting.fit(
            network, train_set, cases, hyperparameters, options, checkpoint, validation, callbacks(folder / "logs")
        )
        _check_finite(network, checkpoint.history, hyperparameters)
        with (
            storage.atomic_folder(target, _WAIT_SECONDS)
            if distribution.is_chief()
            else distribution.chief_or_scratch_folder(target) as draft
        ):
            more = {
                "epochs": len(checkpoint.history),
                "minutes": round(float(checkpoint.history["seconds"].sum()) / 60, 1),
            }
            more["peak_learning_rate"] = budget.peak_rate(hyperparameters.learning_rate, options.TRAINING_BATCH_SIZE)
            more["known"] = _known(network, train_set, cases, options)
            saved_model.write(draft, network, dataclasses.asdict(hyperparameters), facts | more, checkpoint.history)
            if distribution.is_chief():
                shutil.copytree(folder / "logs", draft / "logs")
        if distribution.is_chief():
            storage.remove(unfinished)
    return checkpoint.history


# A step that reads the former model may hold it for a moment; the training is not to be lost for that.
_WAIT_SECONDS = 60.0


def _failed(unfinished: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Where a failed training is kept: "unfinished model" becomes "failed model", beside it."""
    kind, _, rest = unfinished.name.partition(" ")
    # Where a symbolic link led here, the name may be any.
    place, name = (unfinished, rest) if kind == "unfinished" else (target, target.name)
    return storage.follow(place.with_name(f"failed {name}"))


def _with_former_precision(options: types.SimpleNamespace, unfinished: pathlib.Path) -> types.SimpleNamespace:
    """The `options` with the MIXED_PRECISION that an unfinished training was started with, where config.py sets None.

    ResumeMismatch where this machine does not train in that precision.
    """
    if not (unfinished / "facts.json").exists():
        return options
    fix = f"Move or delete the folder '{unfinished.name}' to begin again."
    former = storage.read_json(unfinished / "facts.json", fix, ["precision"])["precision"]
    return _in_precision(options, unfinished, former)


def _in_precision(options: types.SimpleNamespace, unfinished: pathlib.Path, former: str) -> types.SimpleNamespace:
    setting = next((mixed for mixed in (False, True) if hardware.precision(mixed) == former), None)
    if setting is None:
        raise resumable.ResumeMismatch(_other_hardware(unfinished, former))
    if options.MIXED_PRECISION is not None or former == hardware.precision(None):
        return options
    print(f"Resuming in {former}, the precision in which this training was started.")
    return types.SimpleNamespace(**vars(options) | {"MIXED_PRECISION": setting})


def _other_hardware(unfinished: pathlib.Path, precision: str) -> str:
    fix = "Hide the GPU with the environment variable CUDA_VISIBLE_DEVICES=-1"
    if precision == "mixed_float16":
        fix = "Resume it on a machine with a GPU"
    return (
        f"'{unfinished.name}' ({unfinished}) was started in {precision}, which is not supported {hardware.name()}. "
        f"{fix}, or move or delete the folder to begin again."
    )


def _begin(
    unfinished: pathlib.Path, hyperparameters: Hyperparameters, options: types.SimpleNamespace, cases: pd.DataFrame
) -> tuple[types.SimpleNamespace, dict[str, Any]]:
    """Begins or resumes a training; returns the options in its precision, and its facts."""
    if not distribution.is_chief():
        options = _in_precision(options, unfinished, resumable.read_begun(unfinished).get("precision"))
        facts = _facts(hyperparameters, options, cases)
        resumable.join(unfinished, facts)
        return options, facts
    # Without a finished epoch there is nothing to resume, and nothing to lose.
    if (unfinished / progress.HISTORY).exists():
        options = _with_former_precision(options, unfinished)
    else:
        storage.remove(unfinished)
    facts = _facts(hyperparameters, options, cases)
    resumable.start_or_resume(unfinished, facts)
    return options, facts


def _facts(hyperparameters: Hyperparameters, options: types.SimpleNamespace, cases: pd.DataFrame) -> dict[str, Any]:
    # What must be the same for a stopped training to go on.
    return {
        "image_size": options.IMAGE_SIZE,
        "seed": options.SEED,
        "batch_size": options.TRAINING_BATCH_SIZE,
        "precision": hardware.precision(options.MIXED_PRECISION),
        "encoder_weights": fitting.encoder_name(options) if hyperparameters.architecture == "deeplabv3_plus" else None,
        "hyperparameters": dataclasses.asdict(hyperparameters),
        "image_sha256": cases["image_sha256"].tolist(),
        "mask_sha256": cases["mask_sha256"].tolist(),
    }


def _check_finite(network: keras.Model, history: pd.DataFrame, hyperparameters: Hyperparameters) -> None:
    # Every worker reads every weight, in the same order: some are averages over all workers.
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
        # Out of the way of the next try, which will have other settings.
        if distribution.is_chief():
            storage.remove(failed)
            storage.move(unfinished, failed)
        raise
    except (tf.errors.ResourceExhaustedError, OSError) as error:
        # TensorFlow has one name for a full memory and a full disk.
        if storage.is_disk_full(error):
            raise storage.DiskFull from error
        if isinstance(error, OSError):
            raise
        raise hardware.OutOfMemory from error


def _known(
    network: keras.Model, train_set: pathlib.Path, cases: pd.DataFrame, options: types.SimpleNamespace
) -> dict[str, Any]:
    scale = network.get_layer("scale_intensity")
    images = pipeline.images(train_set, cases["case"].tolist(), options.IMAGE_SIZE)
    described = out_of_distribution.train_set_statistics(
        (scale(image[None]).numpy() for image in images), cases["mask_px"] / options.IMAGE_SIZE**2
    )
    masks = (preloaded_dataset.read(train_set / "masks", case) for case in cases["case"])
    return described | {"cleaning_is_harmless": cleaning.is_harmless(masks)}
