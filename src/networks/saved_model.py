"""A trained network on disk: what was learned, and what is needed to build the network anew. No code and no pickle lies in it.

    model/
      weights.weights.h5      the weights, HDF5
      hyperparameters.json    as `model_training.hyperparameters` declares them
      training.json           image size, seed, times, versions, and the SHA-256 of every image that was trained on
      history.csv             a row per epoch: loss, Dice, learning rate, seconds
      logs/                   for TensorBoard
"""
import json
import pathlib
from typing import Any

import pandas as pd
from tensorflow import keras

import networks
import storage


def write(folder: pathlib.Path, network: keras.Model, hyperparameters: dict[str, Any], training: dict[str, Any], history: pd.DataFrame) -> None:
    """Writes a network built by `networks.build` into `folder`. `training` holds at least the image_size."""
    network.save_weights(folder / "weights.weights.h5")
    for name, values in (("hyperparameters", hyperparameters), ("training", training)):
        (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    history.to_csv(folder / "history.csv", index=False)


def read(folder: pathlib.Path) -> keras.Model:
    """The network that `write` wrote, with its weights: its predictions are the same to the bit. MissingResult where there is none."""
    training = read_training(folder)
    hyperparameters = json.loads((folder / "hyperparameters.json").read_text(encoding="utf-8"))
    network = networks.build(
        hyperparameters["architecture"], training["image_size"], hyperparameters["filters"], hyperparameters["clip_hu"], encoder_weights=None
    )
    network.load_weights(folder / "weights.weights.h5")
    return network


def read_training(folder: pathlib.Path) -> dict[str, Any]:
    """What training.json tells. MissingResult where there is no model."""
    storage.require(folder / "training.json", "train_final_model")
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))
