"""Augmentation of (image, mask) pairs; the mask stays 0 and 1. The only module that imports tensorflow_addons.

Images are float32, masks uint8, both (height, width, 1). `augment` samples the changes from `sample_seed`, a pair of
integers: the same seed gives the same result.
"""

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable

import tensorflow as tf

try:
    with warnings.catch_warnings():
        # It warns on each import that its development has ended; the pinned version works with the pinned TensorFlow.
        warnings.simplefilter("ignore")
        import tensorflow_addons as tfa
except ImportError:  # It ends with Python 3.11 and TensorFlow 2.15.
    tfa = None

Change = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The ranges of the random changes; 0 or False omits one.

    Half of the images are flipped. With `probability` each, independently: affine (rotation by up to `max_degrees`,
    scaling by a factor of up to exp(max_log_scale), stretching and shearing by half as much), Gaussian noise with the
    standard deviation `noise_sd` in the image's unit (HU), and a gamma of up to exp(max_log_gamma) within `window`
    (None: the range of the image's values). All ranges are symmetric.
    """

    horizontal_flip: bool = False
    max_degrees: float = 0.0
    max_log_scale: float = 0.0
    max_log_gamma: float = 0.0
    noise_sd: float = 0.0
    window: tuple[float, float] | None = None
    probability: float = 1.0


# There is nothing to convert, and trying takes a second at the start of each training.
@tf.autograph.experimental.do_not_convert
def augment(
    sample_seed: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, ranges: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """One random version of the pair."""
    if ranges.horizontal_flip:
        image, mask = _with_probability(sample_seed, 1, 0.5, flip, image, mask)
    if ranges.max_degrees or ranges.max_log_scale:
        affine = _random_affine(sample_seed, ranges)
        image, mask = _with_probability(sample_seed, 5, ranges.probability, affine, image, mask)
    if ranges.noise_sd:
        noise = functools.partial(_add_noise, sample_seed, ranges.noise_sd)
        image, mask = _with_probability(sample_seed, 7, ranges.probability, noise, image, mask)
    if ranges.max_log_gamma:
        contrast = _random_gamma(sample_seed, ranges)
        image, mask = _with_probability(sample_seed, 6, ranges.probability, contrast, image, mask)
    return image, mask


def _random_affine(sample_seed: tf.Tensor, ranges: Augmentation) -> Change:
    turn, size, stretch, shear = tf.unstack(tf.random.stateless_uniform((4,), _derive_seed(sample_seed, 2), -1.0, 1.0))
    factors = tf.exp(ranges.max_log_scale * tf.stack([size + 0.5 * stretch, size - 0.5 * stretch]))
    # Outside a CT slice there is air; other images are continued by reflection.
    fill = "constant" if ranges.window else "reflect"
    degrees, shear = ranges.max_degrees * turn, 0.5 * ranges.max_log_scale * shear
    return functools.partial(transform, degrees=degrees, factors=factors, shear=shear, fill=fill)


def _random_gamma(sample_seed: tf.Tensor, ranges: Augmentation) -> Change:
    limit = ranges.max_log_gamma
    exponent = tf.exp(tf.random.stateless_uniform((), _derive_seed(sample_seed, 4), -limit, limit))
    return lambda image, mask: (gamma(image, exponent, ranges.window), mask)


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
    """The pair sheared, scaled by `factors` (height, width) and rotated counterclockwise about its centre, at once.

    Interpolation is bilinear for the image and nearest-neighbour for the mask. `fill` "constant" continues the image
    with its minimum, the mask with 0; "reflect" mirrors both. `shear`: px to the right per px downwards.
    """
    radians = tf.convert_to_tensor(degrees, tf.float32) * (math.pi / 180.0)
    cos, sin, (along_height, along_width) = (
        tf.cos(radians),
        tf.sin(radians),
        tf.unstack(tf.convert_to_tensor(factors, tf.float32)),
    )
    sheared = tf.stack([[1.0, tf.convert_to_tensor(shear, tf.float32)], [0.0, 1.0]])
    # For points (x, y) relative to the centre, y downwards. TensorFlow takes the inverse: the source of each pixel.
    there = tf.stack([[cos, sin], [-sin, cos]]) @ (tf.stack([[along_width], [along_height]]) * sheared)
    back = tf.linalg.inv(there)
    height, width = image.shape[:2]
    centre = tf.constant([[(width - 1) / 2], [(height - 1) / 2]], tf.float32)
    matrix = tf.concat([tf.reshape(tf.concat([back, centre - back @ centre], axis=1), (6,)), tf.zeros(2)], axis=0)
    moved = _resample(image, matrix, "bilinear", fill, tf.reduce_min(image))
    return moved, _resample(mask, matrix, "nearest", fill, 0.0)


def _resample(
    image: tf.Tensor, matrix: tf.Tensor, interpolation: str, fill: str, fill_value: tf.Tensor | float
) -> tf.Tensor:
    """tensorflow_addons' image transform; without it the operation that it calls, with bit-identical results."""
    if tfa:
        return tfa.image.transform(image, matrix, interpolation, fill_mode=fill, fill_value=fill_value)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=matrix[None],
        output_shape=image.shape[:2],
        fill_value=fill_value,
        interpolation=interpolation.upper(),
        fill_mode=fill.upper(),
    )[0]


def gamma(image: tf.Tensor, exponent: tf.Tensor | float, window: tuple[float, float] | None = None) -> tf.Tensor:
    """Gamma correction: values clipped to `window` (None: the image's range), scaled to 0..1, raised to `exponent`."""
    low, high = window or (tf.reduce_min(image), tf.reduce_max(image))
    shares = tf.math.divide_no_nan(tf.clip_by_value(image, low, high) - low, high - low)
    return low + (high - low) * shares**exponent


def _derive_seed(sample_seed: tf.Tensor, number: int) -> tf.Tensor:
    # Each change has its own seed: flips and rotations are independent.
    return tf.stack([sample_seed[0] + number * 1_000_003, sample_seed[1]])


def _with_probability(
    sample_seed: tf.Tensor, number: int, probability: float, change: Change, image: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    chosen = tf.random.stateless_uniform((), _derive_seed(sample_seed, number)) < probability
    return tf.cond(chosen, lambda: change(image, mask), lambda: (image, mask))


def _add_noise(
    sample_seed: tf.Tensor, noise_sd: float, image: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return image + noise_sd * _noise(sample_seed, image.shape), mask


def _noise(sample_seed: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    # A random section of a larger field of noise: sampling every pixel took as long as a rotation.
    field = _noise_field(shape.num_elements())
    start = tf.random.stateless_uniform(
        (), _derive_seed(sample_seed, 3), 0, field.shape[0] - shape.num_elements(), tf.int32
    )
    return tf.reshape(tf.slice(field, [start], [shape.num_elements()]), shape)


@functools.cache
def _noise_field(pixels: int) -> tf.Tensor:
    with tf.init_scope():  # Once, not in every pipeline that uses it.
        return tf.random.stateless_normal((4 * pixels,), seed=(0, 0))
