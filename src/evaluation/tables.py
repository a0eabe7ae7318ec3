"""What an evaluation has found, as numbers, tables and words."""

import dataclasses
import functools
from typing import Any

import numpy as np
import pandas as pd

from masks import agreement
from settings import Settings

# What is summarized, in this order, of the columns that a table like metrics.csv has; and how each is called for readers.
METRICS = {
    "dice": "Dice coefficient",
    "jaccard": "Jaccard index",
    "precision": "Precision",
    "recall": "Recall",
    "surface_dice": "Surface Dice",
    "hausdorff_px": "Hausdorff distance (px)",
    "hausdorff95_px": "95 % Hausdorff distance (px)",
    "assd_px": "Average surface distance (px)",
    "hausdorff_all_pixels_px": "Hausdorff distance of all pixels (px)",
    "hausdorff_mm": "Hausdorff distance (mm)",
    "hausdorff95_mm": "95 % Hausdorff distance (mm)",
    "assd_mm": "Average surface distance (mm)",
    "hausdorff_all_pixels_mm": "Hausdorff distance of all pixels (mm)",
    "area_difference_percent": "Area difference (%)",
    "dice_all_cases": "Dice coefficient, all cases",
}


@dataclasses.dataclass
class EvaluationResult:
    """Everything about one evaluation: `table` is metrics.csv, `dataset` how the test set was made, `second` as `table`
    for a second reader, `looks` what `evaluation_log.record_evaluation` returns.

    Summaries, agreement and plots are over the cases whose reference mask is not empty: two empty masks have the Dice
    coefficient 1 and distances of 0 by convention, which would inflate every mean.
    """

    table: pd.DataFrame
    cases: pd.DataFrame
    provenance: dict[str, Any] | None
    options: Settings
    dataset: dict[str, Any]
    second: pd.DataFrame | None
    looks: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The metrics that there are."""
        return [name for name in METRICS if name in self.table]

    @property
    def drawn(self) -> list[str]:
        """Those to draw: distances in mm where these are known, else in px."""
        return [name for name in self.names if not (name.endswith("_px") and name.replace("_px", "_mm") in self.table)]

    @property
    def measured(self) -> pd.DataFrame:
        """The rows of `table` whose reference mask is not empty."""
        return measured(self.table)

    @functools.cached_property
    def empty(self) -> agreement.EmptyReferences:
        """The empty reference masks, and the predictions for them."""
        return agreement.EmptyReferences.count(self.table["true_px"], self.table["predicted_px"])

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """A row per metric, as `agreement.Summary`; if some reference masks are empty, also one of all cases' Dice."""
        return self._summarized(self.table)

    @functools.cached_property
    def second_summary(self) -> pd.DataFrame | None:
        """The same for the second reader."""
        return None if self.second is None else self._summarized(self.second)

    @property
    def groups(self) -> int:
        """Of how many groups the measured cases are."""
        return self.cases[self.cases["case"].isin(self.measured["case"])]["group"].nunique()

    def areas(self) -> tuple[np.ndarray, np.ndarray, str]:
        """The true and the predicted areas of the measured cases, and their unit."""
        unit = "cm2" if "true_cm2" in self.table else "px"
        return self.measured[f"true_{unit}"].to_numpy(float), self.measured[f"predicted_{unit}"].to_numpy(float), unit

    @functools.cached_property
    def area_agreement(self) -> agreement.Agreement:
        """Of these areas."""
        return agreement.agree(*self.areas()[:2])

    def text(self) -> str:
        """What the terminal shows."""
        shown = self.summary[["mean", "sd", "ci_low", "ci_high", "median", "minimum", "maximum", "cases", "failed"]]
        lines = [f"{len(self.table)} test cases:"]
        if len(self.measured):
            lines += [shown.dropna(axis=1, how="all").to_string(float_format="{:.3f}".format, na_rep="-")]
        lines += [*self.notes(), *([self.area_text()] if len(self.measured) else [])]
        lines += [self.second_text()] if self.second is not None else []
        found = predicted_dice_reliability(self.table)
        lines += (
            [f"Rank correlation of the predicted with the true Dice: {found[0]:.2f}; {describe_bias(found[1])}"]
            if found
            else []
        )
        return "\n".join([*lines, self.times_evaluated_text()])

    def notes(self) -> list[str]:
        """What must be known beside the means, in sentences: empty reference masks, groups, a missing interval."""
        cases, notes = len(self.measured), []
        if self.empty.empty:
            over = f"Metrics are over the other {cases}, but for the row of all cases."
            over = over if cases else "No mean can be given."
            notes = [f"{self.empty.text()} {over}"]
        if 0 < self.groups < cases:
            notes += [f"SD over {_counted(cases, 'image')} of {_counted(self.groups, 'group')}."]
        if 0 < self.groups < agreement.MIN_GROUPS:
            unit = "group" if self.groups < cases else "case"
            needed = f"{_counted(self.groups, unit)}, {agreement.MIN_GROUPS} are needed"
            notes += [f"No 95 % confidence interval: {needed}."]
        return notes

    def area_text(self) -> str:
        """How well the areas agree, in a sentence."""
        return f"Areas, predicted − true: {_agreement_text(self.area_agreement, self.areas()[2])}."

    def second_text(self) -> str:
        """How well a second reader's masks agree with the reference masks, in a sentence or two."""
        empty = agreement.EmptyReferences.count(self.second["true_px"], self.second["predicted_px"])
        wrong = f" Of {_counted(empty.empty, 'case')} with an empty reference mask, the second reader annotated"
        wrong += f" {empty.false_positives}."
        if not len(self.measured):
            return wrong.strip()
        dice, (true, _, unit) = self.second_summary.loc["dice"], self.areas()
        found = agreement.agree(true, measured(self.second)[f"predicted_{unit}"])
        text = f"A second reader's masks of the same cases: Dice {dice['mean']:.3f}{_sd(dice)}; "
        text += f"areas, second reader − true: {_agreement_text(found, unit)}."
        return text + (wrong if empty.empty else "")

    def times_evaluated_text(self) -> str:
        """How often this test set was evaluated, in a sentence or two."""
        looks, models = self.looks["looks"], self.looks["models"]
        unknown = "" if self.provenance else " It is unknown whether the external model was trained on these images."
        if looks == 1:
            return f"This is evaluation 1 of this test set: an unbiased estimate for similar new cases.{unknown}"
        return (
            f"This is evaluation {looks} of this test set, or of a part of it, with {_counted(len(models), 'model')} "
            f"({', '.join(models)}). Repeated evaluation with changes in between overfits the test set. "
            f"Choose models by the exploration or the cross-validation.{unknown}"
        )

    def _summarized(self, table: pd.DataFrame) -> pd.DataFrame:
        columns = {name: measured(table).set_index("case")[name] for name in self.names}
        if 0 < self.empty.empty < len(table):
            columns["dice_all_cases"] = table.set_index("case")["dice"]
        groups = self.cases.set_index("case")["group"]
        rows = {}
        for name, values in columns.items():
            found = agreement.summarize(values, groups.reindex(values.index).tolist(), self.options.SEED)
            rows[name] = dataclasses.asdict(found)
        if "dice_all_cases" in rows:  # For completeness only: an interval would be that of an inflated mean.
            rows["dice_all_cases"] |= {"ci_low": np.nan, "ci_high": np.nan}
        return pd.DataFrame(rows).T.astype({"cases": int, "failed": int})


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table like metrics.csv whose reference mask is not empty."""
    return table[table["true_px"] > 0]


def digits(name: str) -> int:
    """To how many decimal places a metric is told."""
    return 1 if name.endswith(("_px", "_mm", "_percent")) else 3


def predicted_dice_reliability(table: pd.DataFrame) -> tuple[float, float] | None:
    """How reliable the predicted Dice is: its Spearman rank correlation with the true Dice, -1 to 1, and its bias.

    Over the cases whose reference mask is not empty. None if fewer than three of these have a predicted Dice, or all
    the same one.
    """
    pairs = measured(table).reindex(columns=["predicted_dice", "dice"]).dropna()
    if len(pairs) < 3 or pairs.nunique().min() < 2:
        return None
    return float(pairs.corr(method="spearman").iloc[0, 1]), float((pairs["predicted_dice"] - pairs["dice"]).mean())


def describe_bias(difference: float) -> str:
    """By how much the predicted Dice was off, in words."""
    return f"on average the prediction was {abs(difference):.2f} too {'high' if difference > 0 else 'low'}."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _agreement_text(found: agreement.Agreement, unit: str) -> str:
    places = 1 if unit == "px" else 2
    text = f"{found.bias:+,.{places}f} {unit} on average"
    if found.cases < agreement.MIN_CASES:
        few = f"{found.cases}, {agreement.MIN_CASES} are needed"
        return f"{text}; too few cases for limits of agreement and ICC ({few})"
    text += f", limits of agreement {found.lower_limit:+,.{places}f} to {found.upper_limit:+,.{places}f} {unit}"
    return text + (f"; ICC(2,1) {found.icc:.3f}, Lin's CCC {found.ccc:.3f}" if np.isfinite(found.icc) else "")


def _sd(row: pd.Series) -> str:
    return f" (SD {row['sd']:.3f})" if np.isfinite(row["sd"]) else ""
