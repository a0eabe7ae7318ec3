"""The hyperparameters (see `settings.hyperparameters`)."""

from typing import Any

from settings.hyperparameters import Hyperparameters, from_overrides

__all__ = ["Hyperparameters", "declare", "from_settings", "search_space"]

from_settings = from_overrides


def declare(trial: Any) -> Hyperparameters:
    """See `search_space.sample`."""
    from model_exploration import search_space

    return search_space.sample(trial)


def search_space(overrides: dict[str, Any]) -> Any:
    """See `search_space.build`."""
    from model_exploration import search_space

    return search_space.build(overrides)
