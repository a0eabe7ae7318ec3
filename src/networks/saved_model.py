"""A trained network on disk: what was learned, and what is needed to build the network anew. No code and no pickle lies in it.

    model/
      weights.weights.h5      the weights, HDF5
      hyperparameters.json    as `model_training.hyperparameters` declares them
      training.json           image size, seed, times, versions, and the SHA-256 of every image that was trained on
      history.csv             a row per epoch: loss, Dice, learning rate, seconds
      logs/                   for TensorBoard
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
import storage


def write(folder: pathlib.Path, network: keras.Model, hyperparameters: dict[str, Any], training: dict[str, Any], history: pd.DataFrame) -> None:
    """Writes a network built by `networks.build` into `folder`. `training` holds at least the image_size; the versions are added."""
    network.save_weights(folder / "weights.weights.h5")
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__}
    for name, values in (("hyperparameters", hyperparameters), ("training", training | versions)):
        (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    history.to_csv(folder / "history.csv", index=False)


def read(folder: pathlib.Path) -> keras.Model:
    """The network that `write` wrote, with its weights, in float32: its predictions are those of a float32 network to the bit, and those of one that
    was trained in 16 bit but for its rounding. MissingResult where there is none.
    """
    training, hyperparameters = read_training(folder), read_hyperparameters(folder)
    network = networks.build(
        **{name: hyperparameters[name] for name in ("architecture", "filters", "patch_px", "clip_hu")}, image_size=training["image_size"]
    )
    network.load_weights(folder / "weights.weights.h5")
    return network


def read_training(folder: pathlib.Path) -> dict[str, Any]:
    """What training.json tells. MissingResult where there is no model."""
    return _read_json(folder / "training.json")


def read_hyperparameters(folder: pathlib.Path) -> dict[str, Any]:
    """What hyperparameters.json tells. MissingResult where there is no model."""
    return _read_json(folder / "hyperparameters.json")


def fingerprint(folders: Sequence[pathlib.Path]) -> str:
    """Twelve letters that are others for other weights, of one model or of several that predict together."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update((folder / "weights.weights.h5").read_bytes())
    return digest.hexdigest()[:12]


def _read_json(file: pathlib.Path) -> dict[str, Any]:
    for wanted in (file.parent, file):
        storage.require(wanted, "cross_validate_train_set" if file.parent.name.startswith("fold ") else "train_final_model")
    return json.loads(file.read_text(encoding="utf-8"))
