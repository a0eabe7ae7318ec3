"""Segments images from Python, as step 6 does, without config.py.

    import segmenter
    model = segmenter.load("model")
    mask, quality = model.segment(image)

docs/steps.md has examples.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from typing import overload

import numpy as np

import environment_variables  # Sets them, before the next lines import TensorFlow.
import storage

with environment_variables.quiet_import():
    from data import formats
    from masks import quantities
    from networks import ensemble
    from prediction import models, quality, slices
    from provenance import TrainSetStatistics

_Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Quality(quality.Quality):
    """How far to trust the mask of a slice, and what it measures (see `masks.quantities`).

    area_px: number of pixels in the mask.
    area_cm2: the same in cm²; None if the pixel spacing is unknown.
    mean_value: the mean of the image values in the mask, for CT its attenuation in HU; NaN if the mask is empty.
    """

    area_px: int
    area_cm2: float | None
    mean_value: float


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A trained model, or an ensemble of several."""

    _ensemble: ensemble.Ensemble
    _statistics: list[TrainSetStatistics]

    @overload
    def segment(
        self, image: np.ndarray, spacing_mm: float | tuple[float, float] | None = None
    ) -> tuple[np.ndarray, Quality]: ...

    @overload
    def segment(
        self, image: _Path, spacing_mm: float | tuple[float, float] | None = None
    ) -> tuple[np.ndarray, Quality | tuple[Quality, ...]]: ...

    def segment(
        self, image: np.ndarray | _Path, spacing_mm: float | tuple[float, float] | None = None
    ) -> tuple[np.ndarray, Quality | tuple[Quality, ...]]:
        """The mask of an image, uint8 0 and 1, and its quality: those that step 6 writes.

        `image`: an array (rows, columns) of any size with the units of the train set, such as HU; or the path of a file
        in any format that step 6 reads, or of a folder with a DICOM series. `spacing_mm`: the distance of pixel
        centres, of rows and of columns if these differ; None for the file's.

        The mask of an array or a slice is (rows, columns). That of a volume (NIfTI, NRRD, MetaImage) is (slices, rows,
        columns) in the order of the file, as SimpleITK reads it, also if it has one slice; that of several DICOM slices
        is in the order of InstanceNumber. Then there is a tuple of qualities, of each slice as step 6 shows them.

        DatasetError if a file can't be read or predicted; ImageOutOfRange if the values are too large; ValueError if an
        array is not a 2-D array of finite real numbers, or `spacing_mm` is not positive.
        """
        if isinstance(image, (str, os.PathLike)):
            parts = slices.read(pathlib.Path(image), self._ensemble)
        else:
            parts = slices.of_image(pathlib.Path("array"), formats.Image((_checked(image),)), self._ensemble)
        original = parts[0].image
        spacing = original.spacing_mm if spacing_mm is None else _pair(spacing_mm)
        masks, qualities = zip(*(self._segment(each, spacing) for each in parts), strict=True)
        mask = formats.as_stored(masks, original.grid)
        return mask, qualities if mask.ndim == 3 else qualities[0]

    def _segment(self, each: slices.Slice, spacing: tuple[float, float] | None) -> tuple[np.ndarray, Quality]:
        logits = slices.predict_logits(each, self._ensemble)
        mask, estimates = slices.mask_and_quality(each, logits, self._ensemble, self._statistics)
        measured = quantities.measure(each.pixels, mask, {}, in_hu=False, spacing_mm=spacing)
        area_cm2, mean = measured.get("cm2"), measured["mean_value"]
        return mask, Quality(**vars(estimates), area_px=int(measured["px"]), area_cm2=area_cm2, mean_value=mean)


def load(folders: _Path | Sequence[_Path], postprocess: bool | None = None) -> Model:
    """The model in a folder that step 3 wrote, or the ensemble of the models in several, such as those of step 7.

    `postprocess`: whether small isolated components are removed from masks, as CLEAN_PREDICTIONS; None: if that is
    harmless for all train masks. MissingResult if there is no model; DamagedFile if a file has changed; UserError if
    models have different image sizes or windows; ValueError without a folder.
    """
    paths = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
    if not paths:
        raise ValueError("load needs the folder of a model, or a list of such folders.")
    places = [storage.follow(pathlib.Path(os.path.abspath(path))) for path in paths]
    with contextlib.ExitStack() as stack:
        for place in places:
            stack.enter_context(storage.locked(place, shared=True, wait_seconds=storage.MODEL_WAIT_SECONDS))
        return Model(ensemble.read(places, postprocess), models.statistics(places))


def _checked(image: np.ndarray) -> np.ndarray:
    values = np.asarray(image)
    if values.ndim != 2 or not values.size:
        fix = "Pass one slice at a time, or the path of the volume's file."
        raise ValueError(f"An image is an array (rows, columns); this one has the shape {values.shape}. {fix}")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"An image is an array of real numbers; this one has the type {values.dtype}.")
    if not np.isfinite(values).all():
        raise ValueError("The image has values that are NaN or infinite. Replace them by the background's.")
    return values.astype(np.uint8) if values.dtype == bool else values


def _pair(spacing_mm: float | tuple[float, float]) -> tuple[float, float]:
    row, column = (float(value) for value in np.broadcast_to(spacing_mm, 2))
    if not (0 < row < math.inf and 0 < column < math.inf):
        raise ValueError(f"spacing_mm: {spacing_mm} is not one or two positive numbers of mm.")
    return row, column
