"""Who decides what is tried next: Keras Tuner's oracles, made to survive a kill at any moment, to end by trials or by hours, and to have the
best trials trained again. Where many machines search together, there is one oracle, in the chief.
"""

import collections
import dataclasses
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
from model_exploration import trials
from settings import Settings

SCORE = "val_dice"

# How many of the best are trained again with other seeds.
FINALISTS = 3

# What a row takes from the trial.
_OWN = ("epochs", "seconds", "false_positives", "searched", "failure")

# After so many failures, one after the other, the fault is not the single trial's.
FAILURES_IN_A_ROW = 5


def make(
    options: Settings,
    space: keras_tuner.HyperParameters,
    folder: pathlib.Path,
    report: Callable[[list[dict]], None],
) -> "Oracle":
    """The oracle that the EXPLORATION settings ask for; it drops the weights below `folder` that are not to be kept."""
    own = {"random": {"max_trials": None}, "hyperband": {"max_epochs": options.EXPLORATION_EPOCHS}}
    # By default the first trials that are drawn at random are three times as many as hyperparameters: more than most searches have.
    own["bayesian"] = {"max_trials": None, "num_initial_points": max(4, (options.EXPLORATION_MAX_TRIALS or 24) // 3)}
    kinds = {"random": _Random, "hyperband": _Hyperband, "bayesian": _Bayesian}
    return kinds[options.EXPLORATION_TUNER](
        options, folder, report, hyperparameters=space, **own[options.EXPLORATION_TUNER]
    )


class Oracle:
    """What is added to each of Keras Tuner's oracles, as the class above them."""

    def __init__(
        self, options: Settings, folder: pathlib.Path, report: Callable[[list[dict]], None], **own: Any
    ) -> None:
        # Keras Tuner takes a seed of 0 for none, and gives up by an error that leaves the search broken; here it ends.
        super().__init__(
            objective=keras_tuner.Objective(SCORE, "max"),
            seed=options.SEED + 1,
            max_consecutive_failed_trials=sys.maxsize,
            **own,
        )
        self._options, self._folder, self._report = options, folder, report
        self._seconds_before, self._begun = 0.0, time.monotonic()
        self._seconds_allowed = 3600 * (options.EXPLORATION_TIME_LIMIT_HOURS or math.inf)
        self._ended_here: list[str] = []
        # Why there are fewer trials, or repeats, than were asked for; "" where there are not.
        self.ended_early = ""
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict:
        """The values of the next trial: from Keras Tuner, as long as there are trials and hours left, then those of the best again."""
        chosen = {"status": "STOPPED"} if self._is_over() else super().populate_space(trial_id)
        return chosen if chosen["status"] == "RUNNING" else self._again()

    def end_trial(self, trial: Any) -> None:
        """Notes a trial's result, keeps the weights of the best alone, and reports."""
        super().end_trial(trial)
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)  # Somebody else was to train it again, and need not.
        if not self._told(trial).repeat:
            self._ended_here.append(self.trials[trial.trial_id].status)
        kept = self._options.EXPLORATION_KEPT_MODELS
        # The repeats will tell which of the finalists is the best.
        self.drop_weights(max(kept, FINALISTS) if kept and self._options.EXPLORATION_REPEATS else kept)
        self._report(self.rows())

    def drop_weights(self, kept: int) -> None:
        """Deletes the trained weights of all trials but so many of the best."""
        best = [row["trial"] for row in trials.ranked(self.rows())][:kept]
        for trial in self.trials.values():
            name = self._told(trial).name
            if trial.status == "COMPLETED" and name not in best:
                (self._folder / name / "weights.weights.h5").unlink(missing_ok=True)

    def score_trial(self, trial: Any) -> None:
        """The Dice after the last epoch."""
        trial.score, trial.best_step = trial.metrics.get_last_value(SCORE), 0

    def rows(self) -> list[dict]:
        """For each trial that was searched: trial, status, val_dice, repeats (theirs), repeats_failed (how many),
        epochs, seconds, false_positives, searched, failure ...
        """
        repeats, failed = collections.defaultdict(list), collections.Counter()
        for trial in self.trials.values():
            if trial.status == "COMPLETED" and self._told(trial).repeat:
                repeats[self._told(trial).repeat_of].append(trial.score)
            failed[self._told(trial).repeat_of] += trial.status == "FAILED"
        rows = []
        for trial in self._searched():
            told = self._told(trial)
            found = {
                "trial": told.name,
                "status": trial.status.lower(),
                SCORE: trial.score,
                "repeats": repeats[trial.trial_id],
                "repeats_failed": failed[trial.trial_id],
            }
            own = {name: getattr(told, name) for name in _OWN}
            rows.append(found | own | {"hyperparameters": dataclasses.asdict(told.values)})
        return rows

    def save(self) -> None:
        """Writes the oracle's state; whole, where Keras Tuner's own way leaves half a file if it is killed."""
        storage.atomic_write(pathlib.Path(self._get_oracle_fname()), json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        storage.atomic_write(
            pathlib.Path(self._get_trial_dir(trial.trial_id)) / "trial.json", json.dumps(trial.get_state())
        )

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
        ranked = sorted(
            (trial for trial in self._searched() if trial.status == "COMPLETED"), key=lambda trial: -trial.score
        )
        # Hyperband trains the same values for more and more epochs: those that were trained longest.
        distinct = {}
        for trial in sorted(ranked, key=lambda trial: -self._told(trial).epochs):
            distinct.setdefault(json.dumps(self._told(trial).searched), trial)
        return [trial for trial in ranked if trial in distinct.values()][:count]

    def _is_over(self) -> bool:
        if self._options.EXPLORATION_MAX_TRIALS and len(self._searched()) >= self._options.EXPLORATION_MAX_TRIALS:
            return True
        if self._ended_here[-FAILURES_IN_A_ROW:] == ["FAILED"] * FAILURES_IN_A_ROW:
            self.ended_early = f"The search was ended: {FAILURES_IN_A_ROW} trials failed one after the other. Mend what they tell, and run the step again: it goes on."
            return True
        known = [self._told(trial).seconds for trial in self.trials.values() if trial.status == "COMPLETED"]
        if not known:
            return False
        # One more trial is to fit in, and the repeats of the best, for which up to half of the time is kept.
        to_come = min(FINALISTS, len(self._searched()) + 1) * self._options.EXPLORATION_REPEATS - len(
            self._repeated(self._best(FINALISTS))
        )
        repeats = statistics.mean(known) * math.ceil(to_come / max(1, len(self.tuner_ids)))
        return (
            self._seconds() + statistics.mean(known) + min(repeats, self._seconds_allowed / 2) > self._seconds_allowed
        )

    def _repeated(self, best: list) -> set[tuple[str, int]]:
        """Which of the repeats of the `best` were begun, as (the trial's id, the repeat's number)."""
        told, ids = map(self._told, self.trials.values()), {trial.trial_id for trial in best}
        return {(each.repeat_of, each.repeat) for each in told if each.repeat_of in ids}

    def _again(self) -> dict:
        if any(not self._told(trial).repeat for trial in self.ongoing_trials.values()):
            return {"status": "IDLE"}  # One of those may become one of the best.
        best, numbers = self._best(FINALISTS), range(1, self._options.EXPLORATION_REPEATS + 1)
        begun = self._repeated(best)
        # Round by round: whenever it ends, all have been repeated as often, or but once less.
        to_come = [(number, trial) for number in numbers for trial in best if (trial.trial_id, number) not in begun]
        if not to_come:
            return {"status": "STOPPED"}
        number, trial = to_come[0]
        told = self._told(trial)
        if self._seconds() + told.seconds > self._seconds_allowed:
            self.ended_early = f"The time ended before the best trials were trained again: {len(to_come)} such trainings are missing. EXPLORATION_TIME_LIMIT_HOURS may be raised."
            return {"status": "STOPPED"}
        return {
            "status": "RUNNING",
            "values": told.searched
            | {trials.REPEAT_OF: trial.trial_id, trials.REPEAT: number, trials.EPOCHS: told.epochs},
        }


class _Random(Oracle, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(Oracle, keras_tuner.oracles.HyperbandOracle):
    pass


class _Distinct(keras_tuner.oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id: str) -> dict:
        """The values of the next trial; drawn at random where the optimum is a point that was tried, or where there is nothing to optimize."""
        if all(isinstance(hp, keras_tuner.engine.hyperparameters.Fixed) for hp in self.hyperparameters.space):
            return self._random_populate_space()
        chosen = super().populate_space(trial_id)
        tried = chosen["status"] == "RUNNING" and any(
            chosen["values"] == trials.searched(trial) for trial in self.trials.values()
        )
        return self._random_populate_space() if tried else chosen


class _Bayesian(Oracle, _Distinct):
    pass
