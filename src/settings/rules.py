"""Rules for values that a user writes into config.py, and the texts of the messages about those that break one."""

import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import storage


class SettingsError(storage.UserError):
    """config.py can't be read, or it has an unknown name or an invalid value. Its text has one line per fault."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which values are valid: `test` decides, `description` completes the sentence "must be ..."."""

    test: Callable[[Any], bool]
    description: str

    def accepts(self, value: Any) -> bool:
        """Whether `value` is valid; never raises."""
        try:
            return bool(self.test(value))
        except Exception:
            # re.compile fails in many ways, and so may any object that a user assigns.
            return False


def is_number(value: Any, low: float, high: float, kinds: type[Any] | tuple[type[Any], ...] = (int, float)) -> bool:
    """Whether `value` is a number of one of the `kinds` from `low` to `high`. NaN, True and False are not."""
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def whole(low: int, high: int) -> Rule:
    """Whole numbers from `low` to `high`."""
    return Rule(lambda value: is_number(value, low, high, int), f"a whole number from {low} to {high}")


def multiple(of: int, high: int, example: int) -> Rule:
    """Multiples of `of`, up to `high`."""
    description = f"a multiple of {of} from {of} to {high}, such as {example}"
    return Rule(lambda value: is_number(value, of, high, int) and value % of == 0, description)


def number(low: float, high: float, description: str) -> Rule:
    """Numbers from `low` to `high`."""
    return Rule(lambda value: is_number(value, low, high), description)


def positive(high: float, unit: str) -> Rule:
    """Numbers above 0, at most `high`."""
    return number(1e-9, high, f"a number of {unit} above 0, at most {high}")


def one_of(values: Collection[Any]) -> Rule:
    """One of a few texts or whole numbers."""
    *most, last = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    kinds = tuple({type(value) for value in values})
    return Rule(lambda value: type(value) in kinds and value in values, f"{', '.join(most)} or {last}")


def none_or(rule: Rule) -> Rule:
    """None, or what `rule` accepts."""
    return Rule(lambda value: value is None or rule.test(value), f"None or {rule.description}")


def is_path(value: Any) -> bool:
    """Whether a text can be a path."""
    return isinstance(value, str) and value != "" and "\0" not in value and bool(os.fsencode(value))


def is_pattern(value: Any) -> bool:
    """Whether a text is a regular expression; ValueError, or another error of `re`, where it is a broken one."""
    return isinstance(value, str) and value != "" and bool(re.compile(value))


SHARE = Rule(lambda value: isinstance(value, float) and 0 < value < 1, "a number between 0 and 1, such as 0.2")
SWITCH = Rule(lambda value: isinstance(value, bool), "True or False")
FOLDER = none_or(Rule(is_path, "the path of a folder, in quotes"))


def broken(name: str, value: Any, rule: Rule) -> str:
    """The message about a `value` that breaks its `rule`; it suggests a similar text where one is valid."""
    texts = re.findall('"([^"]+)"', rule.description) if isinstance(value, str) else []
    near = difflib.get_close_matches(value, texts, n=1) if texts else []
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return f"{name} = {shown(value)}: must be {rule.description}.{hint}"


def check(values: Mapping[str, Any], allowed: Mapping[str, Rule]) -> None:
    """ValueError for the first of the `allowed` names whose value breaks its rule."""
    for name, rule in allowed.items():
        if not rule.accepts(values[name]):
            raise ValueError(broken(name, values[name], rule))


def unknown_name(name: Any, known: Iterable[str]) -> str:
    """The message about an unknown `name`; it suggests a similar one of the `known` names where there is one."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{name} is not known. " + (f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}.")


def plain(value: Any, depth: int = 3) -> Any:
    """`value` with NumPy scalars as Python's and pathlib's paths as texts, also in lists, tuples and dicts."""
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
    """`value` for a message: on one line, at most 80 characters."""
    try:
        text = " ".join(repr(value).splitlines())
    except Exception:
        # Python does not print whole numbers of more than 4300 digits, and an object's own repr may fail.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
