"""What TensorBoard shows of a training: curves, the graph, predictions of a few cases, hyperparameters of trials."""

import pathlib
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_page
from tensorflow import keras

import networks
from masks import drawing
from model_training.budget import Budget

# Cases in a picture, and pictures per training: about 5 MB.
PANEL_CASES = 4
PANELS = 10


class PredictionPanel(keras.callbacks.Callback):
    """Logs pictures of the predictions of a few cases, `shown` = (images, masks), as `title` for the Images page."""

    def __init__(self, folder: pathlib.Path, title: str, shown: tuple[tf.Tensor, tf.Tensor], budget: Budget) -> None:
        super().__init__()
        self._title, (self._images, self._masks) = title, shown
        self._budget, self._tenths_done = budget, 0
        self._writer = tf.summary.create_file_writer(str(folder / "predictions"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Logs a picture whenever another tenth of the budget is spent."""
        tenths_done = int(self._budget.fraction_done * PANELS)
        if tenths_done <= self._tenths_done:
            return
        self._tenths_done = tenths_done
        # One by one: all together might not fit into memory beside the training batch.
        predicted = np.concatenate([networks.predict_masks(self.model, image[None]) for image in self._images])
        picture = drawing.panel(self._images.numpy()[..., 0], self._masks.numpy()[..., 0], predicted)
        with self._writer.as_default():
            tf.summary.image(self._title, picture[None], step=epoch + 1)
        self._writer.flush()


def hparams(searched: dict[str, Any], name: str, folder: pathlib.Path) -> list[keras.callbacks.Callback]:
    """Logs the values of a trial for TensorBoard's HParams page, beside its logs in `folder`."""
    return [hparams_page.KerasCallback(str(folder), searched, trial_id=name)]


def tensorboard(folder: pathlib.Path) -> keras.callbacks.TensorBoard:
    """Logs loss and Dice of each epoch and the network's graph, below `folder`."""
    return keras.callbacks.TensorBoard(str(folder), write_graph=True)


def panel_cases(cases: pd.DataFrame) -> list[str]:
    """PANEL_CASES of `cases`, rows of cases.csv, of different groups if possible: slices of a patient look alike."""
    spread = cases.assign(rank=cases.groupby("group").cumcount()).sort_values(["rank", "case"], kind="stable")
    return spread["case"].head(PANEL_CASES).tolist()
