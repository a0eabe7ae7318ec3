"""Plots of the metrics of many cases. Tables in, matplotlib figures out."""

import textwrap
from collections.abc import Mapping

import matplotlib.axes
import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn

from masks import figures
from masks.agreement import MIN_CASES, Agreement
from masks.figures import Figure
from masks.quantities import Quantity
from wording import number

_ON_ONE_COLUMN = 4


@figures.STYLE
def distributions(table: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Distributions of metrics in a table like metrics.csv: violins, boxes, and the cases as points.

    `labels`: the columns to plot and their names for readers. Each unit has its own panel. Infinite values can't be
    plotted: the tick labels give their number.
    """
    units = {unit: [name for name in labels if _unit(name) == unit] for unit in dict.fromkeys(map(_unit, labels))}
    figure = figures.new(figures.SINGLE_MM if len(labels) <= _ON_ONE_COLUMN else figures.DOUBLE_MM, 80)
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


@figures.STYLE
def agreement(true: np.ndarray, predicted: np.ndarray, quantity: Quantity, result: Agreement) -> Figure:
    """Predicted against true values of a quantity with the identity line, and the Bland-Altman plot with its limits.

    `true` and `predicted`: (cases,). Cases without both values are not plotted; at least one needs both.
    """
    finite = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[finite], predicted[finite]
    figure = figures.new(figures.DOUBLE_MM, 88)
    left, right = figure.subplots(1, 2)
    name = quantity.phrase_with_unit
    ends = np.array([min(true.min(), predicted.min()), max(true.max(), predicted.max())])
    margin = 0.05 * (np.ptp(ends) or max(abs(ends[0]), 1.0))
    _scatter(left, true, predicted, f"True {name}", f"Predicted {name}")
    _identity_line(left, ends + np.array([-margin, margin]))
    if np.isfinite(result.icc):
        left.set_title(f"ICC(2,1) {result.icc:.3f}\nLin's CCC {result.ccc:.3f}")
    labels = f"Mean of true and predicted {name}", f"Predicted − true {name}"
    _scatter(right, (true + predicted) / 2, predicted - true, *labels)
    _difference_lines(right, result, quantity)
    return figure


@figures.STYLE
def predicted_and_true_dice(table: pd.DataFrame) -> Figure:
    """True against predicted Dice with the identity line, from a table with the columns dice and predicted_dice.

    If it also has predicted_dice_low and predicted_dice_high, the interval between them is shaded.
    """
    figure = figures.new(figures.SINGLE_MM, figures.SINGLE_MM)
    axes = figure.subplots()
    lowest = np.nanmin(table[["dice", "predicted_dice"]].to_numpy())
    _scatter(axes, table["predicted_dice"], table["dice"], "Predicted Dice coefficient", "True Dice coefficient")
    axes.set_title(f"Mean of predicted − true: {number((table['predicted_dice'] - table['dice']).mean(), 2)}")
    if "predicted_dice_low" in table:
        ends = table[["predicted_dice", "predicted_dice_low", "predicted_dice_high"]].dropna()
        axes.fill_between(*ends.sort_values("predicted_dice").to_numpy().T, color=figures.LIGHT, linewidth=0, zorder=0)
    _identity_line(axes, np.array([max(-0.02, lowest - 0.05), 1.01]))
    return figure


def _boxes(axes: matplotlib.axes.Axes, table: pd.DataFrame, unit: str, labels: Mapping[str, str]) -> None:
    finite = table.replace([np.inf, -np.inf], np.nan)
    numbered = finite.set_axis(range(len(finite.columns)), axis=1).melt().dropna().astype(float)
    options = {"x": "variable", "y": "value", "ax": axes, "native_scale": True, "linewidth": 0.7}
    varied = numbered[numbered.groupby("variable")["value"].transform("nunique") > 2]
    if len(varied):
        violins = options | {"linewidth": 0}
        seaborn.violinplot(varied, color=figures.LIGHT, inner=None, cut=0, density_norm="width", **violins)
    seaborn.boxplot(numbered, color="black", fill=False, width=0.25, showfliers=False, zorder=4, **options)
    # Points are jittered with a fixed seed: the same cases give the same figure.
    positions = numbered["variable"] + np.random.default_rng(0).uniform(-0.1, 0.1, len(numbered))
    figures.points(axes, positions, numbered["value"], size=4)
    failed = finite.isna().sum()
    ticks = [_wrap(labels[name]) + (f"\n({failed[name]} failed)" if failed[name] else "") for name in table]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    _label(axes, "", {"": "Score", "%": "Difference (%)"}.get(unit, f"Distance ({unit})"))
    axes.grid(axis="x", visible=False)


def _scatter(axes: matplotlib.axes.Axes, x: np.ndarray, y: np.ndarray, xlabel: str, ylabel: str) -> None:
    figures.points(axes, x, y)
    _label(axes, xlabel, ylabel)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))


def _label(axes: matplotlib.axes.Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid()


def _identity_line(axes: matplotlib.axes.Axes, ends: np.ndarray) -> None:
    axes.plot(ends, ends, color=figures.GREY, linewidth=0.8, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect="equal")


def _difference_lines(axes: matplotlib.axes.Axes, result: Agreement, quantity: Quantity) -> None:
    """Plots the bias as a solid line and the limits of agreement as dashed lines; the title has their values."""
    for height, style in ((result.bias, "-"), (result.lower_limit, "--"), (result.upper_limit, "--")):
        if np.isfinite(height):
            axes.axhline(height, color=figures.GREY, linewidth=0.8, linestyle=style, zorder=4)
    heights = (result.bias, result.lower_limit, result.upper_limit)
    bias, low, high = (number(each, quantity.places) for each in heights)
    limits = f"Dashed: 95 % limits of agreement {low} to {high} {quantity.unit}".rstrip()
    if result.cases < MIN_CASES:
        limits = f"No limits of agreement: {MIN_CASES} cases needed, {result.cases} given"
    axes.set_title(f"Solid: bias {bias} {quantity.unit}\n{limits}")


def _unit(name: str) -> str:
    return {"px": "px", "mm": "mm", "percent": "%"}.get(name.rpartition("_")[2], "")


def _wrap(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 11, break_long_words=False))
