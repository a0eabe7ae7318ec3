"""Prints the progress of a training."""

from tensorflow import keras

import progress
from model_training.budget import Budget


class Display(keras.callbacks.Callback):
    """Prints the progress: a `heading` with time per image and ETA, then a bar; in a log, about ten lines."""

    def __init__(self, budget: Budget, batch_size: int, heading: str = "") -> None:
        super().__init__()
        self._budget, self._batch_size, self._heading = budget, batch_size, heading
        self._printed = -1  # The tenth of the training that the last printed line was in.

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Creates the bar; it stays hidden if the output is not a terminal."""
        self._bar = progress.Bar(
            total=100,
            delay=0,
            leave=False,
            bar_format="{desc} {percentage:3.0f}% {bar} {postfix}",
            desc="Building the network",
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Updates the epoch and the limit of the training."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Prints the heading once the time per image is known, and updates the bar."""
        if self._budget.seconds_per_step:
            self._print_heading()
        self._bar.set_description_str(self._budget.position(self._epoch), refresh=False)
        self._bar.set_postfix_str(self._state(logs or {}), refresh=False)
        self._bar.update(100 * self._budget.fraction_done - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints one line per tenth of the training if there is no bar."""
        self._print_heading()
        tenth = int(10 * self._budget.fraction_done + 1e-9)
        if self._bar.disable and tenth > self._printed:
            self._printed = tenth
            print(f"{self._budget.position(self._epoch)}: {self._state(logs or {})}", flush=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Removes the bar."""
        self._bar.close()

    def _print_heading(self) -> None:
        if self._heading:
            self._bar.write(f"{self._heading}{self._speed()}.")
            self._heading = ""

    def _state(self, logs: dict) -> str:
        names = {"loss": "loss", "dice": "Dice", "val_dice": "validation Dice"}
        return ", ".join(f"{name} {logs[key]:.3f}" for key, name in names.items() if key in logs) + self._speed()

    def _speed(self) -> str:
        seconds = self._budget.seconds_per_step
        return (f", {seconds / self._batch_size:.3f} s per image" if seconds else "") + (
            f", ends about {self._budget.eta}" if self._budget.eta else ""
        )
