"""Loss functions and the Dice metric.

All take masks and logits, (batch, height, width, 1). A loss returns one float32 per image, (batch,). Empty masks, and
masks that cover the image, never give NaN.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

# The minimum weight of a non-empty mask in `small_target_crossentropy_dice`, as a fraction of the weight of all pixels.
MIN_FOREGROUND_WEIGHT = 0.1

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def binary_crossentropy(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean cross-entropy of all pixels."""
    return tf.reduce_mean(_pixel_crossentropies(masks, logits), _PIXELS)


def weighted_binary_crossentropy(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The average of the mean cross-entropies inside and outside the mask: both count equally at any size.

    The mean of all pixels if the mask is empty or covers the image.
    """
    means, pixels = _class_crossentropies(masks, logits)
    present = [tf.cast(count > 0, tf.float32) for count in pixels]
    return (means[0] + means[1]) / (present[0] + present[1])


def binary_crossentropy_dice(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy plus soft Dice loss (Milletari et al. 2016, arXiv:1606.04797), smoothed by 1 px."""
    return binary_crossentropy(masks, logits) + _soft_dice_loss(masks, logits)


def small_target_crossentropy_dice(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """As `binary_crossentropy_dice`, but a mask has at least MIN_FOREGROUND_WEIGHT of the cross-entropy's weight.

    In the mean over all pixels a mask of 0.02 % hardly counts: the network learns to predict nothing, where the
    gradient of the Dice loss vanishes. The weight finds the targets, the Dice loss keeps them as small as they are.
    """
    means, pixels = _class_crossentropies(masks, logits)
    share = pixels[0] / (pixels[0] + pixels[1])
    weight = tf.where(share > 0, tf.maximum(share, MIN_FOREGROUND_WEIGHT), 0.0)
    return weight * means[0] + (1.0 - weight) * means[1] + _soft_dice_loss(masks, logits)


LOSSES: dict[str, Loss] = {
    loss.__name__: loss
    for loss in (
        binary_crossentropy,
        weighted_binary_crossentropy,
        binary_crossentropy_dice,
        small_target_crossentropy_dice,
    )
}


class Dice(keras.metrics.Mean):
    """`dice`: the mean Dice coefficient of images with a non-empty mask, at the threshold 0.5; 0 without such images.

    `false_positives`: the number of images with an empty mask and a non-empty prediction. An empty mask has the Dice
    coefficient 1 if nothing is predicted: in the mean it would reward a network that never predicts anything.
    """

    def __init__(self, name: str = "dice", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._false_positives = self.add_weight("false_positives", initializer="zeros")

    def update_state(self, masks: tf.Tensor, logits: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Adds a batch. ValueError for a `sample_weight`."""
        if sample_weight is not None:
            raise ValueError("the Dice coefficient takes no sample weights")
        true, predicted = tf.cast(masks, tf.float32), tf.cast(logits >= 0, tf.float32)
        true_px, predicted_px = tf.reduce_sum(true, _PIXELS), tf.reduce_sum(predicted, _PIXELS)
        dices = tf.math.divide_no_nan(2.0 * tf.reduce_sum(true * predicted, _PIXELS), true_px + predicted_px)
        super().update_state(dices, tf.cast(true_px > 0, tf.float32))
        self._false_positives.assign_add(tf.reduce_sum(tf.cast((true_px == 0) & (predicted_px > 0), tf.float32)))

    def result(self) -> dict[str, tf.Tensor]:
        """Both values by name, as Keras logs them."""
        return {self.name: super().result(), "false_positives": self._false_positives}


_PIXELS = (1, 2, 3)


def _soft_dice_loss(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    inside, probabilities = tf.cast(masks, tf.float32), tf.sigmoid(logits)
    both = tf.reduce_sum(inside * probabilities, _PIXELS)
    total = tf.reduce_sum(inside, _PIXELS) + tf.reduce_sum(probabilities, _PIXELS)
    return 1.0 - (2.0 * both + 1.0) / (total + 1.0)


def _class_crossentropies(masks: tf.Tensor, logits: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The mean cross-entropies inside and outside the mask, 0 without such pixels, and the numbers of pixels."""
    inside, losses = tf.cast(masks, tf.float32), _pixel_crossentropies(masks, logits)
    weights = (inside, 1.0 - inside)
    pixels = [tf.reduce_sum(weight, _PIXELS) for weight in weights]
    sums = [tf.reduce_sum(losses * weight, _PIXELS) for weight in weights]
    return [tf.math.divide_no_nan(*each) for each in zip(sums, pixels, strict=True)], pixels


def _pixel_crossentropies(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(masks, tf.float32), tf.cast(logits, tf.float32))
