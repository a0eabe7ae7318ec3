"""Reads and validates the user's `config.py`; what it leaves out has the value of config_template.py."""
import difflib
import importlib.util
import os
import pathlib
import re
import runpy
import traceback
import types
from collections.abc import Callable, Iterable
from typing import Any

import storage

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "config_template.py"


class SettingsError(storage.UserError):
    """config.py can't be read, or holds an unknown name or an impossible value; its text has a line for each fault."""


def load(root: pathlib.Path) -> types.SimpleNamespace:
    """The settings of the workspace at `root`, as attributes named as in config_template.py.

    Numbers are Python's, paths are absolute texts. SettingsError lists all faults; DamagedFile for a Git LFS pointer.
    """
    own = root / "config.py"
    # A symbolic link that leads nowhere does not "exist", but is no missing file either.
    given = _read(own) if os.path.lexists(own) else {}
    values = {name: plain(value) for name, value in (_read(TEMPLATE) | given).items() if name.isupper()}
    if faults := _name_faults(given) + _value_faults(values):
        raise SettingsError("\n".join(f"{own}: {fault}" for fault in faults))
    for name in _PATHS:
        values[name] = _from_root(root, values[name])
    return types.SimpleNamespace(**values)


def _name_faults(given: dict[str, Any]) -> list[str]:
    # config.py may import functions and name values of its own in small letters; image_size for IMAGE_SIZE is a slip.
    own = [name for name, value in given.items() if not name.isupper() and not callable(value)]
    small = [name for name in own if name.upper() in _RULES and name.upper() not in given]
    unknown = [unknown_name(name, _RULES) for name in given if name.isupper() and name not in _RULES]
    return unknown + [f"{name} is not known. Write {name.upper()}, in capitals." for name in small]


def _value_faults(values: dict[str, Any]) -> list[str]:
    wrong = [(name, wanted) for name, (test, wanted) in _RULES.items() if not _holds(test, values[name])]
    endless = [names for names in _ENDS if values[names[0]] is values[names[1]] is None]
    faults = [f"{name} = {shown(values[name])}: must be {wanted}." for name, wanted in wrong]
    endless = [f"{one} and {other} are both None: {what} must end. Set one of them." for one, other, what in endless]
    return faults or endless


def _from_root(root: pathlib.Path, value: Any) -> Any:
    # "imagenet" is no path; "gs://bucket/folder" is one, but of another system.
    return str(root / value) if isinstance(value, str) and value != "imagenet" and "://" not in value else value


def unknown_name(name: Any, known: Iterable[str]) -> str:
    """A sentence that says `name` is not known and, where one of the `known` names is similar, suggests that one."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{name} is not known. " + (f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}.")


def plain(value: Any, depth: int = 3) -> Any:
    """`value` with NumPy's scalars as Python's and pathlib's paths as texts, also in lists, tuples and dicts."""
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    if depth and type(value) in (list, tuple):
        return type(value)(plain(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        return {key: plain(item, depth - 1) for key, item in value.items()}
    return value


def shown(value: Any) -> str:
    """`value` as a message shows it: on one line, of at most 80 characters."""
    try:
        text = " ".join(repr(value).splitlines())
    except Exception:
        # Python does not print whole numbers of over 4300 digits, and an object's own repr may fail in any way.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_number(value: Any, low: float, high: float, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether `value` is a number of one of the `kinds` from `low` to `high`; NaN, True and False are none."""
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def _read(path: pathlib.Path) -> dict[str, Any]:
    """All names that the Python file defines."""
    _check_text(path)
    try:
        return runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        # The user's own Python may fail in any way; all of them mean the same here.
        raise SettingsError(f"{path}: can't be run: {_cause(error, path)}") from error


def _check_text(path: pathlib.Path) -> None:
    fix = "Copy config_template.py to config.py again."
    content = storage.readers.read_content(path, fix) if path.stat().st_size else b""
    try:
        text = importlib.util.decode_source(content)  # As Python does, by a byte order mark or a coding line.
    except (UnicodeError, SyntaxError) as error:
        raise SettingsError(f"{path}: not a text in UTF-8. Save it in your editor with the encoding UTF-8.") from error
    if "\0" in text:
        raise SettingsError(f"{path}: holds null characters. Save it with the encoding UTF-8. If that fails: {fix}")


def _cause(error: BaseException, path: pathlib.Path) -> str:
    frames = traceback.walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""  # A syntax error's own text names the line.
    if isinstance(error, SystemExit):
        return f"it calls sys.exit() or ends the program in another way{place}. Remove that call."
    return f"{type(error).__name__}: {(str(error).strip() or 'no text').splitlines()[0]}{place}"


def _holds(test: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(test(value))
    except Exception:
        # re.compile fails in many ways, and so may any object that a user puts here.
        return False


def _group_rule(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "" and bool(re.compile(value)))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value and bool(os.fsencode(value))


def _reads_as_number(text: str) -> bool:
    try:
        return float(text.replace(",", ".")) is not None
    except ValueError:
        return False


def _drawing_counts(value: Any) -> bool:
    counts = {name: count for name, count in value.items() if name != "cases"}
    known = set(counts) <= {"first", "random", "worst_dice", "worst_hausdorff"}
    cases = value.get("cases", [])
    texts = isinstance(cases, list) and all(isinstance(case, str) for case in cases)
    return known and texts and all(is_number(count, 0, 10**6, int) for count in counts.values())


def _named_values(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


_Rule = tuple[Callable[[Any], bool], str]


def _whole(low: int, high: int) -> _Rule:
    return lambda value: is_number(value, low, high, int), f"a whole number from {low} to {high}"


def _positive(high: int, unit: str) -> _Rule:
    return lambda value: is_number(value, 1e-9, high), f"a number of {unit} above 0, at most {high}"


def _none_or(rule: _Rule) -> _Rule:
    return lambda value: value is None or rule[0](value), f"None or {rule[1]}"


_SHARE: _Rule = (lambda value: isinstance(value, float) and 0 < value < 1, "a number between 0 and 1, such as 0.2")
_SWITCH: _Rule = (lambda value: isinstance(value, bool), "True or False")
_FOLDER = _none_or((_is_path, "the path of a folder, in quotes"))

# Where they hold a path, it begins at the project's folder.
_PATHS = ("ENCODER_WEIGHTS", "TRAIN_SET_LOCATION", "PIXEL_SPACING_MM", "PREDICTIONS_FOLDER", "SECOND_READER_FOLDER")

# Of these one must be set.
_ENDS = (
    ("TRAINING_EPOCHS", "TRAINING_TIME_LIMIT_MINUTES", "a training"),
    ("EXPLORATION_MAX_TRIALS", "EXPLORATION_TIME_LIMIT_HOURS", "a search"),
)

# The maxima are far above what is useful: they are there to catch a slip before it ends a step after hours.
_RULES: dict[str, _Rule] = {
    "IMAGE_SIZE": (
        lambda value: is_number(value, 32, 8192, int) and value % 32 == 0,
        "a multiple of 32 from 32 to 8192, such as 512",
    ),
    "TEST_SHARE": _SHARE,
    "GROUP_CASES_BY": (_group_rule, 'None, "subdirectory" or a regular expression in quotes, such as r"patient(\\d+)"'),
    "MASK_SPECK_PX": _whole(0, 10**6),
    "SEED": _whole(0, 2**31 - 1),
    "TRAINING_BATCH_SIZE": _whole(1, 1024),
    "TRAINING_EPOCHS": _none_or(_whole(1, 100_000)),
    "TRAINING_TIME_LIMIT_MINUTES": _none_or(_positive(525_600, "minutes")),
    "MIXED_PRECISION": _none_or(_SWITCH),
    "DETERMINISTIC": _SWITCH,
    "ENCODER_WEIGHTS": _none_or((_is_path, '"imagenet" or the path of a file, in quotes')),
    "TRAIN_SET_LOCATION": _FOLDER,
    "HYPERPARAMETERS": (_named_values, 'a dict with names as keys, such as {"learning_rate": 5e-4}'),
    "EXPLORATION_TUNER": (
        lambda value: isinstance(value, str) and value in ("random", "hyperband", "bayesian"),
        '"random", "hyperband" or "bayesian"',
    ),
    "EXPLORATION_MAX_TRIALS": _none_or(_whole(1, 10_000)),
    "EXPLORATION_TIME_LIMIT_HOURS": _none_or(_positive(8760, "hours")),
    "EXPLORATION_EPOCHS": _whole(1, 100_000),
    "EXPLORATION_REPEATS": _whole(0, 100),
    "EXPLORATION_VALIDATION_SHARE": _SHARE,
    "EXPLORATION_SEARCH_SPACE": (_named_values, 'a dict with names as keys, such as {"architecture": "unet"}'),
    "EXPLORATION_KEPT_MODELS": _whole(0, 10_000),
    "EXPLORATION_START_ANEW": _SWITCH,
    "CROSS_VALIDATION_FOLDS": _whole(2, 1000),
    "PREDICT_WITH_FOLDS": _SWITCH,
    "PREDICTION_BATCH_SIZE": _whole(1, 1024),
    "CLEAN_PREDICTIONS": _none_or(_SWITCH),
    "SAVE_IMAGES_ON_DISK": _SWITCH,
    "IMAGES_TO_DRAW": (
        _drawing_counts,
        "a dict of counts (0 to 10**6) named first, random, worst_dice, worst_hausdorff; and cases, a list of names",
    ),
    "DRAW_HAUSDORFF_LINE": _SWITCH,
    "PIXEL_SPACING_MM": (
        lambda value: value is None or is_number(value, 1e-9, 1000) or _is_path(value) and not _reads_as_number(value),
        "None, a number of mm without quotes (above 0, at most 1000) or the path of a CSV file",
    ),
    "SURFACE_DICE_TOLERANCE_MM": _none_or(_positive(1000, "mm")),
    "PREDICTIONS_FOLDER": _FOLDER,
    "SECOND_READER_FOLDER": _FOLDER,
}
