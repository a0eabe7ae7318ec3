"""Bootstrap over groups of cases: 95 % intervals of every statistic that follows from sums over cases.

Images of one patient are not independent, so whole groups are resampled. The intervals use the expanded percentiles
that small samples need (Hesterberg 2015, Am. Stat. 69).
"""

import functools
from collections.abc import Sequence

import numpy as np
import scipy.special

# Enough for the second digit of an interval.
BOOTSTRAPS = 2000

# With fewer groups the 95 % interval undercovers: it contains the true mean of normal values in 91 % of samples for
# 5 groups, 86 % for 4, 72 % for 3.
MIN_GROUPS = 5

_CHUNKS = 20  # Without them, 10,000 groups would take 0.5 GB.


def group_sums(values: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """The sum of the rows of each group, sorted by name, (groups, columns). `values`: (cases, columns)."""
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    return np.stack([np.bincount(members, column, len(names)) for column in values.T], axis=1)


def resampled_sums(sums: np.ndarray, seed: int) -> np.ndarray:
    """The sums over as many groups as there are, chosen with replacement, (BOOTSTRAPS, columns).

    `sums`: those of each group, (groups, columns), as from `group_sums`.
    """
    chunks = np.array_split(_counts(len(sums), seed), _CHUNKS)
    return np.concatenate([chunk.astype(float) @ sums for chunk in chunks])


@functools.lru_cache(maxsize=2)  # All metrics of an evaluation use the same resamples.
def _counts(groups: int, seed: int) -> np.ndarray:
    """How often each resample contains each group, uint16 (BOOTSTRAPS, groups)."""
    generator, size = np.random.default_rng(seed), BOOTSTRAPS // _CHUNKS
    starts = np.arange(size)[:, None] * groups
    samples = (generator.integers(groups, size=(size, groups)) for _ in range(_CHUNKS))
    counted = (np.bincount((sample + starts).ravel(), minlength=size * groups) for sample in samples)
    return np.concatenate([counts.astype(np.uint16).reshape(size, groups) for counts in counted])


def interval(statistics: np.ndarray, groups: int) -> tuple[float, float]:
    """The 95 % interval of a statistic from its values in the resamples, (BOOTSTRAPS,), of this number of groups.

    Resamples in which it is undefined (NaN) do not count. NaN for fewer than MIN_GROUPS groups.
    """
    defined = statistics[np.isfinite(statistics)]
    if groups < MIN_GROUPS or not len(defined):
        return float("nan"), float("nan")
    tail = 100 * scipy.special.ndtr(np.sqrt(groups / (groups - 1)) * scipy.special.stdtrit(groups - 1, 0.025))
    low, high = np.percentile(defined, (tail, 100 - tail))
    return float(low), float(high)
