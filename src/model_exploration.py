"""Step 2: trains models with many values of the hyperparameters, and scores each on a part of the train set that it has not seen.

    model tuning/
      facts.json                  what was searched, and on which data
      search/                     Keras Tuner's own: the state of the search, and the weights of each trial's best epoch
      logs/<trial>/               for TensorBoard: curves, and the HParams page
      trials.csv                  a row per trial, the best first
      best hyperparameters.json   those of the best trial

A search that was stopped goes on where it was: finished trials are not repeated. The split that scores the trials is one and the same for
all of them, so that none wins by an easier one; the test set is not read.
"""
import json
import types

import keras_tuner
import pandas as pd
from tensorflow import keras

import model_training
import settings
import storage
from data import preloaded_dataset
from model_training import hyperparameters
from model_training.budget import Budget

_SCORE = "val_dice"


def explore_hyperparameters(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model tuning`, and prints the best trials with the lines to paste into config.py. MissingResult where step 1 has not run."""
    options = settings.load(workspace.root)
    cases = preloaded_dataset.read_cases(workspace, "train")
    try:
        held_out = preloaded_dataset.split(cases["group"].tolist(), options.EXPLORATION_VALIDATION_SHARE, options.SEED)
    except ValueError as error:
        raise storage.DatasetError([f"No validation set can be made: {error}. Add data, or change GROUP_CASES_BY in config.py."]) from error
    storage.begin_or_go_on(workspace.model_tuning, _facts(options, cases))
    trials = _Trials(workspace, options, cases[~held_out], cases["case"][held_out].tolist())
    print(f"Each trial trains on {(~held_out).sum()} cases of the train set and is scored by its Dice on the other {held_out.sum()}.")
    try:
        tuner = _tuner(trials, workspace, options)
        tuner.search(epochs=options.EXPLORATION_EPOCHS, callbacks=[keras.callbacks.TensorBoard(str(workspace.model_tuning / "logs"))])
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ or error
    _report(tuner, workspace)


class _Trials(keras_tuner.HyperModel):
    """How Keras Tuner makes and trains the model of one trial."""

    def __init__(self, workspace: storage.Workspace, options: types.SimpleNamespace, train: pd.DataFrame, validation: list[str]) -> None:
        super().__init__()
        self._folder, self._options, self._train, self._validation = workspace.train_set, options, train, validation

    def build(self, search: keras_tuner.HyperParameters) -> keras.Model:
        """A compiled network."""
        try:
            return model_training.compiled_network(hyperparameters.declare(search), self._options)
        except storage.PlainError as error:
            # What the user must mend ends the search; Keras Tuner would take anything else for a failed trial, and go on.
            raise keras_tuner.errors.FatalError(str(error)) from error

    def fit(self, search: keras_tuner.HyperParameters, model: keras.Model, epochs: int, initial_epoch: int = 0, **keywords) -> keras.callbacks.History:
        """Trains it, and scores it after each epoch. Keras Tuner takes the best epoch's score for the trial's."""
        values = hyperparameters.declare(search)
        names = self._train["case"].tolist()
        steps = model_training.steps_per_epoch(names, self._options)
        budget = Budget(steps, epochs, epochs_done=initial_epoch)
        validation = preloaded_dataset.pairs(self._folder, self._validation, self._options.IMAGE_SIZE)
        # Keras Tuner's callbacks come last: they keep what the others have logged.
        own = model_training.callbacks(model, self._folder, self._train, values, self._options, budget)
        keywords["callbacks"] = [*own, *keywords.get("callbacks", [])]
        return model.fit(
            model_training.training_batches(self._folder, names, values, self._options, initial_epoch),
            steps_per_epoch=steps,
            validation_data=validation.batch(self._options.TRAINING_BATCH_SIZE),
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=0,
            **keywords,
        )


def _facts(options: types.SimpleNamespace, cases: pd.DataFrame) -> dict:
    names = ("EXPLORATION_TUNER", "EXPLORATION_EPOCHS", "EXPLORATION_VALIDATION_SHARE", "TRAINING_BATCH_SIZE", "MIXED_PRECISION", "ENCODER_WEIGHTS")
    facts = {name: getattr(options, name) for name in (*names, "SEED", "IMAGE_SIZE")}
    return facts | {name: cases[name].tolist() for name in ("case", "group", "image_sha256", "mask_sha256")}


def _tuner(trials: _Trials, workspace: storage.Workspace, options: types.SimpleNamespace) -> keras_tuner.Tuner:
    common = {
        "objective": keras_tuner.Objective(_SCORE, "max"), "seed": options.SEED,
        "directory": str(workspace.model_tuning), "project_name": "search",
    }  # fmt: skip
    if options.EXPLORATION_TUNER == "hyperband":
        return keras_tuner.Hyperband(trials, max_epochs=options.EXPLORATION_EPOCHS, **common)
    kind = {"random": keras_tuner.RandomSearch, "bayesian": keras_tuner.BayesianOptimization}[options.EXPLORATION_TUNER]
    return kind(trials, max_trials=options.EXPLORATION_MAX_TRIALS, **common)


def _report(tuner: keras_tuner.Tuner, workspace: storage.Workspace) -> None:
    trials = [trial for trial in tuner.oracle.trials.values() if trial.score is not None]
    if not trials:
        raise RuntimeError("no trial of the exploration came to a result; the reasons stand above")
    rows = [{"trial": trial.trial_id, _SCORE: trial.score, "best_epoch": trial.best_step + 1, **_declared(trial)} for trial in trials]
    table = pd.DataFrame(rows).sort_values([_SCORE, "trial"], ascending=[False, True])
    table.to_csv(workspace.model_tuning / "trials.csv", index=False)
    best = tuner.oracle.get_trial(table["trial"].iloc[0])
    chosen = vars(hyperparameters.declare(best.hyperparameters))
    (workspace.model_tuning / "best hyperparameters.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    print(f"\nThe best of {len(trials)} trials, all in '{workspace.model_tuning.name}/trials.csv':\n{table.head(5).to_string(index=False)}")
    print(f"\nTo train the final model with the best one, write in config.py:\nHYPERPARAMETERS = {chosen!r}")


def _declared(trial: keras_tuner.engine.trial.Trial) -> dict:
    # Hyperband keeps its own bookkeeping among the values.
    return {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith("tuner/")}
