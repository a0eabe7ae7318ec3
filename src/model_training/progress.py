"""Keras callbacks that tell and keep how a training goes: the diary on disk, and what TensorBoard shows."""
import pathlib
import time

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import networks
from masks import drawing

# How many train cases TensorBoard shows with their predictions, and after how many epochs at most: a training of 100 epochs then takes
# some 10 MB of pictures.
PANEL_CASES = 4
PANELS = 20


class Diary(keras.callbacks.Callback):
    """Keeps in `folder`, after each epoch, all that a training needs to go on: weights, optimizer and history.csv. Restores it when made.

    It also ends the training after `minutes_limit`, over all runs together.
    """

    def __init__(self, folder: pathlib.Path, network: keras.Model, minutes_limit: float | None) -> None:
        super().__init__()
        self._file = folder / "history.csv"
        self._minutes_limit = minutes_limit
        self._epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        checkpoint = tf.train.Checkpoint(network=network, optimizer=network.optimizer, epochs=self._epochs)
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoint"), max_to_keep=1)
        self._manager.restore_or_initialize()
        # A row that was written before its checkpoint was not tells of an epoch that will be run again.
        self.history = pd.read_csv(self._file).iloc[: self.epochs_done] if self.epochs_done else pd.DataFrame()

    @property
    def epochs_done(self) -> int:
        """How many epochs lie behind, those of former runs included."""
        return int(self._epochs.numpy())

    def is_over(self, epochs: int) -> bool:
        """Whether all `epochs`, or all minutes, are spent."""
        spent = self.history["seconds"].sum() / 60 if self.epochs_done else 0.0
        return self.epochs_done >= epochs or (self._minutes_limit is not None and spent >= self._minutes_limit)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock; the first epoch's time holds the building of the network's graph."""
        self._clock = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch down."""
        now = time.monotonic()
        row = {"epoch": epoch + 1, **(logs or {}), "seconds": round(now - self._clock, 3)}
        self._clock = now
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        draft = self._file.with_suffix(".draft")
        self.history.to_csv(draft, index=False)
        draft.replace(self._file)
        self._epochs.assign(epoch + 1)
        self._manager.save(epoch + 1)
        if self.is_over(self.params["epochs"]):
            self.model.stop_training = True


class LearningRate(keras.callbacks.Callback):
    """Adds the learning rate to what is logged of each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Sets logs["learning_rate"]."""
        if logs is not None:
            logs["learning_rate"] = float(tf.convert_to_tensor(self.model.optimizer.learning_rate))


class Panel(keras.callbacks.Callback):
    """Draws the predictions on a few cases, `shown` as (images, masks), for TensorBoard's page of images below `folder`."""

    def __init__(self, folder: pathlib.Path, shown: tuple[tf.Tensor, tf.Tensor], epochs: int) -> None:
        super().__init__()
        self._images, self._masks = shown
        self._every = max(1, epochs // PANELS)
        self._writer = tf.summary.create_file_writer(str(folder / "predictions"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws after every so many epochs."""
        if (epoch + 1) % self._every:
            return
        # One by one: a batch of all might not fit beside the training's.
        predicted = np.concatenate([networks.predict_masks(self.model, image[None]) for image in self._images])
        picture = drawing.panel(self._images.numpy()[..., 0], self._masks.numpy()[..., 0], predicted)
        with self._writer.as_default():
            tf.summary.image("train cases", picture[None], step=epoch + 1)
        self._writer.flush()


def tensorboard(folder: pathlib.Path) -> keras.callbacks.TensorBoard:
    """Keras' own callback: loss and Dice of each epoch and the network's graph, below `folder`."""
    return keras.callbacks.TensorBoard(str(folder), write_graph=True)
