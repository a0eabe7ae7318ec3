"""The values of the first trial: the default hyperparameters, or the nearest ones in the search space."""

from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from model_exploration import search_space
from settings.hyperparameters import Hyperparameters


def values(space: keras_tuner.HyperParameters, defaults: Hyperparameters) -> dict[str, Any]:
    """Returns the value of each hyperparameter in the `space` that is nearest to the default.

    Without a distance (other names, other windows) it is the first allowed value.
    """
    return {hp.name: _nearest(hp, search_space.encoded(getattr(defaults, hp.name))) for hp in space.space}


def _nearest(hp: kinds.HyperParameter, default: Any) -> Any:
    if isinstance(hp, kinds.Float):
        value = min(max(default, hp.min_value), hp.max_value)
        return hp.min_value + hp.step * round((value - hp.min_value) / hp.step) if hp.step else value
    if default in hp.values:
        return default
    if isinstance(default, str):
        return hp.values[0]
    return min(hp.values, key=lambda value: abs(value - default))


def rounded(chosen: dict[str, Any], space: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Returns the `chosen` values with rates on a log scale rounded to three significant digits, within their range."""
    logarithmic = {hp.name: hp for hp in space.space if isinstance(hp, kinds.Float) and hp.sampling == "log"}
    return chosen | {
        name: min(max(float(f"{chosen[name]:.3g}"), hp.min_value), hp.max_value) for name, hp in logarithmic.items()
    }
