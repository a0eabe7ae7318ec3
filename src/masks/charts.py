"""Plots of the metrics of many cases. Tables in, matplotlib figures out."""

import io
import textwrap
from collections.abc import Mapping

import matplotlib.axes
import matplotlib.figure
import numpy as np
import pandas as pd
import seaborn

from masks.agreement import MIN_CASES, Agreement

Figure = matplotlib.figure.Figure

# For print: journals ask for 300 dpi. Two columns are 7.2 inches wide, one column 3.5.
_DPI = 300
_TWO_COLUMNS, _ONE_COLUMN = 7.2, 3.5
_FONT_PT = 8
_DARK, _LIGHT = "#08519c", "#9ecae1"


def distributions(table: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Distributions of metrics in a table like metrics.csv: violins, boxes, and the cases as points.

    `labels`: the columns to plot and their names for readers. Each unit has its own panel. Infinite values can't be
    plotted: the tick labels give their number.
    """
    units = {unit: [name for name in labels if _unit(name) == unit] for unit in dict.fromkeys(map(_unit, labels))}
    figure = Figure(figsize=(max(_ONE_COLUMN, 0.9 + 0.7 * len(labels)), 3.4), dpi=_DPI, layout="constrained")
    ratios = [len(columns) + 0.3 for columns in units.values()]
    panels = figure.subplots(1, len(units), width_ratios=ratios, squeeze=False)[0]
    for axes, (unit, columns) in zip(panels, units.items(), strict=True):
        _boxes(axes, table[columns], unit, labels)
        if unit == "":
            lowest = table[columns].min().min()
            axes.set_ylim(max(-0.02, lowest - 0.05), 1.01)  # From 0, a good model's cases would merge at the top.
        elif unit != "%":
            axes.set_ylim(bottom=0)
    return figure


def areas(true: np.ndarray, predicted: np.ndarray, unit: str, result: Agreement) -> Figure:
    """Predicted against true areas with the identity line, and the Bland-Altman plot with the limits of agreement.

    `true` and `predicted`: (cases,), in `unit`, px or cm2.
    """
    figure = Figure(figsize=(_TWO_COLUMNS, 3.4), dpi=_DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = np.array([min(true.min(), predicted.min()), max(true.max(), predicted.max())])
    ends = ends + np.array([-0.05, 0.05]) * max(np.ptp(ends), 1e-9)
    shown = "cm²" if unit == "cm2" else unit
    _scatter(left, true, predicted, f"True area ({shown})", f"Predicted area ({shown})")
    _identity_line(left, ends)
    if np.isfinite(result.icc):
        left.set_title(f"ICC(2,1) {result.icc:.3f}, Lin's CCC {result.ccc:.3f}", fontsize=_FONT_PT)
    labels = f"Mean of true and predicted area ({shown})", f"Predicted − true area ({shown})"
    _scatter(right, (true + predicted) / 2, predicted - true, *labels)
    for height, text in ((result.bias, "bias"), (result.upper_limit, "+1.96 SD"), (result.lower_limit, "−1.96 SD")):
        if np.isfinite(height):
            _horizontal_line(right, height, text, decimals=1 if unit == "px" else 2)
    if result.cases < MIN_CASES:
        text = f"no limits of agreement: {MIN_CASES} cases needed, {result.cases} given"
        right.set_title(text, fontsize=_FONT_PT)
    return figure


def predicted_and_true_dice(table: pd.DataFrame) -> Figure:
    """True against predicted Dice with the identity line, from a table with the columns dice and predicted_dice."""
    figure = Figure(figsize=(_ONE_COLUMN, _ONE_COLUMN), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    lowest = np.nanmin(table[["dice", "predicted_dice"]].to_numpy())
    _scatter(axes, table["predicted_dice"], table["dice"], "Predicted Dice", "True Dice")
    _identity_line(axes, np.array([max(-0.02, lowest - 0.05), 1.01]))
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})
    return content.getvalue()


def _boxes(axes: matplotlib.axes.Axes, table: pd.DataFrame, unit: str, labels: Mapping[str, str]) -> None:
    finite = table.replace([np.inf, -np.inf], np.nan)
    numbered = finite.set_axis(range(len(finite.columns)), axis=1).melt().dropna().astype(float)
    options = {"x": "variable", "y": "value", "ax": axes, "native_scale": True, "linewidth": 0.7}
    varied = numbered[numbered.groupby("variable")["value"].transform("nunique") > 2]
    if len(varied):
        violins = options | {"linewidth": 0}
        seaborn.violinplot(varied, color="#deebf7", inner=None, cut=0, density_norm="width", **violins)
    seaborn.boxplot(numbered, color=_LIGHT, width=0.25, showfliers=False, **options)
    # Points are jittered with a fixed seed: the same cases give the same figure. Many points are fainter, so that the
    # box stays visible.
    positions = numbered["variable"] + np.random.default_rng(0).uniform(-0.1, 0.1, len(numbered))
    axes.scatter(positions, numbered["value"], s=4, color=_DARK, alpha=0.6 if len(finite) <= 300 else 0.15, zorder=3)
    failed = finite.isna().sum()
    ticks = [_wrap(labels[name]) + (f"\n({failed[name]} failed)" if failed[name] else "") for name in table]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    _label(axes, "", {"": "Score", "%": "Difference (%)"}.get(unit, f"Distance ({unit})"))
    axes.grid(axis="x", visible=False)


def _scatter(axes: matplotlib.axes.Axes, x: np.ndarray, y: np.ndarray, xlabel: str, ylabel: str) -> None:
    axes.scatter(x, y, s=10, color=_DARK, alpha=0.6)
    _label(axes, xlabel, ylabel)


def _label(axes: matplotlib.axes.Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, fontsize=_FONT_PT)
    axes.set_ylabel(ylabel, fontsize=_FONT_PT)
    axes.tick_params(labelsize=_FONT_PT)
    axes.grid(alpha=0.3)


def _identity_line(axes: matplotlib.axes.Axes, ends: np.ndarray) -> None:
    axes.plot(ends, ends, color="#bbbbbb", linewidth=1, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect="equal")


def _horizontal_line(axes: matplotlib.axes.Axes, height: float, text: str, decimals: int) -> None:
    axes.axhline(height, color="#555555", linewidth=1, linestyle="-" if text == "bias" else "--")
    number = f"{height:+,.{decimals}f}".replace("-", "−")
    axes.annotate(
        f"{text}: {number}",
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 2),
        textcoords="offset points",
        ha="right",
        fontsize=_FONT_PT - 1,
    )


def _unit(name: str) -> str:
    return {"px": "px", "mm": "mm", "percent": "%"}.get(name.rpartition("_")[2], "")


def _wrap(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 11, break_long_words=False))
