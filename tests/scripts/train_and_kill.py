"""Step 3, killed at the end of an epoch: train_and_kill.py WORKSPACE KILL_AFTER TIME.

KILL_AFTER is the number of the epoch, or 0 for no kill. TIME: before or after the checkpoint of the epoch is saved.
"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import model_training
import storage
from model_training import checkpoint


def main(workspace: str, kill_after: str, time: str) -> None:
    """Runs the step with a checkpoint that kills the process."""

    class Killing(checkpoint.TrainingCheckpoint):
        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 == int(kill_after) and time == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            super().on_epoch_end(epoch, logs)
            if epoch + 1 == int(kill_after):
                os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.TrainingCheckpoint = Killing
    model_training.train_final_model(storage.Workspace(pathlib.Path(workspace)))


if __name__ == "__main__":
    main(*sys.argv[1:])
