"""A convolution that trains faster on CPUs with AVX2 but without AVX-512.

There oneDNN's gradient of the weights takes several times as long as the convolution itself, with channels last. Here
it is a few matrix products. Measured on such a CPU (`benchmarks/convolution.py`): the default U-Net's training passes
took 0.097 s per image, 0.147 s with TensorFlow's own choice: 1.42 times as fast (1.39 to 1.66 in five rounds).
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

import cpu_features


class Conv2D(keras.layers.Conv2D):
    """Keras' convolution, for stride 1 and padding "same", with that gradient where it is faster."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self.kernel_size == (1, 1) or self.dilation_rate != (1, 1) or not _weight_gradients_are_slow():
            return super().convolution_op(inputs, kernel)
        return _convolution_of_products(inputs, tf.convert_to_tensor(kernel))


def _weight_gradients_are_slow() -> bool:
    available = cpu_features.instructions()
    return "avx2" in available and "avx512f" not in available and not tf.config.list_physical_devices("GPU")


@tf.custom_gradient
def _convolution_of_products(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), strides=1, padding="SAME")
        return of_inputs, weight_gradient(inputs, upstream, kernel.shape[0])

    return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME"), gradients


def weight_gradient(inputs: tf.Tensor, upstream: tf.Tensor, size: int) -> tf.Tensor:
    """The gradient of a convolution's weights, (size, size, channels in, channels out), as matrix products.

    `inputs` and the gradient of the outputs, `upstream`, are (batch, height, width, channels); `size` is odd, padding
    "same". Each kernel column sees the inputs shifted by some columns: these copies are concatenated as channels. Each
    kernel row sees them shifted by some rows: an offset in memory, if all rows of the batch are taken as one image,
    with rows of zeros between its images.
    """
    width, channels, channels_out = inputs.shape[2], inputs.shape[3], upstream.shape[3]
    if channels > channels_out:
        # Copying fewer channels is faster. With the roles exchanged, the kernel is flipped.
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
