"""Reads an image file of any format, or a folder with a DICOM series."""

import pathlib

import numpy as np

import storage
from data import csv_array
from data.formats import faults, names, pictures, spatial
from data.formats.dicom import series
from data.formats.grey import to_grey
from data.formats.grid import Grid, displayed, turned
from data.formats.records import Image, slice_names


def read_image(path: pathlib.Path) -> Image:
    """The slices of an image, as viewers show them, with what the file tells about them.

    DatasetError, one line per fault, for files that are damaged, hold no grey image, or would be read wrongly.
    """
    kind = names.kind(path)
    if kind == "tag" or path.name.lower().endswith(".seg.nrrd"):
        raise faults.fault(path, "a mask, not an image. Move it to the folder masks.")
    if kind == "dicom":
        image = series.read(path)
    elif kind in ("nifti", "nrrd", "metaimage"):
        image = _volume(path)
    else:
        values, warnings = read_flat(path, kind)
        image = Image((values,), warnings=warnings)
    _check_values(path, image)
    return image


def read_flat(path: pathlib.Path, kind: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The 2-D array in a file of a format without place, and warnings. DatasetError for another format."""
    if kind == "csv":
        return csv_array.read(path), ()
    if kind == "npy":
        return _read_npy(path), ()
    if kind in ("picture", "jpeg"):
        return pictures.read(path)
    endings = ", ".join(names.ENDINGS)
    raise faults.fault(path, f"not a known format. Save it as one of {endings}, or as a folder with a DICOM series.")


def _read_npy(path: pathlib.Path) -> np.ndarray:
    try:
        values = storage.read_array(path, "Write it again with numpy.save.")
    except storage.DamagedFile as error:
        raise storage.DatasetError([str(error)]) from error
    if values.ndim != 2:
        raise faults.fault(path, f"{values.ndim} dimensions. Save one 2-D array per file.")
    if values.dtype.kind not in "biuf":
        raise faults.fault(path, f"values of type {values.dtype}. Save real numbers.")
    if values.dtype == bool:
        return values.astype(np.uint8)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _volume(path: pathlib.Path) -> Image:
    volume = spatial.read_volume(path)
    voxels, warnings = _grey(path, volume)
    grid = Grid((volume.block,), displayed(volume.block), volume.placed)
    slices = turned(voxels, volume.block, grid.orientation or "")
    column_mm, row_mm, _ = grid.planes[0].spacing
    return Image(
        tuple(np.ascontiguousarray(values) for values in slices),
        slice_names(range(1, len(slices) + 1)),
        (row_mm, column_mm) if volume.spacing_known else None,
        grid=grid,
        warnings=warnings,
    )


def _grey(path: pathlib.Path, volume: spatial.Volume) -> tuple[np.ndarray, tuple[str, ...]]:
    if len(volume.layers) == 1:
        return volume.layers[0], ()
    if len(volume.layers) != 3:
        raise faults.fault(path, f"{len(volume.layers)} values per voxel. Export it with one.")
    return to_grey(path, np.stack(volume.layers, axis=-1))


def _check_values(path: pathlib.Path, image: Image) -> None:
    if any(values.dtype.kind == "f" and not np.isfinite(values).all() for values in image.slices):
        raise faults.not_finite(path)
