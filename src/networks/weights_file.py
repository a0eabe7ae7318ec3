"""A network's weights as an HDF5 file in the layout of Keras 2.15, which Keras' `Model.load_weights` also reads.

A weights file may come from someone else. HDF5 can refer to other files of its reader and declare more data than it has
(CVE-2026-1669, CVE-2026-0897; Keras 2.15 checks neither): the structure is checked before any data are read.
"""

import collections
import contextlib
import hashlib
import math
import pathlib
import re
from collections.abc import Iterator

import h5py
import numpy as np
import tensorflow as tf
from tensorflow import keras

import storage
from storage import readers


def to_bytes(network: keras.Model) -> bytes:
    """The content of a weights file."""
    # In memory: HDF5 may crash on a full disk, and some network file systems lack the locks it requests.
    with h5py.File.in_memory() as file:
        file.create_group("vars")  # Keras expects it.
        for name, variable in _variables(network):
            file[name] = variable.numpy()
        file.flush()
        return file.id.get_file_image()


def load(network: keras.Model, file: pathlib.Path, fix: str) -> None:
    """Loads the weights in `file`, written by this program or by Keras, into the network.

    DamagedFile, which ends with the sentence `fix`, if the file is damaged, unsafe, of another network, or not finite.
    """
    variables = dict(_variables(network))
    with _checked_layers(file, fix) as layers:
        stored = {name: (layer.shape, layer.dtype) for name, layer in layers.items()}
        expected = {name: (tuple(value.shape), value.dtype.as_numpy_dtype) for name, value in variables.items()}
        if stored != expected:
            name = min(name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name))
            raise storage.DamagedFile(f"{file}: does not fit the network in hyperparameters.json ({name}). {fix}")
        values = {name: layer[()] for name, layer in layers.items()}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise storage.DamagedFile(f"{file}: some weights are NaN or infinite, so the network can't predict. {fix}")
    for name, variable in variables.items():
        variable.assign(values[name])


def check(file: pathlib.Path, fix: str) -> None:
    """DamagedFile if a weights file, in any of Keras' HDF5 layouts, is damaged or unsafe. Reads no data."""
    with _checked_datasets(file, fix):
        pass


def checksum(file: pathlib.Path, fix: str) -> bytes:
    """The SHA-256 of all layers' names, shapes, dtypes and values. DamagedFile as `load`.

    The bytes of the file also depend on the order of writing, and Keras also stores the state of its metrics.
    """
    digest = hashlib.sha256()
    with _checked_layers(file, fix) as layers:
        for name, layer in sorted(layers.items()):
            digest.update(f"{name} {layer.shape} {layer.dtype.str} ".encode())
            digest.update(layer[()].tobytes())
    return digest.digest()


def _variables(network: keras.Model, path: str = "layers") -> Iterator[tuple[str, tf.Variable]]:
    """Each variable with its name in Keras' files, which depends on the class and number of its layer."""
    counts: collections.Counter[str] = collections.Counter()
    for layer in network.layers:
        kind = _snake_case(type(layer).__name__)
        name = f"{path}/{kind}_{counts[kind]}" if counts[kind] else f"{path}/{kind}"
        counts[kind] += 1
        if isinstance(layer, keras.Model):
            yield from _variables(layer, f"{name}/layers")
        else:
            yield from ((f"{name}/vars/{number}", variable) for number, variable in enumerate(layer.weights))


def _snake_case(name: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


@contextlib.contextmanager
def _checked_layers(file: pathlib.Path, fix: str) -> Iterator[dict[str, h5py.Dataset]]:
    """The datasets of the layers by name, not yet read. All others are ignored, but must be safe, too."""
    with _checked_datasets(file, fix) as datasets:
        portable = {
            name.replace("\\", "/"): dataset for name, dataset in datasets.items()
        }  # Keras on Windows: layers\\conv2d
        yield {name: dataset for name, dataset in portable.items() if name.startswith("layers/")}


@contextlib.contextmanager
def _checked_datasets(file: pathlib.Path, fix: str) -> Iterator[dict[str, h5py.Dataset]]:
    content = readers.read_content(file, fix)
    try:
        with h5py.File.in_memory(content) as opened:
            datasets = _datasets(opened)
            if sum(dataset.nbytes for dataset in datasets.values()) > len(content):
                raise ValueError("it declares more data than it has bytes")
            yield datasets
    except (
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        SystemError,
    ) as error:  # From h5py, for any damage.
        raise storage.DamagedFile(f"{file}: not a complete weights file ({error}). {fix}") from error


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by name. ValueError for one that is stored elsewhere or compressed."""
    link = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if link is not None:
        raise ValueError(f"{link} is a link")
    datasets: dict[str, h5py.Dataset] = {}
    # Visits each object once: hard links may form a circle.
    file.visititems(lambda name, entry: datasets.update({name: entry} if isinstance(entry, h5py.Dataset) else {}))
    for name, dataset in datasets.items():
        if not _is_plain(dataset):
            raise ValueError(f"{name} is not an array stored in this file")
    return datasets


def _is_plain(dataset: h5py.Dataset) -> bool:
    # Plain numbers in this file: no references, compression, virtual, external or undeclared data.
    properties = dataset.id.get_create_plist()
    if properties.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or properties.get_external_count():
        return False
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        return False
    return dataset.id.get_storage_size() == math.prod(dataset.shape) * dataset.dtype.itemsize
