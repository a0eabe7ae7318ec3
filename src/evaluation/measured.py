"""The quantities of an evaluation: their values in the reference masks and in other masks, and the agreement."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from masks import agreement
from masks.agreement import Agreement
from masks.quantities import Quantity


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A quantity of the same cases in reference masks and in other masks, float (cases,) each; NaN where undefined.

    groups: of the cases, which the bootstrap with this `seed` resamples.
    """

    quantity: Quantity
    true: np.ndarray
    predicted: np.ndarray
    groups: list[str]
    seed: int

    @classmethod
    def of_table(cls, table: pd.DataFrame, quantity: Quantity, seed: int) -> "Measured":
        """The quantity in a table like metrics.csv."""
        true, predicted = (table[f"{name}_{quantity.ending}"].to_numpy(float) for name in ("true", "predicted"))
        return cls(quantity, true, predicted, table["group"].tolist(), seed)

    @property
    def finite(self) -> np.ndarray:
        """Which cases have both values, bool (cases,)."""
        return np.isfinite(self.true) & np.isfinite(self.predicted)

    @property
    def is_varied(self) -> bool:
        """Whether the values differ, so that a plot shows something."""
        values = np.concatenate([self.true[self.finite], self.predicted[self.finite]])
        return len(values) > 0 and float(np.ptp(values)) > 0

    @functools.cached_property
    def agreement(self) -> Agreement:
        """The agreement of predicted with true values of the cases."""
        return agreement.agree(self.true.tolist(), self.predicted.tolist(), self.groups, self.seed)

    @property
    def group_means(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of each group over its cases with both values: true and predicted, float (groups,) each."""
        means = self._by_group()
        return means["true"].to_numpy(), means["predicted"].to_numpy()

    @functools.cached_property
    def group_agreement(self) -> Agreement | None:
        """The agreement of the groups' means; None if every case is a group."""
        means = self._by_group()
        if len(means) == np.count_nonzero(self.finite):
            return None
        return agreement.agree(means["true"].tolist(), means["predicted"].tolist(), means.index.tolist(), self.seed)

    @property
    def absolute_errors(self) -> np.ndarray:
        """|predicted − true| of each case, float (cases,)."""
        return np.abs(self.predicted - self.true)

    def _by_group(self) -> pd.DataFrame:
        pairs = pd.DataFrame({"true": self.true, "predicted": self.predicted})[self.finite]
        return pairs.groupby(np.asarray(self.groups)[self.finite]).mean()
