"""DICOM SEG: masks as frames, each with its own place and segment."""

import dataclasses
import pathlib
import warnings
from typing import Any

import numpy as np

from data.formats import faults
from data.formats.dicom import headers
from data.formats.grid import Block
from data.formats.records import Label


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A segment's pixels, bool (rows, columns), on one plane."""

    label: Label
    block: Block
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """All segments of a file, with or without pixels, and its frames.

    slice_distance: of neighbouring planes, in mm; None if the header does not give it.
    """

    labels: tuple[Label, ...]
    frames: tuple[Frame, ...]
    slice_distance: float | None


def read(path: pathlib.Path) -> Segmentation:
    """The segments of a DICOM SEG. Of FRACTIONAL ones, pixels from half of MaximumFractionalValue on belong to them.

    DatasetError for a damaged file, or one without places.
    """
    dataset = headers.load(path)
    with faults.reading(path, "DICOM SEG"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = {int(item.SegmentNumber): _label(item) for item in dataset.SegmentSequence}
        labels.pop(0, None)  # The background of a label map.
        frames = [
            frame for index, pixels in enumerate(_pixels(dataset)) for frame in _frames(dataset, index, pixels, labels)
        ]
        measures = headers.function_group(dataset, 0, "PixelMeasuresSequence")
    if any(frame is None for frame in frames):
        raise faults.fault(path, "its frames have no place in space. Export the mask as NIfTI or NRRD.")
    distance = None if measures is None else measures.get("SpacingBetweenSlices")
    return Segmentation(
        tuple(labels.values()),
        tuple(frame for frame in frames if frame is not None),
        abs(float(distance)) if distance else None,
    )


def _label(item: Any) -> Label:
    number = int(item.SegmentNumber)
    return Label(str(item.get("SegmentLabel") or number).strip(), number)


def _pixels(dataset: Any) -> np.ndarray:
    values = dataset.pixel_array
    return values if values.ndim == 3 else values[None]


def _frames(dataset: Any, index: int, pixels: np.ndarray, labels: dict[int, Label]) -> list[Frame | None]:
    block = headers.frame_block(dataset, index)
    if block is None:
        return [None]
    if dataset.SegmentationType == "LABELMAP":
        return [Frame(label, block, pixels == number) for number, label in labels.items() if (pixels == number).any()]
    segment = headers.function_group(dataset, index, "SegmentIdentificationSequence")
    if segment is None:
        raise ValueError("a frame without segment")
    number = int(segment.ReferencedSegmentNumber)
    inside = 2 * pixels.astype(np.int64) >= dataset.MaximumFractionalValue if _is_fractional(dataset) else pixels > 0
    return [Frame(labels[number], block, inside)]


def _is_fractional(dataset: Any) -> bool:
    return dataset.SegmentationType == "FRACTIONAL"
