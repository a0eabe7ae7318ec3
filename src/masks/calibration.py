"""Calibration of the predicted Dice: what true Dice a given agreement of the predictions stands for.

It is fitted on cases that the models were not trained on (step 7). The estimate is linear in the agreement. The
interval follows from cross-validated residuals: those of lines that were fitted without the case's group, relative to
the distance of the estimate from 1, since good masks differ less than bad ones. It holds for new cases like these; with
few groups it holds for their patients rather than for others.
"""

import dataclasses

import numpy as np

# The proportion of new cases whose true Dice should lie within the interval.
COVERAGE = 0.9

# With fewer cases the interval's ends would be the most extreme residuals; with fewer groups, those of few patients.
MIN_CASES, MIN_GROUPS = 20, 5

# Added to the distance from 1: even where all predictions agree the masks differ a little.
_MIN_DISTANCE = 0.02

# The proportion of cases that are listed for review.
_REVIEWED = 0.1


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Maps an agreement, 0 to 1, to the expected Dice and its interval.

    review_below: the expected Dice below which a tenth of the cases lie. cases, groups: fitted on so many.
    """

    intercept: float
    slope: float
    low: float
    high: float
    review_below: float
    cases: int
    groups: int

    def __post_init__(self) -> None:
        """ValueError for ends in the wrong order or a slope that is not positive."""
        if not self.low <= self.high or self.slope <= 0:
            raise ValueError(f"no calibration has the ends {self.low} and {self.high} and the slope {self.slope}")

    def estimate(self, agreement: float) -> tuple[float, float, float]:
        """The expected Dice and the ends of its interval, each 0 to 1, for an agreement; NaN for NaN."""
        expected = _expected((self.intercept, self.slope), agreement)
        distance = _distance(expected)
        low, high = np.clip([expected + self.low * distance, expected + self.high * distance], 0.0, 1.0)
        return float(expected), float(low), float(high)


def fit(agreements: np.ndarray, dices: np.ndarray, groups: np.ndarray) -> Calibration | None:
    """The calibration by held-out cases: agreement and true Dice of each, (cases,), and its group, such as a patient.

    The predicted mask of no case may be empty: empty predictions agree, whatever is missed. None for too few cases or
    groups, and if the Dice does not rise with the agreement.
    """
    count, names = len(dices), np.unique(groups)
    if count < MIN_CASES or len(names) < MIN_GROUPS:
        return None
    intercept, slope = _line(agreements, dices)
    if slope <= 0:
        return None
    residuals = np.empty(count)
    for name in names:
        held_out = groups == name
        expected = _expected(_line(agreements[~held_out], dices[~held_out]), agreements[held_out])
        residuals[held_out] = (dices[held_out] - expected) / _distance(expected)
    review_below = float(np.quantile(_expected((intercept, slope), agreements), _REVIEWED))
    return Calibration(intercept, slope, *_ends(residuals), review_below, count, len(names))


def _line(agreements: np.ndarray, dices: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the least-squares line with a slope of at least 0."""
    spread = agreements - agreements.mean()
    variance = float((spread**2).sum())
    slope = max(0.0, float((spread * dices).sum()) / variance) if variance else 0.0
    return float(dices.mean() - slope * agreements.mean()), slope


def _expected(line: tuple[float, float], agreements: np.ndarray | float) -> np.ndarray:
    intercept, slope = line
    return np.clip(intercept + slope * agreements, 0.0, 1.0)


def _distance(expected: np.ndarray) -> np.ndarray:
    return 1.0 - expected + _MIN_DISTANCE


def _ends(residuals: np.ndarray) -> tuple[float, float]:
    """The ends that a further residual lies between with the probability COVERAGE: order statistics, of n + 1."""
    ordered, tail = np.sort(residuals), (1 - COVERAGE) / 2
    rank = max(1, int(np.floor(tail * (len(ordered) + 1) + 1e-9)))  # 0.05 has no exact binary form.
    return float(ordered[rank - 1]), float(ordered[-rank])
