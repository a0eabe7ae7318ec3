"""A plot of subgroups: Dice coefficient and bias of a quantity, with intervals."""

import dataclasses
from collections.abc import Sequence

import matplotlib.axes
import numpy as np

from masks import figures
from masks.quantities import Quantity

_ROW_MM, _AXIS_MM = 6.0, 16.0

# A mean, and the ends of its 95 % interval, NaN where there is none.
Estimate = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Row:
    """A subgroup: its label, the estimates of its Dice coefficient and of the bias of the quantity."""

    label: str
    dice: Estimate
    bias: Estimate


@figures.STYLE
def plot(rows: Sequence[Row], quantity: Quantity) -> figures.Figure:
    """Plots a row per subgroup: mean Dice coefficient on the left, mean of predicted − true on the right."""
    figure = figures.new(figures.DOUBLE_MM, _AXIS_MM + _ROW_MM * len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    _estimates(left, [row.dice for row in rows], "Dice coefficient, mean and 95 % CI")
    _estimates(right, [row.bias for row in rows], f"Predicted − true {quantity.phrase_with_unit}, mean and 95 % CI")
    right.axvline(0, color=figures.GREY, linewidth=0.8, linestyle="--", zorder=1)
    left.set_yticks(range(len(rows)), [row.label for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _estimates(axes: matplotlib.axes.Axes, estimates: Sequence[Estimate], label: str) -> None:
    means, lows, highs = np.array(estimates, float).T
    heights = np.arange(len(means))
    axes.hlines(heights, lows, highs, color=figures.DARK, linewidth=1)
    axes.plot(means, heights, "o", color=figures.DARK, markersize=4, zorder=3)
    axes.set_xlabel(label)
    axes.grid(axis="x")
