"""Numbers and counts as texts for readers."""

import math
from collections.abc import Sequence


def number(value: float, places: int, sign: str = "") -> str:
    """Returns the value with so many decimal places, a true minus sign, and "+" if `sign` is "+"; "-" for NaN."""
    if not math.isfinite(value):
        return "-"
    return f"{round(value, places) + 0.0:{sign},.{places}f}".replace("-", "−")


def span(low: float, high: float, places: int, sign: str = "") -> str:
    """Returns "<low> to <high>"; "-" if they are not finite."""
    return f"{number(low, places, sign)} to {number(high, places, sign)}" if math.isfinite(low) else "-"


def listed(names: Sequence[str]) -> str:
    """Returns the names as "one, two and three"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def counted(count: int, noun: str) -> str:
    """Returns the count with the noun, such as "1 case" or "2 cases"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mean_sd(mean: float, sd: float, places: int) -> str:
    """Returns "<mean> ± <SD>"; the mean alone if there is no SD."""
    return number(mean, places) + (f" ± {number(sd, places)}" if math.isfinite(sd) else "")


def with_interval(value: str, ends: tuple[float, float], places: int, sign: str = "") -> str:
    """Returns the text of a value with its 95 % interval in brackets, if it has one."""
    return f"{value} ({span(*ends, places, sign)})" if math.isfinite(ends[0]) else value
