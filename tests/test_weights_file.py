"""Weights files equal those of Keras. Damaged and harmful files are rejected before any data are read."""

import errno
import pathlib

import h5py
import numpy as np
import pytest

import networks
import storage
from networks import objectives, weights_file

FIX = "Fetch it again."


def build(architecture="unet", filters=2):
    return networks.build(architecture, 32, filters, 4, None)


def random_weights(network):
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.01, 0.1, weights.shape) for weights in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def network():
    return random_weights(build())


@pytest.fixture
def file(tmp_path, network):
    written = tmp_path / "weights.weights.h5"
    written.write_bytes(weights_file.to_bytes(network))
    return written


def arrays(file):
    found = {}
    with h5py.File(file, "r") as opened:
        opened.visititems(
            lambda name, entry: found.update({name: entry[()]} if isinstance(entry, h5py.Dataset) else {})
        )
    return found


def assert_equal(network, other):
    for one, another in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_the_file_equals_that_of_keras_and_each_reads_that_of_the_other(tmp_path, architecture):
    network, ours, theirs = (
        random_weights(build(architecture)),
        tmp_path / "ours.weights.h5",
        tmp_path / "theirs.weights.h5",
    )
    network.compile("adam", objectives.LOSSES["binary_crossentropy"], [objectives.Dice()])
    network.evaluate(np.zeros((1, 32, 32, 1), np.float32), np.zeros((1, 32, 32, 1), np.uint8), verbose=0)
    ours.write_bytes(weights_file.to_bytes(network))
    network.save_weights(theirs)
    # Keras also writes the optimizer's step and what the metrics have counted.
    expected = {name: array for name, array in arrays(theirs).items() if name.startswith("layers/")}
    written = arrays(ours)
    assert written.keys() == expected.keys()
    assert len(arrays(theirs)) > len(expected)
    for name, array in written.items():
        np.testing.assert_array_equal(array, expected[name])
    assert weights_file.checksum(ours, FIX) == weights_file.checksum(theirs, FIX)
    read_by_keras, read_by_us = build(architecture), build(architecture)
    read_by_keras.load_weights(ours)
    weights_file.load(read_by_us, theirs, FIX)
    assert_equal(network, read_by_keras)
    assert_equal(network, read_by_us)


def test_the_checksum_depends_only_on_the_weights(tmp_path, file):
    other = tmp_path / "other.h5"
    content = arrays(file)
    with h5py.File(other, "w", track_order=True) as opened:
        for name in sorted(content, reverse=True):
            opened[name] = content[name]
    assert other.read_bytes() != file.read_bytes()
    assert weights_file.checksum(other, FIX) == weights_file.checksum(file, FIX)
    with h5py.File(other, "r+") as opened:
        opened["layers/conv2d/vars/0"][0, 0, 0, 0] += 1e-6
    assert weights_file.checksum(other, FIX) != weights_file.checksum(file, FIX)


def test_a_file_that_keras_wrote_on_windows_is_read(tmp_path, network, file):
    # There the layers' names contain backslashes.
    other = tmp_path / "windows.h5"
    with h5py.File(other, "w") as opened:
        for name, array in arrays(file).items():
            folder, layer, *rest = name.split("/")
            opened["/".join([f"{folder}\\{layer}", *rest])] = array
    read = build()
    weights_file.load(read, other, FIX)
    assert_equal(network, read)
    assert weights_file.checksum(other, FIX) == weights_file.checksum(file, FIX)


def test_a_full_disk_is_an_error_of_the_operating_system(network):
    full = pathlib.Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no full device")
    with pytest.raises(OSError) as caught:
        full.write_bytes(weights_file.to_bytes(network))
    assert caught.value.errno == errno.ENOSPC


# --- Harmful files ---

NAME = "layers/conv2d/vars/0"


def replaced(make):
    """Returns a change that replaces one dataset by what `make` writes.

    `make` gets the opened file, the array and the path of a secret file.
    """

    def change(opened, secret):
        array = opened[NAME][()]
        del opened[NAME]
        make(opened, array, secret)

    return change


def external_storage(opened, array, secret):
    opened.create_dataset(NAME, array.shape, array.dtype, external=[(str(secret), 0, array.nbytes)])


def external_link(opened, array, secret):
    opened[NAME] = h5py.ExternalLink(str(secret), "data")


def soft_link(opened, array, secret):
    opened["layers/other"] = array
    opened[NAME] = h5py.SoftLink("/layers/other")


def virtual(opened, array, secret):
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    layout[:] = h5py.VirtualSource(str(secret), "data", array.shape)
    opened.create_virtual_dataset(NAME, layout)


def compressed(opened, array, secret):
    opened.create_dataset(NAME, data=array, compression="gzip")


def object_references(opened, array, secret):
    opened[NAME] = np.full(array.shape, opened["vars"].ref, h5py.ref_dtype)


def texts(opened, array, secret):
    opened[NAME] = np.full(array.shape, "text", h5py.string_dtype())


def opaque(opened, array, secret):
    opened[NAME] = np.zeros(array.shape, "V4")


def whole_numbers(opened, array, secret):
    opened[NAME] = array.astype(np.int32)


def another_shape(opened, array, secret):
    opened[NAME] = array[..., None]


def nothing(opened, array, secret):
    pass


def empty(opened, array, secret):
    opened[NAME] = h5py.Empty(np.float32)


def one_more(opened, array, secret):
    opened[NAME] = array
    opened["layers/other/vars/0"] = array


def declared_only(opened, secret):
    # A few bytes that declare 40 GB, at a path that the network does not read.
    opened.create_dataset("metrics/vars/0", (10**10,), np.float32)


def compressed_zeros(opened, secret):
    opened.create_dataset("metrics/vars/0", (10**10,), np.float32, chunks=(10**6,), compression="gzip")


def shared_storage(opened, secret):
    for number in range(20):
        opened[f"layers/other {number}"] = opened[NAME]


def circle(opened, secret):
    opened["layers/conv2d/circle"] = opened["layers"]


REPLACEMENTS = (
    external_storage,
    external_link,
    soft_link,
    virtual,
    compressed,
    object_references,
    texts,
    opaque,
    whole_numbers,
)
CHANGES = [*map(replaced, (*REPLACEMENTS, another_shape, nothing, empty, one_more)), declared_only, compressed_zeros]
NAMES = [
    make.__name__ for make in (*REPLACEMENTS, another_shape, nothing, empty, one_more, declared_only, compressed_zeros)
]


@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
def test_anything_but_a_plain_array_of_the_expected_shape_is_refused(tmp_path, file, change):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as opened:
        opened["data"] = np.full(arrays(file)[NAME].shape, 7, np.float32)
    with h5py.File(file, "r+") as opened:
        change(opened, secret)
    other = build()
    before = other.get_weights()
    with pytest.raises(storage.DamagedFile, match=FIX) as caught:
        weights_file.load(other, file, FIX)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    for weights, former in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, former)


@pytest.mark.parametrize("change", [external_storage, external_link, virtual, compressed, texts])
def test_the_checksum_reads_no_other_file(tmp_path, file, change):
    (tmp_path / "secret.h5").write_bytes(file.read_bytes())
    with h5py.File(file, "r+") as opened:
        replaced(change)(opened, tmp_path / "secret.h5")
    with pytest.raises(storage.DamagedFile, match="is a link|not an array stored in this file"):
        weights_file.checksum(file, FIX)


@pytest.mark.parametrize("change", [shared_storage, circle])
def test_repeated_and_circular_hard_links_are_read_once(tmp_path, file, change):
    with h5py.File(file, "r+") as opened:
        change(opened, None)
    expected = arrays(file)  # Each object once.
    assert len(expected) < 100
    assert weights_file.checksum(file, FIX)


def test_non_finite_weights_are_refused(tmp_path):
    network = build()
    for value in (np.nan, np.inf):
        bias = network.get_layer("pixel_logits").bias
        bias.assign(np.full(bias.shape, value))
        (tmp_path / "broken.h5").write_bytes(weights_file.to_bytes(network))
        with pytest.raises(storage.DamagedFile, match=f"weights are NaN or infinite.*{FIX}"):
            weights_file.load(build(), tmp_path / "broken.h5", FIX)


DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "empty": lambda content: b"",
    "a Git LFS pointer": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a text": lambda content: b"<html>404</html>",
    "of another network": lambda content: weights_file.to_bytes(build(filters=4)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_reported_with_its_fix(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(storage.DamagedFile, match=FIX) as caught:
        weights_file.load(build(), file, FIX)
    assert str(caught.value).startswith(f"{file}: ")
