"""Writes masks in the format and on the grid of their images, with nothing else of the images' headers.

DICOM SEG alone has their identity.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from data import csv_array
from data.formats import pictures, spatial
from data.formats.dicom import segmentation_writer
from data.formats.dicom.segmentation_writer import Algorithm
from data.formats.grid import Block, Grid, turned_back
from data.formats.records import Image

_PICTURES = {"picture", "jpeg", "tag"}
_VOLUMES = {"dicom": ".nii.gz", "nifti": ".nii.gz", "nrrd": ".nrrd", "metaimage": ".mha"}

# So often a distance of slices is divided to fit slices with irregular distances into one volume.
_MAX_DIVISOR = 8


def write_mask(
    path_without_ending: pathlib.Path, mask_slices: Sequence[np.ndarray], image: Image, kind_of_source: str
) -> pathlib.Path:
    """Writes the mask of an image, 0 and 1 (rows, columns) per slice, and returns the file, which `read_mask` reads.

    kind_of_source is the image's kind: NIfTI for DICOM and NIfTI, NRRD and MetaImage for themselves, PNG of 0 and 255
    for pictures, CSV and NPY of 0 and 1 for themselves. A DICOM series becomes one volume. It has empty slices where
    the series lacks some, and holds the shifts between slices of a tilted scanner in whole pixels.
    """
    masks = [(mask > 0).astype(np.uint8) for mask in mask_slices]
    if [mask.shape for mask in masks] != [values.shape for values in image.slices]:
        raise ValueError("a mask needs the shapes of the image's slices")
    if kind_of_source in _VOLUMES and image.grid is not None:
        path = _with_ending(path_without_ending, _VOLUMES[kind_of_source])
        spatial.write_volume(path, *_volume(masks, image.grid))
        return path
    (mask,) = masks
    if kind_of_source in _PICTURES:
        path = _with_ending(path_without_ending, ".png")
        pictures.write(path, mask)
    elif kind_of_source == "npy":
        path = _with_ending(path_without_ending, ".npy")
        np.save(path, mask)
    else:
        path = _with_ending(path_without_ending, ".csv")
        csv_array.write(path, mask)
    return path


def as_stored(slices: Sequence[np.ndarray], grid: Grid | None) -> np.ndarray:
    """The slices of an image as one array in the order of the file's pixels.

    (slices, rows, columns) for volumes, as SimpleITK reads them, and for DICOM of several slices, in the order of
    these; (rows, columns) for other files. ValueError if slices have different shapes.
    """
    if grid is not None and grid.orientation is not None:
        return np.ascontiguousarray(turned_back(np.stack(slices), grid.blocks[0], grid.orientation))
    return slices[0] if len(slices) == 1 else np.stack(slices)


def write_dicom_seg(
    path_without_ending: pathlib.Path, mask_slices: Sequence[np.ndarray], source: pathlib.Path, algorithm: Algorithm
) -> pathlib.Path:
    """Writes the mask of a DICOM file or series folder as DICOM SEG, and returns the file, which `read_mask` reads.

    The file has the patient's and the study's identity, as the standard demands. DatasetError if the header lacks what
    DICOM SEG needs, such as a place in space.
    """
    path = _with_ending(path_without_ending, ".seg.dcm")
    segmentation_writer.write(path, mask_slices, source, algorithm)
    return path


def _with_ending(path: pathlib.Path, ending: str) -> pathlib.Path:
    return path.with_name(path.name + ending)


def _volume(masks: Sequence[np.ndarray], grid: Grid) -> tuple[np.ndarray, Block]:
    """The masks as one array (slices, rows, columns), and its place."""
    if grid.orientation is not None:
        return as_stored(masks, grid), grid.blocks[0]
    first = grid.planes[0]
    if not grid.placed:
        columns, rows, _ = first.size
        return np.stack(masks), Block((columns, rows, len(masks)), spacing=first.spacing)
    return _stacked(masks, grid)


def _stacked(masks: Sequence[np.ndarray], grid: Grid) -> tuple[np.ndarray, Block]:
    """Slices with own places in the smallest regular volume that holds them, each at the nearest whole pixel."""
    lattice = _lattice(grid)
    starts = np.array([np.floor(lattice.to_indices(np.array([plane.origin]))[0] + 0.5) for plane in grid.planes])
    ends = starts + [plane.size for plane in grid.planes]
    columns, rows, count = (ends.max(axis=0) - starts.min(axis=0)).astype(int).tolist()
    volume = np.zeros((count, rows, columns), np.uint8)
    for mask, (column, row, index) in zip(masks, (starts - starts.min(axis=0)).astype(int).tolist(), strict=True):
        height, width = mask.shape
        volume[index, row : row + height, column : column + width] = mask
    return volume, lattice.moved(starts.min(axis=0), (columns, rows, count))


def _lattice(grid: Grid) -> Block:
    """The first slice's pixels, with a slice distance of which all slices' positions are nearly whole multiples."""
    first, positions = grid.planes[0], grid.positions()
    distance = grid.slice_distance()
    for divisor in range(1, _MAX_DIVISOR + 1):
        steps = (positions - positions[0]) / distance * divisor
        if np.abs(steps - np.round(steps)).max() < 0.4:
            break
    column_mm, row_mm, _ = first.spacing
    return Block(first.size, first.origin, (column_mm, row_mm, distance / divisor), first.direction)
