"""A network's weights as an HDF5 file in the layout of Keras 2.15, which Keras' own `Model.load_weights` reads, too.

A weights file may come from somebody else. HDF5 can refer to any file of its reader and declare more data than it holds
(CVE-2026-1669, CVE-2026-0897; Keras 2.15 checks neither). So no data are read before the file's structure is checked.
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
    # Made in memory: on a full disk HDF5 itself may crash, and some network disks lack the locks it asks for.
    with h5py.File.in_memory() as file:
        file.create_group("vars")  # Keras looks for it.
        for name, variable in _variables(network):
            file[name] = variable.numpy()
        file.flush()
        return file.id.get_file_image()


def load(network: keras.Model, file: pathlib.Path, fix: str) -> None:
    """Sets the network's weights to those in `file`, which this program or Keras has written.

    DamagedFile, ending with the sentence `fix`, where the file is damaged or unsafe, of another network, or not finite.
    """
    variables = dict(_variables(network))
    with _checked_layers(file, fix) as layers:
        found = {name: (layer.shape, layer.dtype) for name, layer in layers.items()}
        expected = {name: (tuple(value.shape), value.dtype.as_numpy_dtype) for name, value in variables.items()}
        if found != expected:
            name = min(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
            raise storage.DamagedFile(f"{file}: does not fit the network in hyperparameters.json ({name}). {fix}")
        values = {name: layer[()] for name, layer in layers.items()}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise storage.DamagedFile(f"{file}: some weights are NaN or infinite, so the network can't predict. {fix}")
    for name, variable in variables.items():
        variable.assign(values[name])


def check(file: pathlib.Path, fix: str) -> None:
    """DamagedFile where a file of weights, in any of Keras' HDF5 layouts, is damaged or unsafe. Reads no data."""
    with _checked_datasets(file, fix):
        pass


def checksum(file: pathlib.Path, fix: str) -> bytes:
    """The SHA-256 of all layers' names, shapes, types and values. DamagedFile as `load`.

    The file's own bytes depend on the order of writing, too, and Keras also stores what its metrics counted.
    """
    digest = hashlib.sha256()
    with _checked_layers(file, fix) as layers:
        for name, layer in sorted(layers.items()):
            digest.update(f"{name} {layer.shape} {layer.dtype.str} ".encode())
            digest.update(layer[()].tobytes())
    return digest.digest()


def _variables(network: keras.Model, path: str = "layers") -> Iterator[tuple[str, tf.Variable]]:
    """Each variable with its name in Keras' files, which follows from its layer's class and number."""
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
    """The datasets of the layers by name, not yet read. All others are ignored, but must be harmless, too."""
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
    ) as error:  # h5py's, for damage of any kind.
        raise storage.DamagedFile(f"{file}: not a complete weights file ({error}). {fix}") from error


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by name. ValueError for one that would be read from elsewhere or unpacked."""
    link = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if link is not None:
        raise ValueError(f"{link} is a link")
    datasets: dict[str, h5py.Dataset] = {}
    # Each object once, whatever the hard links: they may form a circle.
    file.visititems(lambda name, entry: datasets.update({name: entry} if isinstance(entry, h5py.Dataset) else {}))
    for name, dataset in datasets.items():
        if not _is_plain(dataset):
            raise ValueError(f"{name} is not an array stored in this file")
    return datasets


def _is_plain(dataset: h5py.Dataset) -> bool:
    # Numbers as they lie in this file: no references, no compression, nothing virtual, external or only declared.
    properties = dataset.id.get_create_plist()
    if properties.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or properties.get_external_count():
        return False
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        return False
    return dataset.id.get_storage_size() == math.prod(dataset.shape) * dataset.dtype.itemsize
