"""Phantoms are reproducible, have the intensities of CT, and can't be segmented by a threshold."""

import numpy as np
import pytest

from conftest import files
from data import csv_array, phantoms

SIDE = 128


@pytest.fixture(scope="module")
def thirty():
    """Images and masks of thirty patients, (30, SIDE, SIDE) each."""
    return tuple(np.stack(arrays) for arrays in zip(*(phantoms.draw(seed, SIDE) for seed in range(30)), strict=True))


def dice(first, second):
    return 2 * np.sum((first == 1) & (second == 1)) / (first.sum() + second.sum())


def test_the_seed_determines_the_slice():
    first, again, other = phantoms.draw(3, 64), phantoms.draw(3, 64), phantoms.draw(4, 64)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("size", [64, 96, 512])
def test_types_shapes_and_values(size):
    image, mask = phantoms.draw(1, size)
    assert (image.dtype, mask.dtype, image.shape, mask.shape) == (np.int16, np.uint8, (size, size), (size, size))
    assert set(np.unique(mask)) == {0, 1}
    assert -1024 <= image.min() < -950
    assert 200 < image.max() <= 3071


# Small images have a larger proportion of pixels on an edge.
@pytest.mark.parametrize(("size", "min_dice"), [(256, 0.92), (128, 0.9), (64, 0.84)])
@pytest.mark.parametrize("seed", [0, 5])
def test_a_seed_is_the_same_patient_at_every_size(seed, size, min_dice):
    (large_image, large_mask), (image, mask), step = phantoms.draw(seed), phantoms.draw(seed, size), 512 // size
    assert dice(large_mask[step // 2 :: step, step // 2 :: step], mask) > min_dice
    shrunk = large_image.reshape(size, step, size, step).mean(axis=(1, 3))
    assert np.median(np.abs(shrunk - image)) < 15
    assert (
        dice(large_mask, phantoms.draw(seed + 1)[1]) < 0.8
    )  # Another patient: the bound above distinguishes patients.


def test_muscle_covers_a_plausible_share_that_differs_between_patients(thirty):
    shares = thirty[1].mean(axis=(1, 2))
    assert 0.05 < shares.min()
    assert shares.max() < 0.14
    assert shares.max() > 1.5 * shares.min()


def test_left_and_right_have_similar_muscle_but_are_not_mirror_images(thirty):
    for mask in thirty[1]:
        middle = round(np.nonzero(mask)[1].mean())  # The patient may lie off centre.
        assert 0.44 < mask[:, :middle].sum() / mask.sum() < 0.56
        assert dice(mask, mask[:, ::-1]) < 0.95


def test_tissues_have_their_hounsfield_units(thirty):
    for image, mask in zip(*thirty, strict=True):
        assert 25 < np.median(image[mask == 1]) < 75
        assert np.mean(image[mask == 1] < -60) < 0.03  # Streaks of fat are not in the mask.
        assert abs(np.median(image[:6]) + 1000) < 15  # air above the patient
        assert 0.05 < np.mean((image > -150) & (image < -60)) < 0.5  # fat
        assert 0.002 < np.mean(image > 200) < 0.06  # bone and contrast-enhanced vessels


def test_noise_is_correlated_between_neighbours_in_air_too():
    air = phantoms.draw(2)[0][:30].astype(float)
    assert 4 < air.std() < 25
    assert 0.3 < np.corrcoef(air[:, 1:].ravel(), air[:, :-1].ravel())[0, 1] < 0.95
    assert abs(np.corrcoef(air[:, 20:].ravel(), air[:, :-20].ravel())[0, 1]) < 0.1


def test_no_threshold_segments_the_muscle(thirty):
    images, masks = thirty
    windows = [(low, high) for low in range(-60, 70, 10) for high in range(low + 20, 170, 10)]
    best = max(dice((images >= low) & (images <= high), masks) for low, high in windows)
    assert 0.5 < best < 0.8  # As in real slices, organs, blood and bowel have the same intensities.


@pytest.mark.parametrize("size", [0, -32, 100])
def test_a_size_that_is_not_a_multiple_of_32_is_an_error(size):
    with pytest.raises(ValueError, match=f"a multiple of 32, found {size}"):
        phantoms.draw(1, size)


def test_a_written_dataset_can_be_read(tmp_path):
    phantoms.write_original_dataset(tmp_path / "new", 2, 64, seed=8)
    assert list(files(tmp_path / "new")) == [
        f"{kind}/phantom_00{number}.csv" for kind in ("images", "masks") for number in (0, 1)
    ]
    for number in (0, 1):
        for kind, values in zip(("images", "masks"), phantoms.draw(8 + number, 64), strict=True):
            np.testing.assert_array_equal(csv_array.read(tmp_path / "new" / kind / f"phantom_00{number}.csv"), values)


def test_an_existing_folder_is_not_changed(tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    with pytest.raises(FileExistsError, match="into a new folder only"):
        phantoms.write_original_dataset(tmp_path, 1, 64)
    assert files(tmp_path) == {"mine.csv": b"1"}


def test_a_dataset_that_fails_halfway_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def full_disk(path, values):
        written.append(path)
        if len(written) == 3:
            raise OSError("No space left on device")
        path.write_text("1")

    monkeypatch.setattr(csv_array, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        phantoms.write_original_dataset(tmp_path / "new", 2, 64)
    assert list(tmp_path.iterdir()) == []
