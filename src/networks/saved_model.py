"""A trained network on disk: its weights and the values to build it again. No code, no pickle.

    model/
      weights.weights.h5      the weights (see `weights_file`)
      hyperparameters.json    see `settings.hyperparameters`
      training.json           image size, seed, times, versions, statistics and SHA-256 of the train set's images
      history.csv             a row per epoch: loss, Dice, learning rate, seconds
      logs/                   for TensorBoard

A model folder may come from someone else or be edited by hand: all values are validated.
"""

import hashlib
import json
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
import settings
import storage
from networks import weights_file
from settings import hyperparameters, rules

# Versions of the project and of the model folder. Raise FORMAT when older versions can't read what this one writes.
VERSION, FORMAT = "1.0", 1

# Statistics and other numbers are below this.
_MAX_FLOAT = 1e9

_WEIGHTS, _HYPERPARAMETERS, _TRAINING = "weights.weights.h5", "hyperparameters.json", "training.json"
_BUILT_OF = ("architecture", "filters", "stem_patch_px", "clip_hu")


def write(
    folder: pathlib.Path,
    network: keras.Model,
    values: dict[str, Any],
    training: dict[str, Any],
    history: pd.DataFrame,
) -> None:
    """Writes a network of `networks.build` into `folder`.

    `values` are its hyperparameters; `training` has at least image_size. Adds versions.
    """
    (folder / _WEIGHTS).write_bytes(weights_file.to_bytes(network))
    versions = {"version": VERSION, "format": FORMAT, "python": platform.python_version(), "tensorflow": tf.__version__}
    for name, content in ((_HYPERPARAMETERS, values), (_TRAINING, training | versions)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    history.to_csv(folder / "history.csv", index=False)


def read(folder: pathlib.Path) -> keras.Model:
    """The network that `write` wrote, in float32.

    Its predictions are bit-identical to those of a float32 network, and equal up to rounding for mixed precision.
    MissingResult if there is none; DamagedFile if a file has changed.
    """
    training, values = read_training(folder), read_hyperparameters(folder)
    network = networks.build(**{name: values[name] for name in _BUILT_OF}, image_size=training["image_size"])
    weights_file.load(network, _existing(folder, _WEIGHTS), _fix(folder))
    return network


def read_training(folder: pathlib.Path) -> dict[str, Any]:
    """The content of training.json; looking up a missing key raises DamagedFile. Errors as `read`."""
    values = _read_json(folder, _TRAINING)
    if isinstance(values.get("known"), dict):
        values["known"] = _Values(folder / _TRAINING, values["known"])
    if isinstance(values.get("hyperparameters"), dict):
        values["hyperparameters"] = hyperparameters.with_current_names(values["hyperparameters"])
    written = values.get("format", FORMAT)
    if isinstance(written, int) and written > FORMAT:
        raise storage.UserError(
            f"{folder}: written by version {values.get('version', '?')} of this program (format {written}); "
            f"this is version {VERSION} (format {FORMAT}). Update this program."
        )
    _check(values, folder / _TRAINING)
    return values


def read_hyperparameters(folder: pathlib.Path) -> dict[str, Any]:
    """The content of hyperparameters.json, checked against training.json. Errors as `read`."""
    trained_with = read_training(folder).get("hyperparameters")
    file = folder / _HYPERPARAMETERS
    values = _Values(file, hyperparameters.with_current_names(_read_json(folder, _HYPERPARAMETERS)))
    if isinstance(trained_with, dict) and trained_with != values:
        names = trained_with.keys() | values.keys()
        changed = ", ".join(sorted(name for name in names if trained_with.get(name, ...) != values.get(name, ...)))
        raise storage.DamagedFile(
            f'{file}: {changed} changed after the training. Copy "hyperparameters" from '
            f"{_TRAINING} into this file. To try other values, set HYPERPARAMETERS in config.py and train again."
        )
    _check(values, file)
    return values


def fingerprint(folders: Sequence[pathlib.Path]) -> str:
    """Twelve hexadecimal digits that identify the weights of a model, or of several that predict together."""
    checksums = [weights_file.checksum(_existing(folder, _WEIGHTS), _fix(folder)) for folder in folders]
    return hashlib.sha256(b"".join(checksums)).hexdigest()[:12]


class _Values(dict):
    """The values of a JSON file; the DamagedFile for a missing key names it."""

    def __init__(self, file: pathlib.Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, name: str) -> Any:
        raise storage.DamagedFile(f"{self._file}: {name} is missing. {_EDITED} {_fix(self._file.parent)}")


def _read_json(folder: pathlib.Path, name: str) -> _Values:
    return _Values(folder / name, storage.read_json(_existing(folder, name), _fix(folder)))


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


_EDITED = "The file was damaged or edited by hand."


def _check(values: dict[str, Any], file: pathlib.Path) -> None:
    """DamagedFile for an invalid value: it might ask for a network of any size."""
    allowed = {name: known.rule for name, known in hyperparameters.DECLARATIONS.items()} | _RULES
    for name, rule in allowed.items():
        if name in values and not rule.accepts(values[name]):
            raise storage.DamagedFile(f"{file}: {name} must be {rule.description}. {_EDITED} {_fix(file.parent)}")


def _finite(values: list) -> bool:
    return all(isinstance(value, (int, float)) and abs(value) <= _MAX_FLOAT for value in values)


def _statistics(value: Any) -> bool:
    entries = value.values() if isinstance(value, dict) else [None]
    return all(_finite(entry if isinstance(entry, list) else [entry]) for entry in entries)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


_RULES = {
    "format": rules.whole(1, 2**31),
    "image_size": settings.DECLARATIONS["IMAGE_SIZE"].rule,
    "image_sha256": rules.Rule(_texts, "a list of texts"),
    "known": rules.Rule(_statistics, "the train set's statistics, finite numbers"),
}
