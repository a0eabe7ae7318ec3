"""Repeats of the best trials with other seeds, after the search: their Dice is not biased by the selection.

Each outcome is a file in `repeats/`, so that a stopped search repeats no finished training. Where many machines search
together, the chief writes the repeats to be trained into `repeats/plan.json`. Each worker claims one after the other.
"""

import collections
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

import storage
from model_exploration import trainer
from model_exploration.trials import Outcome, Row, Trial
from settings import Settings

# How many of the best trials are repeated.
FINALISTS = 3

_POLL_SECONDS = 1.0
# The chief notices up to 20 seconds late that the search is over, and network disks show its plan up to a minute later.
_PLAN_SECONDS = 600.0
_FIX = "Delete this file; the repeat is then trained once more."

# A plan of earlier settings is out of date.
_LIMITS = ("EXPLORATION_MAX_TRIALS", "EXPLORATION_TIME_LIMIT_HOURS", "EXPLORATION_REPEATS")


def finalists(rows: Sequence[Row]) -> list[Row]:
    """Returns the best trials by their own Dice, at most three.

    Hyperband trains the same values for more and more epochs: only the longest training counts.
    """
    completed = sorted((row for row in rows if row.status == "completed"), key=lambda row: -row.outcome.dice)
    longest: dict[str, str] = {}
    for row in sorted(completed, key=lambda row: -row.trial.epochs):
        longest.setdefault(json.dumps(row.trial.searched), row.trial.id)
    return [row for row in completed if row.trial.id in longest.values()][:FINALISTS]


def missing(rows: Sequence[Row], count: int) -> list[tuple[Trial, float]]:
    """Returns the repeats without an outcome, with their expected seconds, if each finalist has `count` repeats.

    Round by round: whenever the search stops, the numbers of repeats differ by at most one.
    """
    best = finalists(rows)
    return [
        (dataclasses.replace(row.trial, repeat=number), row.outcome.seconds)
        for number in range(1, count + 1)
        for row in best
        if number not in row.repeats
    ]


def affordable(tasks: Sequence[tuple[Trial, float]], seconds: float) -> list[Trial]:
    """Returns the first of the `tasks` (as of `missing`) that together take at most `seconds`."""
    chosen, total = [], 0.0
    for trial, expected in tasks:
        total += expected
        if total > seconds:
            break
        chosen.append(trial)
    return chosen


def read(folder: pathlib.Path) -> dict[str, dict[int, Outcome]]:
    """Returns the outcomes of the repeats in `folder` by the trial's id and the repeat's number."""
    outcomes: dict[str, dict[int, Outcome]] = collections.defaultdict(dict)
    for file in sorted(folder.glob("* repeat *.json")):
        trial_id, _, number = file.stem.split(" ")
        values = storage.read_json(file, _FIX)
        outcomes[trial_id][int(number)] = storage.to_record(values, Outcome, file, _FIX, allow_nan=True)
    return outcomes


def train_one(folder: pathlib.Path, train: Callable[[Trial], pd.DataFrame], trial: Trial) -> None:
    """Trains one repeat, and writes its outcome into `folder`."""
    print(f"\nTrial {trial.name}: as trial {trial.id}, with another seed", flush=True)
    outcome = trainer.attempt(train, trial)
    folder.mkdir(exist_ok=True)
    storage.atomic_write(_file(folder, trial), json.dumps(dataclasses.asdict(outcome)))


def _file(folder: pathlib.Path, trial: Trial) -> pathlib.Path:
    return folder / f"{trial.name}.json"


def discard_plan(folder: pathlib.Path) -> None:
    """Deletes the plan and the claims of an earlier run."""
    for file in (folder / "plan.json", *folder.glob("*.claim")):
        file.unlink(missing_ok=True)


def delegate(folder: pathlib.Path, options: Settings, planned: Sequence[Trial]) -> None:
    """Writes the plan, and waits until workers have trained all of it."""
    plan = {"limits": _limits(options), "trials": [dataclasses.asdict(trial) for trial in planned]}
    folder.mkdir(exist_ok=True)
    storage.atomic_write(folder / "plan.json", json.dumps(plan))
    while not all(_file(folder, trial).exists() for trial in planned):
        time.sleep(_POLL_SECONDS)


def read_plan(folder: pathlib.Path, options: Settings) -> list[Trial] | None:
    """Returns the chief's plan; None before it exists."""
    file = folder / "plan.json"
    if not file.exists():
        return None
    fix = "Delete this file, and start the chief and the workers again."
    plan = storage.read_json(file, fix, ["limits", "trials"])
    if plan["limits"] != _limits(options):
        return None
    return [storage.to_record(values, Trial, file, fix) for values in plan["trials"]]


def _limits(options: Settings) -> list[Any]:
    return [getattr(options, name) for name in _LIMITS]


def work(folder: pathlib.Path, options: Settings, worker: str, train: Callable[[Trial], pd.DataFrame]) -> None:
    """Trains the planned repeats that no other worker has claimed.

    UserError if the chief writes no plan in ten minutes.
    """
    deadline = time.monotonic() + _PLAN_SECONDS
    while (planned := read_plan(folder, options)) is None:
        if time.monotonic() > deadline:
            raise storage.UserError(f"{folder / 'plan.json'} is missing. Restart the chief and the workers.")
        time.sleep(_POLL_SECONDS)
    for trial in planned:
        if not _file(folder, trial).exists() and _claim(folder / f"{trial.name}.claim", worker):
            train_one(folder, train, trial)


def _claim(file: pathlib.Path, worker: str) -> bool:
    # A worker that was killed and started again with its name resumes its claim. No locks: some network disks have
    # none.
    try:
        with file.open("x") as claim:
            claim.write(worker)
    except FileExistsError:
        return file.read_text() == worker
    return True
