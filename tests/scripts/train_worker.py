"""Trains as one worker of several and saves the final weights: train_worker.py STEP WORKSPACE WEIGHTS KILL_AFTER.

A process with a KILL_AFTER > 0 kills itself after this epoch. With a fifth argument, two_devices, it trains on two.
"""

import os
import pathlib
import signal
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import command_line
import storage


def main(step: str, workspace: str, weights: str, kill_after: str, devices: str = "") -> None:
    """Runs the step with patched functions that save the weights and kill the process."""
    command_line.install_error_handler()
    if devices == "two_devices":
        import two_devices

        two_devices.use()
    import cross_validation
    import model_training
    from model_training import checkpoint
    from networks import saved_model

    write, on_epoch_end = saved_model.write, checkpoint.TrainingCheckpoint.on_epoch_end

    def save_weights(folder, network, *others):
        np.savez(weights, *network.get_weights())
        write(folder, network, *others)

    def kill(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch + 1 == int(kill_after):
            os.kill(os.getpid(), signal.SIGKILL)

    saved_model.write, checkpoint.TrainingCheckpoint.on_epoch_end = save_weights, kill
    steps = {
        "train_final_model": model_training.train_final_model,
        "cross_validate_train_set": cross_validation.cross_validate_train_set,
    }
    steps[step](storage.Workspace(pathlib.Path(workspace)))


if __name__ == "__main__":
    main(*sys.argv[1:])
