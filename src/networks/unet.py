"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with normalization, padded convolutions and pixel unshuffle.

A U-Net spends most of its time in the first and last stages, at full resolution. With pixel unshuffle before and pixel
shuffle after the network (Shi et al. 2016, arXiv:1609.05158), for example by 4, the 16 pixels of a tile become channels
at a quarter of the size, and the output has 16 logits per position: no value is lost, unlike in a smaller image.
"""

import math

import tensorflow as tf
from tensorflow import keras

from networks import layers

# Four, as published, including those by pixel unshuffle: an image of 512 px has 32 px in the lowest stage.
HALVINGS = 4


def build(images: tf.Tensor, filters: int, stem_patch_px: int) -> tf.Tensor:
    """Features per tile, (batch, size / p, size / p, filters), p = `stem_patch_px`, of images (batch, size, size, 1).

    The size is a multiple of 16, `stem_patch_px` 1, 2 or 4. `filters` is the width of the first stage; each lower stage
    doubles it. 32 filters have 0.47 million parameters at `stem_patch_px` 4, 1.9 million at 2 (one stage more).
    """
    stages = [_two_convolutions(layers.PixelUnshuffle(stem_patch_px, name="pixel_unshuffle")(images), filters)]
    for depth in range(1, HALVINGS + 1 - int(math.log2(stem_patch_px))):
        stages.append(_two_convolutions(keras.layers.MaxPool2D()(stages[-1]), filters * 2**depth))
    features = stages.pop()
    for stage in reversed(stages):
        features = keras.layers.Conv2DTranspose(stage.shape[-1], 2, strides=2, kernel_initializer="he_normal")(features)
        features = _two_convolutions(keras.layers.Concatenate()([stage, features]), stage.shape[-1])
    return features


def _two_convolutions(inputs: tf.Tensor, filters: int) -> tf.Tensor:
    return layers.convolution(layers.convolution(inputs, filters), filters)
