"""Reads a mask file of any format onto the pixels of its image."""

import pathlib
from collections.abc import Sequence

import numpy as np

from data.formats import faults
from data.formats.grid import Grid
from data.formats.layers import grid_of, label_counts, read_layers
from data.formats.records import Image, Layer, Mask

Wanted = tuple[int | str, ...] | None


def read_mask(path: pathlib.Path, image: Image, wanted: tuple[int | str, ...] | None = None) -> Mask:
    """The mask for an image: pixels with one of the wanted labels, with any label if None.

    Labels are numbers, or names or colours in upper or lower case. A wanted label that the file does not have selects
    nothing. A mask on other pixels than its image's is brought onto them by the places of both, nearest neighbour; one
    without place must have the image's size. Of the image, only the slices' shapes and the grid are used. DatasetError
    for damaged files, images, and masks that lie elsewhere.
    """
    layers = read_layers(path, image)
    _check_place(path, grid_of(image), layers, wanted)
    union = [np.zeros(values.shape, np.uint8) for values in image.slices]
    for layer in layers:
        chosen = [value for value, label in layer.labels.items() if label.is_in(wanted)]
        for mask, values in zip(union, layer.slices, strict=True):
            mask |= np.isin(values, chosen)
    labels = [label for layer in layers for label in layer.labels.values()]
    matched = frozenset(each for each in wanted or () if any(label.is_in((each,)) for label in labels))
    return Mask(tuple(union), _counts(layers), matched)


def _counts(layers: Sequence[Layer]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for layer in layers:
        found = [label_counts(values) for values in layer.slices]
        for value, label in layer.labels.items():
            counts[label.name] = counts.get(label.name, 0) + sum(slice_counts.get(value, 0) for slice_counts in found)
    return counts


def _check_place(path: pathlib.Path, grid: Grid, layers: Sequence[Layer], wanted: Wanted) -> None:
    """DatasetError if wanted labels have pixels in the file, but none of them lies on the image."""
    chosen = [
        (layer, values)
        for layer in layers
        if (values := [value for value in layer.occupied if layer.labels[value].is_in(wanted)])
    ]
    if not chosen or any(np.isin(pixels, values).any() for layer, values in chosen for pixels in layer.slices):
        return
    centres = [layer.centre() for layer, _ in chosen if layer.centre is not None]
    if centres:
        image_centre = np.mean([plane.centre() for plane in grid.planes], axis=0)
        places = f"its centre is at {_mm(np.mean(centres, axis=0))}, its image's at {_mm(image_centre)}"
        raise faults.fault(path, f"lies elsewhere: {places}. Check that it belongs to this image, and export it again.")


def _mm(point: np.ndarray) -> str:
    return "({}) mm".format(", ".join(f"{value:.0f}" for value in point))
