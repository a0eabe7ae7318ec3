"""The pieces that the networks are built of."""

import math
from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

import cpu_features

# Into so many groups the channels are parted to be normalized, into fewer where their number can't be.
GROUPS = 8


class ScaleIntensity(keras.layers.Layer):
    """Raw image values to a range that networks learn from.

    With `clip_hu` (low, high): values are clipped to that window of Hounsfield units, and the window is stretched to -1..1. With None,
    for images of another kind: each image gets mean 0 and standard deviation 1; a constant image becomes 0.
    """

    def __init__(self, clip_hu: tuple[float, float] | None, **keywords) -> None:
        super().__init__(
            dtype="float32", **keywords
        )  # HU do not fit into 16 bit floats, which mixed precision would use here.
        self.clip_hu = tuple(clip_hu) if clip_hu else None

    def call(self, images: tf.Tensor) -> tf.Tensor:
        if self.clip_hu is None:
            mean, variance = tf.nn.moments(images, axes=(1, 2, 3), keepdims=True)
            # Against the values' own size: those of some maps are thousandths, and a constant image's rounding must not be blown up.
            least = 1e-5 * tf.reduce_max(tf.abs(images), axis=(1, 2, 3), keepdims=True)
            return tf.math.divide_no_nan(images - mean, tf.maximum(tf.sqrt(variance), least))
        low, high = self.clip_hu
        return (tf.clip_by_value(images, low, high) - low) * (2.0 / (high - low)) - 1.0

    def get_config(self) -> dict:
        return super().get_config() | {"clip_hu": self.clip_hu}


class Conv2D(keras.layers.Conv2D):
    """Keras' convolution, of stride 1 and padding "same", that trains faster on processors with AVX2 but without AVX-512.

    There oneDNN takes several times as long for the weights' gradient as for the convolution itself, the images' channels being last.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self.kernel_size == (1, 1) or self.dilation_rate != (1, 1) or not _weight_gradients_are_slow():
            return super().convolution_op(inputs, kernel)
        return _convolution_of_products(inputs, tf.convert_to_tensor(kernel))


def _weight_gradients_are_slow() -> bool:
    known = cpu_features.instructions()
    return "avx2" in known and "avx512f" not in known and not tf.config.list_physical_devices("GPU")


@tf.custom_gradient
def _convolution_of_products(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), strides=1, padding="SAME")
        return of_inputs, weight_gradient(inputs, upstream, kernel.shape[0])

    return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME"), gradients


def weight_gradient(inputs: tf.Tensor, upstream: tf.Tensor, size: int) -> tf.Tensor:
    """The gradient of a convolution's weights, (size, size, channels in, channels out), by matrix products.

    `inputs` and the gradient of the outputs, `upstream`, are (batch, height, width, channels); `size` is odd, the padding "same". A column
    of the kernel sees the inputs shifted by that many columns: these copies lie side by side, as channels. A row of it sees them shifted by
    as many rows, which is an offset in memory, as if all rows of the batch were one; rows of zeros part its images.
    """
    width, channels, channels_out = inputs.shape[2], inputs.shape[3], upstream.shape[3]
    if channels > channels_out:
        # The fewer channels there are to copy, the better. The other way round, each weight's pixels lie on the opposite side.
        return tf.transpose(tf.reverse(weight_gradient(upstream, inputs, size), (0, 1)), (0, 1, 3, 2))
    padded = tf.pad(inputs, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    columns = tf.reshape(
        tf.concat([padded[:, :, shift : shift + width] for shift in range(size)], axis=-1), (-1, size * channels)
    )
    rows = tf.reshape(tf.pad(upstream, ((0, 0), (0, size - 1), (0, 0), (0, 0))), (-1, channels_out))
    count = tf.shape(rows)[0] - (size - 1) * width
    products = [
        tf.matmul(columns[shift * width : shift * width + count], rows[:count], transpose_a=True)
        for shift in range(size)
    ]
    return tf.reshape(tf.stack(products), (size, size, channels, channels_out))


def convolution(inputs: tf.Tensor, filters: int, size: int = 3, dilation: int = 1) -> tf.Tensor:
    """`inputs` after a convolution, group normalization and ReLU: (batch, height, width, filters)."""
    outputs = Conv2D(
        filters, size, padding="same", dilation_rate=dilation, use_bias=False, kernel_initializer="he_normal"
    )(inputs)
    outputs = GroupNormalization(math.gcd(GROUPS, filters))(outputs)
    return keras.layers.ReLU()(outputs)


class GroupNormalization(keras.layers.GroupNormalization):
    """Keras' group normalization (Wu and He 2018, arXiv:1803.08494), of channels that lie last, without the mask that it weighs each value with.

    Each image is normalized by itself, in training as in use: a batch may be as small as one.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        values, gamma, beta = (
            tf.cast(tensor, tf.float32) for tensor in (inputs, self.gamma, self.beta)
        )  # Of 16 bits, under mixed precision.
        gamma, beta = tf.reshape(gamma, (self.groups, -1)), tf.reshape(beta, (self.groups, -1))
        mean, square = self._group_mean(values), self._group_mean(tf.square(values))
        scale = gamma * tf.math.rsqrt(tf.maximum(square - tf.square(mean), 0.0) + self.epsilon)
        scale, shift = (
            tf.reshape(of_groups, (-1, 1, 1, values.shape[-1])) for of_groups in (scale, beta - mean * scale)
        )
        return tf.cast(values * scale + shift, inputs.dtype)

    def _group_mean(self, values: tf.Tensor) -> tf.Tensor:
        # Over the pixels first: what is left is small. (batch, groups, 1)
        of_channels = tf.reduce_mean(values, axis=(1, 2))
        return tf.reduce_mean(
            tf.reshape(of_channels, (-1, self.groups, values.shape[-1] // self.groups)), axis=-1, keepdims=True
        )


class Patches(keras.layers.Layer):
    """Patches of `patch_px` x `patch_px` as channels: (batch, height, width, c) becomes (batch, height / p, width / p, c * p * p).

    `back` takes such channels to pixels again.
    """

    def __init__(self, patch_px: int, back: bool = False, **keywords) -> None:
        super().__init__(**keywords)
        self._patch_px, self._move = patch_px, tf.nn.depth_to_space if back else tf.nn.space_to_depth

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._move(inputs, self._patch_px) if self._patch_px > 1 else inputs


def patch_logits(features: tf.Tensor, patch_px: int) -> tf.Tensor:
    """A logit per pixel, float32 (batch, size, size, 1), from features for each patch of `patch_px` x `patch_px`."""
    return Patches(patch_px, back=True, dtype="float32", name="logits")(_logits(features, patch_px**2))


def upsampled_logits(features: tf.Tensor, image_size: int) -> tf.Tensor:
    """A logit per pixel, float32 (batch, image_size, image_size, 1), interpolated from those of features at a fraction of that size."""
    factor = image_size // features.shape[1]
    return keras.layers.UpSampling2D(factor, interpolation="bilinear", dtype="float32", name="logits")(
        _logits(features, 1)
    )


def _logits(features: tf.Tensor, channels: int) -> tf.Tensor:
    # In float32 under mixed precision too: the loss is computed from it.
    return keras.layers.Conv2D(channels, 1, dtype="float32", name="pixel_logits")(features)
