"""Masks of sliceOmatic: .tag files, by the description in appendix D of its manual.

A header of lines `keyword:value`, and of `*` and a comment, ends with a form feed. One byte per pixel follows.
"""

import pathlib
import re

import numpy as np

from data.formats import faults

_END = b"\x0c"


def read(path: pathlib.Path) -> np.ndarray:
    """The labels in the file, uint8 (rows, columns). DatasetError for another format or an incomplete file."""
    with faults.reading(path, "a sliceOmatic tag"):
        header, end, pixels = path.read_bytes().partition(_END)
    columns, rows = (_number(header, axis) for axis in (b"x", b"y"))
    if not end or not columns or not rows:
        raise faults.damaged(path, "a sliceOmatic tag")
    if len(pixels) != rows * columns:
        pixels = pixels.removeprefix(b"\r").removeprefix(b"\n")  # Some programs end the form feed's line.
    if len(pixels) != rows * columns:
        problem = f"{len(pixels)} pixels; its header has {rows} x {columns}"
        raise faults.fault(path, f"{problem}. Export it again from sliceOmatic, one slice per file.")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(rows, columns)


def _number(header: bytes, keyword: bytes) -> int:
    found = re.search(rb"^\s*%b\s*:\s*(\d+)" % keyword, header, re.MULTILINE | re.IGNORECASE)
    return int(found[1]) if found else 0
