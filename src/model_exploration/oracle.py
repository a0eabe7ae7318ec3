"""Who decides what is tried next: Keras Tuner's oracles, made to survive a kill at any moment, to end by trials or by hours, and to have the
best trials trained again. Where many machines search together, there is one oracle, in the chief.
"""
import collections
import dataclasses
import json
import pathlib
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import keras_tuner

import storage
from model_exploration import trials

SCORE = "val_dice"

# How many of the best are trained again with other seeds.
FINALISTS = 3

# After so many failures, one after the other, the fault is not the single trial's.
FAILURES_IN_A_ROW = 5


def make(options: types.SimpleNamespace, space: keras_tuner.HyperParameters, folder: pathlib.Path, report: Callable[[list[dict]], None]) -> "Oracle":
    """The oracle that the EXPLORATION settings ask for; it drops the weights below `folder` that are not to be kept."""
    own = {"random": {"max_trials": None}, "hyperband": {"max_epochs": options.EXPLORATION_EPOCHS}}
    # By default the first trials that are drawn by lot are three times as many as hyperparameters: more than most searches have.
    own["bayesian"] = {"max_trials": None, "num_initial_points": max(4, (options.EXPLORATION_MAX_TRIALS or 24) // 3)}
    kinds = {"random": _Random, "hyperband": _Hyperband, "bayesian": _Bayesian}
    return kinds[options.EXPLORATION_TUNER](options, folder, report, hyperparameters=space, **own[options.EXPLORATION_TUNER])


class Oracle:
    """What is added to each of Keras Tuner's oracles, as the class above them."""

    def __init__(self, options: types.SimpleNamespace, folder: pathlib.Path, report: Callable[[list[dict]], None], **own: Any) -> None:
        # Keras Tuner takes a seed of 0 for none, and gives up by an error that leaves the search broken; here it ends.
        super().__init__(objective=keras_tuner.Objective(SCORE, "max"), seed=options.SEED + 1, max_consecutive_failed_trials=sys.maxsize, **own)
        self._options, self._folder, self._report = options, folder, report
        self._seconds_before, self._begun = 0.0, time.monotonic()
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict:
        """The values of the next trial: from Keras Tuner, as long as there are trials and hours left, then those of the best again."""
        chosen = {"status": "STOPPED"} if self._is_over() else super().populate_space(trial_id)
        return self._again() if chosen["status"] == "STOPPED" else chosen

    def end_trial(self, trial: Any) -> None:
        """Notes a trial's result, keeps the weights of the best alone, and reports."""
        super().end_trial(trial)
        kept = self._best(self._options.EXPLORATION_KEPT_MODELS)
        for known in self.trials.values():
            if known.status == "COMPLETED" and known not in kept:
                (self._folder / self._told(known).name / "weights.weights.h5").unlink(missing_ok=True)
        self._report(self.rows())

    def score_trial(self, trial: Any) -> None:
        """The Dice after the last epoch."""
        trial.score, trial.best_step = trial.metrics.get_last_value(SCORE), 0

    def rows(self) -> list[dict]:
        """For each trial that was searched: trial, status, val_dice, its repeats' (a list), epochs, seconds, searched, hyperparameters, failure."""
        repeats = collections.defaultdict(list)
        for trial in self.trials.values():
            if trial.status == "COMPLETED" and self._told(trial).repeat:
                repeats[self._told(trial).repeat_of].append(trial.score)
        rows = []
        for trial in self._searched():
            told = self._told(trial)
            found = {"trial": told.name, "status": trial.status.lower(), SCORE: trial.score, "repeats": repeats[trial.trial_id]}
            own = {name: getattr(told, name) for name in ("epochs", "seconds", "searched", "failure")}
            rows.append(found | own | {"hyperparameters": dataclasses.asdict(told.values)})
        return rows

    def save(self) -> None:
        """Writes the oracle's state; whole, where Keras Tuner's own way leaves half a file if it is killed."""
        storage.write_whole(pathlib.Path(self._get_oracle_fname()), json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        storage.write_whole(pathlib.Path(self._get_trial_dir(trial.trial_id)) / "trial.json", json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Reads what `save` wrote. A trial's own file is written first: after a kill in between, it knows better."""
        super().reload()
        ended = [name for name, trial in sorted(self.trials.items()) if trial.status in ("COMPLETED", "FAILED")]
        self.end_order += [name for name in ended if name not in self.end_order]
        self._retry_queue = sorted(self.trials.keys() - set(ended), reverse=True)
        for name, trial in self.trials.items():
            self._record_values(trial)
            if name in self._retry_queue:
                trial.metrics = trial.metrics.from_config({"metrics": {}})

    def get_state(self) -> dict:
        """Keras Tuner's state, and the time that was spent."""
        return super().get_state() | {"seconds": self._seconds()}

    def set_state(self, state: dict) -> None:
        """The same, read."""
        super().set_state(state)
        self._seconds_before = state["seconds"]

    def _compute_values_hash(self, values: dict) -> str:
        # Values that failed are the same values.
        return super()._compute_values_hash({name: value for name, value in values.items() if name != trials.FAILURE})

    def _told(self, trial: Any) -> trials.Trial:
        return trials.describe(trial, self._options)

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._begun

    def _searched(self) -> list:
        return [trial for _, trial in sorted(self.trials.items()) if not self._told(trial).repeat]

    def _best(self, count: int) -> list:
        ranked = sorted((trial for trial in self._searched() if trial.status == "COMPLETED"), key=lambda trial: -trial.score)
        # Hyperband trains the same values for more and more epochs: those that were trained longest.
        distinct = {}
        for trial in sorted(ranked, key=lambda trial: -self._told(trial).epochs):
            distinct.setdefault(json.dumps(self._told(trial).searched), trial)
        return [trial for trial in ranked if trial in distinct.values()][:count]

    def _is_over(self) -> bool:
        limit, last = self._options.EXPLORATION_MAX_TRIALS, [self.trials[name].status for name in self.end_order[-FAILURES_IN_A_ROW:]]
        if (limit and len(self._searched()) >= limit) or last == ["FAILED"] * FAILURES_IN_A_ROW:
            return True
        hours, known = self._options.EXPLORATION_TIME_LIMIT_HOURS, [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        if not hours or not known:
            return False
        # One more trial, and the repeats of the best, are to fit in.
        seconds = {trial.trial_id: self._told(trial).seconds for trial in known}
        still = statistics.mean(seconds.values()) + self._options.EXPLORATION_REPEATS * sum(seconds[trial.trial_id] for trial in self._best(FINALISTS))
        return self._seconds() + still / max(1, len(self.tuner_ids)) > 3600 * hours

    def _again(self) -> dict:
        if any(not self._told(trial).repeat for trial in self.ongoing_trials.values()):
            return {"status": "IDLE"}  # One of those may become one of the best.
        known = {(told.repeat_of, told.repeat) for told in map(self._told, self.trials.values())}
        for number in range(1, self._options.EXPLORATION_REPEATS + 1):
            for trial in self._best(FINALISTS):
                if (trial.trial_id, number) not in known:
                    notes = {trials.REPEAT_OF: trial.trial_id, trials.REPEAT: number, trials.EPOCHS: self._told(trial).epochs}
                    return {"status": "RUNNING", "values": self._told(trial).searched | notes}
        return {"status": "STOPPED"}


class _Random(Oracle, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(Oracle, keras_tuner.oracles.HyperbandOracle):
    pass


class _Bayesian(Oracle, keras_tuner.oracles.BayesianOptimizationOracle):
    pass
