"""One trial of a search in plain words, and the notes that are made on it."""

import dataclasses
import math
import statistics
from typing import Any

from model_exploration import search_space
from settings import Settings, hyperparameters

# Among a trial's values, where Keras Tuner has its notes too (all of them begin so): they travel between machines.
_NOTE = "tuner/"
REPEAT_OF, REPEAT, EPOCHS, FAILURE = (_NOTE + name for name in ("repeat_of", "repeat", "epochs", "failure"))

# The name that Keras Tuner knows it by.
FALSE_POSITIVES = "false_positives"


# A few pixels that happen to lie in a mask are no result.
_MIN_SCORE = 0.01


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one trial trains: `values`, for so many `epochs`; `searched` are the values by the tuner's names.

    With a `repeat` of 1, 2 ... it is that trial (`repeat_of`) once more, with a further seed. `seconds`,
    `false_positives` (how many empty validation masks were predicted non-empty; NaN if unknown) and `failure` tell of its
    end.
    """

    name: str
    values: hyperparameters.Hyperparameters
    searched: dict[str, Any]
    epochs: int
    repeat: int
    repeat_of: str
    seconds: float
    false_positives: float
    failure: str


def describe(trial: Any, options: Settings) -> Trial:
    """A trial of Keras Tuner's in plain words; its name is good for a folder."""
    values = trial.hyperparameters.values
    # Short: TensorBoard's table cuts off what is longer than some 15 letters.
    name = f"{trial.trial_id} {values['architecture']} {values['learning_rate']:.0e}".replace("e-0", "e-")
    return Trial(
        f"{values[REPEAT_OF]} repeat {values[REPEAT]}" if REPEAT in values else name,
        search_space.sample(trial.hyperparameters),
        searched(trial),
        values.get(EPOCHS, options.EXPLORATION_EPOCHS),
        values.get(REPEAT, 0),
        values.get(REPEAT_OF, ""),
        *(_last(trial, name) for name in ("seconds", FALSE_POSITIVES)),
        values.get(FAILURE, ""),
    )


def _last(trial: Any, name: str) -> float:
    return trial.metrics.get_last_value(name) if trial.metrics.exists(name) else math.nan


def searched(trial: Any) -> dict[str, Any]:
    """The values of a trial of Keras Tuner's, without its notes and ours."""
    return {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith(_NOTE)}


def ranked(rows: list[dict]) -> list[dict]:
    """Rows as `Oracle.rows` gives them, the best first: those that were trained again by the mean of these trainings alone, then the others by
    their one, then those of which a further training failed, then those that found nothing; those without a score last.
    """
    return sorted(rows, key=_rank)


def _rank(row: dict) -> tuple:
    # Repeats must not lift a trial that found nothing above one that found something.
    last = (row["status"] != "completed", found_nothing(row), row["repeats_failed"] > 0)
    return *last, not row["repeats"], -score(row), row["trial"]


def score(row: dict) -> float:
    """What is to be expected of a trial's values, NaN where nothing is. Its first training made it one of the best, and may have been a lucky one."""
    return (
        (statistics.mean(row["repeats"]) if row["repeats"] else row["val_dice"])
        if row["status"] == "completed"
        else math.nan
    )


def found_nothing(row: dict) -> bool:
    """Whether a trial's predictions have next to no pixel in common with the masks; True where it has no score."""
    return not score(row) >= _MIN_SCORE


def note_failure(trial: Any, reason: str) -> None:
    """Writes down why a trial came to nothing."""
    trial.hyperparameters.values[FAILURE] = reason
