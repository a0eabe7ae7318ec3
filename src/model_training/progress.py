"""Keras callbacks that tell and keep how a training goes: a bar or lines, the checkpoint on disk, and what TensorBoard shows."""

import pathlib
import shutil
import time
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tqdm
from tensorboard.plugins.hparams import api as hparams_page
from tensorflow import keras

import networks
import storage
from masks import drawing
from model_training.budget import Budget

# How many train cases TensorBoard shows with their predictions, and how often in the course of a training, which makes some 5 MB.
PANEL_CASES = 4
PANELS = 10

# In the folder of a training that has finished an epoch.
HISTORY = "history.csv"


class Display(keras.callbacks.Callback):
    """Prints how the training goes: `heading` with the time per image and the estimated end, then a bar, or a line per epoch into a file."""

    def __init__(self, budget: Budget, batch_size: int, heading: str = "") -> None:
        super().__init__()
        self._budget, self._batch_size, self._heading = budget, batch_size, heading

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Makes the bar, where somebody watches."""
        self._bar = tqdm.tqdm(
            total=100,
            disable=None,
            leave=False,
            bar_format="{desc} {percentage:3.0f}% {bar} {postfix}",
            desc="Building the network",
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes which epoch it is."""
        self._epoch = f"Epoch {epoch + 1}" + (f" of {self._budget.epochs}" if self._budget.epochs else "")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Prints the heading as soon as the time per image is known, and moves the bar."""
        if self._budget.seconds_per_step:
            self._print_heading()
        self._bar.set_description_str(self._epoch, refresh=False)
        self._bar.set_postfix_str(self._state(logs or {}), refresh=False)
        self._bar.update(100 * self._budget.fraction_done - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints a line, where there is no bar."""
        self._print_heading()
        if self._bar.disable:
            print(f"{self._epoch}: {self._state(logs or {})}", flush=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the bar away."""
        self._bar.close()

    def _print_heading(self) -> None:
        if self._heading:
            self._bar.write(f"{self._heading}{self._speed()}.")
            self._heading = ""

    def _state(self, logs: dict) -> str:
        shown = [
            f"{name} {logs[key]:.3f}"
            for key, name in (("loss", "loss"), ("dice", "Dice"), ("val_dice", "validation Dice"))
            if key in logs
        ]
        return ", ".join(shown) + self._speed()

    def _speed(self) -> str:
        seconds = self._budget.seconds_per_step
        return (f", {seconds / self._batch_size:.3f} s per image" if seconds else "") + (
            f", ends about {self._budget.eta}" if self._budget.eta else ""
        )


class TrainingCheckpoint(keras.callbacks.Callback):
    """Keeps in `folder`, after each epoch, all that a training needs to go on: weights, optimizer and history.csv.

    When made, it restores what lies in `former`, which is the same folder but for workers whose own is thrown away.
    """

    def __init__(self, folder: pathlib.Path, network: keras.Model, former: pathlib.Path, batch_size: int) -> None:
        super().__init__()
        self.folder, self._batch_size = folder, batch_size
        self._epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        checkpoint = tf.train.Checkpoint(network=network, optimizer=network.optimizer, epochs=self._epochs)
        # Asked for, the optimizer makes the variable of its rate: made later, it would be restored later, over what the schedule has set.
        tf.convert_to_tensor(network.optimizer.learning_rate)
        self.history = pd.DataFrame(columns=["seconds"], dtype=float)
        if (former / HISTORY).exists():
            rows = _read_history(former)
            _restore(checkpoint, former, len(rows))
            # A row that was written before its checkpoint was not tells of an epoch that will be run again.
            self.history = rows.iloc[: self.epochs_done] if self.epochs_done else self.history
            if len(self.history) != self.epochs_done:
                raise storage.DamagedFile(f"{former / HISTORY}: finished epochs are missing. {_restart_hint(former)}")
        # It reads what lies there, too, but without a plain message for what is damaged.
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoint"), max_to_keep=1)

    @property
    def epochs_done(self) -> int:
        """How many epochs lie behind, those of former runs included."""
        return int(self._epochs.numpy())

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock; the first epoch's time holds the building of the network's graph."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Notes how far the epoch has come."""
        self._images = (batch + 1) * self._batch_size

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch down, with the number of images: the end of the time may have cut it short."""
        now = time.monotonic()
        row = {"epoch": epoch + 1, **(logs or {}), "images": self._images, "seconds": round(now - self._clock, 3)}
        self._clock = now
        self.history = (
            pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
            if self.epochs_done
            else pd.DataFrame([row])
        )
        storage.atomic_write(self.folder / HISTORY, self.history.to_csv(index=False))
        self._epochs.assign(epoch + 1)
        self._manager.save(epoch + 1)


def _read_history(folder: pathlib.Path) -> pd.DataFrame:
    numbers = {"epoch": int, "images": int, "seconds": float, "loss": float, "dice": float}
    rows = storage.read_table(folder / HISTORY, _restart_hint(folder), numbers, dtype=numbers)
    if rows[[*numbers]].isna().any(axis=None) or rows["epoch"].tolist() != list(range(1, len(rows) + 1)):
        raise storage.DamagedFile(f"{folder / HISTORY}: not a complete row for every epoch. {_restart_hint(folder)}")
    return rows


def _restore(checkpoint: tf.train.Checkpoint, former: pathlib.Path, epochs: int) -> None:
    """Restores the last checkpoint in `former`. DamagedFile if it is incomplete, or missing among other files."""
    folder = former / "checkpoint"
    fault = f"{folder}: the checkpoint is damaged or incomplete. {_restart_hint(former)}"
    try:
        last = tf.train.latest_checkpoint(str(folder))
        if last:
            checkpoint.restore(last).assert_existing_objects_matched()
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError, tf.errors.UnavailableError):
        raise  # No memory, no permission, or no connection to the other workers.
    except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
        raise storage.DamagedFile(fault) from error
    # A training killed before its first checkpoint has a row, but no list of checkpoints; after `drop_checkpoint` no folder.
    if last is None and folder.exists() and (epochs > 1 or (folder / "checkpoint").exists()):
        raise storage.DamagedFile(fault)


def _restart_hint(folder: pathlib.Path) -> str:
    return f"Delete the folder '{folder.name}' ({folder}) to start this training again from its first epoch."


def drop_checkpoint(folder: pathlib.Path) -> None:
    """Deletes what a training in `folder` could go on from; its history and logs stay."""
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


class Panel(keras.callbacks.Callback):
    """Draws the predictions on a few cases, `shown` as (images, masks), for TensorBoard's page of images below `folder`, under a `title`."""

    def __init__(self, folder: pathlib.Path, title: str, shown: tuple[tf.Tensor, tf.Tensor], budget: Budget) -> None:
        super().__init__()
        self._title, (self._images, self._masks) = title, shown
        self._budget, self._drawn = budget, 0
        self._writer = tf.summary.create_file_writer(str(folder / "predictions"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws each time another tenth of the budget is spent."""
        if int(self._budget.fraction_done * PANELS) <= self._drawn:
            return
        self._drawn = int(self._budget.fraction_done * PANELS)
        # One by one: a batch of all might not fit beside the training's.
        predicted = np.concatenate([networks.predict_masks(self.model, image[None]) for image in self._images])
        picture = drawing.panel(self._images.numpy()[..., 0], self._masks.numpy()[..., 0], predicted)
        with self._writer.as_default():
            tf.summary.image(self._title, picture[None], step=epoch + 1)
        self._writer.flush()


def hparams(searched: dict[str, Any], name: str, folder: pathlib.Path) -> list[keras.callbacks.Callback]:
    """What TensorBoard's HParams page is told of a trial: its values, beside its logs in `folder`."""
    return [hparams_page.KerasCallback(str(folder), searched, trial_id=name)]


def tensorboard(folder: pathlib.Path) -> keras.callbacks.TensorBoard:
    """Keras' own callback: loss and Dice of each epoch and the network's graph, below `folder`."""
    return keras.callbacks.TensorBoard(str(folder), write_graph=True)
