"""The networks, by name, and what they all keep to.

A network is a keras.Model that takes raw images as they lie on disk, float32 (batch, size, size, 1), and gives a logit per pixel, float32
of the same shape. Scaling the intensities is its first layer, so that it can't be forgotten or done twice; a pixel belongs to the mask
where its probability is at least one half (`predict_masks`).
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy.special
import tensorflow as tf
from tensorflow import keras

from networks import deeplabv3_plus, layers, unet

ARCHITECTURES = ("unet", "deeplabv3_plus")

# No training begins surer than that, a probability of 12 or 88 %: the Dice coefficient's gradients are small there.
MAX_INITIAL_LOGIT = 2.0


def build(
    architecture: str,
    image_size: int,
    filters: int,
    patch_px: int,
    clip_hu: tuple[float, float] | None,
    encoder_weights: str | None = None,
) -> keras.Model:
    """A network with fresh weights, for images of `image_size` x `image_size` px (a multiple of 32).

    `filters` and `patch_px` are told in `unet.build`, `clip_hu` in `layers.ScaleIntensity`; `encoder_weights` is what
    deeplabv3_plus starts from, told in `deeplabv3_plus.build`. Each passes over what only the other one has. ValueError for an unknown
    architecture or size.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"wanted an architecture among {', '.join(ARCHITECTURES)}, found {architecture!r}")
    if image_size % 32 or image_size <= 0:
        raise ValueError(f"wanted an image size that is a multiple of 32, found {image_size}")
    images = keras.Input((image_size, image_size, 1), name="images")
    scaled = layers.ScaleIntensity(clip_hu, name="scale_intensity")(images)
    if architecture == "unet":
        logits = layers.patch_logits(unet.build(scaled, filters, patch_px), patch_px)
    else:
        logits = layers.upsampled_logits(deeplabv3_plus.build(scaled, encoder_weights), image_size)
    return keras.Model(images, logits, name=architecture)


def set_prior(network: keras.Model, mask_share: float) -> None:
    """Lets a fresh network begin with the share of the pixels that belong to masks, 0 to 1, as every pixel's probability.

    One that begins with a half learns little else until it has found that out (Lin et al. 2017, arXiv:1708.02002).
    """
    bias = network.get_layer("pixel_logits").bias
    bias.assign(np.full(bias.shape, np.clip(scipy.special.logit(mask_share), -MAX_INITIAL_LOGIT, MAX_INITIAL_LOGIT)))


def predict_masks(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The masks, uint8 0 and 1 (batch, size, size), of raw images (batch, size, size, 1): 1 where the probability is at least one half."""
    return threshold(compiled(network)(tf.cast(images, tf.float32)).numpy()[..., 0])


def compiled(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The network's inference, float32 (batch, size, size, 1) to logits of the same shape, for any batch size.

    A graph, compiled on the first call and kept with the network, two to ten times as fast as `network(images)`. The
    logits of a U-Net are the same to the bit, those of DeepLabV3+ within 1e-5: fused operations round differently. With
    16-bit layers the difference would be larger: such a network is not compiled.
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
    """`function` of float32 tensors of that shape, compiled at once."""
    # A concrete function: after five tf.functions of the same code, as for five folds, TensorFlow warns of retracing.
    return tf.function(function, [tf.TensorSpec(shape, tf.float32)]).get_concrete_function()


def threshold(logits: np.ndarray) -> np.ndarray:
    """Logits of any shape as masks, uint8 0 and 1: a logit of 0 is a probability of one half."""
    return (logits >= 0).astype(np.uint8)
