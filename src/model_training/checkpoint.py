"""The checkpoint of a training: it is written after every epoch and restored when the training is resumed."""

import pathlib
import shutil
import time

import pandas as pd
import tensorflow as tf
from tensorflow import keras

import storage

# In the folder of a training with at least one finished epoch.
HISTORY = "history.csv"


class TrainingCheckpoint(keras.callbacks.Callback):
    """Saves weights, optimizer and history.csv in `folder` after each epoch, so that the training can be resumed.

    The constructor restores the checkpoint in `source`: the same folder, except for workers, whose `folder` is scratch.
    """

    def __init__(self, folder: pathlib.Path, network: keras.Model, source: pathlib.Path, batch_size: int) -> None:
        super().__init__()
        self.folder, self._batch_size = folder, batch_size
        self._epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        checkpoint = tf.train.Checkpoint(network=network, optimizer=network.optimizer, epochs=self._epochs)
        # This creates the variable of the learning rate: if created later, it would be restored over the schedule's
        # value.
        tf.convert_to_tensor(network.optimizer.learning_rate)
        self.history = pd.DataFrame(columns=["seconds"], dtype=float)
        if (source / HISTORY).exists():
            rows = _read_history(source)
            _restore(checkpoint, source, len(rows))
            # The last row may be of an epoch without a checkpoint, which is repeated.
            self.history = rows.iloc[: self.epochs_done] if self.epochs_done else self.history
            if len(self.history) != self.epochs_done:
                raise storage.DamagedFile(f"{source / HISTORY}: finished epochs are missing. {_restart_hint(source)}")
        # It would restore as well, but without a plain message about a damaged checkpoint.
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoint"), max_to_keep=1)

    @property
    def epochs_done(self) -> int:
        """The number of finished epochs, including those before a resume."""
        return int(self._epochs.numpy())

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock; the first epoch includes the building of the graph."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts the images of the epoch."""
        self._images = (batch + 1) * self._batch_size

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the epoch to history.csv, with its images (a time limit may cut it), and saves a checkpoint."""
        now = time.monotonic()
        row = {"epoch": epoch + 1, **(logs or {}), "images": self._images, "seconds": round(now - self._clock, 3)}
        self._clock = now
        earlier = [self.history] if self.epochs_done else []
        self.history = pd.concat([*earlier, pd.DataFrame([row])], ignore_index=True)
        storage.atomic_write(self.folder / HISTORY, self.history.to_csv(index=False))
        self._epochs.assign(epoch + 1)
        self._manager.save(epoch + 1)


def _read_history(folder: pathlib.Path) -> pd.DataFrame:
    numbers = {"epoch": int, "images": int, "seconds": float, "loss": float, "dice": float}
    rows = storage.read_table(folder / HISTORY, _restart_hint(folder), numbers, dtype=numbers)
    if rows[[*numbers]].isna().any(axis=None) or rows["epoch"].tolist() != list(range(1, len(rows) + 1)):
        raise storage.DamagedFile(f"{folder / HISTORY}: not a complete row for every epoch. {_restart_hint(folder)}")
    return rows


def _restore(checkpoint: tf.train.Checkpoint, source: pathlib.Path, epochs: int) -> None:
    """Restores the last checkpoint in `source`. DamagedFile if it is incomplete, or missing among other files."""
    folder = source / "checkpoint"
    fault = f"{folder}: the checkpoint is damaged or incomplete. {_restart_hint(source)}"
    try:
        last = tf.train.latest_checkpoint(str(folder))
        if last:
            checkpoint.restore(last).assert_existing_objects_matched()
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError, tf.errors.UnavailableError):
        raise  # No memory, no permission, or no connection to the other workers.
    except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
        raise storage.DamagedFile(fault) from error
    # A training killed before its first checkpoint has a row, but no list of checkpoints; after `drop_checkpoint` no
    # folder.
    if last is None and folder.exists() and (epochs > 1 or (folder / "checkpoint").exists()):
        raise storage.DamagedFile(fault)


def _restart_hint(folder: pathlib.Path) -> str:
    return f"Delete the folder '{folder.name}' ({folder}) to start this training again from its first epoch."


def drop_checkpoint(folder: pathlib.Path) -> None:
    """Deletes the checkpoint of a training in `folder`; its history and logs stay."""
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
