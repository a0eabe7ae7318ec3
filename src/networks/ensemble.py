"""Ensembles of trained networks with test-time augmentation, and their disagreement as a quality estimate.

The mask is the thresholded mean of the members' logits. Members that disagree can't all be right: the mean Dice between
their masks ranks the ensemble's masks (Roy et al. 2019, arXiv:1811.09800, for networks with dropout). A calibration by
cases that the model was not trained on turns it into an expected Dice.
"""

import dataclasses
import functools
import itertools
import pathlib
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tensorflow import keras

import gpu_support
import networks
import storage
from masks import cleaning, metrics
from masks.calibration import Calibration
from networks import saved_model


class ImageOutOfRange(storage.UserError):
    """The intensities of an image are so large that its logits are not finite."""


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks for images of one size.

    `test_time_flip`: each also predicts the mirror image, which requires training with flips. `postprocess`: small
    isolated components are removed (see `masks.cleaning`). `folders`: of the models, for error messages. `calibration`:
    that of a single network; None if there is none.
    """

    networks: Sequence[keras.Model]
    test_time_flip: bool
    postprocess: bool
    folders: Sequence[pathlib.Path] = ()
    calibration: Calibration | None = None

    @property
    def image_size(self) -> int:
        """Height and width of the images, in px."""
        return self.networks[0].input_shape[1]

    @property
    def normalizes_per_image(self) -> bool:
        """Whether the networks normalize each image to its z-score."""
        return self.networks[0].get_layer("scale_intensity").clip_hu is None

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The logits of each member, float32 (members, batch, size, size), for raw images (batch, size, size, 1).

        UserError if a network's weights are not finite, ImageOutOfRange if the logits of an image are not.
        """
        images, logits = np.asarray(images, np.float32), []
        for predict in map(networks.compiled, self.networks):
            logits.append(predict(tf.constant(images)).numpy()[..., 0])
            if self.test_time_flip:
                # One graph of both would take twice as long to compile; one batch of both may change the rounding.
                logits.append(predict(tf.constant(images[:, :, ::-1])).numpy()[:, :, ::-1, 0])
        members = np.stack(logits)
        if not np.isfinite(members).all():
            self._raise_not_finite(images, members)
        return members

    def mask(self, logits: np.ndarray) -> np.ndarray:
        """The mask of the ensemble, uint8 0 and 1 (size, size), from the logits of one image, (members, size, size)."""
        mask = networks.threshold(logits.mean(axis=0))
        return cleaning.clean(mask) if self.postprocess else mask

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """One raw image, (size, size), with the intensities that the networks get."""
        return self._scale(tf.constant(image[None, ..., None], tf.float32)).numpy()[0, ..., 0]

    @functools.cached_property
    def _scale(self) -> Callable[[tf.Tensor], tf.Tensor]:
        layer = self.networks[0].get_layer("scale_intensity")
        return networks.graph(layer, self.networks[0].input_shape)

    def _raise_not_finite(self, images: np.ndarray, members: np.ndarray) -> None:
        folders = self.folders or [pathlib.Path("the model")] * len(self.networks)
        for network, folder in zip(self.networks, folders, strict=True):
            if not all(np.isfinite(weights).all() for weights in network.get_weights()):
                raise storage.UserError(f"{folder}: the model's weights hold non-finite values. Train it again.")
        image = images[~np.isfinite(members).all(axis=(0, 2, 3))][0]
        raise ImageOutOfRange(
            f"values from {image.min():g} to {image.max():g}, for which the prediction is not finite. "
            "Rescale the image like those of the train set."
        )


def agreement(logits: np.ndarray) -> float:
    """The mean Dice between the masks of all pairs of members, from logits (members, size, size); NaN for one member.

    Two empty masks have the Dice 1, as in `masks.metrics`: the members agree.
    """
    masks = networks.threshold(logits)
    if len(masks) == 1:
        return float("nan")
    return statistics.fmean(metrics.dice(*pair) for pair in itertools.combinations(masks, 2))


def read(folders: Sequence[pathlib.Path], postprocess: bool | None = None) -> Ensemble:
    """The ensemble of models in `folders`. `postprocess` None: if that is harmless for all their train masks.

    MissingResult if a model is missing; UserError if they are for images of different sizes or intensities, or if
    TensorFlow has no code for a GPU.
    """
    gpu_support.check()
    _check_alike(folders)
    test_time_flip = all(saved_model.read_hyperparameters(folder).horizontal_flip for folder in folders)
    if postprocess is None:
        postprocess = all(saved_model.read_training(folder).cleaning_is_harmless for folder in folders)
    # Members of several models agree less than the two of one: its calibration does not hold for them.
    calibration = saved_model.read_calibration(folders[0]) if len(folders) == 1 else None
    networks = [saved_model.read(folder) for folder in folders]
    return Ensemble(networks, test_time_flip, postprocess, tuple(folders), calibration)


def _check_alike(folders: Sequence[pathlib.Path]) -> None:
    first = folders[0]
    for folder in folders[1:]:
        sizes = [saved_model.read_training(each).image_size for each in (first, folder)]
        windows = [saved_model.read_hyperparameters(each).clip_hu for each in (first, folder)]
        for name, values in (("image size", sizes), ("clip_hu", windows)):
            if values[0] != values[1]:
                difference = f"{values[1]}, that of {first} is {values[0]}"
                raise storage.UserError(f"{folder}: its {name} is {difference}. Combine models with the same.")
