"""A trained network on disk: its weights and the values to build it again. No code, no pickle.

    model/
      weights.weights.h5      the weights (see `weights_file`)
      hyperparameters.json    see `settings.hyperparameters`
      training.json           see `provenance.Training`; and the versions of project and format
      history.csv             a row per epoch: loss, Dice, learning rate, images, seconds
      calibration.json        of the predicted Dice, if step 7 has calibrated it (see `masks.calibration`)
      history.png, .pdf       a chart of it (see `masks.training_chart`), in the final model's folder
      README.md               the final model's card (see `model_card`)
      logs/                   for TensorBoard

A model folder may come from someone else or be edited by hand: all values are validated.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
from tensorflow import keras

import about
import networks
import provenance
import storage
from masks.calibration import Calibration
from networks import weights_file
from provenance import Training
from settings import hyperparameters, rules
from settings.hyperparameters import Hyperparameters

# The version of the model folder. Raise it when older versions of this program can't read what this one writes.
FORMAT = 1
_FORMATS = rules.whole(1, 2**31)

_WEIGHTS, _HYPERPARAMETERS, _TRAINING = "weights.weights.h5", "hyperparameters.json", provenance.TRAINING_FILE
CALIBRATION = "calibration.json"

# The hyperparameters that determine a network and its input.
BUILT_OF = ("architecture", "filters", "stem_patch_px", "clip_hu")


def write(folder: pathlib.Path, network: keras.Model, training: Training, history: pd.DataFrame) -> None:
    """Writes a network of `networks.build` and its training into `folder`. Adds the versions of project and format."""
    (folder / _WEIGHTS).write_bytes(weights_file.to_bytes(network))
    values = dataclasses.asdict(training)
    versions = {"version": about.VERSION, "format": FORMAT}
    for name, content in ((_HYPERPARAMETERS, values["hyperparameters"]), (_TRAINING, values | versions)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    history.to_csv(folder / "history.csv", index=False)


def read(folder: pathlib.Path) -> keras.Model:
    """The network that `write` wrote, in float32.

    Its predictions are bit-identical to those of a float32 network, and equal up to rounding for mixed precision.
    MissingResult if there is none; DamagedFile if a file has changed.
    """
    training, values = read_training(folder), read_hyperparameters(folder)
    network = networks.build(**{name: getattr(values, name) for name in BUILT_OF}, image_size=training.image_size)
    weights_file.load(network, _existing(folder, _WEIGHTS), _fix(folder))
    return network


def read_training(folder: pathlib.Path) -> Training:
    """The content of training.json. Errors as `read`; UserError if a newer version wrote it."""
    file = _existing(folder, _TRAINING)
    values = _with_current_names(storage.read_json(file, _fix(folder)))
    written = values.get("format", FORMAT)
    if not _FORMATS.accepts(written):
        raise storage.DamagedFile(f"{file}: {rules.broken('format', written, _FORMATS)} {_fix(folder)}")
    if written > FORMAT:
        raise storage.UserError(
            f"{folder}: written by version {rules.shown(values.get('version'))} of this program (format {written}); "
            f"this is version {about.VERSION} (format {FORMAT}). Update this program."
        )
    return storage.to_record(values, Training, file, _fix(folder))


def read_hyperparameters(folder: pathlib.Path) -> Hyperparameters:
    """The content of hyperparameters.json, checked against training.json. Errors as `read`."""
    file = _existing(folder, _HYPERPARAMETERS)
    values = hyperparameters.with_current_names(storage.read_json(file, _fix(folder)))
    trained_with = read_training(folder).hyperparameters
    expected = json.loads(json.dumps(dataclasses.asdict(trained_with)))
    if unknown := sorted(values.keys() - expected.keys()):
        raise storage.DamagedFile(f"{file}: {rules.unknown_name(unknown[0], expected)} Remove it from this file.")
    if changed := [name for name in expected if expected[name] != values.get(name, ...)]:
        raise storage.DamagedFile(
            f'{file}: {", ".join(changed)} changed after the training. Copy "hyperparameters" from '
            f"{_TRAINING} into this file. To try other values, set HYPERPARAMETERS in config.py and train again."
        )
    return trained_with


def _with_current_names(values: dict[str, Any]) -> dict[str, Any]:
    """The content of training.json, which an earlier version may have written, under its current names."""
    values = {"packages": {}, "earlier_image_sha256": [], "chosen_defaults": []} | provenance.with_current_names(
        values, {}
    )
    if isinstance(values.get("known"), dict):
        former = values.pop("known")
        values["cleaning_is_harmless"] = former.pop("cleaning_is_harmless", None)
        values["train_set_statistics"] = {_FORMER_NAMES.get(name, name): value for name, value in former.items()}
        images = values.get("image_sha256")
        values["images"] = len(images) if isinstance(images, list) else None
    return values


_FORMER_NAMES = {"farthest": "max_distance", "mask_shares": "mask_fractions"}


def write_calibration(folder: pathlib.Path, calibration: Calibration) -> None:
    """Writes the calibration of the model's predicted Dice into its folder."""
    storage.atomic_write(folder / CALIBRATION, json.dumps(dataclasses.asdict(calibration), indent=2) + "\n")


def read_calibration(folder: pathlib.Path) -> Calibration | None:
    """What `write_calibration` wrote; None if there is none. DamagedFile if the file was damaged or edited."""
    file = folder / CALIBRATION
    if not file.exists():
        return None
    fix = "Delete this file; step 7 writes it again."
    return storage.to_record(storage.read_json(file, fix), Calibration, file, fix)


def fingerprint(folders: Sequence[pathlib.Path]) -> str:
    """Twelve hexadecimal digits that identify the weights of a model, or of several that predict together."""
    checksums = [weights_file.checksum(_existing(folder, _WEIGHTS), _fix(folder)) for folder in folders]
    return hashlib.sha256(b"".join(checksums)).hexdigest()[:12]


def _existing(folder: pathlib.Path, name: str) -> pathlib.Path:
    file = folder / name
    storage.require(folder, _step(folder).function)
    if file.exists():
        return file
    if deeper := next(folder.glob(f"*/{name}"), None):
        inner = deeper.parent.name
        raise storage.DamagedFile(f"{folder}: the model is one folder too deep, in '{inner}'. Move its files up.")
    if any((folder / other).exists() for other in (_WEIGHTS, _HYPERPARAMETERS, _TRAINING)):
        raise storage.DamagedFile(f"{file}: the file is missing: the folder was not copied completely. {_fix(folder)}")
    storage.require(file, _step(folder).function)
    return file


def _step(folder: pathlib.Path) -> storage.Step:
    fold = folder.name.startswith("fold ")
    return storage.step_named("cross_validate_train_set" if fold else "train_final_model")


def _fix(folder: pathlib.Path) -> str:
    step = _step(folder)
    copy = f"Copy the folder '{folder.name}' from its source again"
    return f"{copy}, or delete it and run step {step.number} ({step.function})."
