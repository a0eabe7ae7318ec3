"""What an evaluation has found, as numbers, tables and words."""
import dataclasses
import functools
import json
import re
import types
from typing import Any

import numpy as np
import pandas as pd

from evaluation import methods
from masks import agreement

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
    "hausdorff_mm": "Hausdorff distance (mm)",
    "hausdorff95_mm": "95 % Hausdorff distance (mm)",
    "assd_mm": "Average surface distance (mm)",
    "area_difference_percent": "Area difference (%)",
}


@dataclasses.dataclass
class Findings:
    """All that is told of one evaluation: `table` is metrics.csv, `dataset` how the test set was made, `second` as `table` for a
    second reader, `looks` what `seal.note_look` tells.
    """

    table: pd.DataFrame
    cases: pd.DataFrame
    made_by: dict[str, Any] | None
    options: types.SimpleNamespace
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

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """A row per metric, as `agreement.Summary`."""
        return self._summarized(self.table)

    @functools.cached_property
    def second_summary(self) -> pd.DataFrame | None:
        """The same for the second reader."""
        return None if self.second is None else self._summarized(self.second)

    def areas(self) -> tuple[np.ndarray, np.ndarray, str]:
        """The true and the predicted areas, and their unit."""
        unit = "cm2" if "true_cm2" in self.table else "px"
        return self.table[f"true_{unit}"].to_numpy(float), self.table[f"predicted_{unit}"].to_numpy(float), unit

    @functools.cached_property
    def area_agreement(self) -> agreement.Agreement:
        """Of these areas."""
        return agreement.agree(*self.areas()[:2])

    def text(self) -> str:
        """What the terminal shows."""
        told = self.summary[["mean", "sd", "ci_low", "ci_high", "median", "minimum", "maximum", "cases", "failed"]]
        lines = [f"{len(self.table)} test cases:", told.dropna(axis=1, how="all").to_string(float_format="{:.3f}".format, na_rep="-"), self.area_text()]
        lines += [self.second_text()] if self.second is not None else []
        found = foresight(self.table)
        lines += [f"Rank correlation of the predicted with the true Dice: {found[0]:.2f}; {excess(found[1])}"] if found else []
        return "\n".join([*lines, self.looks_text()])

    def area_text(self) -> str:
        """How well the areas agree, in a sentence."""
        return f"Areas, predicted less true: {_agreement_text(self.area_agreement, self.areas()[2])}."

    def second_text(self) -> str:
        """How well a second reader's masks agree with the true ones, in a sentence."""
        dice, (true, _, unit) = self.second_summary.loc["dice"], self.areas()
        found = agreement.agree(true, self.second[f"predicted_{unit}"])
        return f"A second reader's masks of the same cases: Dice {dice['mean']:.3f}{_sd(dice)}; areas, less true: {_agreement_text(found, unit)}."

    def looks_text(self) -> str:
        """How often this test set was looked at, in a sentence or two."""
        looks, models = self.looks["looks"], self.looks["models"]
        unknown = "" if self.made_by else " Whether whoever made these masks has seen the test images can't be known here."
        if looks == 1:
            return f"This is the first look at these test images: what it tells is what to expect of new cases.{unknown}"
        return (
            f"These test images, or some of them, have been looked at {looks} times, with {len(models)} model{'s' if len(models) > 1 else ''} ({', '.join(models)}). "
            f"The more a model was chosen by them, the less they tell of new cases; choose by the exploration or the cross-validation.{unknown}"
        )

    def files(self) -> dict[str, str]:
        """The contents of summary.json, summary.md, summary.tex and methods.txt."""
        return {"summary.json": self._json(), "summary.md": self._markdown(), "summary.tex": self._latex(), "methods.txt": methods.paragraph(self) + "\n"}

    def _summarized(self, table: pd.DataFrame) -> pd.DataFrame:
        groups = self.cases.set_index("case")["group"].reindex(table["case"]).tolist()
        return pd.DataFrame({name: vars(agreement.summarize(table[name], groups, self.options.SEED)) for name in self.names}).T.astype({"cases": int, "failed": int})

    def _json(self) -> str:
        correlation, too_high = foresight(self.table) or (None, None)
        content = {
            "cases": len(self.table),
            "metrics": _plain(self.summary),
            "second_reader": None if self.second is None else _plain(self.second_summary),
            "areas": {name: _number(value) for name, value in vars(self.area_agreement).items()} | {"unit": self.areas()[2]},
            "predicted_dice_correlation": correlation,
            "predicted_dice_excess": too_high,
            "test_set": self.looks,
            "model": (self.made_by or {}).get("id"),
        }
        return json.dumps(content, indent=2) + "\n"

    def _rows(self, plus_minus: str) -> list[list[str]]:
        second = self.second_summary
        rows = [[*_HEADER, *(["Second reader"] if second is not None else [])]]
        for name, row in self.summary.iterrows():
            told = _cells(name, row)
            interval = f"{told['ci_low']} to {told['ci_high']}" if np.isfinite(row["ci_low"]) else "-"
            quartiles = f"{told['median']} ({told['q1']} to {told['q3']})"
            cells = [METRICS[name], f"{told['mean']} {plus_minus} {told['sd']}", interval, quartiles, str(int(row["cases"])), str(int(row["failed"]))]
            other = {} if second is None else _cells(name, second.loc[name])
            rows.append([*cells, f"{other['mean']} {plus_minus} {other['sd']}"] if other else cells)
        return rows

    def _markdown(self) -> str:
        header, *rows = self._rows("±")
        return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *rows))

    def _latex(self) -> str:
        # A hyphen before a number is a minus.
        header, *rows = [re.sub(r"(?<![\w-])-(?=\d)", "$-$", " & ".join(line).replace("%", r"\%")) + r" \\" for line in self._rows(r"$\pm$")]
        columns = "c" * header.count("&")
        return "\n".join([rf"\begin{{tabular}}{{l{columns}}}", r"\hline", header, r"\hline", *rows, r"\hline", r"\end{tabular}", ""])


_HEADER = ["Metric", "Mean, SD", "95 % CI of the mean", "Median (quartiles)", "Cases", "Failed"]


def digits(name: str) -> int:
    """To how many decimal places a metric is told."""
    return 1 if name.endswith(("_px", "_mm", "_percent")) else 3


def foresight(table: pd.DataFrame) -> tuple[float, float] | None:
    """How well the predicted Dice coefficients foresaw the true ones: Spearman's rank correlation, -1 to 1, and by how much they were too high.

    None where fewer than three were predicted, or all cases have the same value.
    """
    pairs = table.reindex(columns=["predicted_dice", "dice"]).dropna()
    if len(pairs) < 3 or pairs.nunique().min() < 2:
        return None
    return float(pairs.corr(method="spearman").iloc[0, 1]), float((pairs["predicted_dice"] - pairs["dice"]).mean())


def excess(difference: float) -> str:
    """By how much the predicted Dice was off, in words."""
    return f"on average the prediction was {abs(difference):.2f} too {'high' if difference > 0 else 'low'}."


def _cells(name: str, row: pd.Series) -> dict[str, str]:
    return {column: f"{value:.{digits(name)}f}" if np.isfinite(value) else "-" for column, value in row.items()}


def _agreement_text(found: agreement.Agreement, unit: str) -> str:
    places = 1 if unit == "px" else 2
    told = f"{found.bias:+,.{places}f} {unit} on average"
    if np.isfinite(found.lower_limit):
        told += f", limits of agreement {found.lower_limit:+,.{places}f} to {found.upper_limit:+,.{places}f} {unit}"
    return told + (f"; ICC(2,1) {found.icc:.3f}, Lin's CCC {found.ccc:.3f}" if np.isfinite(found.icc) else "")


def _sd(row: pd.Series) -> str:
    return f" (SD {row['sd']:.3f})" if np.isfinite(row["sd"]) else ""


def _plain(summary: pd.DataFrame) -> dict:
    # JSON knows no NaN: a metric that failed in all cases has null for its mean.
    return {name: {column: _number(value) for column, value in row.items()} for name, row in summary.astype(object).to_dict("index").items()}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
