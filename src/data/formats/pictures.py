"""Pictures: PNG, TIFF, BMP and JPEG, by Pillow, and TIFF types that Pillow does not know by tifffile."""

import logging
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

import storage
from data.formats import faults
from data.formats.grey import to_grey
from data.formats.records import Label

# Tags of TIFF.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _ORIENTATION = 258, 262, 339, 274
# Bits and sample format (1: unsigned, 2: signed, 3: float) that Pillow reads wrongly, or not at all.
_BY_TIFFFILE = {(8, 2), (32, 1), (64, 1), (64, 2), (64, 3), (16, 3)}

_TOO_LARGE = "too large for one 2-D image. Cut or downsample it."
_MAX_PIXELS = 2 * 89_478_485  # Pillow's own limit.

# Pillow scales grey PNG files of 2 and 4 bits to 0 ... 255.
_PNG_SCALES = {2: 85, 4: 17}


def read(path: pathlib.Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The grey values of a picture, (rows, columns), and warnings.

    DatasetError for colours, transparency, several pages or a damaged file.
    """
    picture = _open(path)
    if picture is None:
        return _read_by_tifffile(path), ()
    if _has_deep_colours(path, picture):
        raise faults.fault(path, "16 bits per pixel and more than one channel. Save it in grey.")
    if picture.mode in ("1", "L", "F") or picture.mode.startswith("I"):
        return _original(path, picture), ()
    channels = np.array(picture.convert("RGBA"))
    if (channels[..., 3] != 255).any():
        raise faults.fault(path, "transparent pixels. Save it without the alpha channel.")
    return to_grey(path, channels[..., :3])


def read_labels(path: pathlib.Path) -> tuple[np.ndarray, Mapping[int, Label] | None]:
    """The labels of a picture, integers (rows, columns), and which colours they stand for; None for grey values.

    A palette's indices are the labels if its first colour is black. Transparent pixels belong to no label. Of colours,
    black belongs to none, unless the rest is transparent and nothing but black was drawn.
    """
    picture = _open(path)
    if picture is None:
        return _read_by_tifffile(path), None
    if picture.mode == "P" and not any(_first_colour(picture)) and "transparency" not in picture.info:
        return np.array(picture), None
    if picture.mode in ("1", "L", "F") or picture.mode.startswith("I"):
        return _original(path, picture), None
    return _colours(np.array(picture.convert("RGBA")))


def write(path: pathlib.Path, mask: np.ndarray) -> None:
    """Writes a mask of 0 and 1 as a PNG file of 0 and 255."""
    from PIL import Image

    Image.fromarray((mask > 0).astype(np.uint8) * 255).save(path)


def _open(path: pathlib.Path) -> Any:
    """Pillow's picture with its pixels, or None if it is a TIFF file for tifffile. DatasetError for all others."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Damaged Exif data, for example.
            with Image.open(path) as picture:
                _check(path, picture)
                if picture.format == "TIFF" and _needs_tifffile(picture):
                    return None
                picture.load()
                return picture
    except Image.DecompressionBombError as error:
        raise faults.fault(path, _TOO_LARGE) from error
    except storage.DatasetError:
        raise
    except Exception:  # Whatever Pillow's decoders raise for a damaged file.
        with faults.reading(path, "a picture"):
            if _is_tiff(path):
                return None
            raise


def _check(path: pathlib.Path, picture: Any) -> None:
    pages = getattr(picture, "n_frames", 1)
    if pages > 1:
        raise faults.fault(path, f"{pages} pages. Save each page as a file of its own.")
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        raise faults.fault(path, "its Exif orientation tells viewers to turn it. Save it turned, without Exif data.")


def _needs_tifffile(picture: Any) -> bool:
    bits, formats = picture.tag_v2.get(_BITS, (1,)), picture.tag_v2.get(_SAMPLE_FORMAT, (1,))
    is_inverted = picture.tag_v2.get(_PHOTOMETRIC) == 0 and bits[0] > 8
    return len(bits) == 1 and ((bits[0], formats[0]) in _BY_TIFFFILE or is_inverted)


def _is_tiff(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def _read_by_tifffile(path: pathlib.Path) -> np.ndarray:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # It logs each fault of a damaged file.
    with faults.reading(path, "TIFF"), tifffile.TiffFile(path) as file:
        if len(file.pages) > 1:
            raise faults.fault(path, f"{len(file.pages)} pages. Save each page as a file of its own.")
        page = file.pages[0].aspage()
        if page.size > _MAX_PIXELS:
            raise faults.fault(path, _TOO_LARGE)
        values, photometric = _native(page.asarray()), page.photometric
    if values.ndim != 2:
        raise faults.fault(path, "several values per pixel. Save it in grey.")
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and values.dtype.kind == "u":
        return np.iinfo(values.dtype).max - values
    return values


def _has_deep_colours(path: pathlib.Path, picture: Any) -> bool:
    # Pillow keeps 8 bits of each channel.
    if picture.format == "PNG":
        bits, colours = _png_type(path)
        return bits == 16 and colours != 0
    return picture.format == "TIFF" and max(picture.tag_v2.get(_BITS, (1,))) > 8 and picture.mode in ("RGB", "RGBA")


def _png_type(path: pathlib.Path) -> tuple[int, int]:
    """Bits per channel, and the type of colours (0: grey), of a PNG file."""
    with path.open("rb") as file:
        header = file.read(26)
    return header[24], header[25]


def _original(path: pathlib.Path, picture: Any) -> np.ndarray:
    values = _native(np.array(picture))
    if values.dtype == bool:
        return values.astype(np.uint8)
    if picture.format == "PNG" and picture.mode == "L" and "transparency" not in picture.info:
        return values // _PNG_SCALES.get(_png_type(path)[0], 1)
    return values


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _first_colour(picture: Any) -> tuple[int, ...]:
    return tuple(picture.getpalette("RGB")[:3])


def _colours(channels: np.ndarray) -> tuple[np.ndarray, Mapping[int, Label] | None]:
    red, green, blue, alpha = (channels[..., channel].astype(np.int64) for channel in range(4))
    opaque = alpha >= 128
    codes = (red << 16) + (green << 8) + blue
    drawn = set(np.unique(codes[opaque]).tolist())
    if not opaque.all() and drawn == {0}:
        return opaque.astype(np.int64), {1: Label("#000000")}
    codes[~opaque] = 0
    if all(code % 0x010101 == 0 for code in drawn):
        return codes % 256, None  # Grey, stored as a colour picture.
    return codes, {code: Label(f"#{code:06x}") for code in sorted(drawn - {0})}
