"""The slices of a new image of any size and format, and their masks. Step 6 and the Python API predict with these."""

import dataclasses
import pathlib

import numpy as np

import storage
from data import csv_array, file_names, formats, preloaded_dataset, resizing
from networks import ensemble
from prediction import quality
from provenance import TrainSetStatistics


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of a file, and the network's input `resized`, float32 (size, size)."""

    file: pathlib.Path
    image: formats.Image
    index: int
    resized: np.ndarray

    @property
    def pixels(self) -> np.ndarray:
        """The raw slice, (rows, columns)."""
        return self.image.slices[self.index]

    @property
    def name(self) -> str:
        """The name of the slice in the table and of its overlay."""
        return formats.slice_name(formats.stem(self.file), self.image.names[self.index])


def read(file: pathlib.Path, model: ensemble.Ensemble) -> list[Slice]:
    """The slices of a file. DatasetError if it can't be read or its shape can't be predicted."""
    image = formats.read_image(file)
    first = image.slices[0]
    if file.suffix.lower() == ".csv" and (fault := csv_array.explain_shape(first, model.image_size)):
        size = f"{first.shape[0]} x {first.shape[1]}"
        raise storage.DatasetError([f"{file_names.printable(file)}: {size}: {fault}"])
    return of_image(file, image, model)


def of_image(file: pathlib.Path, image: formats.Image, model: ensemble.Ensemble) -> list[Slice]:
    """The slices of an image in memory; messages name it `file`. DatasetError if it is too large."""
    resizing.check_side(file, image.slices[0])
    # The smallest lossless dtype: several images wait in memory, each with up to 64 million pixels.
    pixels = [preloaded_dataset.smallest_lossless(each) for each in image.slices]
    image = dataclasses.replace(image, slices=tuple(pixels))
    return [
        Slice(file, image, index, resizing.fit(each, model.image_size, model.normalizes_per_image))
        for index, each in enumerate(pixels)
    ]


def predict_logits(each: Slice, model: ensemble.Ensemble) -> np.ndarray:
    """The logits of each member of the ensemble, float32 (members, size, size). Errors as `Ensemble.logits`."""
    return model.logits(each.resized[None, ..., None])[:, 0]


def mask_and_quality(
    each: Slice, logits: np.ndarray, model: ensemble.Ensemble, statistics: list[TrainSetStatistics]
) -> tuple[np.ndarray, quality.Quality]:
    """The mask of a slice, uint8 0 and 1 (rows, columns), and its quality; changes the `logits` of the slice."""
    size, shape = model.image_size, each.pixels.shape
    rows, columns = resizing.used(shape, size)
    logits[:, rows:] = logits[:, :, columns:] = -1.0  # No mask in the padding.
    fitted, estimates = quality.predict_with_quality(model, each.resized, logits, statistics)
    if shape != (size, size):
        estimates = dataclasses.replace(estimates, ood_reasons=(*estimates.ood_reasons, "image size"))
    return resizing.restore_mask(fitted, shape), estimates
