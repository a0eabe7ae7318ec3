"""The result of an evaluation: numbers only."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.comparison import Comparison
from evaluation.evaluation_log import Evaluations
from evaluation.measured import Measured
from evaluation.subject import Subject
from masks import agreement
from masks.quantities import AREA_PX, Quantity

# The columns of metrics.csv that are summarized, in this order, and their names for readers.
METRICS = {
    "dice": "Dice coefficient",
    "jaccard": "Jaccard index",
    "precision": "Precision",
    "recall": "Recall",
    "surface_dice": "Surface Dice",
    "hausdorff_px": "Hausdorff distance (px)",
    "hausdorff95_px": "95 % Hausdorff distance (px)",
    "assd_px": "Average symmetric surface distance (px)",
    "hausdorff_all_pixels_px": "Hausdorff distance over all pixels (px)",
    "hausdorff_mm": "Hausdorff distance (mm)",
    "hausdorff95_mm": "95 % Hausdorff distance (mm)",
    "assd_mm": "Average symmetric surface distance (mm)",
    "hausdorff_all_pixels_mm": "Hausdorff distance over all pixels (mm)",
    "area_difference_percent": "Area difference (%)",
    "dice_all_cases": "Dice coefficient, all cases",
}


_INTERVALS = ("ci_low", "ci_high", "group_ci_low", "group_ci_high")


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How well the predicted Dice agrees with the true Dice.

    correlation: Spearman's rank correlation, -1 to 1.
    bias: the mean of predicted − true.
    cases: the number of cases of both.
    within: the number of these whose true Dice lies within the stated interval; None if there is none.
    """

    correlation: float
    bias: float
    cases: int
    within: int | None


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The result of one evaluation.

    table: metrics.csv, a row per case.
    subject: what was evaluated.
    second: as `table`, for the masks of a second reader.
    evaluations: how often this test set was evaluated, this time included; None if evaluations are not counted.
    tolerance_mm: the tolerance of the surface Dice; None for `metrics.TOLERANCE_PX`.
    quantities: in `table`, the primary one first. The area must be one of them.
    comparison: with other masks of the same cases; None for none.
    subgroups: the value of each case by column of the table of patients; each series is indexed by case.
    unused_columns: the other columns of the table.
    intra_reader: whether the second reading is by the person who made the reference masks.
    seed: of the bootstrap.
    spacings_mm: the distances of rows and of columns of each case; {} if they are unknown.

    Summaries, agreement and plots exclude the cases with an empty reference mask: two empty masks have the Dice
    coefficient 1 and distances of 0 by convention, which would inflate every mean.
    """

    table: pd.DataFrame
    subject: Subject
    second: pd.DataFrame | None
    evaluations: Evaluations | None
    tolerance_mm: float | None
    seed: int
    quantities: list[Quantity] = dataclasses.field(default_factory=lambda: [AREA_PX])
    intra_reader: bool = False
    comparison: Comparison | None = None
    subgroups: Mapping[str, pd.Series] = dataclasses.field(default_factory=dict)
    unused_columns: Sequence[str] = ()
    spacings_mm: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The metrics in `table`, in the order of METRICS."""
        return [name for name in METRICS if name in self.table]

    @property
    def preferred(self) -> list[str]:
        """The rows of `summary` without the distances in px if these are known in mm."""
        return [name for name in self.summary.index if name.removesuffix("_px") + "_mm" not in self.table]

    @property
    def plotted(self) -> list[str]:
        """The metrics to plot: distances in mm if these are known, else in px."""
        names = [name for name in self.preferred if not name.startswith("hausdorff_all_pixels")]
        return [name for name in names if name in self.names]

    @property
    def without_interval(self) -> list[str]:
        """The metrics that have a mean, but no confidence interval."""
        rows = self.summary.loc[self.names]
        return rows.index[(rows["cases"] > 0) & rows["ci_low"].isna()].tolist()

    @property
    def nonempty(self) -> pd.DataFrame:
        """The rows of `table` whose reference mask is not empty."""
        return with_nonempty_reference(self.table)

    @property
    def groups(self) -> int:
        """The number of groups of the cases with a non-empty reference mask."""
        return self.nonempty["group"].nunique()

    @property
    def sampling_unit(self) -> str:
        """What the bootstrap resamples: "group" if some cases share a group, else "case"."""
        return "group" if self.groups < len(self.nonempty) else "case"

    @functools.cached_property
    def empty(self) -> agreement.EmptyReferences:
        """The number of empty reference masks and of non-empty predictions for them."""
        return _empty_references(self.table)

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """A row per metric with the fields of `agreement.Summary`.

        If some reference masks are empty, the row dice_all_cases has the Dice coefficient of all cases.
        """
        return self._summarized(self.table)

    @functools.cached_property
    def measured(self) -> list[Measured]:
        """Each quantity of the cases with a non-empty reference mask; the primary one is the first."""
        return self._measured(self.table)

    @property
    def primary(self) -> Measured:
        """The primary quantity, as in `measured`."""
        return self.measured[0]

    @functools.cached_property
    def second_summary(self) -> pd.DataFrame | None:
        """As `summary`, for the second reader."""
        return None if self.second is None else self._summarized(self.second)

    @functools.cached_property
    def second_measured(self) -> list[Measured]:
        """As `measured`, with the second reader's masks as the predicted ones; [] without a second reader."""
        return [] if self.second is None else self._measured(self.second)

    @property
    def second_empty(self) -> agreement.EmptyReferences | None:
        """As `empty`, for the second reader."""
        return None if self.second is None else _empty_references(self.second)

    @functools.cached_property
    def reliability(self) -> Reliability | None:
        """The reliability of the predicted Dice over the cases whose reference mask or prediction is not empty.

        A false positive counts with the Dice 0. If the predicted Dice is calibrated, only cases with an interval count.
        None if fewer than three of these have a predicted Dice, or if all predicted or all true values are equal.
        """
        table = self.table[(self.table["true_px"] > 0) | (self.table["predicted_px"] > 0)]
        ends = [name for name in ("predicted_dice_low", "predicted_dice_high") if name in table]
        pairs = table.reindex(columns=["predicted_dice", "dice", *ends]).dropna()
        if len(pairs) < 3 or pairs[["predicted_dice", "dice"]].nunique().min() < 2:
            return None
        correlation = pairs.corr(method="spearman").iloc[0, 1]
        bias, within = float((pairs["predicted_dice"] - pairs["dice"]).mean()), None
        if ends:
            within = int(pairs["dice"].between(*(pairs[end] for end in ends)).sum())
        return Reliability(float(correlation), bias, len(pairs), within)

    def _summarized(self, table: pd.DataFrame) -> pd.DataFrame:
        rows = {name: self._row(with_nonempty_reference(table), name) for name in self.names}
        if 0 < self.empty.empty < len(table):
            # Empty masks inflate this mean, so it gets no interval.
            rows["dice_all_cases"] = self._row(table, "dice") | dict.fromkeys(_INTERVALS, np.nan)
        return pd.DataFrame(rows).T.astype({"cases": int, "failed": int, "groups": int})

    def _row(self, table: pd.DataFrame, name: str) -> dict[str, Any]:
        return dataclasses.asdict(agreement.summarize(table[name].tolist(), table["group"].tolist(), self.seed))

    def _measured(self, table: pd.DataFrame) -> list[Measured]:
        rows = with_nonempty_reference(table)
        return [Measured.of_table(rows, quantity, self.seed) for quantity in self.quantities]


def with_nonempty_reference(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a table like metrics.csv whose reference mask is not empty."""
    return table[table["true_px"] > 0]


def _empty_references(table: pd.DataFrame) -> agreement.EmptyReferences:
    return agreement.EmptyReferences.count(table["true_px"], table["predicted_px"])
