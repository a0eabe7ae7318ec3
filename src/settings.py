"""The user's `config.py`, checked: a wrong name or value is told with the right one; what is left out has the template's value."""
import difflib
import pathlib
import re
import runpy
import types
from collections.abc import Callable, Iterable
from typing import Any

import storage

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "config_template.py"


class SettingsError(storage.PlainError):
    """config.py holds an unknown name or an impossible value; its text has a line for each."""


def load(root: pathlib.Path) -> types.SimpleNamespace:
    """The settings of the workspace at `root`, as attributes named as in config_template.py. SettingsError lists all that is wrong."""
    own = root / "config.py"
    values = _read(TEMPLATE) | (_read(own) if own.exists() else {})
    faults = [unknown_name(name, _RULES) for name in values if name not in _RULES]
    faults += [f"{name} = {values[name]!r}: must be {wanted}." for name, (test, wanted) in _RULES.items() if not _holds(test, values[name])]
    faults = faults or [f"{one} and {other} are both None: {what} must end. Set one of them." for one, other, what in _ENDS if values[one] is values[other] is None]
    if faults:
        raise SettingsError("\n".join(f"{own}: {fault}" for fault in faults))
    for name in _PATHS:
        values[name] = _from_root(root, values[name])
    return types.SimpleNamespace(**values)


def _from_root(root: pathlib.Path, value: Any) -> Any:
    # "imagenet" is no path; "gs://bucket/folder" is one, but of another system.
    return str(root / value) if isinstance(value, str) and value != "imagenet" and "://" not in value else value


def unknown_name(name: str, known: Iterable[str]) -> str:
    """A sentence that says `name` is not known and, where one of the `known` names is near, which was probably meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} is not known. " + (f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}.")


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        values = runpy.run_path(str(path))
    except Exception as error:
        # The user's own Python may fail in any way; all of them mean the same here.
        raise SettingsError(f"{path}: can't be run: {type(error).__name__}: {error}") from error
    # Capitals only: config.py may import modules or name things of its own.
    return {name: value for name, value in values.items() if name.isupper()}


def _holds(test: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(test(value))
    except (TypeError, ValueError, AttributeError, re.error):
        return False


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _group_rule(value: Any) -> bool:
    return value is None or value == "subdirectory" or bool(re.compile(value))


def _drawing_counts(value: Any) -> bool:
    counts = {name: count for name, count in value.items() if name != "cases"}
    named = value.get("cases", [])
    return set(counts) <= {"first", "random", "worst_dice", "worst_hausdorff"} and all(count == 0 or _count(count) for count in counts.values()) and isinstance(named, list)


_COUNT = (_count, "a whole number of at least 1")
_SHARE = (_share, "a number between 0 and 1, such as 0.2")
_FOLDER = (lambda value: value is None or isinstance(value, str), "None or the path of a folder, in quotes")
_SWITCH = (lambda value: isinstance(value, bool), "True or False")

# Where they hold a path, it begins at the project's folder.
_PATHS = ("ENCODER_WEIGHTS", "TRAIN_SET_LOCATION", "PIXEL_SPACING_MM", "PREDICTIONS_FOLDER", "SECOND_READER_FOLDER")

# Of these one must be set.
_ENDS = (
    ("TRAINING_EPOCHS", "TRAINING_TIME_LIMIT_MINUTES", "a training"),
    ("EXPLORATION_MAX_TRIALS", "EXPLORATION_TIME_LIMIT_HOURS", "a search"),
)

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "IMAGE_SIZE": (lambda value: _count(value) and value % 32 == 0, "a multiple of 32, such as 512"),
    "TEST_SHARE": _SHARE,
    "GROUP_CASES_BY": (_group_rule, 'None, "subdirectory" or a regular expression'),
    "MASK_SPECK_PX": (lambda value: value == 0 or _count(value), "0 or a whole number"),
    "SEED": (lambda value: value == 0 or _count(value) and value < 2**31, "a whole number from 0 to 2147483647"),
    "TRAINING_BATCH_SIZE": _COUNT,
    "TRAINING_EPOCHS": (lambda value: value is None or _count(value), "None or a whole number of at least 1"),
    "TRAINING_TIME_LIMIT_MINUTES": (lambda value: value is None or value > 0, "None or a number of minutes"),
    "MIXED_PRECISION": (lambda value: value is None or isinstance(value, bool), "None, True or False"),
    "DETERMINISTIC": _SWITCH,
    "ENCODER_WEIGHTS": (lambda value: value is None or isinstance(value, str), 'None, "imagenet" or the path of a file, in quotes'),
    "TRAIN_SET_LOCATION": _FOLDER,
    "HYPERPARAMETERS": (lambda value: isinstance(value, dict), 'a dict, such as {"learning_rate": 5e-4}'),
    "EXPLORATION_TUNER": (lambda value: value in ("random", "hyperband", "bayesian"), '"random", "hyperband" or "bayesian"'),
    "EXPLORATION_MAX_TRIALS": (lambda value: value is None or _count(value), "None or a whole number of at least 1"),
    "EXPLORATION_TIME_LIMIT_HOURS": (lambda value: value is None or value > 0, "None or a number of hours"),
    "EXPLORATION_EPOCHS": _COUNT,
    "EXPLORATION_REPEATS": (lambda value: value == 0 or _count(value), "0 or a whole number"),
    "EXPLORATION_VALIDATION_SHARE": _SHARE,
    "EXPLORATION_SEARCH_SPACE": (lambda value: isinstance(value, dict), 'a dict, such as {"architecture": "unet"}'),
    "EXPLORATION_KEPT_MODELS": (lambda value: value == 0 or _count(value), "0 or a whole number"),
    "EXPLORATION_START_ANEW": _SWITCH,
    "CROSS_VALIDATION_FOLDS": (lambda value: _count(value) and value >= 2, "a whole number of at least 2"),
    "PREDICT_WITH_FOLDS": _SWITCH,
    "PREDICTION_BATCH_SIZE": _COUNT,
    "CLEAN_PREDICTIONS": (lambda value: value is None or isinstance(value, bool), "None, True or False"),
    "SAVE_IMAGES_ON_DISK": _SWITCH,
    "IMAGES_TO_DRAW": (_drawing_counts, "a dict of counts with the names first, random, worst_dice, worst_hausdorff; and cases, a list of names"),
    "DRAW_HAUSDORFF_LINE": _SWITCH,
    "PIXEL_SPACING_MM": (lambda value: value is None or isinstance(value, str) or value > 0, "None, a number of mm or the path of a CSV file"),
    "SURFACE_DICE_TOLERANCE_MM": (lambda value: value is None or value > 0, "None or a number of mm"),
    "PREDICTIONS_FOLDER": _FOLDER,
    "SECOND_READER_FOLDER": _FOLDER,
}
