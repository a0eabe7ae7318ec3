"""One or several trained networks that predict together, each on the image and on its mirror image, and how far they disagree.

The mean of their logits makes the mask. That their masks agree among themselves does not make them right; but where they do not agree,
some are wrong: the mean Dice coefficient between them is a good guess of the Dice coefficient that the mask would get (Roy et al. 2019,
arXiv:1811.09800, for networks with dropout).
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

import networks
import storage
from masks import cleaning, metrics
from networks import saved_model


class ImageOutOfRange(storage.UserError):
    """An image whose values are so large that a network with finite weights computes non-finite logits for it."""


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks for images of one size. `test_time_flip`: each predicts the mirror image too, which it must have been trained on. `cleaned`: small and
    isolated areas are taken out of the masks (see `masks.cleaning`). `folders`: where the networks were read from, for error messages.
    """

    networks: Sequence[keras.Model]
    test_time_flip: bool
    cleaned: bool
    folders: Sequence[pathlib.Path] = ()

    @property
    def image_size(self) -> int:
        """Height and width of the images, in px."""
        return self.networks[0].input_shape[1]

    @property
    def standardised(self) -> bool:
        """Whether the networks scale each image by its own mean and standard deviation."""
        return self.networks[0].get_layer("scale_intensity").clip_hu is None

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Each member's logits, float32 (members, batch, size, size), of raw images (batch, size, size, 1).

        UserError where a network's weights are not finite, ImageOutOfRange where the logits of an image are not.
        """
        images, found = np.asarray(images, np.float32), []
        for predict in map(networks.compiled, self.networks):
            found.append(predict(tf.constant(images)).numpy()[..., 0])
            if self.test_time_flip:
                # Not both in one graph, which takes twice as long to compile; nor in one batch, whose size may change the rounding.
                found.append(predict(tf.constant(images[:, :, ::-1])).numpy()[:, :, ::-1, 0])
        members = np.stack(found)
        if not np.isfinite(members).all():
            self._refuse(images, members)
        return members

    def mask(self, logits: np.ndarray) -> np.ndarray:
        """The members' common mask, uint8 0 and 1 (size, size), from the logits of one image, (members, size, size)."""
        cut = networks.threshold(logits.mean(axis=0))
        return cleaning.clean(cut) if self.cleaned else cut

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """One raw image, (size, size), as the networks see it."""
        return self._scale(tf.constant(image[None, ..., None], tf.float32)).numpy()[0, ..., 0]

    @functools.cached_property
    def _scale(self) -> Callable[[tf.Tensor], tf.Tensor]:
        layer = self.networks[0].get_layer("scale_intensity")
        return networks.graph(layer, self.networks[0].input_shape)

    def _refuse(self, images: np.ndarray, members: np.ndarray) -> None:
        for network, folder in itertools.zip_longest(self.networks, self.folders, fillvalue="the model"):
            if not all(np.isfinite(weights).all() for weights in network.get_weights()):
                raise storage.UserError(f"{folder}: the model's weights hold non-finite values. Train it again.")
        image = images[~np.isfinite(members).all(axis=(0, 2, 3))][0]
        raise ImageOutOfRange(
            f"values from {image.min():g} to {image.max():g}, for which the network's result is not finite. "
            "Rescale the image as the train set's images are."
        )


def predicted_dice(logits: np.ndarray) -> float:
    """The mean Dice coefficient between the masks of every two members, from the logits of one image, (members, size, size); NaN for one.

    Two empty masks have 1, as in `masks.metrics`: the members agree, which is all that this tells.
    """
    masks = networks.threshold(logits)
    return (
        statistics.fmean(metrics.dice(*pair) for pair in itertools.combinations(masks, 2))
        if len(masks) > 1
        else float("nan")
    )


def read(folders: Sequence[pathlib.Path], cleaned: bool | None = None) -> Ensemble:
    """The models that `saved_model.write` wrote, as one; None for `cleaned`: if that leaves their train masks as they are. MissingResult where
    there is none.
    """
    test_time_flip = all(saved_model.read_hyperparameters(folder)["horizontal_flip"] for folder in folders)
    if cleaned is None:
        cleaned = all(saved_model.read_training(folder)["known"]["cleaning_is_harmless"] for folder in folders)
    return Ensemble([saved_model.read(folder) for folder in folders], test_time_flip, cleaned, tuple(folders))
