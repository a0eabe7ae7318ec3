"""Volumes in space: reads and writes NIfTI, NRRD and MetaImage, reads DICOM pixels, resamples. Only door to SimpleITK.

SimpleITK takes a second to import, so it is imported in functions.
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from data.formats import faults, nifti
from data.formats.grid import Block

_SHEARED = (
    "its affine is sheared: axes are not at right angles. Export it again from the viewer, or set the sform from the "
    "qform (fslorient -copyqform2sform, or nibabel)."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """A file's voxels (slices, rows, columns), in each of its layers, and where they lie.

    Usual files have one layer; more are channels of a colour image or overlapping segments of 3D Slicer.
    placed: whether the file gives a place in space. spacing_known: whether it gives pixel distances.
    """

    layers: tuple[np.ndarray, ...]
    block: Block
    placed: bool
    spacing_known: bool
    metadata: Mapping[str, str]


def read_volume(path: pathlib.Path) -> Volume:
    """The volume in a NIfTI, NRRD or MetaImage file; a 2-D file is one slice. DatasetError for what can't be right."""
    sitk = _library()
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        metadata = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key.isprintable()}
        _check(path, metadata, reader.GetPixelIDValue())
        image = _in_3d(path, reader.Execute())
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise faults.fault(path, _SHEARED) from error
        raise faults.damaged(path, "an image file") from error
    block = _block(image)
    placed = not block.is_default and _gives_place(path, metadata)
    known = (placed and _gives_spacing(path)) or block.spacing != (1.0, 1.0, 1.0)
    return Volume(_layers(image), block, placed, known, metadata)


def read_dicom_pixels(path: pathlib.Path) -> np.ndarray | None:
    """A DICOM file's values after rescaling: (frames, rows, columns), or (..., channels) in colour; None if unreadable.

    MONOCHROME1 comes inverted, as viewers show it.
    """
    sitk = _library()
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    except RuntimeError:
        return None


class Resampler:
    """Brings a volume of labels onto other grids: each pixel gets the label of the nearest voxel, 0 outside."""

    def __init__(self, labels: np.ndarray, block: Block) -> None:
        self._labels, self._block = labels, block
        self._image: Any = None

    def onto(self, block: Block) -> np.ndarray:
        """The labels on the block, (slices, rows, columns)."""
        if block.matches(self._block):
            return self._labels
        sitk = _library()
        if self._image is None:
            self._image = _image(self._labels, self._block)
        resampled = sitk.Resample(
            self._image,
            list(block.size),
            sitk.Transform(),
            sitk.sitkNearestNeighbor,
            block.origin,
            block.spacing,
            block.direction,
        )
        return sitk.GetArrayFromImage(resampled)


def write_volume(path: pathlib.Path, values: np.ndarray, block: Block) -> None:
    """Writes an array (slices, rows, columns) with its place, compressed. Nothing else comes into the header."""
    _library().WriteImage(_image(values, block), str(path), useCompression=True)


@functools.cache
def _library() -> Any:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # Step 1 has a process per core.
    sitk.ProcessObject.GlobalWarningDisplayOff()
    return sitk


def _image(values: np.ndarray, block: Block) -> Any:
    image = _library().GetImageFromArray(values)
    image.SetOrigin(block.origin)
    image.SetSpacing(block.spacing)
    image.SetDirection(block.direction)
    return image


def _block(image: Any) -> Block:
    return Block(image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection())


def _in_3d(path: pathlib.Path, image: Any) -> Any:
    sitk = _library()
    if image.GetDimension() == 2:
        return sitk.JoinSeries(image)
    if image.GetDimension() == 3:
        return image
    extra = image.GetSize()[3:]
    if any(count != 1 for count in extra):
        problem = f"a 4-D file with {extra[0]} volumes. Export one 3-D volume."
        raise faults.fault(path, problem)
    return sitk.Extract(image, [*image.GetSize()[:3], *(0 for _ in extra)], [0] * image.GetDimension())


def _layers(image: Any) -> tuple[np.ndarray, ...]:
    values = _library().GetArrayFromImage(image)
    return (values,) if values.ndim == 3 else tuple(np.moveaxis(values, -1, 0))


def _gives_place(path: pathlib.Path, metadata: Mapping[str, str]) -> bool:
    if "qform_code" in metadata:
        return not metadata["qform_code"] == metadata["sform_code"] == "0"
    return bool(re.search(rb"space origin|space directions|Offset|Position|Origin|TransformMatrix", _header(path)))


def _gives_spacing(path: pathlib.Path) -> bool:
    # ITK takes 1 where a MetaImage has no spacing. The other formats give it with the place.
    return path.suffix.lower() not in (".mha", ".mhd") or bool(re.search(b"ElementSpacing|ElementSize", _header(path)))


def _header(path: pathlib.Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _check(path: pathlib.Path, metadata: Mapping[str, str], pixel_type: int) -> None:
    sitk = _library()
    if pixel_type in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise faults.fault(path, "complex numbers. Export their magnitude.")
    if "bitpix" in metadata:
        nifti.check(path, metadata)
