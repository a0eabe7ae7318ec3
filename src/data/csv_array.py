"""One 2-D array in one CSV file: a line of text per row, commas between the numbers, no header."""

import codecs
import io
import math
import pathlib

import numpy as np

import storage
from data import csv_faults

# A 2048 x 2048 image takes 109 MB in numpy.savetxt's default format (26 characters per number), a 4096 x 4096 image of
# four-digit numbers 84 MB. What is larger is not one 2-D image, and reading it could fill the memory.
MAX_FILE_MB = 120

# Up to here float64 holds every whole number.
_MAX_EXACT = 2**53 - 1


def read(path: pathlib.Path) -> np.ndarray:
    """The array in the file: (rows, columns), int64 where all values are whole numbers as written ("3", not "3.0").

    Otherwise float64, also where a whole number is 2**53 or more. Lines end in LF, CR LF or CR; empty ones are skipped.
    Spaces and tabs around a number are allowed. Raises DatasetError with one line for the first fault found: too large,
    empty, unreadable, another format, rows of unequal length, a cell that is not a finite number in the float32 range.
    """
    text = _text(path)
    values = _numbers(text)
    if values is None:
        raise storage.DatasetError([f"{path}: {csv_faults.find_fault(text)}"])
    return values


def explain_shape(values: np.ndarray, size: int) -> str:
    """Why a 2-D array is not size x size, and the fix, as two sentences; "" where no cause is known.

    An image can have such a shape and such values by chance: ask only where the shape is a fault.
    """
    if values.shape == (size, size):
        return ""
    if 1 in values.shape and values.size > 1:
        return _flattened(values.size)
    return _labels(values) or _channels(values, size)


def write(path: pathlib.Path, values: np.ndarray) -> None:
    """Writes a 2-D array of whole numbers that `read` reads: as numpy.savetxt, in a fraction of its time."""
    if values.min() >= 0 and values.max() <= 9:
        characters = np.full(
            (*values.shape, 2), ord(","), np.uint8
        )  # A mask: digits at even positions, as `_digits` reads them.
        characters[..., 0], characters[:, -1, 1] = values + ord("0"), ord("\n")
        path.write_bytes(characters.tobytes())
        return
    # Each distinct number is converted once: an image has a few thousand, a mask two.
    distinct, places = np.unique(values, return_inverse=True)
    words = np.array([str(number) for number in distinct.tolist()], dtype=object)[places.reshape(values.shape)]
    path.write_text("".join(",".join(row) + "\n" for row in words), encoding="utf-8")


def _text(path: pathlib.Path) -> bytes:
    try:
        _check_size(path)
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8)  # Excel writes the mark; it means nothing here.
    except OSError as error:
        fault = f"{path}: can't be read ({error.strerror}). Check that the file is whole and yours to read."
        raise storage.DatasetError([fault]) from error
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.rstrip(b"\n")


def _check_size(path: pathlib.Path) -> None:
    megabytes = path.stat().st_size / 1e6
    if megabytes > MAX_FILE_MB:
        with path.open("rb") as file:
            raise storage.DatasetError([f"{path}: {csv_faults.explain_size(file.read(2**16), megabytes, MAX_FILE_MB)}"])


def _numbers(text: bytes) -> np.ndarray | None:
    # numpy.loadtxt is as strict as needed, except for the characters that it takes for spaces.
    if not text or text.isspace() or not text.isascii() or any(space in text for space in _OTHER_SPACES):
        return None
    values = _digits(text)
    if values is None and not any(mark in text for mark in _NOT_WHOLE):
        values = _table(text, np.int64, _MAX_EXACT)
    return _table(text, np.float64, csv_faults.MAX_VALUE) if values is None else values


_OTHER_SPACES = [bytes([code]) for code in (0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F)]

# Asked for integers, loadtxt drops decimals with no more than a warning, and turns nan and inf into some integer.
_NOT_WHOLE = [b".", b"e", b"E", b"n", b"N"]


def _digits(text: bytes) -> np.ndarray | None:
    # One digit per cell, as in every mask: digits are at the even places, commas and line ends between them.
    line = text.find(b"\n") + 1 or len(text) + 1
    if text[1:2] not in b",\n" or line % 2 or (len(text) + 1) % line:
        return None
    characters = np.frombuffer(text + b"\n", dtype=np.uint8).reshape(-1, line // 2, 2)
    digits, separators = characters[..., 0] - ord("0"), characters[..., 1]
    regular = digits.max() <= 9 and (separators[:, :-1] == ord(",")).all() and (separators[:, -1] == ord("\n")).all()
    return digits.astype(np.int64) if regular else None


def _table(text: bytes, dtype: type, max_value: float) -> np.ndarray | None:
    try:
        values: np.ndarray = np.loadtxt(
            io.BytesIO(text), dtype, comments=None, delimiter=",", ndmin=2, encoding="ascii"
        )
    except ValueError:
        return None
    # False for NaN as well. Numbers beyond int64 come as its smallest or largest one.
    return values if -max_value <= values.min() and values.max() <= max_value else None


def _flattened(count: int) -> str:
    side = math.isqrt(count)
    shape = f"{side} x {side}" if side**2 == count else "rows x columns"
    return f"a flattened array. Reshape it to {shape} before saving."


def _labels(values: np.ndarray) -> str:
    if _counts(values[0]):
        return csv_faults.PANDAS.format("first row counts", "a header")
    if _counts(values[:, 0]):
        return csv_faults.PANDAS.format("first column counts", "an index")
    if _counts(values[0, 1:]) and _counts(values[1:, 0]):
        return csv_faults.PANDAS.format("first row and column count", "header and index")
    return ""


def _counts(values: np.ndarray) -> bool:
    return len(values) >= csv_faults.MIN_LABELS and np.array_equal(values, np.arange(len(values)))


def _channels(values: np.ndarray, size: int) -> str:
    rows, columns = values.shape
    for channels in (3, 4):
        # An image of another size may be that wide.
        if columns == channels * rows and (rows == size or _alternates(values, channels)):
            return f"{channels} values per pixel: a colour image. Convert it to grey."
    if columns != 2 * rows:
        return ""
    if _is_alpha(values[:, 1::2]) and not _is_alpha(values[:, ::2]):
        return "2 values per pixel: grey and alpha. Save it without the alpha channel."
    if rows == size and _are_digits(values[:, 1::2]):
        return "2 values per pixel: decimal commas. Save it with points as decimal marks."
    return ""


def _alternates(values: np.ndarray, channels: int) -> bool:
    """Whether the steps between columns depend on the position within a pixel; in a grey image they do not."""
    steps = np.abs(np.diff(values.astype(np.float64)))
    means = [steps[:, position::channels].mean() for position in range(channels)]
    # A few steps, all at the same position, are borders of shapes on a uniform background.
    most = steps[:, int(np.argmax(means)) :: channels]
    return max(means) > 2 * min(means) and (most > 0).mean() > 0.25


def _is_alpha(values: np.ndarray) -> bool:
    opaque = values.max()
    return opaque in (1, 255, 65535) and bool(np.isin(values, (opaque, 0 if opaque > 1 else opaque)).all())


def _are_digits(values: np.ndarray) -> bool:
    # The digits behind a decimal comma are never negative and have no decimals themselves.
    return values.min() >= 0 and np.array_equal(values, np.round(values))
