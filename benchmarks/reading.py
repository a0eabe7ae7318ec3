"""Reading the train set through tf.data, batch size 8, against float64 tensors, one file each, parsed in sequence.

Prints pairs per second and the ratio, without augmentation and with flip, rotation and noise. Both methods take turns,
each in a separate process: main.py keeps freed memory for its whole process, and the baseline gets no such setting.
python benchmarks/reading.py
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

PAIRS, BATCH, BATCHES, ROUNDS = 40, 8, 20, 5
CASES = [f"case{number}" for number in range(PAIRS)]


def main():
    with tempfile.TemporaryDirectory() as folder:
        run("write", folder)
        print(
            f"{'':28}{'ours':>10}{'float64 tensors':>18}{'ratio':>8}   "
            f"pairs/s, medians of {ROUNDS} rounds of {BATCHES * BATCH} pairs"
        )
        for name in ("plain", "flip + rotation + noise"):
            rates = [[float(run(method, folder, name)) for method in ("ours", "tensors")] for _ in range(ROUNDS)]
            ours_rate, baseline_rate = map(statistics.median, zip(*rates, strict=True))
            print(f"{name:28}{ours_rate:10.1f}{baseline_rate:18.1f}{ours_rate / baseline_rate:8.1f}", flush=True)


def run(*arguments):
    return subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout


def write(folder):
    import tensorflow as tf

    from data import phantoms, preloaded_dataset

    for kind in ("images", "masks", "tensors"):
        (folder / kind).mkdir()
    for number, case in enumerate(CASES):
        for kind, values in zip(("images", "masks"), phantoms.draw(number), strict=True):
            preloaded_dataset.write(folder / kind, case, values)
            tf.io.write_file(
                str(folder / "tensors" / f"{kind}_{case}"),
                tf.io.serialize_tensor(tf.constant(values[..., None], tf.float64)),
            )


def ours(folder, augmented):
    import command_line

    command_line.disable_malloc_trim()
    import tensorflow as tf

    from data import augmentation, pipeline

    options = {"horizontal_flip": True, "max_degrees": 10.0, "noise_sd": 10.0} if augmented else {}
    stream = pipeline.endless_pairs(folder, CASES, 512, 1)
    augmented_stream = stream.map(
        lambda *sample: augmentation.augment(*sample, augmentation.Augmentation(**options)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return augmented_stream.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def tensors(folder, augmented):
    import tensorflow as tf

    def parse(case):
        contents = [
            tf.io.read_file(tf.strings.join([f"{folder}/tensors/{kind}_", case])) for kind in ("images", "masks")
        ]
        return [tf.ensure_shape(tf.io.parse_tensor(content, tf.float64), (512, 512, 1)) for content in contents]

    def change(image, mask):
        import tensorflow_addons as tfa

        if tf.random.uniform(()) < 0.5:
            image, mask = tf.image.flip_left_right(image), tf.image.flip_left_right(mask)
        radians = tf.random.uniform((), -0.17, 0.17)
        image, mask = tfa.image.rotate(image, radians, "bilinear"), tfa.image.rotate(mask, radians, "nearest")
        return image + tf.random.normal(tf.shape(image), stddev=10.0, dtype=tf.float64), mask

    pairs = tf.data.Dataset.from_tensor_slices(CASES).repeat().map(parse)
    return (pairs.map(change) if augmented else pairs).batch(BATCH)


def pairs_per_second(dataset):
    stream = iter(dataset)
    next(stream)
    start = time.perf_counter()
    for _ in range(BATCHES):
        next(stream)
    return BATCHES * BATCH / (time.perf_counter() - start)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "write":
        write(pathlib.Path(sys.argv[2]))
    else:
        method = {"ours": ours, "tensors": tensors}[sys.argv[1]]
        print(pairs_per_second(method(pathlib.Path(sys.argv[2]), sys.argv[3] != "plain")))
