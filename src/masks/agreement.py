"""Statistics over cases: summaries with bootstrap confidence intervals, Bland-Altman, ICC, CCC and correlation.

Functions take and return numbers. Cases without a finite value are counted, not dropped silently.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from masks import bootstrap
from masks.bootstrap import BOOTSTRAPS, MIN_GROUPS

__all__ = [
    "BOOTSTRAPS",
    "MIN_CASES",
    "MIN_GROUPS",
    "Agreement",
    "EmptyReferences",
    "Summary",
    "agree",
    "summarize",
]

# With fewer cases, limits of agreement and ICC are undefined. The limits should contain 95 % of new differences.
# Estimated from 2 cases they contain 64 %, from 3 77 %, from 4 82 %, from 10 91 % (normal differences, t-distribution).
MIN_CASES = 4


@dataclasses.dataclass(frozen=True)
class Summary:
    """Distribution of the finite values and the 95 % confidence interval of their mean.

    `cases`: number of finite values. `failed`: number of other values. `group_mean` and `group_sd`: of the means of the
    `groups`, with the 95 % interval `group_ci_low` to `group_ci_high`. Statistics without enough values are NaN.
    """

    mean: float
    sd: float
    median: float
    q1: float
    q3: float
    minimum: float
    maximum: float
    ci_low: float
    ci_high: float
    cases: int
    failed: int
    group_mean: float
    group_sd: float
    group_ci_low: float
    group_ci_high: float
    groups: int


def summarize(values: Sequence[float], groups: Sequence[str], seed: int) -> Summary:
    """Summarizes `values`, one per case. Cases that belong together, such as one patient's images, share a group name.

    Both intervals are bootstraps over whole groups, because images of one patient are not independent (see
    `masks.bootstrap`). They are NaN for fewer than MIN_GROUPS groups.
    """
    numbers = np.asarray(values, float)
    finite = np.isfinite(numbers)
    kept, failed = numbers[finite], int(np.count_nonzero(~finite))
    if not len(kept):
        undefined: dict[str, Any] = {field.name: float("nan") for field in dataclasses.fields(Summary)}
        return Summary(**undefined | {"cases": 0, "failed": failed, "groups": 0})
    minimum, q1, median, q3, maximum = map(float, np.percentile(kept, (0, 25, 50, 75, 100)))
    sums = bootstrap.group_sums(np.stack([kept, np.ones_like(kept)], axis=1), np.asarray(groups)[finite])
    by_group = sums[:, 0] / sums[:, 1]
    ci, group_ci = _mean_intervals(sums, by_group, seed)
    return Summary(
        mean=float(kept.mean()),
        sd=_sd(kept),
        median=median,
        q1=q1,
        q3=q3,
        minimum=minimum,
        maximum=maximum,
        ci_low=ci[0],
        ci_high=ci[1],
        cases=len(kept),
        failed=failed,
        group_mean=float(by_group.mean()),
        group_sd=_sd(by_group),
        group_ci_low=group_ci[0],
        group_ci_high=group_ci[1],
        groups=len(by_group),
    )


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _mean_intervals(sums: np.ndarray, by_group: np.ndarray, seed: int) -> tuple[tuple[float, float], ...]:
    """The intervals of the mean over cases and of the mean of the groups' means."""
    count = len(by_group)
    if count < MIN_GROUPS:
        return ((float("nan"), float("nan")),) * 2
    samples = bootstrap.resampled_sums(np.column_stack([sums, by_group]), seed)
    return bootstrap.interval(samples[:, 0] / samples[:, 1], count), bootstrap.interval(samples[:, 2] / count, count)


@dataclasses.dataclass(frozen=True)
class EmptyReferences:
    """Number of `cases`, of empty reference masks among them, and of non-empty predictions for these.

    Two empty masks have the Dice coefficient 1 by convention: a mean over all cases would reward empty predictions.
    """

    cases: int
    empty: int
    false_positives: int

    @classmethod
    def count(cls, true_px: Sequence[int], predicted_px: Sequence[int]) -> "EmptyReferences":
        """Counts from the areas (px) of each case's reference mask and prediction."""
        empty = np.asarray(true_px) == 0
        return cls(len(empty), int(empty.sum()), int(np.count_nonzero(np.asarray(predicted_px)[empty])))

    def text(self) -> str:
        """The counts in a sentence; "" if no reference mask is empty."""
        if not self.empty:
            return ""
        are, were = ("is" if self.empty == 1 else "are"), ("was" if self.false_positives == 1 else "were")
        predicted = f"{self.false_positives} of {self.empty} {were} predicted non-empty (false positives)"
        return f"{self.empty} of {self.cases} reference masks {are} empty; {predicted}."


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement between two measurements of the same cases; differences are second − first. See `agree`.

    `intervals`: the 95 % interval of each statistic by its name, (NaN, NaN) where there is none. `cases`: the number of
    cases with two finite values, of this number of `groups`. `failed`: the number of other cases.
    """

    bias: float
    sd: float
    lower_limit: float
    upper_limit: float
    icc: float
    ccc: float
    pearson: float
    intervals: Mapping[str, tuple[float, float]]
    cases: int
    groups: int
    failed: int


def agree(
    first: Sequence[float], second: Sequence[float], groups: Sequence[str] | None = None, seed: int = 0
) -> Agreement:
    """Agreement between two measurements, such as true and predicted areas, each (cases,).

    Bias, SD of the differences (ddof=1) and limits of agreement, bias ± 1.96 SD: Bland and Altman 1986, Lancet 327.
    ICC(2,1), two-way random effects, absolute agreement, single measurement: Shrout and Fleiss 1979, Psychol. Bull. 86.
    Lin's concordance correlation coefficient, with variances over n: Lin 1989, Biometrics 45. Pearson's correlation.
    For fewer than MIN_CASES cases, everything but the bias is NaN. ICC, CCC and correlation are also NaN where they are
    undefined because values are equal. The estimates treat cases as independent; the intervals are bootstraps over
    `groups` (None: every case is a group), and are NaN for fewer than MIN_GROUPS groups.
    """
    pairs = np.stack([np.asarray(first, float), np.asarray(second, float)], axis=1)
    finite = np.isfinite(pairs).all(axis=1)
    names = np.arange(len(pairs)) if groups is None else np.asarray(groups)
    kept, names = pairs[finite], names[finite]
    origin = kept.mean(axis=0) if len(kept) else np.zeros(2)
    sums = bootstrap.group_sums(_moments(kept - origin), names) if len(kept) else np.zeros((0, 6))
    statistics = {name: float(value[0]) for name, value in _statistics(sums.sum(axis=0)[None], origin).items()}
    intervals = dict.fromkeys(statistics, (float("nan"), float("nan")))
    if len(kept) < MIN_CASES:
        statistics = {name: value if name == "bias" else float("nan") for name, value in statistics.items()}
    if len(kept) >= MIN_CASES and len(sums) >= MIN_GROUPS:
        samples = _statistics(bootstrap.resampled_sums(sums, seed), origin)
        intervals = {
            name: bootstrap.interval(values, len(sums)) if np.isfinite(statistics[name]) else intervals[name]
            for name, values in samples.items()
        }
    failed = int(np.count_nonzero(~finite))
    return Agreement(**statistics, intervals=intervals, cases=len(kept), groups=len(sums), failed=failed)


def _moments(pairs: np.ndarray) -> np.ndarray:
    """Per case what `_statistics` needs the sums of, (cases, 6)."""
    x, y = pairs.T
    return np.stack([np.ones_like(x), x, y, x * x, y * y, (y - x) ** 2], axis=1)


def _statistics(sums: np.ndarray, origin: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of `agree`, (samples,) each, from sums of `_moments` of values minus `origin`, (samples, 6)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        n = sums[:, 0]
        mean_x, mean_y, xx, yy, squared_difference = (sums[:, 1:] / n[:, None]).T
        # Sums of squares that are only rounding errors are 0: equal values have no correlation.
        variance_x, variance_y = _positive(xx - mean_x**2, xx), _positive(yy - mean_y**2, yy)
        covariance = (xx + yy - squared_difference) / 2 - mean_x * mean_y
        bias = mean_y - mean_x + origin[1] - origin[0]
        corrected = n / (n - 1)  # Variances over n − 1.
        difference_variance = np.maximum(squared_difference - (mean_y - mean_x) ** 2, 0) * corrected
        sd = np.sqrt(difference_variance)
        both = variance_x + variance_y
        # For two measurements the mean squares of Shrout and Fleiss reduce to this.
        icc = 2 * covariance * corrected / (both * corrected + bias**2 - difference_variance / n)
        ccc = 2 * covariance / (both + bias**2)
        pearson = covariance / np.sqrt(variance_x * variance_y)
    limits = {"lower_limit": bias - 1.96 * sd, "upper_limit": bias + 1.96 * sd}
    return {"bias": bias, "sd": sd, **limits, "icc": icc, "ccc": ccc, "pearson": pearson}


def _positive(variance: np.ndarray, square: np.ndarray) -> np.ndarray:
    return np.where(variance > 1e-12 * square, variance, 0.0)
