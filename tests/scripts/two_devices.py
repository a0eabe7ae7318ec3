"""Two logical CPUs that stand for two GPUs. Imported by scripts, before TensorFlow computes anything."""

import pathlib
import sys

import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))


def use() -> tf.distribute.Strategy:
    """Makes trainings use both devices, and returns their strategy."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from model_training import distribution

    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    distribution.strategy = lambda: mirrored
    return mirrored
