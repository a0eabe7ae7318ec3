"""The networks and their common interface.

A network is a keras.Model from raw images, float32 (batch, size, size, 1), to one logit per pixel, float32 of the same
shape. Normalizing the intensities is its first layer, so that it can't be forgotten or repeated. A pixel belongs to the
mask if its probability is at least 0.5 (`predict_masks`).
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy.special
import tensorflow as tf
from tensorflow import keras

from networks import deeplabv3_plus, layers, unet
from settings.hyperparameters import ARCHITECTURES

# The maximum absolute initial logit, a probability of 12 or 88 %: beyond it the gradients of the Dice loss are small.
MAX_INITIAL_LOGIT = 2.0


def build(
    architecture: str,
    image_size: int,
    filters: int,
    stem_patch_px: int,
    clip_hu: tuple[float, float] | None,
    encoder_weights: str | None = None,
) -> keras.Model:
    """A network with random weights for images of `image_size` x `image_size` px, a multiple of 32.

    `filters` and `stem_patch_px`: see `unet.build`; `clip_hu`: see `layers.ScaleIntensity`; `encoder_weights`: see
    `deeplabv3_plus.build`. Each architecture ignores the arguments of the other. ValueError for an unknown architecture
    or an invalid size.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, found {architecture!r}")
    if image_size % 32 or image_size <= 0:
        raise ValueError(f"image_size must be a multiple of 32, found {image_size}")
    images = keras.Input((image_size, image_size, 1), name="images")
    scaled = layers.ScaleIntensity(clip_hu, name="scale_intensity")(images)
    if architecture == "unet":
        logits = layers.patch_logits(unet.build(scaled, filters, stem_patch_px), stem_patch_px)
    else:
        logits = layers.upsampled_logits(deeplabv3_plus.build(scaled, encoder_weights), image_size)
    return keras.Model(images, logits, name=architecture)


def set_prior(network: keras.Model, mask_fraction: float) -> None:
    """Sets the initial probability of every pixel to the fraction of pixels in masks, 0 to 1.

    With 0.5, a network first learns little more than that fraction (Lin et al. 2017, arXiv:1708.02002).
    """
    bias = network.get_layer("pixel_logits").bias
    bias.assign(np.full(bias.shape, np.clip(scipy.special.logit(mask_fraction), -MAX_INITIAL_LOGIT, MAX_INITIAL_LOGIT)))


def predict_masks(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The masks, uint8 0 and 1 (batch, size, size), of raw images (batch, size, size, 1), thresholded at 0.5."""
    return threshold(compiled(network)(tf.cast(images, tf.float32)).numpy()[..., 0])


def compiled(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The network's inference as a graph, for any batch size; compiled once per network.

    It is 2 to 10 times as fast as `network(images)`. The logits of a U-Net are bit-identical, those of DeepLabV3+
    within 1e-5, because fused operations round differently. Networks with 16-bit layers would differ more: they are not
    compiled.
    """
    inference = functools.partial(network, training=False)
    if network.compute_dtype != "float32":
        return inference
    if not hasattr(network, "compiled_inference"):
        network.compiled_inference = graph(inference, network.input_shape)
    return network.compiled_inference


def graph(
    function: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int | None, ...]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """`function` of a float32 tensor of the given shape, compiled."""
    # A concrete function: TensorFlow warns of retracing after five tf.functions of the same code, as for five folds.
    return tf.function(function, [tf.TensorSpec(shape, tf.float32)]).get_concrete_function()


def threshold(logits: np.ndarray) -> np.ndarray:
    """Logits of any shape as masks, uint8 0 and 1: a logit of 0 is a probability of 0.5."""
    return (logits >= 0).astype(np.uint8)
