"""Trains trials, each in its own process. A failed training is an outcome with a reason; the search continues."""

import dataclasses
import functools
import math
import pathlib
import shutil
from collections.abc import Callable

import pandas as pd

import isolated_process
import model_training
import resumable
import storage
from model_exploration import hparams_page, trials
from model_exploration.trials import Outcome, Trial
from model_training import checkpoint, diagnosis, hardware
from settings import Settings

# A column of a training's history, if empty validation masks are scored.
_FALSE_POSITIVES = "val_false_positives"


class TrialFailed(Exception):
    """A trial ended without a result; the text gives the reason. The search continues."""


class Trainer:
    """Trains the trials of a workspace."""

    def __init__(
        self,
        workspace: storage.Workspace,
        options: Settings,
        train: pd.DataFrame,
        validation: list[str],
        columns: list[str],
    ) -> None:
        """Sets what all trials share.

        train: the rows of cases.csv to train on; `validation` names the cases that score the trials.
        columns: the names of the hyperparameters that TensorBoard shows.
        """
        self._workspace, self._options, self._columns = workspace, options, columns
        self._train, self._validation = train, validation

    def __call__(self, trial: Trial) -> pd.DataFrame:
        """Returns the history of a trial's training, with a column val_dice. TrialFailed if the training failed."""
        folder = self._workspace.model_tuning / "trials" / trial.name
        unfinished = folder.with_name(f"unfinished {trial.name}")
        if (folder / "history.csv").exists():
            shutil.rmtree(unfinished, ignore_errors=True)  # A kill may have kept it.
            return pd.read_csv(folder / "history.csv")
        train = functools.partial(
            isolated_process.run,
            model_training.train,
            self._workspace.train_set,
            self._train,
            trial.values,
            self._options_of(trial),
            unfinished,
            folder,
            self._validation,
            hparams_page.callbacks(trial, self._columns),
        )
        try:
            return _restart_on_mismatch(train, unfinished)
        except (diagnosis.TrainingFailed, hardware.OutOfMemory, isolated_process.ProcessEnded) as error:
            for kept in (unfinished, folder.with_name(f"failed {trial.name}")):
                checkpoint.drop_checkpoint(kept)  # It is three times as large as the weights.
            raise TrialFailed(str(error).splitlines()[0]) from error

    def _options_of(self, trial: Trial) -> Settings:
        seed = (self._options.SEED + trial.repeat) % 2**31
        return dataclasses.replace(
            self._options, SEED=seed, TRAINING_EPOCHS=trial.epochs, TRAINING_TIME_LIMIT_MINUTES=None
        )


def _restart_on_mismatch(train: Callable[[], pd.DataFrame], unfinished: pathlib.Path) -> pd.DataFrame:
    try:
        return train()
    except resumable.ResumeMismatch:
        # It was started in another precision, perhaps on another machine, and cannot be resumed here.
        shutil.rmtree(unfinished)
        return train()


def attempt(train: Callable[[Trial], pd.DataFrame], trial: Trial) -> Outcome:
    """Trains a trial with `train`, which returns its history, and prints the outcome.

    UserError and BrokenPipeError end the search. Any other exception is a failed trial: a combination of
    hyperparameters may fail anywhere in Keras or TensorFlow.
    """
    try:
        outcome = _outcome(train(trial))
    except (storage.UserError, BrokenPipeError):
        raise
    except Exception as error:
        outcome = Outcome(failure=_reason(error))
        print(f"  failed: {outcome.failure}", flush=True)
    else:
        print(f"  Dice {outcome.dice:.4f} in {outcome.seconds / 60:.1f} min", flush=True)
    return outcome


def _outcome(history: pd.DataFrame) -> Outcome:
    last = history.iloc[-1]
    if not math.isfinite(last[trials.SCORE]):
        raise TrialFailed("the Dice on the validation cases is NaN or infinite")
    seconds = float(history[trials.SECONDS].sum())
    return Outcome(float(last[trials.SCORE]), seconds, float(last.get(_FALSE_POSITIVES, math.nan)))


def _reason(error: Exception) -> str:
    if isinstance(error, TrialFailed):
        return str(error)
    return f"{type(error).__name__}: {(str(error).strip() or 'no text').splitlines()[0]}"
