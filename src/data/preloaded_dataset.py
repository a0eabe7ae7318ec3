"""The dataset in the form that training reads: every image and mask in a file of its own, split into a train set and a test set.

    preloaded dataset/
      cases.csv                    a row per case: case, split, group, source files, SHA-256, shape, value range, mask pixels
      left out.csv                 the pairs that were left out, and why
      facts.json                   the number of cases, and the settings by which it was made
      train set/
        images/<case>.npy          NumPy files: uint8, int16 or float32, the smallest that holds the values without loss
        masks/<case>.npy           uint8, 0 and 1
      test set/
        images/  masks/            as above
        predictions/               what step 4 adds: a mask per case, see `data.mask_folder`

A case is named `<subdirectory>__<file stem>`, from here to the last report. This module both writes and reads these files.
"""

import hashlib
import io
import json
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import storage

if TYPE_CHECKING:
    import tensorflow as tf

# What numpy.save writes in front of a 2-D array; `write` holds it to that.
_HEADER_BYTES = 128

_FACTS = "facts.json"
_FIX = "Run step 1 again: python src/main.py create_preloaded_dataset"
# Of cases.csv; in the first of them a name such as 007 must stay as it is.
_TEXTS = ("case", "split", "group", "image_file", "image_sha256", "mask_sha256", "dtype")
_COLUMNS = (*_TEXTS, "height", "width", "minimum", "maximum", "mask_px")


def write(folder: pathlib.Path, case: str, values: np.ndarray) -> str:
    """Writes one image or mask, (height, width), as `folder`/<case>.npy and returns the file's SHA-256."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    content = file.getvalue()
    if len(content) != _HEADER_BYTES + values.nbytes:
        raise ValueError(f"{case}: wanted a header of {_HEADER_BYTES} bytes, found {len(content) - values.nbytes}")
    (folder / f"{case}.npy").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read(folder: pathlib.Path, case: str) -> np.ndarray:
    """The image or mask that `write` wrote: (height, width). FileNotFoundError where there is none, DamagedFile where it is incomplete."""
    return storage.read_array(folder / f"{case}.npy", _FIX)


def smallest_lossless(image: np.ndarray) -> np.ndarray:
    """The same values as uint8 or int16 where they are whole numbers that fit, else as float32 (about 7 digits)."""
    for dtype in (np.uint8, np.int16):
        limits = np.iinfo(dtype)
        if limits.min <= image.min() and image.max() <= limits.max:
            small = image.astype(dtype)
            if (small == image).all():
                return small
    return image.astype(np.float32)


def read_cases(workspace: storage.Workspace, split: str) -> pd.DataFrame:
    """The rows of cases.csv for `split` ("train" or "test"), sorted by case. MissingResult where step 1 has not run or files are gone;
    DamagedFile where the table, or the size of a file, is not as step 1 wrote it.
    """
    table_file = workspace.preloaded_dataset / "cases.csv"
    storage.require(workspace.preloaded_dataset, "create_preloaded_dataset")
    storage.require(table_file, "create_preloaded_dataset")
    cases = storage.read_table(table_file, _FIX, _COLUMNS, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False)
    if fault := _table_fault(cases):
        raise storage.DamagedFile(f"{table_file}: {fault}. A spreadsheet program may have changed it. {_FIX}")
    cases = cases[cases["split"] == split].reset_index(drop=True)
    for case in cases.itertuples():
        pixels = case.height * case.width
        for kind, dtype in (("images", case.dtype), ("masks", "uint8")):
            _check_size(
                workspace.preloaded_dataset / f"{split} set" / kind / f"{case.case}.npy",
                pixels * np.dtype(dtype).itemsize,
            )
    return cases


def _table_fault(cases: pd.DataFrame) -> str:
    numbers = ("height", "width", "mask_px")
    tests = {
        "a split other than train and test": ~cases["split"].isin(("train", "test")),
        "a SHA-256 that is none": ~(cases["image_sha256"].map(_is_sha256) & cases["mask_sha256"].map(_is_sha256)),
        "a type of values that step 1 does not write": ~cases["dtype"].isin(("uint8", "int16", "float32")),
        "a size or mask_px that is no whole number": ~cases[[*numbers]]
        .map(lambda value: isinstance(value, int))
        .all(axis=1),
        "a case that occurs twice": cases["case"].duplicated(),
    }
    return next((f"row {wrong.idxmax() + 2} has {what}" for what, wrong in tests.items() if wrong.any()), "")


def _is_sha256(digest: object) -> bool:
    return bool(re.fullmatch("[0-9a-f]{64}", str(digest)))


def _check_size(file: pathlib.Path, bytes_of_values: int) -> None:
    storage.require(file, "create_preloaded_dataset")
    found, expected = file.stat().st_size, _HEADER_BYTES + bytes_of_values
    if found != expected:
        raise storage.DamagedFile(
            f"{file}: {found} bytes, expected {expected}: incomplete, or not the file that step 1 wrote. {_FIX}"
        )


def write_facts(folder: pathlib.Path, provenance: dict[str, Any]) -> None:
    """Writes down how the dataset in `folder` was made, as {name: value}: config.py may have other settings by the time it is judged."""
    (folder / _FACTS).write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


def read_facts(workspace: storage.Workspace) -> dict[str, Any]:
    """What `write_facts` wrote. MissingResult where it did not."""
    file = workspace.preloaded_dataset / _FACTS
    storage.require(file, "create_preloaded_dataset")
    return storage.read_json(file, _FIX, ("cases", "TEST_SHARE", "SEED", "MASK_SPECK_PX"))


def check_no_leakage(cases: pd.DataFrame, image_sha256: Sequence[str]) -> None:
    """DatasetError where one of the test `cases`, rows of cases.csv, is among the images that a model was trained on."""
    seen = cases["case"][cases["image_sha256"].isin(image_sha256)]
    if len(seen):
        raise storage.DatasetError(
            [
                f"{case}: in the test set, but the model was trained on it. Train the model anew on the present train set."
                for case in seen
            ]
        )


def read_train_cases(workspace: storage.Workspace, image_size: int, copy: str | None) -> pd.DataFrame:
    """The rows of cases.csv to train on, as `read_cases`. DatasetError where they are not of that size (the setting IMAGE_SIZE), or their files in
    `copy`, a copy of the train set where there is one (TRAIN_SET_LOCATION), are missing or others.
    """
    cases = read_cases(workspace, "train")
    other = sorted(set(cases["height"]) - {image_size})
    if other:
        raise storage.DatasetError(
            [
                f"The preloaded dataset's images have {other[0]} px, but IMAGE_SIZE in config.py is {image_size}. Change it back, or run step 1 again."
            ]
        )
    digests = {"images": "image_sha256", "masks": "mask_sha256"}
    faults = (
        [
            _copy_fault(f"{copy}/{kind}/{case.case}.npy", getattr(case, digest))
            for kind, digest in digests.items()
            for case in cases.itertuples()
        ]
        if copy
        else []
    )
    if any(faults):
        raise storage.DatasetError(list(filter(None, faults)))
    return cases


def _copy_fault(file: str, sha256: str) -> str:
    import tensorflow as tf

    if not tf.io.gfile.exists(file):
        return f"{file}: missing. Copy the train set anew, or change TRAIN_SET_LOCATION in config.py."
    same = hashlib.sha256(tf.io.gfile.GFile(file, "rb").read()).hexdigest() == sha256
    return "" if same else f"{file}: not what the preloaded dataset holds. Copy the train set anew."


def images(folder: pathlib.Path, cases: Sequence[str], image_size: int) -> "tf.data.Dataset":
    """The image of each case in the order given, float32 tensors (size, size, 1). `folder` is a set's, such as `test set`."""
    import tensorflow as tf  # Not above: step 1 and its worker processes need none of it.

    return tf.data.Dataset.from_tensor_slices(list(cases)).map(
        lambda case: _decode_image(f"{folder}/images", case, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )


def pairs(folder: pathlib.Path, cases: Sequence[str], image_size: int) -> "tf.data.Dataset":
    """The (image, mask) of each case in the order given, as tensors: float32 and uint8, both (size, size, 1). `folder` is a set's."""
    import tensorflow as tf

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
) -> "tf.data.Dataset":
    """An endless stream of (sample_seed, image, mask) that goes through all cases in a new order each time, from sample number `start` on.

    `sample_seed` is an int32 pair, different for each sample, to seed what happens to that sample. Sample number n is the same whoever asks,
    whatever was asked before, and however many threads decode: a training can be repeated, and a stopped one go on as if it had not been.
    `part` (i, n, batch): the i-th of n equal parts of each batch alone. `folder` may be any that TensorFlow reads, as "gs://bucket/train set".
    """
    import tensorflow as tf

    names = tf.constant(list(cases))
    index, parts, batch = part
    own = batch // parts

    def sample(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        number = start + count // own * batch + index * own + count % own
        rounds = tf.cast(number // len(cases), tf.int32)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(cases)), seed=[seed, rounds])
        sample_seed = tf.stack([seed, tf.cast(number, tf.int32)])
        return sample_seed, *_decode_pair(folder, names[order[number % len(cases)]], image_size)

    return tf.data.Dataset.counter().map(sample, num_parallel_calls=tf.data.AUTOTUNE)


def _decode_pair(folder: pathlib.Path | str, case: "tf.Tensor", image_size: int) -> "tuple[tf.Tensor, tf.Tensor]":
    return _decode_image(f"{folder}/images", case, image_size), _decode_mask(f"{folder}/masks", case, image_size)


def _decode_image(folder: str, case: "tf.Tensor", image_size: int) -> "tf.Tensor":
    import tensorflow as tf

    content = _content(folder, case)
    # The length tells which of the three types it is.
    bytes_per_pixel = tf.strings.length(content) // image_size**2
    flat = tf.switch_case(
        bytes_per_pixel // 2,
        [
            lambda dtype=dtype: tf.cast(tf.io.decode_raw(content, dtype), tf.float32)
            for dtype in (tf.uint8, tf.int16, tf.float32)
        ],
    )
    return tf.reshape(flat, (image_size, image_size, 1))


def _decode_mask(folder: str, case: "tf.Tensor", image_size: int) -> "tf.Tensor":
    import tensorflow as tf

    return tf.reshape(tf.io.decode_raw(_content(folder, case), tf.uint8), (image_size, image_size, 1))


def _content(folder: str, case: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.strings.substr(tf.io.read_file(tf.strings.join([f"{folder}/", case, ".npy"])), _HEADER_BYTES, -1)
