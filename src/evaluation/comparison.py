"""Paired comparison of the evaluated masks with other masks of the same cases (COMPARE_WITH)."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pandas as pd

from evaluation.measured import Measured
from masks import bootstrap, paired
from masks.paired import PairedDifference
from masks.quantities import Quantity
from wording import counted, number, span, with_interval

# The number of most improved and of most degraded cases to show.
MAX_SHOWN = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The evaluated masks and the others. Differences are evaluated − other.

    name: of the other masks, for readers. own, other: rows of tables like metrics.csv, whose reference masks are not
    empty. quantity: the primary one. seed: of the bootstrap.
    """

    name: str
    own: pd.DataFrame
    other: pd.DataFrame
    quantity: Quantity
    seed: int

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """The content of comparison.csv: a row per case, the largest improvement of the Dice coefficient first."""
        ending = self.quantity.ending
        columns: dict[str, Any] = {name: self.own[name].to_numpy() for name in ("case", "group", "dice")}
        columns |= {"other_dice": self.other["dice"].to_numpy()}
        columns |= {"dice_difference": columns["dice"] - columns["other_dice"]}
        for name, table in (("", self.own), ("other_", self.other)):
            measured = Measured.of_table(table, self.quantity, self.seed)
            columns[f"{name}absolute_error_{ending}"] = measured.absolute_errors
        return pd.DataFrame(columns).sort_values(["dice_difference", "case"], ascending=[False, True])

    @functools.cached_property
    def dice(self) -> PairedDifference:
        """The difference of the Dice coefficients."""
        return self._difference("other_dice", "dice")

    @functools.cached_property
    def error(self) -> PairedDifference:
        """The difference of the absolute errors of the primary quantity: below 0, the evaluated masks are closer."""
        name = f"absolute_error_{self.quantity.ending}"
        return self._difference(f"other_{name}", name)

    @property
    def improved(self) -> list[str]:
        """The cases whose Dice coefficient is higher than that of the other masks by most, at most MAX_SHOWN."""
        rows = self.table[self.table["dice_difference"] > 0]
        return rows["case"].head(MAX_SHOWN).tolist()

    @property
    def degraded(self) -> list[str]:
        """The cases whose Dice coefficient is lower than that of the other masks by most, at most MAX_SHOWN."""
        rows = self.table[self.table["dice_difference"] < 0]
        return rows["case"].tail(MAX_SHOWN).tolist()[::-1]

    def _difference(self, first: str, second: str) -> PairedDifference:
        table = self.table
        return paired.compare(table[first].tolist(), table[second].tolist(), table["group"].tolist(), self.seed)


def sentences(comparison: Comparison) -> str:
    """Returns sentences on both differences, the interval's unit and the test; "" without cases."""
    dice, quantity = comparison.dice, comparison.quantity
    if not dice.cases:
        return ""
    unit = f" {quantity.unit}".rstrip()
    error = _difference(comparison.error, quantity.places, unit)
    higher = int((comparison.table["dice_difference"] > 0).sum())
    text = (
        f"Compared with {comparison.name} on the same {counted(dice.cases, 'case')}, the Dice coefficient differs by "
        f"{_difference(dice, 3, '')} on average; it is higher in {higher}. The absolute error of the {quantity.phrase} "
        f"differs by {error}."
    )
    return f"{text} {_method(dice)}"


def rows(comparison: Comparison) -> list[list[str]]:
    """Returns the table of the comparison as texts: the header, then a row per measure."""
    quantity = comparison.quantity
    header = ["Measure", "Evaluated, mean", f"{comparison.name}, mean", "Difference (95 % CI)", "Mean of groups", "p"]
    error = f"absolute_error_{quantity.ending}"
    measures = (
        ("Dice coefficient", "dice", comparison.dice, 3),
        (f"Absolute error of the {quantity.phrase_with_unit}", error, comparison.error, quantity.places),
    )
    return [header, *(_row(comparison, *each) for each in measures)]


def _row(comparison: Comparison, label: str, column: str, values: PairedDifference, places: int) -> list[str]:
    pairs = comparison.table[[column, f"other_{column}"]].replace([np.inf, -np.inf], np.nan).dropna()
    means = [number(mean, places) for mean in pairs.mean()]
    difference = with_interval(number(values.mean, places, "+"), (values.ci_low, values.ci_high), places, "+")
    return [label, *means, difference, number(values.group_mean, places, "+"), p_value(values)]


def p_value(values: PairedDifference) -> str:
    """Returns the p-value as a text, such as "0.034" or "< 0.001"; "-" if there is none."""
    if not math.isfinite(values.p_value):
        return "-"
    return "< 0.001" if values.p_value < 0.001 else f"{values.p_value:.3f}"


def _difference(values: PairedDifference, places: int, unit: str) -> str:
    text = f"{number(values.mean, places, '+')}{unit}"
    details = []
    if math.isfinite(values.ci_low):
        details.append(f"95 % CI {span(values.ci_low, values.ci_high, places, '+')}")
    if math.isfinite(values.p_value):
        details.append(f"p {'' if values.p_value < 0.001 else '= '}{p_value(values)}")
    return f"{text} ({', '.join(details)})" if details else text


def _method(values: PairedDifference) -> str:
    unit = "case" if values.groups == values.cases else "group"
    if values.groups < bootstrap.MIN_GROUPS:
        few = f"fewer than {bootstrap.MIN_GROUPS} {unit}s ({values.groups})"
        return f"No interval and no p-value are given, because there are {few}."
    on = f"the means of {values.groups} groups" if unit == "group" else "cases"
    intervals = f"intervals: bootstrap over {unit}s"
    return f"Differences are evaluated − other; {intervals}; p: Wilcoxon signed-rank test on {on}."
