"""Prints a batch of four values as the encoder's batch normalization on two devices normalizes it."""

import numpy as np
import tensorflow as tf
import two_devices
from tensorflow import keras


def main() -> None:
    """Normalizes half of the batch on each device."""
    mirrored = two_devices.use()
    from networks import deeplabv3_plus

    halves = np.float32([[1, 2], [30, 50]]).reshape(2, 1, 1, 2, 1)
    with mirrored.scope():
        layer = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.BatchNormalization()])
        layer = keras.models.clone_model(layer, clone_function=deeplabv3_plus._keep_resolution)
        distribute = mirrored.experimental_distribute_values_from_function
        half = distribute(lambda device: tf.constant(halves[device.replica_id_in_sync_group]))
    normalized = mirrored.run(lambda images: layer(images, training=True), (half,))
    print(*np.ravel(mirrored.experimental_local_results(normalized)))


if __name__ == "__main__":
    main()
