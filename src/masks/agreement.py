"""How well two measurements of the same cases agree, and how sure a mean is. Numbers in, numbers out; cases without a finite value are counted.

What a table of metrics tells of single cases, this tells of all: summaries with bootstrap intervals, and for areas Bland-Altman, ICC and CCC.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.special

# Enough for the second digit of an interval; a thousand cases take a tenth of a second.
BOOTSTRAPS = 2000

# Of fewer groups the interval would hold the true mean in far fewer than 95 of 100 samples: in 91 of 5 normal values, in 86 of 4, 72 of 3.
MIN_GROUPS = 5

# With fewer cases there are no limits of agreement and no ICC. Limits shall contain 95 of 100 new differences:
# estimated from 2 cases they contain 64, from 3 77, from 4 82, from 10 91 (normal differences, t-distribution).
MIN_CASES = 4


@dataclasses.dataclass(frozen=True)
class Summary:
    """Of the finite values: their number and distribution, and the mean's 95 % confidence interval; `failed` are the others. NaN where none is finite."""

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


def summarize(values: Sequence[float], groups: Sequence[str], seed: int) -> Summary:
    """The Summary of `values`, one per case. What belongs together, such as one patient's images, has the same name in `groups`.

    The interval is the percentile bootstrap's, over whole groups: images of one patient are no independent cases. Its percentiles are those that
    small samples need (the expanded percentile interval: Hesterberg 2015, Am. Stat. 69). With fewer than MIN_GROUPS there is none: NaN.
    """
    values = np.asarray(values, float)
    finite = np.isfinite(values)
    kept = values[finite]
    if not len(kept):
        return Summary(*[float("nan")] * 9, cases=0, failed=len(values))
    low, high = _interval(kept, np.asarray(groups)[finite], seed)
    sd = float(kept.std(ddof=1)) if len(kept) > 1 else float("nan")
    q1, median, q3 = map(float, np.percentile(kept, (25, 50, 75)))
    return Summary(
        float(kept.mean()),
        sd,
        median,
        q1,
        q3,
        float(kept.min()),
        float(kept.max()),
        low,
        high,
        len(kept),
        int((~finite).sum()),
    )


@dataclasses.dataclass(frozen=True)
class EmptyReferences:
    """How many of the `cases` have an empty reference mask, and for how many of these the prediction is not empty.

    Two empty masks have the Dice coefficient 1 by convention: a mean over all cases would reward predicting nothing.
    """

    cases: int
    empty: int
    false_positives: int

    @classmethod
    def count(cls, true_px: Sequence[int], predicted_px: Sequence[int]) -> "EmptyReferences":
        """Counts them, from the number of pixels of each case's reference mask and prediction."""
        empty = np.asarray(true_px) == 0
        return cls(len(empty), int(empty.sum()), int(np.count_nonzero(np.asarray(predicted_px)[empty])))

    def text(self) -> str:
        """Both in a sentence; "" if no reference mask is empty."""
        if not self.empty:
            return ""
        are, were = ("is" if self.empty == 1 else "are"), ("was" if self.false_positives == 1 else "were")
        found = f"{self.false_positives} of {self.empty} {were} predicted non-empty (false positives)"
        return f"{self.empty} of {self.cases} reference masks {are} empty; {found}."


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Of two measurements of the same cases, the second less the first: see `agree`."""

    bias: float
    lower_limit: float
    upper_limit: float
    icc: float
    ccc: float
    cases: int


def agree(one: Sequence[float], other: Sequence[float]) -> Agreement:
    """How well two measurements agree, such as true and predicted areas, each (cases,).

    The bias and the limits of agreement, bias -+ 1.96 SD of the differences (Bland and Altman 1986, Lancet 327); ICC(2,1), two-way random,
    absolute agreement, single measurement (Shrout and Fleiss 1979, Psychol. Bull. 86); Lin's concordance correlation coefficient (Lin 1989,
    Biometrics 45, with the variances of n). All but the bias are NaN for fewer than MIN_CASES cases; ICC and CCC also
    if all values are the same. All of these take the cases as independent of one another.
    """
    pair = np.stack([np.asarray(one, float), np.asarray(other, float)], axis=1)
    cases = len(pair)
    nan = float("nan")
    if cases < MIN_CASES:
        return Agreement(float(np.mean(pair[:, 1] - pair[:, 0])) if cases else nan, nan, nan, nan, nan, cases)
    differences = pair[:, 1] - pair[:, 0]
    bias, spread = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    icc, ccc = (nan, nan) if np.ptp(pair) == 0 else (_icc(pair), _ccc(pair))
    return Agreement(bias, bias - spread, bias + spread, icc, ccc, cases)


def _interval(values: np.ndarray, groups: np.ndarray, seed: int) -> tuple[float, float]:
    names, members = np.unique(groups, return_inverse=True)
    count = len(names)
    if count < MIN_GROUPS:
        return float("nan"), float("nan")
    sums, counts = np.bincount(members, values), np.bincount(members)
    generator = np.random.default_rng(seed)
    # A twentieth at a time: all at once would take 0.5 GB for ten thousand cases.
    parts = (generator.integers(count, size=(BOOTSTRAPS // 20, count)) for _ in range(20))
    means = np.concatenate([sums[part].sum(axis=1) / counts[part].sum(axis=1) for part in parts])
    tail = 100 * scipy.special.ndtr(np.sqrt(count / (count - 1)) * scipy.special.stdtrit(count - 1, 0.025))
    return tuple(map(float, np.percentile(means, (tail, 100 - tail))))


def _icc(pair: np.ndarray) -> float:
    cases, readers = pair.shape
    mean, by_case, by_reader = pair.mean(), pair.mean(axis=1), pair.mean(axis=0)
    between_cases = readers * np.sum((by_case - mean) ** 2) / (cases - 1)
    between_readers = cases * np.sum((by_reader - mean) ** 2) / (readers - 1)
    rest = np.sum((pair - by_case[:, None] - by_reader[None] + mean) ** 2) / ((cases - 1) * (readers - 1))
    return _quotient(
        between_cases - rest, between_cases + (readers - 1) * rest + readers * (between_readers - rest) / cases
    )


def _ccc(pair: np.ndarray) -> float:
    covariance = np.cov(pair.T, bias=True)
    return _quotient(
        2 * covariance[0, 1], covariance[0, 0] + covariance[1, 1] + (pair[:, 0].mean() - pair[:, 1].mean()) ** 2
    )


def _quotient(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
