"""The layers of the networks."""

import math

import tensorflow as tf
from tensorflow import keras

from networks.cpu_convolution import Conv2D

# Groups of channels in a group normalization; fewer if the channels are not a multiple.
GROUPS = 8


class ScaleIntensity(keras.layers.Layer):
    """Normalizes raw intensities.

    With `clip_hu` (low, high): clips to that CT window in HU and scales it to -1..1. With None: z-score of each image;
    a constant image becomes 0.
    """

    def __init__(self, clip_hu: tuple[float, float] | None, **keywords) -> None:
        # Mixed precision would use 16-bit floats here, which can't represent HU exactly.
        super().__init__(dtype="float32", **keywords)
        self.clip_hu = tuple(clip_hu) if clip_hu else None

    def call(self, images: tf.Tensor) -> tf.Tensor:
        if self.clip_hu is None:
            mean, variance = tf.nn.moments(images, axes=(1, 2, 3), keepdims=True)
            # Relative to the intensities, which may be tiny: rounding errors of a constant image must not be amplified.
            min_sd = 1e-5 * tf.reduce_max(tf.abs(images), axis=(1, 2, 3), keepdims=True)
            return tf.math.divide_no_nan(images - mean, tf.maximum(tf.sqrt(variance), min_sd))
        low, high = self.clip_hu
        return (tf.clip_by_value(images, low, high) - low) * (2.0 / (high - low)) - 1.0

    def get_config(self) -> dict:
        return super().get_config() | {"clip_hu": self.clip_hu}


def convolution(inputs: tf.Tensor, filters: int, size: int = 3, dilation: int = 1) -> tf.Tensor:
    """`inputs` after a convolution, group normalization and ReLU: (batch, height, width, filters)."""
    outputs = Conv2D(
        filters, size, padding="same", dilation_rate=dilation, use_bias=False, kernel_initializer="he_normal"
    )(inputs)
    outputs = GroupNormalization(math.gcd(GROUPS, filters))(outputs)
    return keras.layers.ReLU()(outputs)


class GroupNormalization(keras.layers.GroupNormalization):
    """Group normalization (Wu and He 2018, arXiv:1803.08494), channels last, without the mask of Keras' layer.

    It normalizes each image independently, in training as in prediction, so it works at batch size 1. With Keras' layer
    the training passes of the default U-Net took 1.18 times as long: 0.079 against 0.067 s per image
    (`benchmarks/group_normalization.py`, 2 cores with AVX-512, float32, medians of 9 rounds).
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # Under mixed precision the inputs have 16 bits.
        values, gamma, beta = (tf.cast(tensor, tf.float32) for tensor in (inputs, self.gamma, self.beta))
        gamma, beta = tf.reshape(gamma, (self.groups, -1)), tf.reshape(beta, (self.groups, -1))
        mean, square = self._group_mean(values), self._group_mean(tf.square(values))
        scale = gamma * tf.math.rsqrt(tf.maximum(square - tf.square(mean), 0.0) + self.epsilon)
        scale, shift = (
            tf.reshape(of_groups, (-1, 1, 1, values.shape[-1])) for of_groups in (scale, beta - mean * scale)
        )
        return tf.cast(values * scale + shift, inputs.dtype)

    def _group_mean(self, values: tf.Tensor) -> tf.Tensor:
        # Over the pixels first, which leaves a small tensor. Returns (batch, groups, 1).
        of_channels = tf.reduce_mean(values, axis=(1, 2))
        return tf.reduce_mean(
            tf.reshape(of_channels, (-1, self.groups, values.shape[-1] // self.groups)), axis=-1, keepdims=True
        )


class PixelUnshuffle(keras.layers.Layer):
    """Folds tiles of `factor` x `factor` px into channels:

    (batch, height, width, c) to (batch, h / f, w / f, c * f * f).

    With `inverse` it unfolds channels to pixels (pixel shuffle).
    """

    def __init__(self, factor: int, inverse: bool = False, **keywords) -> None:
        super().__init__(**keywords)
        self._factor, self._reorder = factor, tf.nn.depth_to_space if inverse else tf.nn.space_to_depth

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._reorder(inputs, self._factor) if self._factor > 1 else inputs


def patch_logits(features: tf.Tensor, stem_patch_px: int) -> tf.Tensor:
    """One logit per pixel, float32 (batch, size, size, 1), from features of tiles of `stem_patch_px` px a side."""
    return PixelUnshuffle(stem_patch_px, inverse=True, dtype="float32", name="logits")(
        _logits(features, stem_patch_px**2)
    )


def upsampled_logits(features: tf.Tensor, image_size: int) -> tf.Tensor:
    """One logit per pixel, float32 (batch, image_size, image_size, 1), interpolated from low-resolution features."""
    factor = image_size // features.shape[1]
    return keras.layers.UpSampling2D(factor, interpolation="bilinear", dtype="float32", name="logits")(
        _logits(features, 1)
    )


def _logits(features: tf.Tensor, channels: int) -> tf.Tensor:
    # In float32 also under mixed precision: the loss is computed from it.
    return keras.layers.Conv2D(channels, 1, dtype="float32", name="pixel_logits")(features)
