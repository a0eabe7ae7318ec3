"""The hyperparameters' search ranges as Keras Tuner's search space, and a trial's values as Hyperparameters."""

from typing import TYPE_CHECKING, Any

import settings
from settings import hyperparameters, rules
from settings.hyperparameters import Choices, Hyperparameters, Range

if TYPE_CHECKING:
    import keras_tuner


def build(overrides: dict[str, Any]) -> "keras_tuner.HyperParameters":
    """The declared ranges, except those that `overrides`, the setting EXPLORATION_SEARCH_SPACE, replaces.

    A value fixes a hyperparameter, a list gives the values to choose from, a pair (low, high) gives a range.
    SettingsError lists all faults.
    """
    overrides = rules.plain(overrides)
    if faults := hyperparameters.search_space_faults(overrides):
        raise settings.SettingsError("\n".join(f"config.py: {fault}" for fault in faults))
    import keras_tuner  # Here, so that the processes that train trials, which do not need it, start faster.

    space = keras_tuner.HyperParameters()
    for name, declared in hyperparameters.DECLARATIONS.items():
        search, default = declared.search, declared.default
        if name in overrides:
            search, default = _overridden(name, overrides[name], search), None
        _add(space, name, search, default)
    return space


def sample(trial: "keras_tuner.HyperParameters") -> Hyperparameters:
    """The values of one trial, which Keras Tuner samples; what its space lacks has the declared range."""
    values = {}
    for name, declared in hyperparameters.DECLARATIONS.items():
        values[name] = _decoded(name, _add(trial, name, declared.search, declared.default))
    return Hyperparameters(**values)


def _overridden(name: str, value: Any, declared: Choices | Range) -> Choices | Range:
    if isinstance(declared, Range) and hyperparameters.is_range(name, value):
        low, high = map(float, value)
        return Range(low, high, declared.step if _divides(declared.step, high - low) else None, declared.log)
    values = value if isinstance(value, list) else [value]
    return Choices(tuple(float(each) if isinstance(declared, Range) else each for each in values))


def _divides(step: float | None, width: float) -> bool:
    # A step that does not divide a range would skip its upper end, or all but its lower end.
    return step is not None and abs(width / step - round(width / step)) < 1e-6


def _add(space: "keras_tuner.HyperParameters", name: str, search: Choices | Range, default: Any) -> Any:
    """Adds one hyperparameter to a space, or returns the value that a trial has for it."""
    if isinstance(search, Range):
        sampling = "log" if search.log else "linear"
        return space.Float(name, search.low, _end(search), step=search.step, sampling=sampling, default=default)
    values = list(dict.fromkeys(encoded(value) for value in search.values))
    if len(values) == 1:
        return space.Fixed(name, values[0])
    if isinstance(values[0], bool):
        return space.Boolean(name, default=default is not False)
    return space.Choice(name, values, default=None if default is None else encoded(default))


def _end(search: Range) -> float:
    # Keras Tuner counts steps by integer division, and 0.3 // 0.1 is 2: it would never choose the upper end.
    steps = (search.high - search.low) / search.step if search.step else 0.0
    loses_end = search.step and (search.high - search.low) // search.step < round(steps)
    return search.high + 1e-9 if loses_end else search.high


def encoded(value: Any) -> Any:
    """A value as Keras Tuner stores it."""
    # It stores texts, numbers and truth values only: a CT window becomes a text.
    if value is None:
        return "none"
    return f"{value[0]:.12g}..{value[1]:.12g}" if isinstance(value, tuple | list) else value


def _decoded(name: str, value: Any) -> Any:
    if name != "clip_hu":
        return value
    return None if value == "none" else tuple(map(float, value.split("..")))
