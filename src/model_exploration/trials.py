"""The records of a search: a trial, how a training ended, and the row that joins both. Their ranking."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from model_exploration import search_space
from settings import Settings, hyperparameters

# The metrics' names in Keras Tuner.
SCORE, SECONDS, FALSE_POSITIVES = "val_dice", "seconds", "false_positives"

# The project's entries stand among a trial's values, beside Keras Tuner's own entries with the same prefix: values are
# what travels between machines.
_PREFIX = "tuner/"
EPOCHS, FAILURE = _PREFIX + "epochs", _PREFIX + "failure"

# A few pixels that overlap a mask by accident are no result.
_MIN_SCORE = 0.01

# Below it the order of trials says little: such trainings have hardly begun to learn.
POOR = 0.5


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one trial trains.

    id: its number in the search, from "0000" on. That trial has the default hyperparameters.
    values: the hyperparameters; `searched` holds the same values under the tuner's names.
    epochs: the length of the training.
    repeat: 0 for a trial of the search; 1, 2 ... for a repeat of it with another seed.
    """

    id: str
    values: hyperparameters.Hyperparameters
    searched: dict[str, Any]
    epochs: int
    repeat: int = 0

    @property
    def name(self) -> str:
        """A valid folder name."""
        if self.repeat:
            return f"{self.id} repeat {self.repeat}"
        # TensorBoard's table truncates names of more than about 15 letters.
        return f"{self.id} {self.values.architecture} {self.values.learning_rate:.0e}".replace("e-0", "e-")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a training ended.

    dice: the validation Dice after the last epoch; NaN if the training failed or has not ended.
    seconds: the training's duration, else NaN.
    false_positives: how many empty validation masks were predicted non-empty; NaN if unknown.
    failure: the reason of a failure, else "".
    """

    dice: float = math.nan
    seconds: float = math.nan
    false_positives: float = math.nan
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """A trial of the search, its status, its outcome, and the outcomes of its repeats by their number.

    status: "completed", "failed" or "running".
    """

    trial: Trial
    status: str
    outcome: Outcome
    repeats: dict[int, Outcome] = dataclasses.field(default_factory=dict)

    @property
    def is_default(self) -> bool:
        """Whether it is the trial with the default hyperparameters, or the nearest ones in the search space."""
        return int(self.trial.id) == 0

    @property
    def repeat_dices(self) -> list[float]:
        """The Dice of each repeat that did not fail."""
        return [outcome.dice for _, outcome in sorted(self.repeats.items()) if not outcome.failure]

    @property
    def failed_repeats(self) -> int:
        """The number of failed repeats."""
        return len(self.repeats) - len(self.repeat_dices)

    @property
    def score(self) -> float:
        """The expected Dice of the trial's hyperparameters; NaN without an outcome.

        With repeats it is their mean: the first Dice is biased upward by the selection.
        """
        if self.status != "completed":
            return math.nan
        return statistics.mean(self.repeat_dices) if self.repeat_dices else self.outcome.dice

    @property
    def has_no_overlap(self) -> bool:
        """Whether the predictions overlap the masks by next to no pixel. True without an outcome."""
        return not self.score >= _MIN_SCORE


def describe(trial: Any, options: Settings) -> Trial:
    """Converts a Keras Tuner trial."""
    epochs = trial.hyperparameters.values.get(EPOCHS, options.EXPLORATION_EPOCHS)
    return Trial(trial.trial_id, search_space.sample(trial.hyperparameters), searched(trial), epochs)


def row(trial: Any, options: Settings, repeats: dict[int, Outcome]) -> Row:
    """Returns the row of a Keras Tuner trial with these `repeats`."""
    dice, seconds, false_positives = (_last_value(trial, name) for name in (SCORE, SECONDS, FALSE_POSITIVES))
    outcome = Outcome(dice, seconds, false_positives, trial.hyperparameters.values.get(FAILURE, ""))
    return Row(describe(trial, options), trial.status.lower(), outcome, repeats)


def _last_value(trial: Any, name: str) -> float:
    return trial.metrics.get_last_value(name) if trial.metrics.exists(name) else math.nan


def searched(trial: Any) -> dict[str, Any]:
    """The hyperparameters of a Keras Tuner trial, without entries of the tuner and of this project."""
    return {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith(_PREFIX)}


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Sorts rows, the best first.

    Trials with repeats come first, ranked by the mean of the repeats, if that mean is not poor. The other trials
    follow, ranked by their score. Then come trials with a failed repeat, trials without overlap, and trials without an
    outcome.
    """
    return sorted(rows, key=_rank)


def _rank(row: Row) -> tuple:
    # Repeats must not lift a poor trial above a better one.
    confirmed = bool(row.repeat_dices) and row.score >= POOR
    return (
        row.status != "completed",
        row.has_no_overlap,
        row.failed_repeats > 0,
        not confirmed,
        -row.score,
        row.trial.id,
    )


def recommended(rows: Sequence[Row]) -> Row | None:
    """Returns the trial whose hyperparameters the final model should have; None if all trials are poor.

    It is the default one unless another one scores higher.
    """
    completed = [row for row in ranked(rows) if row.status == "completed"]
    if not completed or all_poor(completed):
        return None
    default = next((row for row in completed if row.is_default), completed[0])
    return completed[0] if completed[0].score > default.score else default


def all_poor(completed: Sequence[Row]) -> bool:
    """Whether no trial reaches a Dice of 0.5."""
    return max(row.score for row in completed) < POOR
