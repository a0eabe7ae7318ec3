"""A chart of a training: loss, Dice and learning rate over its epochs."""

import matplotlib.axes
import matplotlib.ticker
import numpy as np
import pandas as pd

from masks import figures

# The chart in a model's folder; history.pdf is the same for print.
FILE = "history.png"

# Also distinguished by line and marker, for readers and printers without colours.
_TRAINING = {"color": figures.DARK, "linestyle": "-", "marker": "o", "label": "train set, augmented"}
_VALIDATION = {"color": "#d55e00", "linestyle": "--", "marker": "s", "label": "validation set"}
# With more epochs, markers would hide the line.
_MAX_MARKED = 30

_LABELS = {"loss": "Loss", "dice": "Dice coefficient", "learning_rate": "Learning rate"}


@figures.STYLE
def plot(history: pd.DataFrame) -> figures.Figure:
    """Plots a table like history.csv: a panel each for loss, Dice and learning rate, if the table has them.

    `history` has a row per epoch. Epochs are counted by their images, so that one that a time limit cut is shorter.
    Columns val_loss and val_dice are second lines. Values that are not finite are gaps.
    """
    columns = [name for name in _LABELS if name in history]
    figure = figures.new(figures.SINGLE_MM, 36 * len(columns))
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    epochs = _epochs(history)
    for axes, name in zip(panels, columns, strict=True):
        _plot_lines(axes, epochs, history, name)
    panels[-1].set_xlabel("Epoch")
    panels[-1].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panels[-1].set_xlim(left=0)
    panels[0].legend()
    return figure


def _epochs(history: pd.DataFrame) -> np.ndarray:
    if "images" not in history:
        return history["epoch"].to_numpy(float)
    return (history["images"].cumsum() / history["images"].max()).to_numpy(float)


def _plot_lines(axes: matplotlib.axes.Axes, epochs: np.ndarray, history: pd.DataFrame, name: str) -> None:
    for column, style in ((name, _TRAINING), (f"val_{name}", _VALIDATION)):
        if column in history:
            values = history[column].astype(float).replace([np.inf, -np.inf], np.nan)
            marker = style["marker"] if len(values) <= _MAX_MARKED else ""
            (line,) = axes.plot(epochs, values, linewidth=1, markersize=2.5)
            line.set(**style | {"marker": marker})
    axes.set_ylabel(_LABELS[name])
    axes.grid()
    if name == "learning_rate":
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
