"""Pictures of images and masks, uint8 (height, width, 3).

Colours of a comparison: green: both masks; blue: only the reference mask; red: only the prediction.
"""

import functools
import io
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

BOTH, ONLY_TRUE, ONLY_PREDICTED = (26, 217, 51), (51, 115, 255), (255, 38, 38)
# Of the colours: the anatomy must stay visible.
_OPACITY = 0.45
SIDE_PX = 1024
_MARGIN_PX, _CAPTION_PX, _LEGEND_PX = 10, 20, 17
_YELLOW = (255, 255, 0)


def comparison(
    image: np.ndarray,
    true_mask: np.ndarray,
    predicted_mask: np.ndarray,
    caption: str,
    hausdorff_pair: tuple[tuple[int, int], tuple[int, int]] | None = None,
    grey_range: tuple[float, float] | None = None,
) -> np.ndarray:
    """The image, (height, width), with both masks in colours, a legend and the caption: 1024 x 1024 px.

    `hausdorff_pair`: two (row, column) points to connect with a line. `grey_range`: the values shown in black and
    white, by default the abdominal window for CT, the 1st and 99th percentile for other images.
    """
    canvas, place = _canvas(_coloured(image, true_mask, predicted_mask, grey_range))
    if hausdorff_pair is not None:
        pen = ImageDraw.Draw(canvas)
        ends = [place(*point) for point in hausdorff_pair]
        pen.line(ends, fill=_YELLOW, width=3)
        for x, y in ends:
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=_YELLOW)
    return _written(
        canvas, caption, {"both": BOTH, "only the reference": ONLY_TRUE, "only the prediction": ONLY_PREDICTED}
    )


def overlay(
    image: np.ndarray, mask: np.ndarray, caption: str, grey_range: tuple[float, float] | None = None
) -> np.ndarray:
    """The image, (height, width), with one predicted mask in green and the caption: 1024 x 1024 px."""
    return _written(_canvas(_coloured(image, mask, mask, grey_range))[0], caption, {"prediction": BOTH})


def panel(
    images: Sequence[np.ndarray],
    true_masks: Sequence[np.ndarray],
    predicted_masks: Sequence[np.ndarray],
    max_side_px: int = 256,
) -> np.ndarray:
    """One row per case, the image beside its comparison: (cases * side, 2 * side, 3), small enough for a log."""
    step = -(-images[0].shape[0] // max_side_px)
    rows = []
    for image, true_mask, predicted_mask in zip(images, true_masks, predicted_masks, strict=True):
        empty = np.zeros_like(true_mask)
        pair = (_coloured(image, empty, empty, None), _coloured(image, true_mask, predicted_mask, None))
        rows.append(np.concatenate([picture[::step, ::step] for picture in pair], axis=1))
    return np.concatenate(rows)


def contact_sheet(pictures: Iterable[np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures of 1024 x 1024 px at half their size, in rows of `columns`."""
    small = [np.asarray(Image.fromarray(picture).reduce(2)) for picture in pictures]
    small += [np.zeros_like(small[0])] * (-len(small) % columns if len(small) > columns else 0)
    width = min(columns, len(small))
    return np.concatenate(
        [np.concatenate(small[start : start + width], axis=1) for start in range(0, len(small), width)]
    )


def grey(image: np.ndarray, grey_range: tuple[float, float] | None = None) -> np.ndarray:
    """The image in grey values, uint8 (height, width), with the `grey_range` of `comparison`."""
    low, high = grey_range or _usual_range(image)
    return (np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255).round().astype(np.uint8)


def to_png(picture: np.ndarray) -> bytes:
    """The picture as PNG bytes."""
    # Level 1 is several times as fast as the default; files are 10 % larger.
    return _encoded(picture, format="png", compress_level=1)


def to_jpeg(picture: np.ndarray) -> bytes:
    """The picture as JPEG bytes, a tenth of the size of a PNG: for viewing, not for measuring."""
    return _encoded(picture, format="jpeg", quality=82)


def show(pictures: Iterable[np.ndarray]) -> None:
    """Shows the pictures in windows, one after the other. RuntimeError without a display."""
    from matplotlib import pyplot  # Only here: it looks for a display, and keeps every figure.

    if pyplot.get_backend().lower() == "agg":
        raise RuntimeError("there is no display for windows. Set SAVE_IMAGES_ON_DISK = True in config.py")
    for picture in pictures:
        window = pyplot.figure(figsize=(8, 8))
        window.figimage(picture, resize=True)
        pyplot.show()
        pyplot.close(window)


def _encoded(picture: np.ndarray, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, **options)
    return content.getvalue()


def _coloured(
    image: np.ndarray, true_mask: np.ndarray, predicted_mask: np.ndarray, grey_range: tuple[float, float] | None
) -> np.ndarray:
    shown = grey(image, grey_range)
    picture = np.repeat(shown[..., None], 3, axis=2)
    kinds = true_mask.astype(np.uint8) + 2 * predicted_mask.astype(np.uint8)
    # A table of each grey value under each colour, applied to the masks' pixels only.
    for kind, colour in enumerate((ONLY_TRUE, ONLY_PREDICTED, BOTH), start=1):
        there = kinds == kind
        mixed = np.arange(256)[:, None] * (1 - _OPACITY) + np.array(colour) * _OPACITY
        picture[there] = mixed.round().astype(np.uint8)[shown[there]]
    return picture


def _usual_range(image: np.ndarray) -> tuple[float, float]:
    # CT, recognized by air: the abdominal window of radiology. Other images: percentiles of their values.
    return (-160, 240) if image.min() < -500 else tuple(np.percentile(image, (1, 99)))


def _canvas(picture: np.ndarray) -> tuple[Image.Image, Callable[[int, int], tuple[float, float]]]:
    """The picture enlarged without blur on a black square, and a function from (row, column) to its position there."""
    height, width = picture.shape[:2]
    scale = SIDE_PX / max(height, width)
    size = (round(width * scale), round(height * scale))
    left, top = ((SIDE_PX - side) // 2 for side in size)
    canvas = Image.new("RGB", (SIDE_PX, SIDE_PX))
    canvas.paste(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST), (left, top))
    return canvas, functools.partial(_place, scale, left, top)


def _place(scale: float, left: int, top: int, row: int, column: int) -> tuple[float, float]:
    return left + (column + 0.5) * scale, top + (row + 0.5) * scale


def _written(canvas: Image.Image, caption: str, colours: dict[str, tuple[int, int, int]]) -> np.ndarray:
    # Long names get a smaller font, so that the numbers after them stay in the picture.
    size = _CAPTION_PX
    while size > 6 and _font(size).getlength(caption) > SIDE_PX - 4 * _MARGIN_PX:
        size -= 1
    _label(canvas, caption, size, top=_MARGIN_PX)
    left = _MARGIN_PX
    for text, colour in colours.items():
        left = _label(canvas, text, _LEGEND_PX, top=SIDE_PX - _MARGIN_PX - 2 * _LEGEND_PX, left=left, swatch=colour)
    return np.asarray(canvas)


def _label(
    canvas: Image.Image,
    text: str,
    size: int,
    top: int,
    left: int = _MARGIN_PX,
    swatch: tuple[int, int, int] | None = None,
) -> int:
    """Writes white text on a dark box, after a patch of colour if given; returns the x of the next label."""
    room = size + 6 if swatch else 0
    right, bottom = left + room + int(_font(size).getlength(text)) + 2 * 6, top + int(1.6 * size)
    box = canvas.crop((left, top, right, bottom))
    canvas.paste(Image.blend(box, Image.new("RGB", box.size), 0.6), (left, top))
    pen = ImageDraw.Draw(canvas)
    if swatch:
        pen.rectangle((left + 6, top + 0.3 * size, left + 6 + size, top + 1.3 * size), fill=swatch)
    pen.text((left + 6 + room, (top + bottom) / 2), text, fill="white", font=_font(size), anchor="lm")
    return right


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib's font: no system fonts are needed.
    return ImageFont.truetype(str(pathlib.Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)
