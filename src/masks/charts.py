"""Figures of tables: metrics of many cases, and areas."""

import io
from collections.abc import Sequence

import matplotlib.axes
import matplotlib.figure
import numpy as np
import pandas as pd
import seaborn

from masks.agreement import MIN_CASES, Agreement

Figure = matplotlib.figure.Figure

# Enough for print at the figures' sizes of 5 to 13 inches.
_DPI = 200
_DARK, _LIGHT = "#08519c", "#9ecae1"


def distributions(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Distributions of the metrics `names` in a table like metrics.csv: violin, box and one point per case.

    One panel per unit. Infinite values can't be plotted; their number is written below.
    """
    parts = {unit: [name for name in names if _unit(name) == unit] for unit in dict.fromkeys(map(_unit, names))}
    figure = Figure(figsize=(2.2 + 1.55 * len(names), 5), dpi=_DPI, layout="constrained")
    panels = figure.subplots(
        1, len(parts), width_ratios=[len(columns) + 0.3 for columns in parts.values()], squeeze=False
    )[0]
    for axes, (unit, columns) in zip(panels, parts.items(), strict=True):
        _boxes(axes, table[columns], unit)
        if unit == "":
            lowest = table[columns].min().min()
            axes.set_ylim(max(-0.02, lowest - 0.05), 1.01)  # Starting at 0, good models would be a line at the top.
        elif unit != "%":
            axes.set_ylim(bottom=0)
    return figure


def areas(true: np.ndarray, predicted: np.ndarray, unit: str, agreement: Agreement) -> Figure:
    """Predicted against reference areas with the identity line; Bland-Altman plot with the limits of agreement."""
    figure = Figure(figsize=(11, 5), dpi=_DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = np.array([min(true.min(), predicted.min()), max(true.max(), predicted.max())])
    ends = ends + np.array([-0.05, 0.05]) * max(np.ptp(ends), 1e-9)
    left.plot(ends, ends, color="#bbbbbb", linewidth=1)
    left.scatter(true, predicted, s=18, color=_DARK, alpha=0.6)
    left.set(xlabel=f"reference area ({unit})", ylabel=f"predicted area ({unit})", xlim=ends, ylim=ends, aspect="equal")
    if np.isfinite(agreement.icc):
        left.set_title(f"ICC(2,1) {agreement.icc:.3f}, Lin's CCC {agreement.ccc:.3f}", fontsize=10)
    right.scatter((true + predicted) / 2, predicted - true, s=18, color=_DARK, alpha=0.6)
    for height, text in (
        (agreement.bias, "bias"),
        (agreement.upper_limit, "+1.96 SD"),
        (agreement.lower_limit, "−1.96 SD"),
    ):
        if np.isfinite(height):
            right.axhline(height, color="#555555", linewidth=1, linestyle="-" if text == "bias" else "--")
            right.annotate(
                f"{text} {height:+,.{1 if unit == 'px' else 2}f}",
                (1, height),
                xycoords=("axes fraction", "data"),
                xytext=(-4, 3),
                textcoords="offset points",
                ha="right",
                fontsize=9,
            )
    if agreement.cases < MIN_CASES:
        right.set_title(f"no limits of agreement: {agreement.cases} of {MIN_CASES} cases needed", fontsize=10)
    right.set(xlabel=f"mean of both areas ({unit})", ylabel=f"predicted − reference area ({unit})")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def predicted_and_true_dice(table: pd.DataFrame) -> Figure:
    """Dice against predicted Dice, one point per case of a table with these columns, with the identity line."""
    figure = Figure(figsize=(5, 5), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    lowest = np.nanmin(table[["dice", "predicted_dice"]].to_numpy())
    limits = (max(-0.02, lowest - 0.05), 1.01)
    axes.plot(limits, limits, color="#bbbbbb", linewidth=1)
    axes.scatter(table["predicted_dice"], table["dice"], s=18, color=_DARK, alpha=0.6)
    axes.set(xlabel="predicted Dice", ylabel="Dice", xlim=limits, ylim=limits, aspect="equal")
    axes.grid(alpha=0.3)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})
    return content.getvalue()


def _boxes(axes: matplotlib.axes.Axes, table: pd.DataFrame, unit: str) -> None:
    finite = table.replace([np.inf, -np.inf], np.nan)
    numbered = finite.set_axis(range(len(finite.columns)), axis=1).melt().dropna().astype(float)
    options = {"x": "variable", "y": "value", "ax": axes, "native_scale": True}
    varied = numbered[numbered.groupby("variable")["value"].transform("nunique") > 2]
    if len(varied):
        seaborn.violinplot(varied, color="#deebf7", inner=None, cut=0, linewidth=0, density_norm="width", **options)
    seaborn.boxplot(numbered, color=_LIGHT, width=0.25, showfliers=False, **options)
    # A fixed seed: the same cases give the same figure. Many points are fainter, so that the box stays visible.
    places = numbered["variable"] + np.random.default_rng(0).uniform(-0.1, 0.1, len(numbered))
    axes.scatter(places, numbered["value"], s=10, color=_DARK, alpha=0.6 if len(finite) <= 300 else 0.15, zorder=3)
    failed = finite.isna().sum()
    names = [_label(name) + (f"\n({failed[name]} failed)" if failed[name] else "") for name in table]
    axes.set_xticks(range(len(names)), names)
    axes.set(
        xlabel="", xlim=(-0.5, len(names) - 0.5), ylabel={"": "", "%": "difference (%)"}.get(unit, f"distance ({unit})")
    )
    axes.grid(axis="y", alpha=0.3)


def _unit(name: str) -> str:
    return {"px": "px", "mm": "mm", "percent": "%"}.get(name.rpartition("_")[2], "")


def _label(name: str) -> str:
    return name.removesuffix("_px").removesuffix("_mm").removesuffix("_percent").replace("_", "\n")
