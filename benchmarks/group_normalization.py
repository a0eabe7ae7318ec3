"""The cost of the default U-Net's training passes (forward and backward, float32) with three normalizations.

    python benchmarks/group_normalization.py [--rounds 15] [--batch 2]

batch   Keras' batch normalization, a single operation of TensorFlow.
keras   Keras' group normalization, which weighs each value with a mask of ones.
own     `networks.layers.GroupNormalization`, the same without.

They take turns, step by step, in one process; the ratio is that of the rounds' medians.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line

command_line.disable_malloc_trim()

import tensorflow as tf
from tensorflow import keras

import networks
from networks import layers

WAYS = {
    "batch": lambda groups: keras.layers.BatchNormalization(),
    "keras": keras.layers.GroupNormalization,
    "own": layers.GroupNormalization,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=2)
    arguments = parser.parse_args()
    images = tf.random.normal((arguments.batch, 512, 512, 1), stddev=100.0)
    ways = {way: passes(way, images) for way in WAYS}
    times = {way: [] for way in WAYS}
    for _ in range(arguments.rounds + 1):
        for way, step in ways.items():
            begun = time.perf_counter()
            step().numpy()
            times[way].append(time.perf_counter() - begun)
    medians = {way: statistics.median(each[1:]) for way, each in times.items()}
    for way, median in medians.items():
        print(f"{way:<7}{median / arguments.batch:.3f} s per image, {median / medians['batch']:.2f} of batch")


def passes(way, images):
    layers.GroupNormalization = WAYS[way]
    network = networks.build("unet", 512, filters=32, stem_patch_px=4, clip_hu=(-200, 200))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(images, training=True) ** 2)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in tape.gradient(loss, network.trainable_variables)])

    return step


if __name__ == "__main__":
    main()
