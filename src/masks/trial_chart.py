"""A chart of the trials of a search: the score against each hyperparameter, and all of them as parallel coordinates."""

import dataclasses

import matplotlib
import matplotlib.axes
import matplotlib.patheffects
import matplotlib.ticker
import numpy as np
import pandas as pd

from masks import figures

# A white outline keeps labels readable where lines cross them.
_OUTLINE = [matplotlib.patheffects.withStroke(linewidth=1.5, foreground="white")]
_COLOURS = matplotlib.colormaps["Blues"]


@figures.STYLE
def plot(values: pd.DataFrame, scores: np.ndarray, repeated: np.ndarray, label: str) -> figures.Figure:
    """Plots the trials of a search: a panel per hyperparameter, and below them each trial as a line through its values.

    `values` has a row per trial and a column per hyperparameter; columns with a single value are left out, and rates
    have a log axis. `scores` (trials,) are named by `label`. `repeated` (trials,) is true where the score is the mean
    of repeats: filled squares, else open circles.
    """
    varied = [name for name in values if values[name].nunique() > 1] or list(values)[:1]
    columns = min(4, len(varied))
    rows = -(-len(varied) // columns)
    heights = 6 + 42 * rows, 16 + 7.5 * len(varied)
    figure = figures.new(figures.DOUBLE_MM, sum(heights))
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    panels = upper.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, varied, strict=False):
        _plot_panel(axes, values[name], scores, repeated)
    for axes in panels[len(varied) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel(label)
    handles, texts = panels[0].get_legend_handles_labels()
    upper.legend(handles, texts, loc="outside upper right", ncols=2)
    _plot_lines(lower.subplots(), values[varied], scores, label)
    return figure


@dataclasses.dataclass(frozen=True)
class _Scale:
    """The places of values on an axis, and its ticks with their texts."""

    places: np.ndarray
    ticks: list[float]
    texts: list[str]
    logarithmic: bool = False

    def shares(self, places: np.ndarray) -> np.ndarray:
        """Places as shares of the axis, 0 to 1."""
        ends = [*self.places, *self.ticks]
        low, high, position = min(ends), max(ends), places
        if self.logarithmic:
            low, high, position = np.log(low), np.log(high), np.log(places)
        return (position - low) / (high - low) if high > low else np.full(len(places), 0.5)


def _scale(values: pd.Series) -> _Scale:
    if not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
        names = sorted(values.unique(), key=str)
        places = values.map({name: number for number, name in enumerate(names)}).to_numpy(float)
        return _Scale(places, list(range(len(names))), [str(name).replace("_", "\n") for name in names])
    numbers = values.to_numpy(float)
    logarithmic = str(values.name).endswith("_rate") and numbers.min() > 0
    ticks = _log_ticks(numbers) if logarithmic else _linear_ticks(numbers)
    texts = [f"{tick:.0e}".replace("e-0", "e-") if logarithmic else f"{tick:.3g}" for tick in ticks]
    return _Scale(numbers, ticks, texts, logarithmic)


def _linear_ticks(numbers: np.ndarray) -> list[float]:
    """The numbers themselves if they are few and far apart, else round ones between them."""
    distinct = np.unique(numbers)
    if len(distinct) <= 5 and (np.diff(distinct) >= 0.15 * np.ptp(distinct)).all():
        return distinct.tolist()
    ticks = matplotlib.ticker.MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(numbers.min(), numbers.max())
    return [float(tick) for tick in ticks if numbers.min() <= tick <= numbers.max()]


def _log_ticks(numbers: np.ndarray) -> list[float]:
    """1, 2 and 5 times powers of ten from the last below the numbers to the first above, at most six of them."""
    decades = range(int(np.floor(np.log10(numbers.min()))), int(np.ceil(np.log10(numbers.max()))) + 1)
    candidates = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    first = max(number for number, tick in enumerate(candidates) if tick <= numbers.min() * (1 + 1e-9))
    last = min(number for number, tick in enumerate(candidates) if tick >= numbers.max() * (1 - 1e-9))
    ticks = candidates[first : last + 1]
    if len(ticks) <= 6:
        return ticks
    gap = (ticks[-1] / ticks[0]) ** (1 / 6)  # A sixth of the axis is as wide as a text.
    powers = [tick for tick in ticks if f"{tick:e}".startswith("1.0") and ticks[0] * gap < tick < ticks[-1] / gap]
    return [ticks[0], *powers[:: -(-len(powers) // 4) or 1], ticks[-1]]


def _plot_panel(axes: matplotlib.axes.Axes, values: pd.Series, scores: np.ndarray, repeated: np.ndarray) -> None:
    scale = _scale(values)
    if scale.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xticks(scale.ticks, scale.texts)
    axes.margins(x=0.12)
    for chosen, marker, face, text in (
        (~repeated, "o", "none", "first training"),
        (repeated, "s", figures.DARK, "mean of repeats"),
    ):
        # Points lie on their values: shifted ones would be read as other values.
        axes.scatter(
            scale.places[chosen],
            scores[chosen],
            s=12,
            linewidths=0.8,
            marker=marker,
            facecolors=face,
            edgecolors=figures.DARK,
            label=text,
        )
    axes.set_title(values.name)
    axes.grid()


def _plot_lines(axes: matplotlib.axes.Axes, values: pd.DataFrame, scores: np.ndarray, label: str) -> None:
    ends = [scores.min(), scores.max()] if np.ptp(scores) else [scores.max()]
    scales = [*(_scale(values[name]) for name in values), _Scale(scores, ends, [f"{end:.3f}" for end in ends])]
    for number, scale in enumerate(scales):
        axes.axhline(number, color="#888888", linewidth=0.6, zorder=0)
        for place, text in zip(scale.shares(np.array(scale.ticks, float)), scale.texts, strict=True):
            axes.annotate(
                text.replace("\n", "_"), (place, number), xytext=(0, 3), textcoords="offset points", zorder=3,
                ha={0.0: "left", 1.0: "right"}.get(place, "center"), path_effects=_OUTLINE,
            )  # fmt: skip
    shares = np.stack([scale.shares(scale.places) for scale in scales], axis=1)
    for trial in np.argsort(scores):  # The best ones on top.
        share = shares[trial, -1]
        axes.plot(shares[trial], range(len(scales)), color=_COLOURS(0.3 + 0.7 * share), linewidth=0.6 + 0.6 * share)
    axes.set_yticks(range(len(scales)), [*values.columns, label])
    axes.set_xticks([])
    axes.set_ylim(len(scales) - 0.6, -0.7)
    axes.set_frame_on(False)
