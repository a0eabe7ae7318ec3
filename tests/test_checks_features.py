"""The features of a case agree with plain definitions."""

import pickle

import numpy as np
import pytest
import scipy.ndimage
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from conftest import mask_from_text
from data import checks, phantoms
from data.checks import mask_fit
from data.checks.orientations import FIXES, ORIENTATIONS, oriented


@pytest.fixture(scope="module")
def pair():
    """An image and its mask."""
    return phantoms.draw(1, 128)


def test_orientations_are_those_of_a_square_and_named_rightly():
    array = np.arange(9).reshape(3, 3)
    assert len({each.tobytes() for each in oriented(array)}) == 8
    expected = {
        "rotated by 90 degrees counterclockwise": np.rot90(array),
        "rotated by 90 degrees clockwise": np.rot90(array, -1),
        "transposed and rotated by 180 degrees": np.rot90(array.T, 2),
        "mirrored left to right": np.fliplr(array),
        "mirrored top to bottom": np.flipud(array),
    }
    for name, turned in expected.items():
        np.testing.assert_array_equal(ORIENTATIONS[name](array), turned)
    assert list(FIXES) == list(ORIENTATIONS)[1:]


def test_a_reduced_array_has_the_means_of_its_blocks():
    array = np.random.default_rng(0).integers(-1000, 1000, (37, 37)).astype(np.int16)
    expected = array[:36, :36].reshape(12, 3, 12, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(mask_fit.reduced(array, 12), expected, rtol=1e-5)
    np.testing.assert_array_equal(mask_fit.reduced(array, 30), array)


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_a_grown_mask_is_the_dilation_by_a_square(seed, width):
    mask = np.random.default_rng(seed).random((20, 20)) > 0.97
    square = np.ones((2 * width + 1, 2 * width + 1))
    np.testing.assert_array_equal(mask_fit.grown(mask, width), scipy.ndimage.binary_dilation(mask, square))


def test_the_band_lies_on_both_sides_of_the_outline():
    mask = mask_from_text("..... ..... ..### ..### ..###").astype(bool)
    np.testing.assert_array_equal(mask_fit.band(mask, 1), mask_from_text("..... .#### .#### .##.. .##..").astype(bool))


def test_ranks_are_equally_frequent_and_equal_for_equal_values():
    values = np.random.default_rng(0).permutation(1600).reshape(40, 40)
    np.testing.assert_allclose(np.bincount(mask_fit.ranks(values).ravel()), 100, atol=1)
    assert len(set(mask_fit.ranks(np.where(values < 1200, -1000, values))[values < 1200])) == 1


def test_the_fit_is_the_normalized_mutual_information():
    random = np.random.default_rng(0)
    inside = random.random(5000) < 0.3
    rank = np.clip(random.integers(0, 16, 5000) + 4 * inside, 0, 15).astype(np.uint8)
    information = sklearn.metrics.mutual_info_score(inside, rank)
    entropy = sklearn.metrics.mutual_info_score(inside, inside)
    assert mask_fit.fit(rank, inside) == pytest.approx((information - 15 / 10000) / entropy)


def test_the_fit_of_extreme_values():
    inside = np.arange(3200) % 2 == 0
    assert mask_fit.fit(np.where(inside, 3, 9).astype(np.uint8), inside) == pytest.approx(1, abs=0.001)
    assert mask_fit.fit((np.arange(3200) // 2 % 16).astype(np.uint8), inside) == pytest.approx(0, abs=0.01)
    assert np.isnan(mask_fit.fit(np.zeros(10, np.uint8), inside[:10]))
    assert np.isnan(mask_fit.fit(np.zeros(99, np.uint8), np.ones(99, bool)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_best_orientation_names_what_was_done_to_the_mask(pair, orientation):
    image, mask = pair
    fits = checks.describe(image, ORIENTATIONS[orientation](mask)).fits
    assert list(ORIENTATIONS)[fits.argmax()] == orientation
    assert fits.max() == pytest.approx(checks.describe(image, mask).fits[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("side", [64, 65])
def test_the_image_hash_ignores_orientation_and_offset_only(dtype, side):
    image = np.random.default_rng(0).integers(5, 200, (side, side)).astype(dtype)
    mask = np.zeros((side, side), np.uint8)
    expected = checks.describe(image, mask).image_hash
    assert {checks.describe(each + dtype(3), mask).image_hash for each in oriented(image)} == {expected}
    other = image.copy()
    other[10, 7] += 1
    assert checks.describe(other, mask).image_hash != expected


def test_images_with_equal_quadrants_have_one_hash():
    image = np.zeros((64, 64), np.int16)
    image[3, 5] = image[3, 40] = image[40, 5] = image[40, 40] = 1
    assert len({checks.describe(each, np.zeros_like(each)).image_hash for each in oriented(image)}) == 1


def test_dtype_and_extreme_values_do_not_change_the_image_hash():
    image = np.random.default_rng(0).integers(0, 250, (64, 64)).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    hashes = {checks.describe(image.astype(np.int16) + np.int16(low), mask).image_hash for low in (0, -32768)}
    assert hashes == {checks.describe(image, mask).image_hash}


def test_values_of_masks(pair):
    image, mask = pair
    found = checks.describe(image, mask)
    assert found.mask_px == mask.sum()
    assert found.median_within_mask == pytest.approx(np.median(image[mask == 1]), abs=3)
    assert found.mask_hash != checks.describe(image, mask.T).mask_hash
    for same in (np.zeros_like(mask), np.ones_like(mask)):
        assert checks.describe(image, same).mask_hash == ""
        assert np.isnan(checks.describe(image, same).fits).all()
    assert np.isnan(checks.describe(image, np.zeros_like(mask)).median_within_mask)


def test_features_are_small_and_can_be_sent_to_another_process(pair):
    found = checks.describe(*(np.kron(array, np.ones((4, 4), array.dtype)) for array in pair))
    assert len(pickle.dumps(found)) < 20_000
    assert pickle.loads(pickle.dumps(found)).image_hash == found.image_hash


@pytest.mark.parametrize("shapes", [((8, 8), (8, 9)), ((8, 9), (8, 9)), ((8,), (8,)), ((8, 8, 1), (8, 8, 1))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="square"):
        checks.describe(*map(np.zeros, shapes))


def test_a_single_pixel_and_a_tiny_image_are_described(pair):
    mask = np.zeros((128, 128), np.uint8)
    mask[5, 5] = 1
    assert checks.describe(pair[0], mask).median_within_mask == pair[0][5, 5]
    for side in (1, 2, 5):
        tiny = np.arange(side * side).reshape(side, side)
        assert checks.describe(tiny, (tiny > 1).astype(np.uint8)).mask_px == max(side * side - 2, 0)
