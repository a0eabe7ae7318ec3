"""(image, mask) -> (image, mask), always both alike, and the mask stays 0 and 1. The only door for tensorflow_addons.

Images are float32, masks uint8, both (height, width, 1). `augment` throws the dice, from `lot`, a pair of
integers: the same lot gives the same result. What the dice then ask for is done exactly.
"""
import functools
import math
import warnings

import tensorflow as tf

with warnings.catch_warnings():
    # It says on each import that its development has ended; the pinned version works with the pinned TensorFlow.
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa


def augment(
    lot: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, horizontal_flip: bool, max_degrees: float, noise_deviation: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """One random version of the pair: mirrored in half of the draws, rotated by up to max_degrees either way, noisy. False or 0 leaves that out.

    `noise_deviation` is in the image's unit (HU).
    """
    mirrored = tf.random.stateless_uniform((), _own(lot, 1)) < 0.5 if horizontal_flip else tf.constant(False)
    if max_degrees:
        image, mask = rotate(image, mask, tf.random.stateless_uniform((), _own(lot, 2), -max_degrees, max_degrees), mirrored)
    elif horizontal_flip:
        image, mask = tf.cond(mirrored, lambda: flip(image, mask), lambda: (image, mask))
    if noise_deviation:
        image += noise_deviation * _noise(lot, image.shape)
    return image, mask


def flip(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair's mirror image, left for right."""
    return tf.reverse(image, axis=[1]), tf.reverse(mask, axis=[1])


def rotate(image: tf.Tensor, mask: tf.Tensor, degrees: tf.Tensor | float, mirrored: tf.Tensor | bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair rotated about its centre, counterclockwise: the image interpolated, the mask taken from the nearest pixel.

    What comes in at the corners is the image's minimum (air, on a CT slice) and no mask. `mirrored` flips the pair first, at no cost.
    """
    height, width = image.shape[:2]
    (matrix,) = tf.unstack(tfa.image.transform_ops.angles_to_projective_transforms(degrees * (math.pi / 180.0), float(height), float(width)))
    # The matrix tells from where each pixel is fetched: from width - 1 - x where it would be fetched from x.
    matrix = tf.where(mirrored, tf.concat([-matrix[:2], [width - 1 - matrix[2]], matrix[3:]], axis=0), matrix)
    turned = tfa.image.transform(image, matrix, interpolation="bilinear", fill_mode="constant", fill_value=tf.reduce_min(image))
    return turned, tfa.image.transform(mask, matrix, interpolation="nearest", fill_mode="constant", fill_value=0.0)


def _own(lot: tf.Tensor, number: int) -> tf.Tensor:
    # Each use of the lot draws on its own: what flips is not what turns.
    return tf.stack([lot[0] + number * 1_000_003, lot[1]])


def _noise(lot: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    # Cut out of a larger field of noise at a random place: drawing a number for each pixel took as long as a rotation.
    field = _noise_field(shape.num_elements())
    start = tf.random.stateless_uniform((), _own(lot, 3), 0, field.shape[0] - shape.num_elements(), tf.int32)
    return tf.reshape(tf.slice(field, [start], [shape.num_elements()]), shape)


@functools.cache
def _noise_field(pixels: int) -> tf.Tensor:
    with tf.init_scope():  # Once, not in every step of the pipeline that asks for it.
        return tf.random.stateless_normal((4 * pixels,), seed=(0, 0))
