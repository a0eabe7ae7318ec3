"""Brings masks onto the pixels of an image by their places in space, whatever grid they were drawn on."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data.formats import faults
from data.formats.dicom.segmentation import Frame, Segmentation
from data.formats.dicom.structure_set import Region
from data.formats.grid import Block, Grid, turned
from data.formats.records import Label, Layer
from data.formats.spatial import Resampler

# Places in headers are rounded.
_ROUNDING_MM = 0.01

_OTHER_PLANES = "was drawn on planes in another direction than the image's slices. Export it as NIfTI or NRRD."


def place_volume(
    voxels: np.ndarray, block: Block, labels: Mapping[int, Label], occupied: frozenset[int], grid: Grid
) -> Layer:
    """The labels of a volume, integers (slices, rows, columns), on the image's slices.

    occupied: those with voxels in the file.
    """
    resampler = Resampler(voxels, block)
    if grid.orientation is None:
        slices = [resampler.onto(plane)[0] for plane in grid.planes]
    else:
        slices = list(turned(resampler.onto(grid.blocks[0]), grid.blocks[0], grid.orientation))
    return Layer(tuple(slices), labels, occupied, lambda: _centre(voxels != 0, block))


def place_frames(path: pathlib.Path, found: Segmentation, label: Label, grid: Grid) -> Layer:
    """A segment on the image's slices: each slice gets the nearest frame, if it is at most half a slice away."""
    frames = [frame for frame in found.frames if frame.label == label]
    _check_planes(path, [frame.block.normal for frame in frames], grid)
    reach = max(found.slice_distance or 0, grid.slice_distance()) / 2
    places = [float(_along_normal(np.array(frame.block.origin), grid)) for frame in frames]
    slices = []
    for plane, position in zip(grid.planes, grid.positions(), strict=True):
        chosen = [frames[index] for index in _nearest(places, position, reach)]
        slices.append(_union([_onto_plane(frame, plane) for frame in chosen], plane))
    filled = [frame for frame in frames if frame.pixels.any()]
    return _binary_layer(slices, label, [_centre(frame.pixels[None], frame.block) for frame in filled])


def place_contours(path: pathlib.Path, region: Region, grid: Grid) -> Layer:
    """A region on the image's slices: pixels whose centres lie in an odd number of the contours of the nearest plane.

    A plane is at most half a slice away.
    """
    reach = grid.slice_distance() / 2
    heights = [_along_normal(contour, grid) for contour in region.contours]
    if any(np.ptp(height) > max(reach, _ROUNDING_MM) for height in heights):
        raise faults.fault(path, _OTHER_PLANES)
    places = [float(height.mean()) for height in heights]
    slices = []
    for plane, position in zip(grid.planes, grid.positions(), strict=True):
        contours = [region.contours[index] for index in _nearest(places, position, reach)]
        slices.append(_inside(contours, plane))
    return _binary_layer(slices, region.label, [contour.mean(axis=0) for contour in region.contours])


def _binary_layer(slices: Sequence[np.ndarray], label: Label, centres: Sequence[np.ndarray]) -> Layer:
    return Layer(tuple(slices), {1: label}, frozenset({1} if centres else ()), lambda: np.mean(centres, axis=0))


def _centre(mask: np.ndarray, block: Block) -> np.ndarray:
    indices = [np.flatnonzero(mask.any(axis=axes)).mean() for axes in ((0, 1), (0, 2), (1, 2))]
    return block.to_mm(np.array(indices))


def _check_planes(path: pathlib.Path, normals: Sequence[np.ndarray], grid: Grid) -> None:
    if any(abs(np.dot(normal, grid.planes[0].normal)) < 0.999 for normal in normals):
        raise faults.fault(path, _OTHER_PLANES)


def _along_normal(points: np.ndarray, grid: Grid) -> np.ndarray:
    return points @ grid.planes[0].normal


def _nearest(places: Sequence[float], position: float, reach: float) -> np.ndarray:
    """The indices of all places on the plane that is nearest to the position; none if it is out of reach."""
    distances = np.abs(np.array(places) - position)
    nearest = distances.min(initial=np.inf)
    if nearest > reach + _ROUNDING_MM:
        return np.array([], dtype=int)
    # Not the plane on the other side, which may be as near.
    first = places[int(distances.argmin())]
    return np.flatnonzero(np.abs(np.array(places) - first) <= _ROUNDING_MM)


def _onto_plane(frame: Frame, plane: Block) -> np.ndarray:
    # The frame was chosen for this plane: it has to reach it.
    columns, rows, distance = frame.block.spacing
    gap = abs(float(np.dot(np.array(plane.origin) - frame.block.origin, plane.normal)))
    block = Block(frame.block.size, frame.block.origin, (columns, rows, distance + 4 * gap), frame.block.direction)
    return Resampler(frame.pixels[None].astype(np.uint8), block).onto(plane)[0]


def _union(masks: Sequence[np.ndarray], plane: Block) -> np.ndarray:
    columns, rows, _ = plane.size
    return np.bitwise_or.reduce(masks) if masks else np.zeros((rows, columns), np.uint8)


def _inside(contours: Sequence[np.ndarray], plane: Block) -> np.ndarray:
    from skimage import draw

    columns, rows, _ = plane.size
    mask = np.zeros((rows, columns), np.uint8)
    for contour in contours:
        places = plane.to_indices(contour)[:, :2]
        mask[draw.polygon(places[:, 1], places[:, 0], (rows, columns))] ^= 1
    return mask
