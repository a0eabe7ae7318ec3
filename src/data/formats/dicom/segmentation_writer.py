"""Writes masks as DICOM SEG. Only door to highdicom, which takes half a second to import.

A DICOM SEG belongs to the patient and study of its images: the standard has it copy their identity.
"""

import copy
import dataclasses
import functools
import logging
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from data.formats import faults
from data.formats.dicom import headers, series
from data.formats.dicom.headers import Header
from data.formats.grid import Grid

# Copied as they are. highdicom rejects values that do not follow the standard, or shows them in warnings.
_IDENTITY = (
    "SpecificCharacterSet", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_FRAME_GROUPS = ("PlaneOrientationSequence", "PixelMeasuresSequence")

_NOT_WRITTEN = "no DICOM SEG was written, only the NIfTI mask"


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """What made a mask: the program's name and version, and the model's id."""

    program: str
    version: str
    model: str


def write(path: pathlib.Path, mask_slices: Sequence[np.ndarray], source: pathlib.Path, algorithm: Algorithm) -> None:
    """Writes the mask of a DICOM image or series, 0 and 1 (rows, columns) per slice, in the order of `series.read`.

    Each slice has a frame, also an empty one, with the place of its source image and a reference to it. DatasetError
    if the source's header lacks what DICOM SEG needs.
    """
    found = series.read_headers(source)
    _check(source, found)
    sources = [headers.load(header.path, pixels=False) for header in found]
    identity = {keyword: copy.deepcopy(sources[0][keyword]) for keyword in _IDENTITY if keyword in sources[0]}
    blocks = tuple(block for header in found for block in header.blocks)
    slice_distance = Grid(blocks).slice_distance() if len(blocks) > 1 else None
    try:
        for dataset, header in zip(sources, found, strict=True):
            _prepare(dataset, header, slice_distance)
        dataset = _segmentation(np.stack(mask_slices).astype(np.uint8), sources, algorithm)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The error's own text may hold values of the header.
        problem = "its header lacks what DICOM SEG needs, or its slices differ in direction"
        raise faults.fault(source, f"{_NOT_WRITTEN}: {problem}. Use the NIfTI mask.") from error
    for keyword, element in identity.items():
        dataset[keyword] = element
    dataset.save_as(path, enforce_file_format=True)


def _check(source: pathlib.Path, found: Sequence[Header]) -> None:
    if not all(header.placed for header in found):
        raise faults.fault(source, f"{_NOT_WRITTEN}: its header gives no place in space. Use the NIfTI mask.")
    if len({block.size for header in found for block in header.blocks}) > 1:
        raise faults.fault(source, f"{_NOT_WRITTEN}: its slices have different sizes. Use the NIfTI mask.")


def _prepare(dataset: Any, header: Header, slice_distance: float | None) -> None:
    """Gives a source's dataset what highdicom needs, and removes the identity."""
    if "FrameOfReferenceUID" not in dataset:
        raise ValueError("no frame of reference")
    for keyword in _IDENTITY:
        setattr(dataset, keyword, None)
    if not dataset.get("SliceThickness"):
        dataset.SliceThickness = slice_distance  # highdicom reads no series without it.
    if "PerFrameFunctionalGroupsSequence" in dataset:
        _share_frame_groups(dataset, header)


def _share_frame_groups(dataset: Any, header: Header) -> None:
    """Moves the orientation and the pixel distances, which some scanners repeat for each frame, to where all share it.

    ValueError if they differ: a DICOM SEG has one of each.
    """
    first = header.blocks[0]
    if any((block.direction, block.spacing) != (first.direction, first.spacing) for block in header.blocks):
        raise ValueError("frames in several directions")
    (shared,) = dataset.SharedFunctionalGroupsSequence
    for name in _FRAME_GROUPS:
        setattr(shared, name, [headers.function_group(dataset, 0, name)])


def _segmentation(masks: np.ndarray, sources: Sequence[Any], algorithm: Algorithm) -> Any:
    """highdicom's dataset; frame i is that of source i, or of frame i of a single source."""
    highdicom = _library()
    return highdicom.seg.Segmentation(
        sources,
        masks,
        "BINARY",
        [_segment(algorithm)],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=algorithm.program,
        manufacturer_model_name=algorithm.program,
        software_versions=algorithm.version,
        device_serial_number=algorithm.model,
        content_label="SEGMENTATION",
        omit_empty_frames=False,
    )


def _segment(algorithm: Algorithm) -> Any:
    from pydicom.sr.codedict import codes

    highdicom = _library()
    return highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Predicted mask",
        segmented_property_category=codes.SCT.Tissue,  # The most general code, as 3D Slicer's.
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            algorithm.program, codes.DCM.ArtificialIntelligence, algorithm.model
        ),
    )


@functools.cache
def _library() -> Any:
    import highdicom
    import pydicom

    # Both show values of a header that do not follow the standard.
    logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="highdicom")
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    return highdicom
