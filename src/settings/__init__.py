"""Reads and validates the user's `config.py`; settings that it leaves out have their defaults."""

import importlib.util
import os
import pathlib
import runpy
import traceback
from typing import Any

import storage
from settings import hyperparameters
from settings.declarations import CROSS_VALIDATION, DECLARATIONS, LIMITS, QUANTITIES, SEARCH, TRAINING, Settings
from settings.rules import SettingsError, broken, plain, unknown_name

__all__ = [
    "CROSS_VALIDATION",
    "DECLARATIONS",
    "SEARCH",
    "TRAINING",
    "Settings",
    "SettingsError",
    "fact_name",
    "load",
    "unknown_name",
]


def load(root: pathlib.Path) -> Settings:
    """The settings of the workspace at `root`, where `root`/config.py may exist.

    SettingsError lists all faults, those of HYPERPARAMETERS and EXPLORATION_SEARCH_SPACE included; DamagedFile for a
    Git LFS pointer.
    """
    file = root / "config.py"
    # A broken symbolic link does not "exist", but it is not a missing file.
    names = _read(file) if os.path.lexists(file) else {}
    values = {name: plain(value) for name, value in names.items() if name.isupper()}
    if faults := _unknown_names(names) + _invalid_values(values):
        raise SettingsError("\n".join(f"{file}: {fault}" for fault in faults))
    return Settings(**{name: _from_root(root, name, value) for name, value in values.items()})


def fact_name(setting: str) -> str:
    """The key of a setting in the facts of resumable work and in training.json, such as batch_size."""
    return setting.removeprefix("TRAINING_").lower()


def _unknown_names(names: dict[str, Any]) -> list[str]:
    # config.py may import functions and define lower-case helpers; image_size instead of IMAGE_SIZE is a slip.
    helpers = [name for name, value in names.items() if not name.isupper() and not callable(value)]
    slips = [name for name in helpers if name.upper() in DECLARATIONS and name.upper() not in names]
    unknown = [unknown_name(name, DECLARATIONS) for name in names if name.isupper() and name not in DECLARATIONS]
    return unknown + [f"{name} is not known. Write {name.upper()}, in capitals." for name in slips]


def _invalid_values(values: dict[str, Any]) -> list[str]:
    faults = [
        broken(name, value, DECLARATIONS[name].rule)
        for name, value in values.items()
        if name in DECLARATIONS and not DECLARATIONS[name].rule.accepts(value)
    ]
    return faults or _inconsistent_values(values)


def _inconsistent_values(values: dict[str, Any]) -> list[str]:
    faults = hyperparameters.override_faults(values.get("HYPERPARAMETERS", {}))
    faults += hyperparameters.search_space_faults(values.get("EXPLORATION_SEARCH_SPACE", {}))
    known = (*QUANTITIES, *values.get("VALUE_WINDOWS", {}))
    if (name := values.get("PRIMARY_QUANTITY", known[0])) not in known:
        faults.append(f"PRIMARY_QUANTITY: {unknown_name(name, known)} Other names must be in VALUE_WINDOWS.")
    for one, other, work in LIMITS:
        if all(values.get(name, DECLARATIONS[name].default) is None for name in (one, other)):
            faults.append(f"{one} and {other} are both None: {work} must end. Set one of them.")
    if values.get("MODEL") is not None and values.get("PREDICT_WITH_FOLDS"):
        fix = "Remove MODEL, or set PREDICT_WITH_FOLDS = False."
        faults.append(f"MODEL and PREDICT_WITH_FOLDS both choose the model that predicts. {fix}")
    return faults


def _from_root(root: pathlib.Path, name: str, value: Any) -> Any:
    declaration = DECLARATIONS[name]
    if not declaration.is_path or not isinstance(value, str) or "://" in value:  # gs://bucket is another file system.
        return value
    return declaration.names.get(value, str(root / value))


def _read(path: pathlib.Path) -> dict[str, Any]:
    """All names that the Python file defines."""
    _check_text(path)
    try:
        return runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        # The user's Python may fail in any way; every failure means the same here.
        raise SettingsError(f"{path}: can't be run: {_cause(error, path)}") from error


def _check_text(path: pathlib.Path) -> None:
    fix = "Copy config_template.py to config.py again."
    content = storage.readers.read_content(path, fix) if path.stat().st_size else b""
    try:
        text = importlib.util.decode_source(content)  # As Python does, by a byte order mark or a coding line.
    except (UnicodeError, SyntaxError) as error:
        raise SettingsError(f"{path}: not a text in UTF-8. Save it in your editor with the encoding UTF-8.") from error
    if "\0" in text:
        raise SettingsError(f"{path}: contains null characters. Save it with the encoding UTF-8. If that fails: {fix}")


def _cause(error: BaseException, path: pathlib.Path) -> str:
    frames = traceback.walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""  # The text of a syntax error names the line itself.
    if isinstance(error, SystemExit):
        return f"it calls sys.exit() or ends the program in another way{place}. Remove that call."
    return f"{type(error).__name__}: {(str(error).strip() or 'no text').splitlines()[0]}{place}"
