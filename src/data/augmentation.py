"""(image, mask) -> (image, mask), always both alike, and the mask stays 0 and 1. The only door for tensorflow_addons.

Images are float32, masks uint8, both (height, width, 1). A function named random_ throws the dice from `lot`, a pair of integers, and calls
the exact one: the same lot gives the same result.
"""
import warnings

import tensorflow as tf

with warnings.catch_warnings():
    # It says on each import that its development has ended; the pinned version works with the pinned TensorFlow.
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa


def augment(
    lot: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, horizontal_flip: bool, max_degrees: float, noise_deviation: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """One random version of the pair: flipped in half of the draws, rotated, noisy. False or 0 leaves that part out."""
    if horizontal_flip:
        image, mask = random_flip(lot, image, mask)
    if max_degrees:
        image, mask = random_rotation(lot, image, mask, max_degrees)
    if noise_deviation:
        image = random_noise(lot, image, noise_deviation)
    return image, mask


def random_flip(lot: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair, or with a chance of one half its mirror image, left for right."""
    heads = tf.random.stateless_uniform((), _own(lot, 1)) < 0.5
    return tf.cond(heads, lambda: flip(image, mask), lambda: (image, mask))


def flip(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair's mirror image, left for right."""
    return tf.reverse(image, axis=[1]), tf.reverse(mask, axis=[1])


def random_rotation(lot: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, max_degrees: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair rotated by an angle drawn evenly from -max_degrees..max_degrees."""
    return rotate(image, mask, tf.random.stateless_uniform((), _own(lot, 2), -max_degrees, max_degrees))


def rotate(image: tf.Tensor, mask: tf.Tensor, degrees: tf.Tensor | float) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair rotated about its centre, counterclockwise: the image interpolated, the mask taken from the nearest pixel.

    What comes in at the corners is the image's minimum (air, on a CT slice) and no mask.
    """
    radians = degrees * (3.141592653589793 / 180.0)
    turned = tfa.image.rotate(image, radians, interpolation="bilinear", fill_mode="constant", fill_value=tf.reduce_min(image))
    return turned, tfa.image.rotate(mask, radians, interpolation="nearest", fill_mode="constant", fill_value=0.0)


def random_noise(lot: tf.Tensor, image: tf.Tensor, deviation: float) -> tf.Tensor:
    """The image plus Gaussian noise of that standard deviation, in the image's unit (HU), a number of its own for each pixel."""
    return image + tf.random.stateless_normal(tf.shape(image), _own(lot, 3), stddev=deviation)


def _own(lot: tf.Tensor, number: int) -> tf.Tensor:
    # Each use of the lot draws on its own: what flips is not what turns.
    return tf.stack([lot[0] + number * 1_000_003, lot[1]])
