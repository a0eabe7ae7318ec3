"""Reads the preloaded dataset with tf.data, and checks the train set before a training."""

import hashlib
import pathlib
from collections.abc import Sequence

import pandas as pd
import tensorflow as tf

import storage
from data import preloaded_dataset


def read_train_cases(workspace: storage.Workspace, image_size: int, copy: str | None) -> pd.DataFrame:
    """The train rows of cases.csv, as `preloaded_dataset.read_cases`; the files in `copy` are compared with them.

    `copy` is a copy of the train set (TRAIN_SET_LOCATION) or None. DatasetError if the images do not have `image_size`
    (IMAGE_SIZE), or if files of the copy are missing or differ.
    """
    cases = preloaded_dataset.read_cases(workspace, "train")
    other_sizes = sorted(set(cases["height"]) - {image_size})
    if other_sizes:
        fault = f"The preloaded dataset's images have {other_sizes[0]} px, but IMAGE_SIZE in config.py is {image_size}."
        raise storage.DatasetError([f"{fault} Change it back, or run step 1 again."])
    if copy and (faults := _copy_faults(copy, cases)):
        raise storage.DatasetError(faults)
    return cases


def _copy_faults(copy: str, cases: pd.DataFrame) -> list[str]:
    digests = {"images": "image_sha256", "masks": "mask_sha256"}
    faults = [
        _copy_fault(f"{copy}/{kind}/{case.case}.npy", getattr(case, digest))
        for kind, digest in digests.items()
        for case in cases.itertuples()
    ]
    return [fault for fault in faults if fault]


def _copy_fault(file: str, sha256: str) -> str:
    if not tf.io.gfile.exists(file):
        return f"{file}: missing. Copy the train set again, or change TRAIN_SET_LOCATION in config.py."
    same = hashlib.sha256(tf.io.gfile.GFile(file, "rb").read()).hexdigest() == sha256
    return "" if same else f"{file}: differs from the preloaded dataset. Copy the train set again."


def images(folder: pathlib.Path, cases: Sequence[str], image_size: int) -> tf.data.Dataset:
    """The images of `cases`, in their order: float32 (size, size, 1). `folder` is a set's, such as `test set`."""
    return tf.data.Dataset.from_tensor_slices(list(cases)).map(
        lambda case: _decode_image(f"{folder}/images", case, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )


def pairs(folder: pathlib.Path, cases: Sequence[str], image_size: int) -> tf.data.Dataset:
    """(image, mask) of `cases`, in their order: float32 and uint8, both (size, size, 1). `folder` is a set's."""
    return tf.data.Dataset.from_tensor_slices(list(cases)).map(
        lambda case: _decode_pair(folder, case, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )


def endless_pairs(
    folder: pathlib.Path | str,
    cases: Sequence[str],
    image_size: int,
    seed: int,
    start: int = 0,
    part: tuple[int, int, int] = (0, 1, 1),
) -> tf.data.Dataset:
    """An endless stream of (sample_seed, image, mask), from sample number `start` on; shuffled again for every epoch.

    `sample_seed` is an int32 pair, different for each sample: the seed of its augmentation. Sample number n depends on
    `cases`, `seed` and n only, not on earlier samples or threads: a training is reproducible and can be resumed.
    `part` (i, n, batch): only the i-th of n equal parts of each batch. `folder` may be any that TensorFlow reads, such
    as "gs://bucket/train set".
    """
    names = tf.constant(list(cases))
    index, parts, batch = part
    part_size = batch // parts

    def sample(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        number = start + count // part_size * batch + index * part_size + count % part_size
        epoch = tf.cast(number // len(cases), tf.int32)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(cases)), seed=[seed, epoch])
        sample_seed = tf.stack([seed, tf.cast(number, tf.int32)])
        return sample_seed, *_decode_pair(folder, names[order[number % len(cases)]], image_size)

    return tf.data.Dataset.counter().map(sample, num_parallel_calls=tf.data.AUTOTUNE)


def _decode_pair(folder: pathlib.Path | str, case: tf.Tensor, image_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    return _decode_image(f"{folder}/images", case, image_size), _decode_mask(f"{folder}/masks", case, image_size)


def _decode_image(folder: str, case: tf.Tensor, image_size: int) -> tf.Tensor:
    content = _content(folder, case)
    # The dtypes differ in their bytes per pixel: 1, 2 and 4.
    bytes_per_pixel = tf.strings.length(content) // image_size**2
    decoders = [
        lambda dtype=dtype: tf.cast(tf.io.decode_raw(content, dtype), tf.float32)
        for dtype in (tf.uint8, tf.int16, tf.float32)
    ]
    return tf.reshape(tf.switch_case(bytes_per_pixel // 2, decoders), (image_size, image_size, 1))


def _decode_mask(folder: str, case: tf.Tensor, image_size: int) -> tf.Tensor:
    return tf.reshape(tf.io.decode_raw(_content(folder, case), tf.uint8), (image_size, image_size, 1))


def _content(folder: str, case: tf.Tensor) -> tf.Tensor:
    file = tf.strings.join([f"{folder}/", case, ".npy"])
    return tf.strings.substr(tf.io.read_file(file), preloaded_dataset.HEADER_BYTES, -1)
