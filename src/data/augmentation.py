"""(image, mask) -> (image, mask), always both alike, and the mask stays 0 and 1. The only door for tensorflow_addons.

Images are float32, masks uint8, both (height, width, 1). `augment` throws the dice, from `sample_seed`, a pair of
integers: the same sample_seed gives the same result. What the dice then ask for is done exactly.
"""

import functools
import math
import warnings
from collections.abc import Callable

import tensorflow as tf

with warnings.catch_warnings():
    # It says on each import that its development has ended; the pinned version works with the pinned TensorFlow.
    warnings.simplefilter("ignore")
    import tensorflow_addons as tfa

Change = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@tf.autograph.experimental.do_not_convert  # There is nothing to convert, which would take a second of each training's start.
def augment(
    sample_seed: tf.Tensor,
    image: tf.Tensor,
    mask: tf.Tensor,
    horizontal_flip: bool = False,
    max_degrees: float = 0.0,
    max_scale: float = 0.0,
    max_gamma: float = 0.0,
    noise_deviation: float = 0.0,
    window: tuple[float, float] | None = None,
    probability: float = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One random version of the pair. False or 0 leaves a kind of change out.

    Mirrored in half of the draws. Then, each with `probability`: rotated by up to `max_degrees` either way, enlarged by a factor of up to
    exp(max_scale) either way, and stretched and sheared by half as much, all at once; noisy, by `noise_deviation` in the image's unit
    (HU); its contrast changed by a gamma of up to exp(max_gamma) either way, see `gamma`. `window` is that of the values that count, None
    for all.
    """
    if horizontal_flip:
        image, mask = _with_probability(sample_seed, 1, 0.5, flip, image, mask)
    if max_degrees or max_scale:
        turn, size, stretch, shear = tf.unstack(
            tf.random.stateless_uniform((4,), _derive_seed(sample_seed, 2), -1.0, 1.0)
        )
        factors = tf.exp(max_scale * tf.stack([size + 0.5 * stretch, size - 0.5 * stretch]))
        # What comes in from outside a CT slice is air; other images go on there, as far as one can tell.
        changes = {
            "degrees": max_degrees * turn,
            "factors": factors,
            "shear": 0.5 * max_scale * shear,
            "fill": "constant" if window else "reflect",
        }
        image, mask = _with_probability(
            sample_seed, 5, probability, functools.partial(transform, **changes), image, mask
        )
    if noise_deviation:
        image, mask = _with_probability(
            sample_seed,
            7,
            probability,
            lambda image, mask: (image + noise_deviation * _noise(sample_seed, image.shape), mask),
            image,
            mask,
        )
    if max_gamma:
        exponent = tf.exp(tf.random.stateless_uniform((), _derive_seed(sample_seed, 4), -max_gamma, max_gamma))
        image, mask = _with_probability(
            sample_seed, 6, probability, lambda image, mask: (gamma(image, exponent, window), mask), image, mask
        )
    return image, mask


def flip(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair's mirror image, left for right."""
    return tf.reverse(image, axis=[1]), tf.reverse(mask, axis=[1])


def transform(
    image: tf.Tensor,
    mask: tf.Tensor,
    degrees: tf.Tensor | float = 0.0,
    factors: tf.Tensor | tuple[float, float] = (1.0, 1.0),
    shear: tf.Tensor | float = 0.0,
    fill: str = "constant",
) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair sheared, enlarged by `factors` (along height, along width) and rotated counterclockwise, about its centre.

    The image is interpolated, the mask taken from the nearest pixel. What comes in from outside is, with the `fill` "constant", the image's
    minimum and no mask; with "reflect", the pair's mirror image at its edge. `shear` is how many px a row moves to the right per px that
    it lies lower. All at the cost of one.
    """
    radians = tf.convert_to_tensor(degrees, tf.float32) * (math.pi / 180.0)
    cos, sin, (along_height, along_width) = (
        tf.cos(radians),
        tf.sin(radians),
        tf.unstack(tf.convert_to_tensor(factors, tf.float32)),
    )
    sheared = tf.stack([[1.0, tf.convert_to_tensor(shear, tf.float32)], [0.0, 1.0]])
    # For points (x, y) from the centre, y downwards; TensorFlow asks from where each pixel is fetched: for the inverse.
    there = tf.stack([[cos, sin], [-sin, cos]]) @ (tf.stack([[along_width], [along_height]]) * sheared)
    back = tf.linalg.inv(there)
    height, width = image.shape[:2]
    centre = tf.constant([[(width - 1) / 2], [(height - 1) / 2]], tf.float32)
    matrix = tf.concat([tf.reshape(tf.concat([back, centre - back @ centre], axis=1), (6,)), tf.zeros(2)], axis=0)
    moved = tfa.image.transform(
        image, matrix, interpolation="bilinear", fill_mode=fill, fill_value=tf.reduce_min(image)
    )
    return moved, tfa.image.transform(mask, matrix, interpolation="nearest", fill_mode=fill, fill_value=0.0)


def gamma(image: tf.Tensor, exponent: tf.Tensor | float, window: tuple[float, float] | None = None) -> tf.Tensor:
    """The image with its values, as shares of the `window` and clipped to it, raised to `exponent`. None: of the range of its values."""
    low, high = window or (tf.reduce_min(image), tf.reduce_max(image))
    shares = tf.math.divide_no_nan(tf.clip_by_value(image, low, high) - low, high - low)
    return low + (high - low) * shares**exponent


def _derive_seed(sample_seed: tf.Tensor, number: int) -> tf.Tensor:
    # Each use of the sample_seed draws on its own: what flips is not what turns.
    return tf.stack([sample_seed[0] + number * 1_000_003, sample_seed[1]])


def _with_probability(
    sample_seed: tf.Tensor, number: int, probability: float, change: Change, image: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    drawn = tf.random.stateless_uniform((), _derive_seed(sample_seed, number)) < probability
    return tf.cond(drawn, lambda: change(image, mask), lambda: (image, mask))


def _noise(sample_seed: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    # Cut out of a larger field of noise at a random place: drawing a number for each pixel took as long as a rotation.
    field = _noise_field(shape.num_elements())
    start = tf.random.stateless_uniform(
        (), _derive_seed(sample_seed, 3), 0, field.shape[0] - shape.num_elements(), tf.int32
    )
    return tf.reshape(tf.slice(field, [start], [shape.num_elements()]), shape)


@functools.cache
def _noise_field(pixels: int) -> tf.Tensor:
    with tf.init_scope():  # Once, not in every step of the pipeline that asks for it.
        return tf.random.stateless_normal((4 * pixels,), seed=(0, 0))
