"""Images in DICOM: one file, or a folder with the files of one series, each read on its own with its own place."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np

import storage
from data.formats import faults
from data.formats.dicom import headers
from data.formats.dicom.headers import Header
from data.formats.grey import to_grey
from data.formats.grid import Grid
from data.formats.names import is_dicom, is_ignored
from data.formats.records import Image, slice_names
from data.formats.spatial import read_dicom_pixels

# Air has -1000 HU. Scanners fill up what lies outside their field of view with less, such as -3024.
_MIN_HU = -1024


def read(path: pathlib.Path) -> Image:
    """The image in a DICOM file or in a folder with one series, ordered by InstanceNumber.

    DatasetError for a folder with other files, several series, or slices that can't be one series.
    """
    found = read_headers(path)
    first = found[0]
    grid = Grid(tuple(block for header in found for block in header.blocks), None, all(h.placed for h in found))
    if path.is_dir():
        _check_series(path, grid)
    slices, warnings = zip(*(_slices(header) for header in found), strict=True)
    return Image(
        tuple(itertools.chain(*slices)),
        _names(found),
        _common_spacing(path, found),
        first.patient,
        first.modality,
        grid,
        _burned_in(path, found) + tuple(itertools.chain(*warnings)),
    )


def read_headers(path: pathlib.Path) -> list[Header]:
    """The headers of a file or of a folder's series, in the order of the image's slices. DatasetError as `read`."""
    return _sorted(_series(path)) if path.is_dir() else [headers.read(path)]


def _series(folder: pathlib.Path) -> list[Header]:
    found, problems = [], []
    for file in sorted(folder.iterdir()):
        if is_ignored(file):
            continue
        try:
            if not is_dicom(file) and file.suffix.lower() != ".dcm":
                raise faults.fault(file, "not a DICOM file. Remove it from the series' folder.")
            found.append(headers.read(file))
        except storage.DatasetError as error:
            problems += error.faults
    if problems:
        raise storage.DatasetError(problems)
    _check_is_one(folder, found)
    return found


def _check_is_one(folder: pathlib.Path, found: Sequence[Header]) -> None:
    count = len({header.series for header in found})
    if count > 1:
        raise faults.fault(folder, f"the files of {count} series. Move each series to a folder of its own.")
    frames = [header.path for header in found if len(header.blocks) > 1]
    if frames and len(found) > 1:
        raise faults.fault(frames[0], "several frames in one file of a series. Move it out of the series' folder.")


def _sorted(found: list[Header]) -> list[Header]:
    """By InstanceNumber. Where it is missing or given twice: along the slices' normal, or by the names of the files."""
    instances = [header.instance for header in found]
    if None not in instances and len(set(instances)) == len(instances):
        return sorted(found, key=lambda header: header.instance or 0)
    ordered = found
    if all(header.placed for header in found):
        normal = found[0].blocks[0].normal
        ordered = sorted(found, key=lambda header: float(np.dot(header.blocks[0].origin, normal)))
    return [dataclasses.replace(header, instance=number) for number, header in enumerate(ordered, 1)]


def _check_series(folder: pathlib.Path, grid: Grid) -> None:
    if not grid.placed and len({block.size for block in grid.blocks}) > 1:
        raise faults.fault(folder, "its slices have different sizes. Move each size to a folder of its own.")
    if not grid.placed or len(grid.blocks) == 1:
        return
    first = grid.blocks[0]
    if any(not np.allclose(block.axes, first.axes, atol=1e-3) for block in grid.blocks):
        raise faults.fault(folder, "its slices are not parallel. Move each direction to a folder of its own.")
    if any(not np.allclose(block.spacing[:2], first.spacing[:2], rtol=1e-3) for block in grid.blocks):
        raise faults.fault(folder, "its slices have different pixel spacings. Move each to a folder of its own.")
    repeated = int((np.diff(np.sort(grid.positions())) < 0.01).sum())
    if repeated:
        problem = f"{repeated} of its {len(grid.blocks)} slices lie where another one lies, as in a series over time"
        raise faults.fault(folder, f"{problem}. Keep one slice per place.")


def _slices(header: Header) -> tuple[list[np.ndarray], tuple[str, ...]]:
    values = read_dicom_pixels(header.path)
    if values is None:
        problem = f"its pixels can't be read (transfer syntax {header.syntax}): damaged or incomplete"
        raise faults.fault(header.path, f"{problem}. Export it again, uncompressed.")
    columns, rows, _ = header.blocks[0].size
    if values.shape[:3] != (len(header.blocks), rows, columns):
        raise faults.damaged(header.path, "DICOM")
    values, warnings = to_grey(header.path, values) if values.ndim == 4 else (values, ())
    may_be_lower = header.modality == "CT" and values.dtype.kind != "u"
    return list(np.maximum(values, _MIN_HU) if may_be_lower else values), warnings


def _names(found: Sequence[Header]) -> tuple[str, ...]:
    count = len(found[0].blocks)
    if len(found) == 1:
        return slice_names(range(1, count + 1))
    return slice_names([number if h.instance is None else h.instance for number, h in enumerate(found, 1)])


def _common_spacing(path: pathlib.Path, found: Sequence[Header]) -> tuple[float, float] | None:
    spacings = [header.spacing_mm for header in found]
    return None if None in spacings else spacings[0]


def _burned_in(path: pathlib.Path, found: Sequence[Header]) -> tuple[str, ...]:
    count = sum(header.has_burned_in_text for header in found)
    if not count:
        return ()
    images = f"{count} of its {len(found)} images have" if len(found) > 1 else "has"
    text = "text burned into the pixels (BurnedInAnnotation = YES). Check that it names no patient."
    return (f"{path}: {images} {text}",)
