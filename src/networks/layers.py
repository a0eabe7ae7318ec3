"""The pieces that the networks are built of."""
import tensorflow as tf
from tensorflow import keras

# Keras' default of 0.99 averages over some hundreds of steps; a small data set's training may have no more than that, and would be
# judged by the statistics of its first, random weights.
BATCH_NORM_MOMENTUM = 0.9


class ScaleIntensity(keras.layers.Layer):
    """Raw image values to a range that networks learn from.

    With `clip_hu` (low, high): values are clipped to that window of Hounsfield units, and the window is stretched to -1..1. With None,
    for images of another kind: each image gets mean 0 and standard deviation 1; a constant image becomes 0.
    """

    def __init__(self, clip_hu: tuple[float, float] | None, **keywords) -> None:
        super().__init__(dtype="float32", **keywords)  # HU do not fit into 16 bit floats, which mixed precision would use here.
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


def convolution(inputs: tf.Tensor, filters: int, size: int = 3, dilation: int = 1) -> tf.Tensor:
    """`inputs` after a convolution, batch normalization and ReLU: (batch, height, width, filters)."""
    outputs = keras.layers.Conv2D(filters, size, padding="same", dilation_rate=dilation, use_bias=False, kernel_initializer="he_normal")(inputs)
    outputs = keras.layers.BatchNormalization(**batch_norm())(outputs)
    return keras.layers.ReLU()(outputs)


def batch_norm() -> dict[str, float | bool]:
    """How all batches are normalized: the arguments of Keras' layer. Over the whole batch, where several devices share it."""
    return {"momentum": BATCH_NORM_MOMENTUM, "synchronized": tf.distribute.get_strategy().num_replicas_in_sync > 1}


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
    # In float32 under mixed precision too: the loss is computed from it.
    outputs = keras.layers.Conv2D(patch_px**2, 1, dtype="float32", name="pixel_logits")(features)
    return Patches(patch_px, back=True, dtype="float32", name="logits")(outputs)


def upsampled_logits(features: tf.Tensor, image_size: int) -> tf.Tensor:
    """A logit per pixel, float32 (batch, image_size, image_size, 1), interpolated from those of features at a fraction of that size."""
    outputs = keras.layers.Conv2D(1, 1, dtype="float32", name="pixel_logits")(features)
    return keras.layers.UpSampling2D(image_size // features.shape[1], interpolation="bilinear", dtype="float32", name="logits")(outputs)
