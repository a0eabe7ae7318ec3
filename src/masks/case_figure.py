"""A figure of selected cases for a paper: image, reference, prediction and both outlines in each row."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import matplotlib.axes
import matplotlib.lines
import matplotlib.patheffects
import numpy as np

from masks import drawing, figures, overlay

# Sky blue and orange of Okabe and Ito's colour-blind-safe palette. The line styles differ for grey print.
_REFERENCE: dict[str, Any] = {"color": "#56b4e9", "linestyle": "solid", "linewidth": 0.9}
_PREDICTION: dict[str, Any] = {"color": "#e69f00", "linestyle": (0, (3, 1.5)), "linewidth": 0.7}
_PANEL_MM, _GAP_MM, _TITLES_MM = 42.0, 1.0, 12.0
# Taller images become narrower.
_MAX_RATIO = 1.5
_OUTLINE = [matplotlib.patheffects.withStroke(linewidth=1.5, foreground="black")]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A row of the figure.

    image, true_mask, predicted_mask: (height, width).
    dice: the Dice coefficient, for the row's label.
    spacing_mm: the distances of rows and of columns, for true proportions and the scale bar; None if unknown.
    """

    image: np.ndarray
    true_mask: np.ndarray
    predicted_mask: np.ndarray
    dice: float
    spacing_mm: tuple[float, float] | None = None

    @property
    def ratio(self) -> float:
        """Height to width in space."""
        row_mm, column_mm = self.spacing_mm or (1.0, 1.0)
        return self.image.shape[0] * row_mm / (self.image.shape[1] * column_mm)


@figures.STYLE
def plot(cases: Sequence[Case], letters: Sequence[str], grey_range: tuple[float, float] | None) -> figures.Figure:
    """Plots a row per case: image, reference mask, predicted mask, and the image with both outlines.

    `letters` name the rows instead of the cases' names, which may identify patients. `grey_range`: as in
    `drawing.comparison`; if given, the column title has it as window.
    """
    ratios = [min(case.ratio, _MAX_RATIO) for case in cases]
    figure = figures.new(figures.DOUBLE_MM, _TITLES_MM + sum(_PANEL_MM * ratio + 2 * _GAP_MM for ratio in ratios))
    figure.set_layout_engine("constrained", w_pad=_GAP_MM / 25.4, h_pad=_GAP_MM / 25.4, wspace=0, hspace=0)
    rows = figure.subplots(len(cases), 4, squeeze=False, height_ratios=ratios)
    for axes, case, letter in zip(rows, cases, letters, strict=True):
        _plot_row(axes, case, grey_range)
        axes[0].set_ylabel(f"{letter}\nDice {case.dice:.3f}")
    window = "" if grey_range is None else f" ({drawing.window_text(grey_range)})"
    for axes, title in zip(rows[0], (f"Image{window}", "Reference", "Prediction", "Outlines"), strict=True):
        axes.set_title(title)
    lines = (matplotlib.lines.Line2D([], [], **style) for style in (_REFERENCE, _PREDICTION))
    figure.legend(list(lines), ["reference", "prediction"], loc="outside lower right", ncols=2, handlelength=2.5)
    return figure


def _plot_row(panels: Sequence[matplotlib.axes.Axes], case: Case, grey_range: tuple[float, float] | None) -> None:
    greys = drawing.grey(case.image, grey_range)
    masks = case.true_mask, case.predicted_mask
    aspect = case.ratio * greys.shape[1] / greys.shape[0]
    for axes, values in zip(panels, (greys, *(255 * mask for mask in masks), greys), strict=True):
        axes.imshow(values, cmap="gray", vmin=0, vmax=255, aspect=aspect)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for mask, style in zip(masks, (_REFERENCE, _PREDICTION), strict=True):
        if 0 < np.count_nonzero(mask) < mask.size:
            options = {"colors": [style["color"]], "linestyles": [style["linestyle"]]}
            panels[3].contour(mask, levels=[0.5], linewidths=style["linewidth"], **options)
    if case.spacing_mm:
        _plot_scale_bar(panels[0], greys.shape, case.spacing_mm[1])


def _plot_scale_bar(axes: matplotlib.axes.Axes, shape: tuple[int, ...], column_mm: float) -> None:
    height, width = shape
    length_mm = overlay.round_length(width * column_mm / 4)
    left, y = 0.04 * width, 0.96 * height
    axes.plot([left, left + length_mm / column_mm], [y, y], color="white", linewidth=1.5, path_effects=_OUTLINE)
    text = overlay.length_text(length_mm)
    axes.annotate(text, (left, y), (0, 2), textcoords="offset points", color="white", path_effects=_OUTLINE)
