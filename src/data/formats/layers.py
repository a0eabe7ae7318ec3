"""The labels in a mask file of any format, on the pixels of its image."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data.formats import faults, names, pictures, placing, spatial, tag
from data.formats.dicom import headers, segmentation, series, structure_set
from data.formats.dicom.segmentation import Frame, Segmentation
from data.formats.grid import Block, Grid
from data.formats.images import read_flat
from data.formats.records import Image, Label, Layer
from data.formats.spatial import Volume

# More are the grey values of an image. FreeSurfer's atlases have up to 190 labels.
_MAX_LABELS = 200

_NO_PLACE = "gives no place in space, but its image has one. Export it again with the image's geometry."
_IMAGE_HAS_NO_PLACE = "has a place in space, but its image has none. Save the mask as PNG or NPY, upright."


def read_layers(path: pathlib.Path, image: Image) -> list[Layer]:
    """All labels of a mask file; those that overlap are in different layers. DatasetError as `read_mask`."""
    kind = names.kind(path)
    if kind == "dicom":
        return _dicom(path, image)
    if kind in ("nifti", "nrrd", "metaimage"):
        return _volume(path, image)
    if kind == "jpeg":
        raise faults.fault(path, "JPEG changes the values of a mask. Save it as PNG from the original.")
    values, labels = _flat(path, kind)
    if len(image.slices) > 1:
        problem = f"one slice; its image has {len(image.slices)}. Export the mask of the whole volume as NIfTI or NRRD."
        raise faults.fault(path, problem)
    return [_as_stored(path, image, [values], labels)]


def grid_of(image: Image) -> Grid:
    """The image's grid; for formats without place, pixels of 1 mm from the origin on, as viewers place them."""
    rows, columns = image.slices[0].shape
    return image.grid or Grid((Block((columns, rows, 1)),), None, placed=False)


def label_counts(values: np.ndarray) -> dict[int, int]:
    """How often each integer occurs in an array."""
    low, high = int(values.min()), int(values.max())
    if high - low >= 2**16:
        return dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True))
    counts = np.bincount(values.ravel().astype(np.int64) - low)
    return {int(index) + low: int(counts[index]) for index in np.flatnonzero(counts)}


def _flat(path: pathlib.Path, kind: str | None) -> tuple[np.ndarray, Mapping[int, Label] | None]:
    if kind == "picture":
        return pictures.read_labels(path)
    return (tag.read(path) if kind == "tag" else read_flat(path, kind)[0]), None


def _as_stored(
    path: pathlib.Path, image: Image, slices: Sequence[np.ndarray], labels: Mapping[int, Label] | None = None
) -> Layer:
    """Slices without place, taken as they are: their image must be shown as stored, and have the same size."""
    if image.grid is not None and not image.grid.is_shown_as_stored:
        raise faults.fault(path, _NO_PLACE)
    if len(slices) != len(image.slices):
        problem = f"{len(slices)} slices; its image has {len(image.slices)}. Export the mask of this image."
        raise faults.fault(path, problem)
    for values, shown in zip(slices, image.slices, strict=True):
        if values.shape != shown.shape:
            raise faults.fault(path, faults.sizes(values.shape, shown.shape))
    whole = [_whole(path, values) for values in slices]
    labels = _numbered(path, whole) if labels is None else labels
    return Layer(tuple(whole), labels, frozenset(labels))


def _whole(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    """The values as integers. DatasetError for fractions, such as probabilities and interpolated masks."""
    if values.dtype.kind in "iu":
        return values
    if not np.isfinite(values).all():
        raise faults.not_finite(path)
    whole = values.astype(np.int32)
    if (whole != values).any():
        raise faults.fault(path, "values that are not whole numbers. Export it as labels, without interpolation.")
    return whole


def _numbered(path: pathlib.Path, slices: Sequence[np.ndarray]) -> dict[int, Label]:
    """The labels of integers without names: all that occur, but 0."""
    found = sorted({value for values in slices for value in label_counts(values)} - {0})
    if len(found) > _MAX_LABELS:
        problem = f"{len(found)} different values, as in an image. Replace it by the mask."
        raise faults.fault(path, problem)
    return {value: Label(str(value), value) for value in found}


def _volume(path: pathlib.Path, image: Image) -> list[Layer]:
    volume = spatial.read_volume(path)
    layers = [_whole(path, values) for values in volume.layers]
    found = [_numbered(path, list(values)) for values in layers]
    with faults.reading(path, "a .seg.nrrd file"):
        named = _segments(volume)
    if len(layers) > 1 and not named:
        raise faults.fault(path, f"{len(layers)} values per voxel. Export one label per voxel.")
    placed = []
    for index, (values, labels) in enumerate(zip(layers, found, strict=True)):
        names_here = {value: label for (layer, value), label in named.items() if layer == index}
        placed.append(_placed_volume(path, image, volume, values, labels | names_here, frozenset(labels)))
    return placed


def _segments(volume: Volume) -> dict[tuple[int, int], Label]:
    """The names that 3D Slicer writes, by layer and value. Its versions before 4.11 wrote one layer per segment."""
    found = {}
    count = sum(key.startswith("Segment") and key.endswith("_Name") for key in volume.metadata)
    for index in range(count):
        fields = {
            name: volume.metadata.get(f"Segment{index}_{name}", "").strip() for name in ("Name", "Layer", "LabelValue")
        }
        layer = int(fields["Layer"] or (index if len(volume.layers) > 1 else 0))
        value = int(fields["LabelValue"] or 1)
        found[layer, value] = Label(fields["Name"] or str(value), value)
    return found


def _placed_volume(
    path: pathlib.Path,
    image: Image,
    volume: Volume,
    values: np.ndarray,
    labels: Mapping[int, Label],
    occupied: frozenset[int],
) -> Layer:
    block = _block_in_image(path, image, volume)
    if block is None:
        return _as_stored(path, image, list(values), labels)
    return placing.place_volume(values, block, labels, occupied, grid_of(image))


def _block_in_image(path: pathlib.Path, image: Image, volume: Volume) -> Block | None:
    """Where the voxels of a mask lie on the image's grid; None if they are taken as stored."""
    grid, block = grid_of(image), volume.block
    if grid.placed and not volume.placed:
        raise faults.fault(path, _NO_PLACE)
    if grid.placed:
        return block
    stored = grid.blocks[0]
    is_same_size = block.size == stored.size
    if grid.orientation is not None and is_same_size and (not volume.placed or block.code == stored.code):
        return stored  # Voxels match one by one.
    if grid.orientation is not None and not is_same_size:
        if not volume.placed:
            raise faults.fault(path, faults.sizes(block.size[::-1], stored.size[::-1]))
        return block  # A part that was cut out: viewers place an image without place at the origin.
    if grid.orientation is None and np.allclose(block.axes, np.eye(3), atol=1e-3):
        was_cut = block.size[:2] != stored.size[:2] and np.allclose(block.spacing[:2], stored.spacing[:2])
        return block if was_cut and volume.placed and len(grid.blocks) == 1 else None
    raise faults.fault(path, _IMAGE_HAS_NO_PLACE)


def _dicom(path: pathlib.Path, image: Image) -> list[Layer]:
    kind = headers.IMAGE if path.is_dir() else headers.kind(path)
    if kind == headers.IMAGE:
        return _dicom_image(path, image)
    if image.grid is None or not image.grid.placed:
        raise faults.fault(path, _IMAGE_HAS_NO_PLACE)
    if kind == headers.CONTOURS:
        return [placing.place_contours(path, region, image.grid) for region in structure_set.read(path)]
    return _segmentation(path, segmentation.read(path), image.grid)


def _segmentation(path: pathlib.Path, found: Segmentation, grid: Grid) -> list[Layer]:
    return [placing.place_frames(path, found, label, grid) for label in found.labels]


def _dicom_image(path: pathlib.Path, image: Image) -> list[Layer]:
    """The layers of a mask that was saved as a DICOM image or series."""
    stored = series.read(path)
    slices = [_whole(path, values) for values in stored.slices]
    labels = _numbered(path, slices)
    if stored.grid is None or not stored.grid.placed:
        if image.grid is not None and image.grid.placed and len(slices) > 1:
            raise faults.fault(path, _NO_PLACE)
        return [_as_stored(path, image, slices, labels)]
    if image.grid is None or not image.grid.placed:
        raise faults.fault(path, _IMAGE_HAS_NO_PLACE)
    frames = tuple(
        Frame(label, block, values == value)
        for values, block in zip(slices, stored.grid.blocks, strict=True)
        for value, label in labels.items()
        if (values == value).any()
    )
    distance = stored.grid.slice_distance() if len(slices) > 1 else None
    return _segmentation(path, Segmentation(tuple(labels.values()), frames, distance), image.grid)
