"""DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611) on a ResNet50 encoder (He et al. 2015, arXiv:1512.03385)."""

import pathlib

import tensorflow as tf
from tensorflow import keras

import storage
from networks import layers, weights_file

# The paper's values for features at 1/16 of the image's size.
DILATIONS = (6, 12, 18)
FILTERS = 256
LOW_LEVEL_FILTERS = 48

# Of the encoder's batch normalization. Keras' default of 0.99 averages over hundreds of steps. The training on a small
# dataset may not have more: it would be evaluated with the statistics of its random initial weights.
BATCH_NORM_MOMENTUM = 0.9

# The means of blue, green and red in ImageNet, of 255: Keras' ResNet50 expects images without them.
_IMAGENET_MEANS = (103.939, 116.779, 123.68)


def build(images: tf.Tensor, encoder_weights: str | None) -> tf.Tensor:
    """Features at a quarter of the size, (batch, size / 4, size / 4, 256), of scaled images (batch, size, size, 1).

    `encoder_weights`: "imagenet" (Keras downloads them once, into ~/.keras), the path of a weights file of ResNet50
    without its top, or None for random ones. UserError with the setting to change if they can't be loaded.
    """
    encoder = _encoder(images.shape[1], encoder_weights)
    low_level, deep = encoder(ImageNetColours(name="imagenet_colours")(images))
    branches = [layers.convolution(deep, FILTERS, size=1)]
    branches += [layers.convolution(deep, FILTERS, dilation=dilation) for dilation in DILATIONS]
    branches.append(_pooled_branch(deep))
    features = layers.convolution(keras.layers.Concatenate()(branches), FILTERS, size=1)
    features = keras.layers.UpSampling2D(low_level.shape[1] // features.shape[1], interpolation="bilinear")(features)
    features = keras.layers.Concatenate()([features, layers.convolution(low_level, LOW_LEVEL_FILTERS, size=1)])
    return layers.convolution(layers.convolution(features, FILTERS), FILTERS)


class ImageNetColours(keras.layers.Layer):
    """Grey images in -1..1 as Keras' ResNet50 expects them: 3 channels of 0..255 minus ImageNet's means."""

    def __init__(self, **keywords) -> None:
        super().__init__(dtype="float32", **keywords)  # 16-bit floats would round to whole grey values.

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return 127.5 * (images + 1.0) - tf.constant(_IMAGENET_MEANS, images.dtype)


def _encoder(image_size: int, weights: str | None) -> keras.Model:
    resnet = _resnet50(weights)
    # The last stage keeps 1/16 of the size and is dilated instead: the weights stay the same.
    dilated = keras.models.clone_model(
        resnet, keras.Input((image_size, image_size, 3)), clone_function=_keep_resolution
    )
    dilated.set_weights(resnet.get_weights())
    outputs = [dilated.get_layer("conv2_block3_out").output, dilated.output]
    return keras.Model(dilated.input, outputs, name="resnet50")


def _resnet50(weights: str | None) -> keras.Model:
    if weights not in (None, "imagenet") and not pathlib.Path(weights).is_file():
        raise storage.UserError(f"{weights}: no such file. {_FIX}")
    if weights not in (None, "imagenet"):
        weights_file.check(pathlib.Path(weights), _FIX)
    try:
        return keras.applications.ResNet50(include_top=False, weights=weights)
    except Exception as error:
        # Keras raises various types: no internet, a broken file, weights of another network.
        raise storage.UserError(f"ResNet50's weights ({weights}) can't be loaded: {error}. {_FIX}") from error


_FIX = (
    "Set ENCODER_WEIGHTS in config.py: to the path of resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5, downloaded "
    "on a machine with internet access, or to None to start from random weights."
)


def _keep_resolution(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if layer.name in ("conv5_block1_1_conv", "conv5_block1_0_conv"):
        config["strides"] = (1, 1)
    elif layer.name.startswith("conv5_") and layer.name.endswith("_2_conv"):
        config["dilation_rate"] = (2, 2)
    elif isinstance(layer, keras.layers.BatchNormalization):
        config |= {
            "momentum": BATCH_NORM_MOMENTUM,
            "synchronized": tf.distribute.get_strategy().num_replicas_in_sync > 1,
        }
    return layer.__class__.from_config(config)


def _pooled_branch(features: tf.Tensor) -> tf.Tensor:
    # Not normalized: it has a single value per channel.
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(features)
    pooled = keras.layers.Conv2D(FILTERS, 1, activation="relu", kernel_initializer="he_normal")(pooled)
    # Broadcast to all positions. Not with nearest-neighbour upsampling: its gradient, a sum over all pixels, would be
    # computed in 16 bits under mixed precision, and not at all on a GPU in deterministic mode.
    return keras.layers.UpSampling2D(features.shape[1], interpolation="bilinear", dtype="float32")(pooled)
