"""Paired comparison of two sets of masks of the same cases."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from masks import bootstrap


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """Differences, second − first, of a value of the same cases; see `compare`.

    mean: over cases. group_mean: of the groups' means. `ci_low`, `ci_high`: the 95 % interval of `mean`. `cases`: the
    number with two finite values. `failed`: the number of others.
    """

    mean: float
    ci_low: float
    ci_high: float
    group_mean: float
    p_value: float
    cases: int
    groups: int
    failed: int


def compare(first: Sequence[float], second: Sequence[float], groups: Sequence[str], seed: int) -> PairedDifference:
    """The differences second − first of two values per case, such as the Dice coefficients of two models.

    The interval is a bootstrap over groups (see `masks.bootstrap`). The p-value is that of the two-sided Wilcoxon
    signed-rank test (Wilcoxon 1945, Biometrics Bull. 1) on the means of the groups, because cases of a group are not
    independent; differences of 0 are left out. Both are NaN for fewer than MIN_GROUPS groups, the p-value also if all
    differences are 0.
    """
    pairs = np.stack([np.asarray(first, float), np.asarray(second, float)], axis=1)
    finite = np.isfinite(pairs).all(axis=1)
    differences, failed = pairs[finite, 1] - pairs[finite, 0], int(np.count_nonzero(~finite))
    nan = float("nan")
    if not len(differences):
        return PairedDifference(nan, nan, nan, nan, nan, 0, 0, failed)
    columns = np.stack([differences, np.ones_like(differences)], axis=1)
    sums = bootstrap.group_sums(columns, np.asarray(groups)[finite])
    by_group, count = sums[:, 0] / sums[:, 1], len(sums)
    low, high, p_value = nan, nan, nan
    if count >= bootstrap.MIN_GROUPS:
        samples = bootstrap.resampled_sums(sums, seed)
        low, high = bootstrap.interval(samples[:, 0] / samples[:, 1], count)
        p_value = _wilcoxon(by_group)
    mean, group_mean = float(differences.mean()), float(by_group.mean())
    return PairedDifference(mean, low, high, group_mean, p_value, len(differences), count, failed)


def _wilcoxon(differences: np.ndarray) -> float:
    # Rounding errors of equal masks are no differences.
    rounded = np.round(differences, 12)
    if not rounded.any():
        return float("nan")
    import scipy.stats  # Its import takes longer than the other steps need.

    return float(scipy.stats.wilcoxon(rounded).pvalue)
