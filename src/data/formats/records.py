"""What the readers of image files return, independent of the format."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from data.formats.grid import Grid


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """The slices of an image file or of a folder with a DICOM series.

    slices: 2-D arrays (rows, columns) with the values after rescaling (CT: HU), as viewers show them.
    names: of the slices, zero-padded so that they sort: InstanceNumber, or the number in the file from 1; ("",) where
        the file has one slice.
    spacing_mm: (row, column) distance of pixel centres; None where the file does not give it.
    patient: PatientID, else StudyInstanceUID. For grouping in memory: it must never be written.
    modality: DICOM's, such as "CT", "MR" or "US"; None where the file does not give it.
    grid: where the slices lie; None for formats that hold no place.
    warnings: one line each.
    """

    slices: tuple[np.ndarray, ...]
    names: tuple[str, ...] = ("",)
    spacing_mm: tuple[float, float] | None = None
    patient: str | None = dataclasses.field(default=None, repr=False)
    modality: str | None = None
    grid: Grid | None = None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """A mask on an image's pixels.

    slices: uint8 0 and 1, (rows, columns), in the order of the image's slices: the union of the wanted labels.
    labels: every label in the file and its number of pixels on the image: "1", "255", names of segments and ROIs
        ("Liver"), colours ("#aa0000").
    matched: the wanted labels that the file has.
    """

    slices: tuple[np.ndarray, ...]
    labels: Mapping[str, int]
    matched: frozenset[int | str] = frozenset()


def slice_names(numbers: Sequence[int]) -> tuple[str, ...]:
    """Numbers with as many digits as the longest; ("",) for one slice."""
    digits = max(len(str(number)) for number in numbers)
    return tuple(f"{number:0{digits}d}" for number in numbers) if len(numbers) > 1 else ("",)


def slice_name(name: str, number: str) -> str:
    """The name of a slice of the image `name`; `number` is its entry in `Image.names`."""
    return f"{name}_{number}" if number else name


@dataclasses.dataclass(frozen=True)
class Label:
    """A label's name in messages and settings, and its number in the file if it has one."""

    name: str
    number: int | None = None

    def is_in(self, wanted: tuple[int | str, ...] | None) -> bool:
        """Whether a user wants it: by its number, or by its name in upper or lower case. None stands for all."""
        if wanted is None:
            return True
        names = {str(item).casefold().strip() for item in wanted}
        own = {self.name.casefold().strip()}
        if self.number is not None:
            # White is 255 in a grey picture and #ffffff in a coloured one of the same dataset.
            own |= {str(self.number), f"#{self.number:02x}" + f"{self.number:02x}" * 2}
        return not names.isdisjoint(own)


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """Labels that do not overlap: integers (rows, columns) per slice, and the label of each integer but 0.

    occupied: integers that occur in the file, even if they do not lie on the image.
    centre: returns the centre of the file's labels in mm, (3,); None for files without place.
    """

    slices: tuple[np.ndarray, ...]
    labels: Mapping[int, Label]
    occupied: frozenset[int]
    centre: Callable[[], np.ndarray] | None = None
