"""Learning curves: the Dice for several sizes of the train set, extrapolated to twice the data, and their chart.

The model is an inverse power law, Dice = a - b n^-c with n images, b >= 0 and a <= 1 (Figueroa et al. 2012,
doi:10.1186/1472-6947-12-8). The interval is a bootstrap over groups of cases. It holds if the law does, and does not
include the differences between trainings with other seeds.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from masks import bootstrap, figures

# The exponents c that are tried: with four points a free exponent would follow the noise.
_EXPONENTS = np.linspace(0.25, 1.5, 6)

# The extrapolation is to this multiple of the data.
FACTOR = 2


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """The mean Dice by size of the train set.

    images: mean number of train images, (sizes,), ascending.
    dice: the mean over all cases, (sizes,). low, high: ends of the 95 % intervals, NaN for fewer than five groups.
    expected, expected_low, expected_high: the same with FACTOR times the largest number of images.
    """

    images: tuple[float, ...]
    dice: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    expected: float
    expected_low: float
    expected_high: float

    @property
    def table(self) -> pd.DataFrame:
        """A row per size: images, dice, ci_low, ci_high, extrapolated (the last row)."""
        rows = list(zip(self.images, self.dice, self.low, self.high, strict=True))
        rows.append((FACTOR * self.images[-1], self.expected, self.expected_low, self.expected_high))
        table = pd.DataFrame(rows, columns=["images", "dice", "ci_low", "ci_high"]).round(4)
        return table.assign(extrapolated=[False] * len(self.images) + [True])


def fit(images: Sequence[float], dices: np.ndarray, groups: Sequence[str], seed: int) -> LearningCurve:
    """The learning curve of the Dice of each case, (cases, sizes), with `images`, (sizes,), to train on.

    `groups`: of each case. ValueError for fewer than three sizes.
    """
    if len(images) < 3:
        raise ValueError(f"a learning curve needs three sizes, found {len(images)}")
    sums = bootstrap.group_sums(np.column_stack([dices, np.ones(len(dices))]), groups)
    totals = bootstrap.resampled_sums(sums, seed)
    resampled = totals[:, :-1] / totals[:, -1:]
    intervals = [bootstrap.interval(column, len(sums)) for column in resampled.T]
    mean = dices.mean(axis=0)
    ends = bootstrap.interval(_extrapolate(images, resampled), len(sums))
    expected = float(_extrapolate(images, mean[None])[0])
    low, high = zip(*intervals, strict=True)
    return LearningCurve(tuple(images), tuple(map(float, mean)), low, high, expected, *ends)


def _extrapolate(images: Sequence[float], dices: np.ndarray) -> np.ndarray:
    """The Dice at FACTOR times the largest size, (curves,), of the best-fitting law for each of `dices`."""
    sizes = np.asarray(images, float) / images[-1]
    predicted, errors = [], []
    for exponent in _EXPONENTS:
        x = sizes**-exponent
        centred = x - x.mean()
        slope = np.minimum(0.0, dices @ centred / (centred**2).sum())
        intercept = dices.mean(axis=1) - slope * x.mean()
        # Where the intercept would exceed 1 it is 1, and the slope fits best with it.
        slope = np.where(intercept > 1, np.minimum(0.0, (dices - 1) @ x / (x**2).sum()), slope)
        intercept = np.minimum(1.0, intercept)
        errors.append(((intercept[:, None] + slope[:, None] * x - dices) ** 2).sum(axis=1))
        predicted.append(intercept + slope * FACTOR**-exponent)
    best = np.argmin(errors, axis=0)
    return np.array(predicted)[best, np.arange(len(dices))]


@figures.STYLE
def plot(curve: LearningCurve) -> figures.Figure:
    """Plots the curve with its intervals, and the extrapolation as a hollow point behind a dashed line."""
    figure = figures.new(figures.SINGLE_MM, 60)
    axes = figure.subplots()
    table = curve.table
    for rows, style in ((table[:-1], "-"), (table[-2:], "--")):
        axes.plot(rows["images"], rows["dice"], style, color=figures.DARK, linewidth=1)
    axes.vlines(table["images"], table["ci_low"], table["ci_high"], color=figures.DARK, linewidth=0.7)
    for rows, face, label in ((table[:-1], figures.DARK, "out-of-fold"), (table[-1:], "white", "extrapolated")):
        (marks,) = axes.plot(rows["images"], rows["dice"], "o", markersize=4, color=figures.DARK, label=label)
        marks.set_markerfacecolor(face)
    axes.set_xscale("log", base=2)
    axes.set_xticks(table["images"], [f"{images:.0f}" for images in table["images"]])
    axes.minorticks_off()
    axes.set_xlabel("Images in the train set")
    axes.set_ylabel("Mean Dice coefficient")
    axes.grid()
    axes.legend(loc="lower right")
    return figure
