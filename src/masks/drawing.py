"""Pictures of images and masks. Gets its numbers, gives back a figure; with `charts` the only door for matplotlib.

Colours of a comparison: green where both masks are, blue where only the true one is, red where only the prediction is.
"""
import io
from collections.abc import Iterable, Sequence

import matplotlib.figure
import matplotlib.patches
import numpy as np

Figure = matplotlib.figure.Figure

BOTH, ONLY_TRUE, ONLY_PREDICTED = (0.1, 0.85, 0.2), (0.2, 0.45, 1.0), (1.0, 0.15, 0.15)
# How much of a colour covers the image: the anatomy is to be seen through it.
_OPACITY = 0.45
_SIDE_PX, _DPI = 1024, 100


def comparison(
    image: np.ndarray,
    true_mask: np.ndarray,
    predicted_mask: np.ndarray,
    caption: str,
    hausdorff_pair: tuple[tuple[int, int], tuple[int, int]] | None = None,
    grey_range: tuple[float, float] | None = None,
) -> Figure:
    """The image, (height, width), with both masks in colours, a legend and the caption: 1024 x 1024 px.

    `hausdorff_pair` draws a line between two (row, column) points. `grey_range` are the values that are black and white; by default a
    CT's abdominal window, or the 1st and 99th percentile of other images.
    """
    figure, axes = _canvas(_coloured(image, true_mask, predicted_mask, grey_range))
    if hausdorff_pair is not None:
        (row, column), (other_row, other_column) = hausdorff_pair
        axes.plot([column, other_column], [row, other_row], color="yellow", linewidth=2, marker="o", markersize=5)
    _write(axes, caption, {"both": BOTH, "only the true mask": ONLY_TRUE, "only the prediction": ONLY_PREDICTED})
    return figure


def overlay(image: np.ndarray, mask: np.ndarray, caption: str, grey_range: tuple[float, float] | None = None) -> Figure:
    """The image, (height, width), with one predicted mask in green and the caption: 1024 x 1024 px."""
    figure, axes = _canvas(_coloured(image, mask, mask, grey_range))
    _write(axes, caption, {"prediction": BOTH})
    return figure


def panel(images: Sequence[np.ndarray], true_masks: Sequence[np.ndarray], predicted_masks: Sequence[np.ndarray], max_side_px: int = 256) -> np.ndarray:
    """A row per case, the image beside its comparison: uint8 (cases * side, 2 * side, 3), small enough for a log that gets many of them."""
    step = -(-images[0].shape[0] // max_side_px)
    rows = []
    for image, true_mask, predicted_mask in zip(images, true_masks, predicted_masks, strict=True):
        empty = np.zeros_like(true_mask)
        pair = (_coloured(image, empty, empty, None), _coloured(image, true_mask, predicted_mask, None))
        rows.append(np.concatenate([picture[::step, ::step] for picture in pair], axis=1))
    return (np.concatenate(rows) * 255).round().astype(np.uint8)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    content = io.BytesIO()
    # Level 1: twice as fast as the default, and the file a tenth larger.
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})
    return content.getvalue()


def show(figures: Iterable[Figure]) -> None:
    """Shows the figures on the screen, one after the other, each until its window is closed. RuntimeError where there is no screen."""
    from matplotlib import pyplot  # Only here: it looks for a screen, and keeps every figure that it makes.

    if pyplot.get_backend().lower() == "agg":
        raise RuntimeError("there is no screen to show pictures on. Set SAVE_IMAGES_ON_DISK = True in config.py")
    for figure in figures:
        window = pyplot.figure(figsize=(8, 8))
        window.figimage(pyplot.imread(io.BytesIO(to_png(figure))), resize=True)
        pyplot.show()
        pyplot.close(window)


def _coloured(image: np.ndarray, true_mask: np.ndarray, predicted_mask: np.ndarray, grey_range: tuple[float, float] | None) -> np.ndarray:
    low, high = grey_range or _usual_range(image)
    grey = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    colours = np.array([(0, 0, 0), ONLY_TRUE, ONLY_PREDICTED, BOTH], np.float32)
    kinds = true_mask.astype(np.uint8) + 2 * predicted_mask.astype(np.uint8)
    opacity = np.array([0, _OPACITY, _OPACITY, _OPACITY], np.float32)[kinds][..., None]
    return grey[..., None] * (1 - opacity) + colours[kinds] * opacity


def _usual_range(image: np.ndarray) -> tuple[float, float]:
    # CT, told by the air on it, in the window that radiologists look at the abdomen with; anything else by its own values.
    return (-160, 240) if image.min() < -500 else tuple(np.percentile(image, (1, 99)))


def _canvas(picture: np.ndarray) -> tuple[Figure, matplotlib.axes.Axes]:
    # The axes fill the figure: a 512 px image is drawn at exactly twice its size, without blur.
    figure = Figure(figsize=(_SIDE_PX / _DPI, _SIDE_PX / _DPI), dpi=_DPI, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(picture, interpolation="nearest")
    return figure, axes


def _write(axes: matplotlib.axes.Axes, caption: str, colours: dict[str, tuple[float, float, float]]) -> None:
    box = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none"}
    # The longest names get a smaller type, so that the numbers behind them stay in the picture.
    size = max(5.0, min(14.0, 14.0 * 85 / max(len(caption), 1)))
    axes.text(0.01, 0.99, caption, transform=axes.transAxes, color="white", va="top", fontsize=size, bbox=box)
    patches = [matplotlib.patches.Patch(color=colour, label=label) for label, colour in colours.items()]
    axes.legend(handles=patches, loc="lower left", fontsize=12, facecolor="black", framealpha=0.55, edgecolor="none", labelcolor="white", ncols=3)
