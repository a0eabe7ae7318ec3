"""Step 2: searches hyperparameters by training many models, scored on a validation part of the train set.

    model tuning/
      facts.json                  search space, settings, package versions and data of the search
      trials.csv                  a row per trial, the best first; renewed after each trial
      trials.png, trials.pdf      the same as a chart
      best hyperparameters.json   those of the recommended trial, if any
      trials/<trial>/             hyperparameters, history.csv and TensorBoard logs, as `model`; weights of the best
      trials/unfinished <trial>/, failed <trial>/
      search/                     the state of Keras Tuner
      repeats/                    the outcome of each repeat of the best trials

A trial's score is its Dice after the last epoch, because the final model is trained the same way. All trials share one
validation split, so that none wins by an easier one. The test set is not read. A search resumes after a stop at any
moment: finished trials are not repeated, and an unfinished trial resumes from its last epoch.

Many machines search together with Keras Tuner's environment variables and the same line of main.py on each: see
`cluster/`.
"""

import environment_variables
import storage

__all__ = ["explore_hyperparameters"]


def explore_hyperparameters(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Runs step 2: see `exploration.explore_hyperparameters`."""
    # Keras Tuner takes seconds to import; the processes that train trials need other modules of this package.
    with environment_variables.quiet_import():
        from model_exploration import exploration
    exploration.explore_hyperparameters(workspace)
