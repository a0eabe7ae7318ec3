"""One trial of a search in plain words, and the notes that are made on it."""
import dataclasses
import math
import types
from typing import Any

from model_training import hyperparameters

# Among a trial's values, where Keras Tuner has its notes too (all of them begin so): they travel between machines.
_NOTE = "tuner/"
REPEAT_OF, REPEAT, EPOCHS, FAILURE = (_NOTE + name for name in ("repeat_of", "repeat", "epochs", "failure"))


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one trial trains: `values`, for so many `epochs`; `searched` are the values by the tuner's names.

    With a `repeat` of 1, 2 ... it is that trial (`repeat_of`) once more, with a further seed. `seconds` and `failure` tell of its end.
    """

    name: str
    values: hyperparameters.Hyperparameters
    searched: dict[str, Any]
    epochs: int
    repeat: int
    repeat_of: str
    seconds: float
    failure: str


def describe(trial: Any, options: types.SimpleNamespace) -> Trial:
    """A trial of Keras Tuner's in plain words; its name is good for a folder."""
    values = trial.hyperparameters.values
    searched = {name: value for name, value in values.items() if not name.startswith(_NOTE)}
    # Short: TensorBoard's table cuts off what is longer than some 15 letters.
    name = f"{trial.trial_id} {values['architecture']} {values['learning_rate']:.0e}".replace("e-0", "e-")
    return Trial(
        f"{values[REPEAT_OF]} repeat {values[REPEAT]}" if REPEAT in values else name,
        hyperparameters.declare(trial.hyperparameters),
        searched,
        values.get(EPOCHS, options.EXPLORATION_EPOCHS),
        values.get(REPEAT, 0),
        values.get(REPEAT_OF, ""),
        trial.metrics.get_last_value("seconds") if trial.metrics.exists("seconds") else math.nan,
        values.get(FAILURE, ""),
    )


def note_failure(trial: Any, reason: str) -> None:
    """Writes down why a trial came to nothing."""
    trial.hyperparameters.values[FAILURE] = reason
