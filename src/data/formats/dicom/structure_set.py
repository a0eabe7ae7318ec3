"""DICOM RTSTRUCT: masks as closed contours in space."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from data.formats import faults
from data.formats.dicom import headers
from data.formats.records import Label


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A region of interest: its contours' points in mm, (n, 3) each."""

    label: Label
    contours: tuple[np.ndarray, ...]


def read(path: pathlib.Path) -> tuple[Region, ...]:
    """The regions of a DICOM RTSTRUCT. Points and open lines enclose nothing and are left out.

    DatasetError for a damaged file.
    """
    dataset = headers.load(path, pixels=False)
    with faults.reading(path, "DICOM RTSTRUCT"):
        names = {int(item.ROINumber): str(item.get("ROIName") or "") for item in dataset.StructureSetROISequence}
        items = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or ()}
        return tuple(
            Region(Label(name.strip() or str(number), number), _contours(items.get(number)))
            for number, name in names.items()
        )


def _contours(item: object) -> tuple[np.ndarray, ...]:
    contours = getattr(item, "ContourSequence", None) or ()
    closed = [contour for contour in contours if contour.ContourGeometricType.startswith("CLOSED")]
    points = [_points(contour) for contour in closed]
    return tuple(contour for contour in points if len(contour) > 2)


def _points(contour: Any) -> np.ndarray:
    # As text, before pydicom makes an object of each of the thousands of numbers.
    text = contour.get_item("ContourData").value
    numbers = text.split(b"\\") if isinstance(text, bytes) else text
    return np.array(numbers, dtype=float).reshape(-1, 3)
