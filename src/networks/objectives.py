"""Loss functions and the Dice metric.

All take masks and logits, (batch, height, width, 1). A loss returns one float32 per image, (batch,). Empty masks, and
masks that cover the image, never give NaN.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def binary_crossentropy(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean cross-entropy of all pixels."""
    return tf.reduce_mean(_pixel_crossentropies(masks, logits), _PIXELS)


def weighted_binary_crossentropy(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The average of the mean cross-entropies inside and outside the mask: both count equally at any size.

    The mean of all pixels if the mask is empty or covers the image.
    """
    inside = tf.cast(masks, tf.float32)
    losses = _pixel_crossentropies(masks, logits)
    means, present = [], []
    for weight in (inside, 1.0 - inside):
        pixels = tf.reduce_sum(weight, _PIXELS)
        means.append(tf.math.divide_no_nan(tf.reduce_sum(losses * weight, _PIXELS), pixels))
        present.append(tf.cast(pixels > 0, tf.float32))
    return (means[0] + means[1]) / (present[0] + present[1])


def binary_crossentropy_dice(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy plus soft Dice loss (Milletari et al. 2016, arXiv:1606.04797), smoothed by 1 px."""
    inside, probabilities = tf.cast(masks, tf.float32), tf.sigmoid(logits)
    both = tf.reduce_sum(inside * probabilities, _PIXELS)
    total = tf.reduce_sum(inside, _PIXELS) + tf.reduce_sum(probabilities, _PIXELS)
    return binary_crossentropy(masks, logits) + 1.0 - (2.0 * both + 1.0) / (total + 1.0)


LOSSES: dict[str, Loss] = {
    loss.__name__: loss for loss in (binary_crossentropy, weighted_binary_crossentropy, binary_crossentropy_dice)
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


def _pixel_crossentropies(masks: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(masks, tf.float32), tf.cast(logits, tf.float32))
