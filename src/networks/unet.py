"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597), with batch normalization and padded convolutions."""
import tensorflow as tf
from tensorflow import keras

from networks import layers

# Four halvings, as published: an image of 512 px is 32 px wide at the bottom.
HALVINGS = 4


def build(images: tf.Tensor, filters: int) -> tf.Tensor:
    """Features for each pixel, (batch, size, size, filters), of scaled images (batch, size, size, 1). The size is a multiple of 16.

    `filters` is the width of the first stage; each stage further down doubles it. 16 filters make 1.9 million parameters.
    """
    stages = [_two_convolutions(images, filters)]
    for depth in range(1, HALVINGS + 1):
        stages.append(_two_convolutions(keras.layers.MaxPool2D()(stages[-1]), filters * 2**depth))
    features = stages.pop()
    for stage in reversed(stages):
        features = keras.layers.Conv2DTranspose(stage.shape[-1], 2, strides=2, kernel_initializer="he_normal")(features)
        features = _two_convolutions(keras.layers.Concatenate()([stage, features]), stage.shape[-1])
    return features


def _two_convolutions(inputs: tf.Tensor, filters: int) -> tf.Tensor:
    return layers.convolution(layers.convolution(inputs, filters), filters)
