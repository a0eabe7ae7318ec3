"""Faults of NIfTI-1 files that ITK reads without an error: it fills up what is missing and makes NaN and infinity 0.

ITK refuses NIfTI-2.
"""

import gzip
import math
import pathlib
import struct
from collections.abc import Mapping
from typing import IO

import numpy as np

from data.formats import faults

_HEADER_BYTES = 348
# Where the slope and the intercept stand in the header.
_SCALING = 112
# Of the header's datatype; the floating-point ones that ITK reads.
_FLOATS = {"16": "f4", "64": "f8"}

_CHUNK_BYTES = 2**24


def check(path: pathlib.Path, metadata: Mapping[str, str]) -> None:
    """DatasetError for an incomplete file, values that are not finite, or a scaling that is not; metadata: ITK's."""
    offset = int(float(metadata["vox_offset"]))
    count = math.prod(int(metadata[f"dim[{axis}]"]) for axis in range(1, int(metadata["dim[0]"]) + 1))
    expected = offset + count * int(metadata["bitpix"]) // 8
    if _unpacked_bytes(path, expected) < expected:
        raise faults.damaged(path, "NIfTI")
    with _open(path) as file:
        header = file.read(_HEADER_BYTES)
        order = "<" if int.from_bytes(header[:4], "little") == _HEADER_BYTES else ">"
        _check_scaling(path, header, order)
        if metadata["datatype"] in _FLOATS:
            file.seek(offset)
            _check_values(path, file, count, np.dtype(order + _FLOATS[metadata["datatype"]]))


def _check_scaling(path: pathlib.Path, header: bytes, order: str) -> None:
    """A slope of 0 or NaN means that there is no scaling, as for nibabel."""
    slope, intercept = struct.unpack_from(f"{order}2f", header, _SCALING)
    if math.isinf(slope) or (slope and not math.isnan(slope) and not math.isfinite(intercept)):
        problem = f"its header scales values by slope {slope} and intercept {intercept}"
        raise faults.fault(path, f"{problem}. Set finite ones, or slope 1 and intercept 0.")


def _check_values(path: pathlib.Path, file: IO[bytes], count: int, dtype: np.dtype) -> None:
    remaining = count * dtype.itemsize
    while remaining:
        content = file.read(min(_CHUNK_BYTES, remaining))
        remaining -= len(content)
        if not np.isfinite(np.frombuffer(content, dtype)).all():
            raise faults.not_finite(path)


def _open(path: pathlib.Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _unpacked_bytes(path: pathlib.Path, expected: int) -> int:
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(-4, 2)
        if int.from_bytes(file.read(4), "little") == expected % 2**32:  # The size, which ends every gzip file.
            return expected
    try:  # A file of several parts ends with the last one's size.
        with gzip.open(path) as unpacked:
            return unpacked.seek(0, 2)
    except (EOFError, OSError):
        return 0
