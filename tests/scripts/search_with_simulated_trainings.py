"""Step 2 with simulated trainings, whose score is the learning rate: search_with_simulated_trainings.py WORKSPACE."""

import pathlib
import sys
import time

import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import command_line
import storage

sleep = time.sleep


def simulated(train, train_set, cases, values, options, unfinished, target, validation, page):
    """Prints the first epoch, waits, and writes the history of a training."""
    print("Epoch 1", flush=True)
    sleep(2)
    target.mkdir(parents=True)
    history = pd.DataFrame({"val_dice": [values.learning_rate], "seconds": [2.0]})
    history.to_csv(target / "history.csv", index=False)
    return history


def main(workspace: str) -> None:
    """Runs the step with simulated trainings."""
    command_line.install_error_handler()
    import isolated_process
    import model_exploration

    time.sleep = lambda seconds: sleep(min(seconds, 0.5))  # The chief checks more often whether the search has ended.
    isolated_process.run = simulated
    model_exploration.explore_hyperparameters(storage.Workspace(pathlib.Path(workspace)))


if __name__ == "__main__":
    main(*sys.argv[1:])
