"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597), with normalization and padded convolutions, on patches of the image.

Most of a U-Net's time goes into its first and last stages, which work at the image's full size. Here they may work on patches: of 4 x 4 px,
say, whose 16 values are channels at a quarter of the size, and each place answers for its 16 pixels. That is a pixel unshuffle before and a
pixel shuffle behind (Shi et al. 2016, arXiv:1609.05158): no value is lost, as it would be in a smaller image.
"""

import math

import tensorflow as tf
from tensorflow import keras

from networks import layers

# Four halvings, as published, those by the patches among them: an image of 512 px is 32 px wide at the bottom.
HALVINGS = 4


def build(images: tf.Tensor, filters: int, patch_px: int) -> tf.Tensor:
    """Features for each patch, (batch, size / patch_px, size / patch_px, filters), of scaled images (batch, size, size, 1).

    The size is a multiple of 16, `patch_px` 1, 2 or 4. `filters` is the width of the first stage; each stage further down doubles it. 32
    filters on patches of 4 px make 0.47 million parameters; on patches of 2 px, a stage more, 1.9 million, as 16 on single pixels do.
    """
    stages = [_two_convolutions(layers.Patches(patch_px, name="patches")(images), filters)]
    for depth in range(1, HALVINGS + 1 - int(math.log2(patch_px))):
        stages.append(_two_convolutions(keras.layers.MaxPool2D()(stages[-1]), filters * 2**depth))
    features = stages.pop()
    for stage in reversed(stages):
        features = keras.layers.Conv2DTranspose(stage.shape[-1], 2, strides=2, kernel_initializer="he_normal")(features)
        features = _two_convolutions(keras.layers.Concatenate()([stage, features]), stage.shape[-1])
    return features


def _two_convolutions(inputs: tf.Tensor, filters: int) -> tf.Tensor:
    return layers.convolution(layers.convolution(inputs, filters), filters)
