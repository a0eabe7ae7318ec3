"""The cost of the default U-Net's training passes (forward and backward, float32) with three CPU convolutions.

    python benchmarks/convolution.py [--rounds 5] [--filters 32] [--stem_patch_px 4]

own        TensorFlow's own convolutions, which it takes by itself on processors without AVX512-VNNI
(TF_ENABLE_ONEDNN_OPTS=0). onednn     those of oneDNN, which `command_line` asks for. products   the same, with the
weights' gradients of `networks.cpu_convolution.weight_gradient`: what happens here on processors with AVX2 alone.

Each has a process of its own, and they take turns, step by step. The processor's own choice is overruled, so that it
can be judged on any.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

WAYS = {"own": ("0", "avx512f"), "onednn": ("1", "avx512f"), "products": ("1", "avx2")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--stem_patch_px", type=int, default=4)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        work(arguments)
        return
    workers = {}
    for way, (onednn, _) in WAYS.items():
        command = [
            sys.executable,
            __file__,
            "--way",
            way,
            "--filters",
            str(arguments.filters),
            "--stem_patch_px",
            str(arguments.stem_patch_px),
        ]
        environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": onednn}
        workers[way] = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    rows = [{way: step_of(worker) for way, worker in workers.items()} for _ in range(arguments.rounds + 1)][1:]
    for worker in workers.values():
        worker.communicate()
    for way in WAYS:
        ratios = [row["own"] / row[way] for row in rows]
        seconds = statistics.median(row[way] for row in rows)
        print(f"{way:<10}{seconds:.3f} s per image, {statistics.median(ratios):.2f} times as fast as own "
              f"({min(ratios):.2f} to {max(ratios):.2f} in {len(rows)} rounds)")  # fmt: skip


def step_of(worker):
    worker.stdin.write("step\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def work(arguments):
    """Answers each line with the mean seconds per image of three steps."""
    import command_line

    command_line.disable_malloc_trim()
    import tensorflow as tf

    import cpu_features
    import networks

    cpu_features.instructions = lambda: frozenset({"avx2", WAYS[arguments.way][1]})
    network = networks.build(
        "unet", 512, filters=arguments.filters, stem_patch_px=arguments.stem_patch_px, clip_hu=(-200, 200)
    )
    images = tf.random.normal((2, 512, 512, 1), stddev=100.0)

    @tf.function
    def passes():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(images, training=True) ** 2)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in tape.gradient(loss, network.trainable_variables)])

    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(3):
            passes().numpy()
        print((time.perf_counter() - start) / 6, flush=True)


if __name__ == "__main__":
    main()
