"""Keras Tuner's search, on one machine, or on many with one chief: who trains what the oracle asks for, and what happens when that fails."""

import contextlib
import io
import math
import os
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import grpc
import keras_tuner
import pandas as pd

import storage
from model_exploration import oracle, trials
from settings import Settings

CHIEF_PATIENCE_SECONDS = 600
_IDLE_SECONDS = 0.2

# A column of a training's history, where its validation cases are scored.
_FALSE_POSITIVES = "val_false_positives"


class TrialFailed(Exception):
    """A trial that came to nothing; its text says why. The search goes on."""


def run(
    space: keras_tuner.HyperParameters,
    options: Settings,
    folder: pathlib.Path,
    train: Callable[[trials.Trial], pd.DataFrame],
    report: Callable[[list[dict]], None],
) -> list[dict] | None:
    """Searches `space` by the EXPLORATION settings, or goes on with it, and returns a row per trial (`Oracle.rows`); None on a worker.

    `train` gives a trial's history; `report` is called with the rows after each trial. Keras Tuner keeps its state in `folder`/search.
    """
    asked = oracle.make(options, space, folder / "trials", report)
    tuner = _Tuner(asked, options, folder, train)
    with warnings.catch_warnings():
        # NumPy's about the score of a failed trial, scikit-learn's about the shape of a curve through few trials.
        for message in ("All-NaN axis encountered", "The optimal value found for dimension"):
            warnings.filterwarnings("ignore", message)
        try:
            tuner.search()
        except keras_tuner.errors.FatalError as error:
            raise error.__cause__ or error
    if is_worker():
        return None
    asked.drop_weights(options.EXPLORATION_KEPT_MODELS)
    if asked.ended_early:
        print(f"\n{asked.ended_early}", flush=True)
    return asked.rows()


def is_worker() -> bool:
    """Whether this program trains what a chief elsewhere asks for. UserError where only some of Keras Tuner's environment variables are set."""
    names = [f"KERASTUNER_{name}" for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID")]
    missing = [name for name in names if name not in os.environ]
    if 0 < len(missing) < len(names):
        raise storage.UserError(
            f"Of the environment variables of a search by many machines {' and '.join(missing)} is not set: see cluster/README.md."
        )
    return not missing and "chief" not in os.environ["KERASTUNER_TUNER_ID"]


def wait_for_chief() -> None:
    """Returns when the chief answers. UserError where it does not for ten minutes."""
    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    try:
        grpc.channel_ready_future(grpc.insecure_channel(address)).result(timeout=CHIEF_PATIENCE_SECONDS)
    except grpc.FutureTimeoutError as error:
        raise storage.UserError(
            f"No chief answers at {address} (KERASTUNER_ORACLE_IP and _PORT). Start it, then this worker again."
        ) from error


class _Tuner(keras_tuner.Tuner):
    """Trains what the oracle, here or in the chief, asks for."""

    def __init__(
        self,
        asked: oracle.Oracle,
        options: Settings,
        folder: pathlib.Path,
        train: Callable[[trials.Trial], pd.DataFrame],
    ) -> None:
        self._options, self._train = options, train
        with contextlib.redirect_stdout(io.StringIO()):  # It says from which file it goes on.
            super().__init__(oracle=asked, directory=str(folder), project_name="search")

    def pre_create_trial(self) -> None:
        """Does not ask without pause a chief who has nothing to do at the moment."""
        if is_worker():
            time.sleep(_IDLE_SECONDS)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains one trial; one that fails gets no number for a score, which Keras Tuner takes for a failure, and its reason among its values."""
        wanted = trials.describe(trial, self._options)
        told = (
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in wanted.searched.items()
        )
        _announce(f"\nTrial {wanted.name}: {', '.join(told)}")
        try:
            history = self._train(wanted)
            if not math.isfinite(history[oracle.SCORE].iloc[-1]):
                raise TrialFailed("its Dice on the validation cases is no number")
        except (storage.UserError, BrokenPipeError) as error:
            # What the user must correct ends the search; Keras Tuner would take anything else for a failed trial, and continue.
            raise keras_tuner.errors.FatalError(str(error)) from error
        except Exception as error:
            # Whatever a mixture of hyperparameters may do to Keras or TensorFlow: it is noted, and the next one gets its turn.
            reason = (
                str(error)
                if isinstance(error, TrialFailed)
                else f"{type(error).__name__}: {(str(error).strip() or 'no text').splitlines()[0]}"
            )
            trials.note_failure(trial, reason)
            _announce(f"  failed: {reason}")
            return {oracle.SCORE: math.nan, "seconds": math.nan}
        score, seconds = float(history[oracle.SCORE].iloc[-1]), float(history["seconds"].sum())
        _announce(f"  Dice {score:.4f} in {seconds / 60:.1f} min")
        values = {oracle.SCORE: score, "seconds": seconds}
        if _FALSE_POSITIVES in history:
            values[trials.FALSE_POSITIVES] = float(history[_FALSE_POSITIVES].iloc[-1])
        return values

    def save(self) -> None:
        """Keeps the oracle's state, which is all there is."""
        if not is_worker():
            self.oracle.save()

    def reload(self) -> None:
        """Reads it."""
        if not is_worker():
            self.oracle.reload()

    def _get_tuner_fname(self) -> str:
        # The file by whose presence Keras Tuner tells that there is something to go on with: it is there from the first trial on.
        return str(pathlib.Path(self.project_dir) / "oracle.json")


def _announce(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError as error:  # Nobody reads the output any more: as everywhere, that ends the program.
        raise keras_tuner.errors.FatalError(str(error)) from error
