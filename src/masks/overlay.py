"""Pictures of predicted masks for radiologists: the image, and beside it the image with the mask's outline."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from masks import drawing

# The colour of the outline, orange of Okabe and Ito's colour-blind-safe palette, and its palette index.
OUTLINE, OUTLINE_INDEX = (230, 159, 0), 255
_GAP_PX, _MARGIN_PX, _LINE_PX, _MIN_WIDTH_PX = 8, 10, 34, 1200
_LINE_FONT_PX, _LEGEND_FONT_PX = 20, 17
_WHITE = OUTLINE_INDEX - 1


def draw(
    image: np.ndarray,
    mask: np.ndarray,
    lines: Sequence[str],
    grey_range: tuple[float, float] | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> np.ndarray:
    """The image, and beside it the image with the outline of a predicted mask; the lines of text are above them.

    Returns values for `to_png`, uint8 (height, width): greys, and OUTLINE_INDEX on the outline. Image and mask
    are (height, width); the longer side becomes 1024 px. The outline is 2 px wide, one on each side of the mask's
    border. With `spacing_mm`, the distances of rows and of columns, the pixels have their true proportions, and there
    is a scale bar. `grey_range` as in `drawing.comparison`.
    """
    (width, height), px_per_mm = _size(image.shape, spacing_mm)
    greys = _enlarged(np.minimum(drawing.grey(image, grey_range), _WHITE), width, height)
    outlined = np.where(_outline(_enlarged(mask, width, height)), np.uint8(OUTLINE_INDEX), greys)
    top, bottom = (len(lines) + 1) * _LINE_PX, 2 * _LINE_PX
    canvas = Image.new("L", (max(2 * width + _GAP_PX, _MIN_WIDTH_PX), top + height + bottom))
    left, right = (canvas.width - _GAP_PX) // 2 - width, (canvas.width + _GAP_PX) // 2
    canvas.paste(Image.fromarray(greys), (left, top))
    canvas.paste(Image.fromarray(outlined), (right, top))
    pen = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines, start=1):
        _write(pen, (_MARGIN_PX, number * _LINE_PX), line, _LINE_FONT_PX, canvas.width - 2 * _MARGIN_PX)
    below = top + height + _LINE_PX
    pen.rectangle((right, below - 1, right + 40, below), fill=OUTLINE_INDEX)
    _write(pen, (right + 50, below), "prediction", _LEGEND_FONT_PX, 500)
    if px_per_mm:
        length_mm = round_length(width / px_per_mm / 4)
        start = left + _MARGIN_PX
        end = start + round(length_mm * px_per_mm)
        pen.rectangle((start, below - 2, end - 1, below + 2), fill=_WHITE)
        _write(pen, (end + 10, below), length_text(length_mm), _LEGEND_FONT_PX, 500)
    return np.asarray(canvas)


def to_png(picture: np.ndarray) -> bytes:
    """A picture of `draw` as a PNG file's content: with a palette, it is written four times as fast as in RGB."""
    content, encoded = io.BytesIO(), Image.fromarray(picture)
    encoded.putpalette([*np.repeat(np.arange(OUTLINE_INDEX), 3).tolist(), *OUTLINE])
    encoded.save(content, "png", compress_level=1)
    return content.getvalue()


def round_length(max_mm: float) -> float:
    """The largest length of 1, 2 or 5 times a power of ten that is not larger than `max_mm`, for a scale bar."""
    power = 10.0 ** math.floor(math.log10(max_mm))
    return max(digit * power for digit in (1, 2, 5) if digit * power <= max_mm)


def length_text(mm: float) -> str:
    """A length for readers, such as "5 cm" or "200 µm"."""
    return f"{mm / 10:g} cm" if mm >= 10 else f"{mm:g} mm" if mm >= 1 else f"{1000 * mm:g} µm"


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, float] | None) -> tuple[tuple[int, int], float | None]:
    """Width and height in px of an image whose longer side becomes SIDE_PX, and its px per mm if they are known."""
    height, width = (count * each for count, each in zip(shape, spacing_mm or (1.0, 1.0), strict=True))
    scale = drawing.SIDE_PX / max(height, width)
    return (max(1, round(width * scale)), max(1, round(height * scale))), scale if spacing_mm else None


def _enlarged(values: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(values.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))


def outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the outline of a mask, RGB uint8 (height, width, 3), without other changes or texts."""
    picture = np.repeat(drawing.grey(image)[..., None], 3, axis=2)
    picture[_outline(mask)] = OUTLINE
    return picture


def _outline(mask: np.ndarray) -> np.ndarray:
    """The pixels on both sides of the border between 0 and 1, bool (height, width)."""
    outline = np.zeros(mask.shape, bool)
    for view, each in ((outline, mask), (outline.T, mask.T)):
        changed = each[1:] != each[:-1]
        view[1:] |= changed
        view[:-1] |= changed
    return outline


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, max_width_px: int) -> None:
    pen.text(place, text, fill=_WHITE, font=drawing.fitting_font(text, size, max_width_px), anchor="lm")
