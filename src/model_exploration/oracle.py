"""Keras Tuner's oracles with crash-safe state and a time limit. The first trial has the default hyperparameters.

Where many machines search together, there is one oracle, in the chief.
"""

import json
import math
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras_tuner

import storage
from model_exploration import default_trial, repeats, trials
from settings import Settings
from settings.hyperparameters import Hyperparameters

# After so many consecutive failures the cause is not in the single trial.
MAX_CONSECUTIVE_FAILURES = 5

Report = Callable[[list[trials.Row]], None]


def create(
    options: Settings,
    space: keras_tuner.HyperParameters,
    folder: pathlib.Path,
    report: Report,
    defaults: Hyperparameters = Hyperparameters(),  # noqa: B008  It is frozen.
) -> "Oracle":
    """Returns the oracle of the EXPLORATION settings for the search in `folder`; `defaults` are its first trial."""
    # Keras Tuner's default is three random trials per hyperparameter: more trials than most searches have.
    initial = max(4, (options.EXPLORATION_MAX_TRIALS or 24) // 3)
    arguments: dict[str, dict[str, Any]] = {
        "random": {"max_trials": None},
        "hyperband": {"max_epochs": options.EXPLORATION_EPOCHS},
        "bayesian": {"max_trials": None, "num_initial_points": initial},
    }
    kinds = {"random": _Random, "hyperband": _Hyperband, "bayesian": _Bayesian}
    tuner = options.EXPLORATION_TUNER
    return kinds[tuner](options, folder, report, defaults, hyperparameters=space, **arguments[tuner])


class Oracle(keras_tuner.Oracle):
    """Extends each of Keras Tuner's oracles, as the first base class."""

    def __init__(
        self, options: Settings, folder: pathlib.Path, report: Report, defaults: Hyperparameters, **arguments: Any
    ) -> None:
        # Keras Tuner takes a seed of 0 for none. Its own limit of consecutive failures raises an error that leaves the
        # search broken.
        super().__init__(
            objective=keras_tuner.Objective(trials.SCORE, "max"),
            seed=options.SEED + 1,
            max_consecutive_failed_trials=sys.maxsize,
            **arguments,
        )
        self._options, self._folder, self._report, self._defaults = options, folder, report, defaults
        self._seconds_before, self._started = 0.0, time.monotonic()
        self._seconds_allowed = 3600 * (options.EXPLORATION_TIME_LIMIT_HOURS or math.inf)
        self._ended_statuses: list[str] = []
        # How many machines train; the reason why there are fewer trials or repeats than requested, else "".
        self.workers, self.early_end = 1, ""
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict:
        """Returns the values of the next trial, or that the search is over."""
        self.workers = max(self.workers, len(self.tuner_ids))
        chosen = self._next_values(trial_id)
        # The repeats begin after the last trial: it may become one of the best.
        return {"status": "IDLE"} if chosen["status"] == "STOPPED" and self.ongoing_trials else chosen

    def _next_values(self, trial_id: str) -> dict:
        if self._is_over():
            return {"status": "STOPPED"}
        if not self.trials:
            return {
                "status": "RUNNING",
                "values": default_trial.values(self.hyperparameters, self._defaults),
            }
        chosen = super().populate_space(trial_id)
        if chosen["status"] == "RUNNING":
            chosen["values"] = default_trial.rounded(chosen["values"], self.hyperparameters)
        return chosen

    def end_trial(self, trial: Any) -> None:
        """Records a trial's result, deletes the weights of all but the best trials, and reports."""
        super().end_trial(trial)
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)  # Another worker was to retry it; that is not needed any more.
        self._ended_statuses.append(self.trials[trial.trial_id].status)
        self.report()

    def report(self) -> None:
        """Deletes the weights of all but the best trials, and reports the rows."""
        kept = self._options.EXPLORATION_KEPT_MODELS
        # The repeats decide which of the finalists is the best.
        self.drop_weights(max(kept, repeats.FINALISTS) if kept and self._options.EXPLORATION_REPEATS else kept)
        self._report(self.rows())

    def drop_weights(self, kept: int) -> None:
        """Deletes the trained weights of all trials except the `kept` best, and those of the repeats."""
        rows = trials.ranked(self.rows())
        names = [row.trial.name for row in rows if row.status == "completed"][kept:]
        names += [f"{row.trial.id} repeat {number}" for row in rows for number in row.repeats]
        for name in names:
            (self._folder / "trials" / name / "weights.weights.h5").unlink(missing_ok=True)

    def score_trial(self, trial: Any) -> None:
        """Sets the score: the Dice after the last epoch."""
        trial.score, trial.best_step = trial.metrics.get_last_value(trials.SCORE), 0

    def rows(self) -> list[trials.Row]:
        """Returns a row per trial, with its repeats."""
        repeated = repeats.read(self._folder / "repeats")
        return [trials.row(trial, self._options, repeated.get(name, {})) for name, trial in sorted(self.trials.items())]

    def save(self) -> None:
        """Writes the oracle's state atomically: a kill of Keras Tuner's own method leaves half a file."""
        storage.atomic_write(pathlib.Path(self._get_oracle_fname()), json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        file = pathlib.Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        storage.atomic_write(file, json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Reads the state.

        A trial's own file is written before the oracle's: after a kill in between, the trial's file is right.
        """
        super().reload()
        ended = [name for name, trial in sorted(self.trials.items()) if trial.status in ("COMPLETED", "FAILED")]
        self.end_order += [name for name in ended if name not in self.end_order]
        self._retry_queue = sorted(self.trials.keys() - set(ended), reverse=True)
        for name, trial in self.trials.items():
            self._record_values(trial)
            if name in self._retry_queue:
                trial.metrics = trial.metrics.from_config({"metrics": {}})

    def get_state(self) -> dict:
        """Returns Keras Tuner's state and the elapsed seconds."""
        return super().get_state() | {"seconds": self._seconds()}

    def set_state(self, state: dict) -> None:
        """Restores what `get_state` returned."""
        super().set_state(state)
        self._seconds_before = state["seconds"]

    def _compute_values_hash(self, values: dict) -> str:
        # A recorded failure does not make the values different.
        return super()._compute_values_hash({name: value for name, value in values.items() if name != trials.FAILURE})

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def seconds_left(self) -> float:
        """Returns how many seconds of the time limit are left; infinity without a limit."""
        return self._seconds_allowed - self._seconds()

    def _is_over(self) -> bool:
        if self._options.EXPLORATION_MAX_TRIALS and len(self.trials) >= self._options.EXPLORATION_MAX_TRIALS:
            return True
        if self._ended_statuses[-MAX_CONSECUTIVE_FAILURES:] == ["FAILED"] * MAX_CONSECUTIVE_FAILURES:
            self.early_end = (
                f"Stopped after {MAX_CONSECUTIVE_FAILURES} consecutive failures. "
                "Fix the cause above and rerun; the search resumes."
            )
            return True
        # One more trial must fit, and the repeats of the best trials, for which up to half of the time is reserved.
        seconds = self._trial_seconds()
        repeating = seconds * math.ceil(self._missing_repeats(len(self.trials) + 1) / self.workers)
        return seconds + min(repeating, self._seconds_allowed / 2) > self.seconds_left()

    def _trial_seconds(self) -> float:
        """The mean duration of the trainings so far; 0 before the first has ended."""
        outcomes = [outcome for row in self.rows() for outcome in (row.outcome, *row.repeats.values())]
        durations = [outcome.seconds for outcome in outcomes if math.isfinite(outcome.dice)]
        return statistics.mean(durations) if durations else 0.0

    def _missing_repeats(self, trial_count: float) -> float:
        count, best = self._options.EXPLORATION_REPEATS, repeats.finalists(self.rows())
        return min(repeats.FINALISTS, trial_count) * count - sum(min(count, len(row.repeats)) for row in best)

    def seconds_to_go(self) -> float:
        """Estimates the seconds to the end of the search, the repeats included; NaN if nobody can tell."""
        if not (seconds := self._trial_seconds()):
            return math.nan
        total = self._options.EXPLORATION_MAX_TRIALS or math.inf
        ended = sum(row.status in ("completed", "failed") for row in self.rows())
        trainings = total - ended + self._missing_repeats(total)
        left = min(self.seconds_left(), seconds * trainings / self.workers)
        return left if math.isfinite(left) else math.nan


class _Random(Oracle, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(Oracle, keras_tuner.oracles.HyperbandOracle):
    pass


class _Distinct(keras_tuner.oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id: str) -> dict:
        """Returns the values of the next trial.

        They are random if the predicted optimum was tried before, or if the space has nothing to optimize.
        """
        if all(isinstance(hp, keras_tuner.engine.hyperparameters.Fixed) for hp in self.hyperparameters.space):
            return self._random_populate_space()
        chosen = super().populate_space(trial_id)
        tried = any(chosen["values"] == trials.searched(trial) for trial in self.trials.values())
        return self._random_populate_space() if chosen["status"] == "RUNNING" and tried else chosen


class _Bayesian(Oracle, _Distinct):
    pass
