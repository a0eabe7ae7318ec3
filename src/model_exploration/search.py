"""Runs a Keras Tuner search and its repeats, on one machine, or on many machines with one chief."""

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
from model_exploration import oracle, repeats, trainer, trials
from model_exploration.trials import Row, Trial
from model_training import budget
from settings import Settings
from settings.hyperparameters import Hyperparameters

CHIEF_PATIENCE_SECONDS = 600
_IDLE_SECONDS = 0.2

Train = Callable[[Trial], pd.DataFrame]


def run(
    space: keras_tuner.HyperParameters,
    options: Settings,
    folder: pathlib.Path,
    train: Train,
    report: oracle.Report,
    defaults: Hyperparameters = Hyperparameters(),  # noqa: B008  It is frozen.
) -> list[Row] | None:
    """Starts or resumes a search of `space` with the EXPLORATION settings, and then repeats the best trials.

    Returns a row per trial, on a worker None. `train` returns a trial's history. `report` is called with the rows after
    each training. `defaults` are the first trial. Keras Tuner keeps its state in `folder`/search, the repeats are in
    `folder`/repeats.
    """
    if is_worker():
        _work(space, options, folder, train)
        return None
    repeats.discard_plan(folder / "repeats")
    tuner_oracle = oracle.create(options, space, folder, report, defaults)
    _search(_Tuner(tuner_oracle, options, folder, train))
    if is_chief():
        _delegate_repeats(tuner_oracle, options, folder)
    else:
        _repeat(tuner_oracle, options, folder, train)
    tuner_oracle.drop_weights(options.EXPLORATION_KEPT_MODELS)
    if tuner_oracle.early_end:
        print(f"\n{tuner_oracle.early_end}", flush=True)
    return tuner_oracle.rows()


def _search(tuner: "_Tuner") -> None:
    with warnings.catch_warnings():
        # NumPy warns of the score of a failed trial, scikit-learn of the shape of a curve through few trials.
        for message in ("All-NaN axis encountered", "The optimal value found for dimension"):
            warnings.filterwarnings("ignore", message)
        try:
            tuner.search()
        except keras_tuner.errors.FatalError as error:
            raise (error.__cause__ or error) from None


def _repeat(tuner_oracle: oracle.Oracle, options: Settings, folder: pathlib.Path, train: Train) -> None:
    while tasks := repeats.missing(tuner_oracle.rows(), options.EXPLORATION_REPEATS):
        affordable = repeats.affordable(tasks, tuner_oracle.seconds_left())
        if not affordable:
            tuner_oracle.early_end = tuner_oracle.early_end or _MISSING_REPEATS.format(len(tasks))
            return
        end = budget.clock_time(sum(seconds for _, seconds in tasks[: len(affordable)]))
        print(f"\nRepeats of the best trials: {len(affordable)} left, search ends about {end}", end="", flush=True)
        repeats.train_one(folder / "repeats", train, affordable[0])
        tuner_oracle.save()
        tuner_oracle.report()


_MISSING_REPEATS = (
    "The time limit ended the search before all repeats of the best trials: {} are missing. "
    "Raise EXPLORATION_TIME_LIMIT_HOURS to add them."
)


def _delegate_repeats(tuner_oracle: oracle.Oracle, options: Settings, folder: pathlib.Path) -> None:
    tasks = repeats.missing(tuner_oracle.rows(), options.EXPLORATION_REPEATS)
    affordable = repeats.affordable(tasks, tuner_oracle.seconds_left() * tuner_oracle.workers)
    repeats.delegate(folder / "repeats", options, affordable)
    tuner_oracle.save()
    if len(affordable) < len(tasks):
        tuner_oracle.early_end = tuner_oracle.early_end or _MISSING_REPEATS.format(len(tasks) - len(affordable))


def _work(space: keras_tuner.HyperParameters, options: Settings, folder: pathlib.Path, train: Train) -> None:
    if repeats.read_plan(folder / "repeats", options) is None:
        _search(_Tuner(oracle.create(options, space, folder, lambda rows: None), options, folder, train))
    if options.EXPLORATION_REPEATS:
        repeats.work(folder / "repeats", options, os.environ["KERASTUNER_TUNER_ID"], train)


def is_chief() -> bool:
    """Whether this program distributes the trials to workers."""
    return "KERASTUNER_TUNER_ID" in os.environ and not is_worker()


def is_worker() -> bool:
    """Whether this program trains the trials of a chief elsewhere.

    UserError if only some of Keras Tuner's environment variables are set.
    """
    names = [f"KERASTUNER_{name}" for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID")]
    missing = [name for name in names if name not in os.environ]
    if 0 < len(missing) < len(names):
        raise storage.UserError(
            f"A search on many machines needs the environment variables {', '.join(names)}. "
            f"Set {' and '.join(missing)}: see cluster/README.md."
        )
    return not missing and "chief" not in os.environ["KERASTUNER_TUNER_ID"]


def wait_for_chief() -> None:
    """Returns when the chief answers. UserError if it does not answer for ten minutes."""
    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    try:
        grpc.channel_ready_future(grpc.insecure_channel(address)).result(timeout=CHIEF_PATIENCE_SECONDS)
    except grpc.FutureTimeoutError as error:
        raise storage.UserError(
            f"No chief answers at {address} (KERASTUNER_ORACLE_IP and _PORT). "
            "Start the chief, then restart this worker."
        ) from error


class _Tuner(keras_tuner.Tuner):
    """Trains the trials that the oracle, here or in the chief, creates."""

    def __init__(
        self,
        tuner_oracle: oracle.Oracle,
        options: Settings,
        folder: pathlib.Path,
        train: Train,
    ) -> None:
        self._options, self._train = options, train
        with contextlib.redirect_stdout(io.StringIO()):  # Keras Tuner prints the file from which it resumes.
            super().__init__(oracle=tuner_oracle, directory=str(folder), project_name="search")

    def pre_create_trial(self) -> None:
        """Pauses before a worker asks the chief for a trial."""
        if is_worker():
            time.sleep(_IDLE_SECONDS)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains one trial, and returns its metrics.

        A failed trial gets the score NaN, which Keras Tuner counts as a failure, and its reason among its values.
        """
        described = trials.describe(trial, self._options)
        try:
            print(f"\n{self._heading(described)}: {_shown(described.searched)}", flush=True)
            outcome = trainer.attempt(self._train, described)
        except (storage.UserError, BrokenPipeError) as error:
            # The user must correct it. Keras Tuner counts any other exception as a failed trial, and continues.
            raise keras_tuner.errors.FatalError(str(error)) from error
        if outcome.failure:
            trial.hyperparameters.values[trials.FAILURE] = outcome.failure
        metrics = {trials.SCORE: outcome.dice, trials.SECONDS: outcome.seconds}
        return metrics | (
            {} if math.isnan(outcome.false_positives) else {trials.FALSE_POSITIVES: outcome.false_positives}
        )

    def _heading(self, trial: Trial) -> str:
        total = self._options.EXPLORATION_MAX_TRIALS
        text = f"Trial {int(trial.id) + 1}" + (f" of {total}" if total else "") + f" ({trial.name})"
        seconds = math.nan if is_worker() else self.oracle.seconds_to_go()
        return text if math.isnan(seconds) else f"{text}, search ends about {budget.clock_time(seconds)}"

    def save(self) -> None:
        """Writes the oracle's state: the tuner itself has none."""
        if not is_worker():
            self.oracle.save()

    def reload(self) -> None:
        """Reads the oracle's state."""
        if not is_worker():
            self.oracle.reload()

    def _get_tuner_fname(self) -> str:
        # Keras Tuner resumes if this file exists. The oracle's state exists from the first trial on.
        return str(pathlib.Path(self.project_dir) / "oracle.json")


def _shown(searched: dict[str, Any]) -> str:
    texts = {name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in searched.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())
