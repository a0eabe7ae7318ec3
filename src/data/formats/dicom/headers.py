"""What the header of a DICOM image tells: its kind, patient, place and pixel distances.

pydicom is imported in functions: it takes a third of a second.
"""

import dataclasses
import pathlib
import warnings
from typing import Any

import numpy as np

from data.formats import faults
from data.formats.grid import Block

SEGMENTATION = "SEG"
CONTOURS = "RTSTRUCT"
IMAGE = "image"

_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7": SEGMENTATION,  # Label maps.
    "1.2.840.10008.5.1.4.1.1.481.3": CONTOURS,
}


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of a file with an image.

    instance: InstanceNumber. spacing_mm: (row, column) distances, None if unknown. blocks: one per frame.
    placed: whether the header gives the place of all frames; without it, the blocks' origins mean nothing.
    """

    path: pathlib.Path
    series: str
    instance: int | None
    patient: str | None
    modality: str | None
    spacing_mm: tuple[float, float] | None
    blocks: tuple[Block, ...]
    placed: bool
    has_burned_in_text: bool
    syntax: str


def kind(path: pathlib.Path) -> str:
    """SEGMENTATION, CONTOURS or IMAGE. DatasetError for a file that is no DICOM, or holds none of these."""
    return _kind(path, load(path, pixels=False))


def read(path: pathlib.Path) -> Header:
    """The header of a DICOM image. DatasetError for other DICOM files, and for images whose values would be wrong."""
    dataset = load(path, pixels=False)
    found = _kind(path, dataset)
    if found != IMAGE:
        raise faults.fault(path, f"DICOM {found} is a mask, not an image. Move it to the folder masks.")
    with faults.reading(path, "DICOM"):
        _check(path, dataset)
        return _header(path, dataset)


def load(path: pathlib.Path, pixels: bool = True) -> Any:
    """The pydicom dataset of a file. DatasetError if it is no DICOM file or damaged."""
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    with faults.reading(path, "DICOM"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Files of old devices lack the mark that DICOM files begin with.
        dataset = pydicom.dcmread(path, force=path.suffix.lower() == ".dcm", stop_before_pixels=not pixels)
        if dataset.get("SOPClassUID") or "Rows" in dataset:
            return dataset
    raise faults.damaged(path, "DICOM")


def function_group(dataset: Any, frame: int, name: str) -> Any | None:
    """The first item of a functional group: the frame's own, else the one that all frames share; None without both."""
    for sequence in (dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")):
        items = sequence[frame if len(sequence) > 1 else 0].get(name) if sequence else None
        if items:
            return items[0]
    return None


def frame_block(dataset: Any, frame: int) -> Block | None:
    """The place of a frame, or of an image without frames; None where the header does not give it."""
    place, turn = _item(dataset, frame, "PlanePositionSequence"), _item(dataset, frame, "PlaneOrientationSequence")
    if place is dataset and _frames(dataset) > 1:
        return None  # The header's position is the first frame's alone.
    position, cosines = place.get("ImagePositionPatient"), turn.get("ImageOrientationPatient")
    if not position or not cosines:
        return None
    direction = _direction(np.array(cosines, dtype=float))
    if direction is None:
        return None
    x, y, z = map(float, position)
    return Block(_size(dataset), (x, y, z), _spacing(dataset, frame), direction)


def _kind(path: pathlib.Path, dataset: Any) -> str:
    with faults.reading(path, "DICOM"):
        found = _CLASSES.get(str(dataset.get("SOPClassUID")))
        modality = dataset.get("Modality") or "unknown"
    if found is None and "Rows" not in dataset:
        raise faults.fault(path, f"a DICOM file without image (modality {modality}). Move it elsewhere.")
    return found or IMAGE


def _check(path: pathlib.Path, dataset: Any) -> None:
    if "ModalityLUTSequence" in dataset:
        fix = "Export it again with rescale slope and intercept."
        raise faults.fault(path, f"its values need a table (ModalityLUTSequence), which is not supported. {fix}")
    frames = _frames(dataset)
    if path.stat().st_size < _min_bytes(dataset):
        raise faults.damaged(path, "DICOM")
    if frames > 1 and any(frame_block(dataset, frame) is None for frame in range(frames)):
        problem = f"{frames} frames without a place in space, such as a film. Export the frames as single images."
        raise faults.fault(path, problem)
    rescaled = [_item(dataset, frame, "PixelValueTransformationSequence") for frame in range(frames)]
    if len({(item.get("RescaleSlope"), item.get("RescaleIntercept")) for item in rescaled}) > 1:
        raise faults.fault(path, "its frames have different rescale values. Export the frames as single images.")


def _min_bytes(dataset: Any) -> int:
    """The size of the pixels of one channel; 0 if they are compressed. ITK fills up what is missing, silently."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and (syntax.is_encapsulated or syntax.is_deflated):
        return 0
    return _frames(dataset) * int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8


def _header(path: pathlib.Path, dataset: Any) -> Header:
    instance = dataset.get("InstanceNumber")
    blocks = [frame_block(dataset, frame) for frame in range(_frames(dataset))]
    placed = all(block is not None for block in blocks) and _pixel_spacing(dataset, 0) is not None
    unplaced = Block(_size(dataset), spacing=_spacing(dataset, 0))
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    return Header(
        path,
        str(dataset.get("SeriesInstanceUID", "")),
        None if instance is None else int(instance),
        str(dataset.get("PatientID") or dataset.get("StudyInstanceUID") or "") or None,
        dataset.get("Modality") or None,
        _pixel_spacing(dataset, 0),
        tuple(block if placed and block else unplaced for block in blocks),
        placed,
        dataset.get("BurnedInAnnotation") == "YES",
        syntax.name if syntax else "unknown",
    )


def _frames(dataset: Any) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _size(dataset: Any) -> tuple[int, int, int]:
    return int(dataset.Columns), int(dataset.Rows), 1


def _item(dataset: Any, frame: int, group: str) -> Any:
    found = function_group(dataset, frame, group)
    return dataset if found is None else found


def _pixel_spacing(dataset: Any, frame: int) -> tuple[float, float] | None:
    spacing = _item(dataset, frame, "PixelMeasuresSequence").get("PixelSpacing")
    if not spacing or len(spacing) != 2 or min(spacing) <= 0:
        return None
    return float(spacing[0]), float(spacing[1])


def _spacing(dataset: Any, frame: int) -> tuple[float, float, float]:
    row, column = _pixel_spacing(dataset, frame) or (1.0, 1.0)
    measures = _item(dataset, frame, "PixelMeasuresSequence")
    thickness = abs(float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0))
    return column, row, thickness or 1.0


def _direction(cosines: np.ndarray) -> tuple[float, ...] | None:
    """The 3 x 3 matrix for ImageOrientationPatient, its rounding errors removed; None if it gives no two directions."""
    along_row, along_column = cosines[:3], cosines[3:]
    normal = np.cross(along_row, along_column)
    if len(cosines) != 6 or np.linalg.norm(normal) < 0.9:
        return None
    normal = normal / np.linalg.norm(normal)
    along_row = along_row / np.linalg.norm(along_row)
    return tuple(np.stack([along_row, np.cross(normal, along_row), normal], axis=1).ravel().tolist())
