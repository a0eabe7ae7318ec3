"""Pictures of images and masks as RGB arrays, uint8 (height, width, 3).

Colours of a comparison: yellow-green for both masks, blue for the reference mask only, red for the prediction only.
"""

import functools
import io
import pathlib
from collections.abc import Callable, Iterable, Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Of all pairs, on dark, medium and light grey, the least different ones differ by 21 (CIE76) with deuteranopia and
# protanopia, simulated as by Machado et al. 2009, IEEE Trans. Vis. Comput. Graph. 15. Pure green and red differ by 8.
BOTH, ONLY_TRUE, ONLY_PREDICTED = (200, 255, 0), (51, 115, 255), (255, 60, 0)
# Opacity of the mask colours: the anatomy stays visible below them.
_OPACITY = 0.45
# The values of CT that are shown as black and white, in HU: the abdominal window, width 400, level 40.
CT_RANGE = (-160.0, 240.0)
SIDE_PX = 1024
_QUALITIES = (82, 70, 55)  # Of JPEG files, of which the first is used that is small enough.
_MARGIN_PX, _CAPTION_PX, _LEGEND_PX = 10, 20, 17


def comparison(
    image: np.ndarray,
    true_mask: np.ndarray,
    predicted_mask: np.ndarray,
    caption: str,
    hausdorff_pair: tuple[tuple[int, int], tuple[int, int]] | None = None,
    grey_range: tuple[float, float] | None = None,
) -> np.ndarray:
    """The image with both masks in colours, a legend and the caption: 1024 x 1024 px.

    Image and masks are (height, width). `hausdorff_pair`: two (row, column) points to connect by a line. `grey_range`:
    the values shown as black and white; default is the abdominal window for CT, else the 1st and 99th percentile.
    """
    canvas, to_canvas = _canvas(_coloured(image, true_mask, predicted_mask, grey_range))
    if hausdorff_pair is not None:
        pen = ImageDraw.Draw(canvas)
        ends = [to_canvas(*point) for point in hausdorff_pair]
        for colour, wider in (("black", 2), ("white", 0)):  # Visible on every background.
            pen.line(ends, fill=colour, width=3 + 2 * wider)
            for x, y in ends:
                pen.ellipse((x - 5 - wider, y - 5 - wider, x + 5 + wider, y + 5 + wider), fill=colour)
    return _annotated(canvas, caption, {"both": BOTH, "reference only": ONLY_TRUE, "prediction only": ONLY_PREDICTED})


def panel(
    images: Sequence[np.ndarray],
    true_masks: Sequence[np.ndarray],
    predicted_masks: Sequence[np.ndarray],
    max_side_px: int = 256,
) -> np.ndarray:
    """A row per case, the image beside its comparison: (cases * side, 2 * side, 3).

    The side is at most `max_side_px`: TensorBoard logs hold many panels.
    """
    step = -(-images[0].shape[0] // max_side_px)
    rows = []
    for image, true_mask, predicted_mask in zip(images, true_masks, predicted_masks, strict=True):
        empty = np.zeros_like(true_mask)
        pair = (_coloured(image, empty, empty, None), _coloured(image, true_mask, predicted_mask, None))
        rows.append(np.concatenate([picture[::step, ::step] for picture in pair], axis=1))
    return np.concatenate(rows)


def contact_sheet(pictures: Iterable[np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures of 1024 x 1024 px at half that size, in rows of `columns`."""
    small = [np.asarray(Image.fromarray(picture).reduce(2)) for picture in pictures]
    small += [np.zeros_like(small[0])] * (-len(small) % columns if len(small) > columns else 0)
    width = min(columns, len(small))
    return np.concatenate(
        [np.concatenate(small[start : start + width], axis=1) for start in range(0, len(small), width)]
    )


def grey(image: np.ndarray, grey_range: tuple[float, float] | None = None) -> np.ndarray:
    """The image in grey values, uint8 (height, width). `grey_range` as in `comparison`."""
    low, high = grey_range or _default_range(image)
    return (np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255).round().astype(np.uint8)


def window_text(grey_range: tuple[float, float]) -> str:
    """A range of CT values as width and level of a window, such as "W 400 L 40"."""
    low, high = grey_range
    return f"W {high - low:.0f} L {(high + low) / 2:.0f}"


def to_png(picture: np.ndarray) -> bytes:
    """The picture as a PNG file's content."""
    # Level 1 is several times as fast as the default; files are 10 % larger.
    return _encode(Image.fromarray(picture), "png", compress_level=1)


def to_jpeg(picture: np.ndarray, max_bytes: int = 2**31) -> bytes:
    """The picture as a JPEG file's content, a tenth of a PNG's size. Lossy: for viewing, not for measurements.

    If it has more than `max_bytes`, its quality is lowered, and then its size halved, but not below 64 px.
    """
    for quality in _QUALITIES:
        content = _encode(Image.fromarray(picture), "jpeg", quality=quality)
        if len(content) <= max_bytes:
            return content
    if min(picture.shape[:2]) < 128:
        return content
    return to_jpeg(np.asarray(Image.fromarray(picture).reduce(2)), max_bytes)


def mask_pair_to_png(true_mask: np.ndarray, predicted_mask: np.ndarray) -> bytes:
    """Both masks, (height, width), as a PNG file's content: the red channel is the true mask, the green the predicted.

    It has four colours in 2 bits per pixel: a quarter of the size of an RGB file.
    """
    image = Image.fromarray((true_mask + 2 * predicted_mask).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 255, 255, 0])
    return _encode(image, "png", bits=2)


def fitting_font(text: str, size: int, max_width_px: int) -> ImageFont.FreeTypeFont:
    """A font of `size` px, or a smaller one in which the text fits into this width: long names stay readable."""
    while size > 6 and _font(size).getlength(text) > max_width_px:
        size -= 1
    return _font(size)


def show(pictures: Iterable[np.ndarray]) -> None:
    """Shows the pictures on the screen, each until its window is closed. RuntimeError without a screen."""
    from matplotlib import pyplot  # Only here: it searches for a screen and keeps every figure in memory.

    if pyplot.get_backend().lower() == "agg":
        raise RuntimeError("there is no screen to show pictures on. Set SAVE_IMAGES_ON_DISK = True in config.py")
    for picture in pictures:
        window = pyplot.figure(figsize=(8, 8))
        window.figimage(picture, resize=True)
        pyplot.show()
        pyplot.close(window)


def _encode(image: Image.Image, image_format: str, **options: int) -> bytes:
    content = io.BytesIO()
    image.save(content, image_format, **options)
    return content.getvalue()


def _coloured(
    image: np.ndarray, true_mask: np.ndarray, predicted_mask: np.ndarray, grey_range: tuple[float, float] | None
) -> np.ndarray:
    greys = grey(image, grey_range)
    picture = np.repeat(greys[..., None], 3, axis=2)
    kinds = true_mask.astype(np.uint8) + 2 * predicted_mask.astype(np.uint8)
    # A lookup table of the 256 mixed colours, applied to the masks' pixels only.
    for kind, colour in enumerate((ONLY_TRUE, ONLY_PREDICTED, BOTH), start=1):
        pixels = kinds == kind
        mixed = np.arange(256)[:, None] * (1 - _OPACITY) + np.array(colour) * _OPACITY
        picture[pixels] = mixed.round().astype(np.uint8)[greys[pixels]]
    return picture


def _default_range(image: np.ndarray) -> tuple[float, float]:
    # Values below -500 HU are air, which identifies CT.
    return CT_RANGE if image.min() < -500 else tuple(np.percentile(image, (1, 99)))


def _canvas(picture: np.ndarray) -> tuple[Image.Image, Callable[[int, int], tuple[float, float]]]:
    """The picture, enlarged without interpolation and centred on a black square.

    Also returns a function from the picture's (row, column) to the square's (x, y).
    """
    height, width = picture.shape[:2]
    scale = SIDE_PX / max(height, width)
    size = (round(width * scale), round(height * scale))
    left, top = ((SIDE_PX - side) // 2 for side in size)
    canvas = Image.new("RGB", (SIDE_PX, SIDE_PX))
    canvas.paste(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST), (left, top))
    return canvas, lambda row, column: (left + (column + 0.5) * scale, top + (row + 0.5) * scale)


def _annotated(canvas: Image.Image, caption: str, colours: dict[str, tuple[int, int, int]]) -> np.ndarray:
    size = int(fitting_font(caption, _CAPTION_PX, SIDE_PX - 4 * _MARGIN_PX).size)
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
    """Writes white text on a dark box, after a colour swatch if given. Returns the box's right edge (px)."""
    swatch_px = size + 6 if swatch else 0
    right, bottom = left + swatch_px + int(_font(size).getlength(text)) + 2 * 6, top + int(1.6 * size)
    box = canvas.crop((left, top, right, bottom))
    canvas.paste(Image.blend(box, Image.new("RGB", box.size), 0.6), (left, top))
    pen = ImageDraw.Draw(canvas)
    if swatch:
        pen.rectangle((left + 6, top + 0.3 * size, left + 6 + size, top + 1.3 * size), fill=swatch)
    pen.text((left + 6 + swatch_px, (top + bottom) / 2), text, fill="white", font=_font(size), anchor="lm")
    return right


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib's font, so that pictures are the same on every machine.
    return ImageFont.truetype(str(pathlib.Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)
