"""One or several trained networks that predict together, each on the image and on its mirror image, and how far they disagree.

The mean of their logits makes the mask. That their masks agree among themselves does not make them right; but where they do not agree,
some are wrong: the mean Dice coefficient between them is a good guess of the Dice coefficient that the mask would get (Roy et al. 2019,
arXiv:1811.09800, for networks with dropout).
"""
import dataclasses
import itertools
import pathlib
import statistics
from collections.abc import Sequence

import numpy as np
from tensorflow import keras

import networks
from masks import cleaning, metrics
from networks import saved_model


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks for images of one size. `mirrored`: each predicts the mirror image too, which it must have been trained on. `cleaned`: small and
    isolated areas are taken out of the masks (see `masks.cleaning`).
    """

    networks: Sequence[keras.Model]
    mirrored: bool
    cleaned: bool

    @property
    def image_size(self) -> int:
        """Height and width of the images, in px."""
        return self.networks[0].input_shape[1]

    @property
    def standardised(self) -> bool:
        """Whether the networks scale each image by its own mean and standard deviation."""
        return self.networks[0].get_layer("scale_intensity").clip_hu is None

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Each member's logits, float32 (members, batch, size, size), of raw images (batch, size, size, 1)."""
        images = np.asarray(images)
        members = []
        for network in self.networks:
            members.append(network(images, training=False).numpy()[..., 0])
            if self.mirrored:
                members.append(network(images[:, :, ::-1], training=False).numpy()[:, :, ::-1, 0])
        return np.stack(members)

    def mask(self, logits: np.ndarray) -> np.ndarray:
        """The members' common mask, uint8 0 and 1 (size, size), from the logits of one image, (members, size, size)."""
        cut = networks.cut(logits.mean(axis=0))
        return cleaning.clean(cut) if self.cleaned else cut

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """One raw image, (size, size), as the networks see it."""
        return self.networks[0].get_layer("scale_intensity")(image[None, ..., None]).numpy()[0, ..., 0]


def predicted_dice(logits: np.ndarray) -> float:
    """The mean Dice coefficient between the masks of every two members, from the logits of one image, (members, size, size); NaN for one."""
    masks = networks.cut(logits)
    return statistics.fmean(metrics.dice(*pair) for pair in itertools.combinations(masks, 2)) if len(masks) > 1 else float("nan")


def read(folders: Sequence[pathlib.Path], cleaned: bool | None = None) -> Ensemble:
    """The models that `saved_model.write` wrote, as one; None for `cleaned`: if that leaves their train masks as they are. MissingResult where
    there is none.
    """
    mirrored = all(saved_model.read_hyperparameters(folder)["horizontal_flip"] for folder in folders)
    if cleaned is None:
        cleaned = all(saved_model.read_training(folder)["known"]["cleaning_is_harmless"] for folder in folders)
    return Ensemble([saved_model.read(folder) for folder in folders], mirrored, cleaned)
