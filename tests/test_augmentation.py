"""Augmentation changes image and mask alike, and masks stay binary."""

import numpy as np
import pytest
import skimage.transform
import tensorflow as tf

from data import augmentation


@pytest.fixture
def pair():
    """An image that is 100 in an off-centre block and -1000 elsewhere, and the mask of the block."""
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[10:20, 30:50] = 1
    return tf.constant(np.where(mask, 100.0, -1000.0), tf.float32), tf.constant(mask)


def test_flip_mirrors_left_and_right(pair):
    image, mask = augmentation.flip(*pair)
    np.testing.assert_array_equal(mask, pair[1].numpy()[:, ::-1])
    np.testing.assert_array_equal(image, pair[0].numpy()[:, ::-1])


@pytest.mark.parametrize("degrees, turns", [(90, 1), (180, 2), (-90, -1), (0, 0)])
def test_rotations_by_right_angles_equal_those_of_numpy(pair, degrees, turns):
    image, mask = augmentation.transform(*pair, degrees)
    np.testing.assert_array_equal(mask, np.rot90(pair[1], turns))
    np.testing.assert_allclose(image, np.rot90(pair[0], turns), atol=0.1)


@pytest.mark.parametrize("degrees", [17.0, -33.0])
def test_rotations_by_other_angles_agree_with_scikit_image(pair, degrees):
    _, mask = augmentation.transform(*pair, degrees)
    oracle = skimage.transform.rotate(pair[1].numpy()[..., 0].astype(float), degrees, order=0)
    assert np.mean(mask.numpy()[..., 0] != oracle) < 0.002


def test_a_rotated_mask_stays_binary_and_aligned_with_its_image(pair):
    image, mask = augmentation.transform(*pair, 23.0)
    assert set(np.unique(mask)) == {0, 1}
    assert np.mean((image.numpy() > -450) != mask.numpy()) < 0.005


def test_corners_are_filled_with_the_minimum_of_the_image(pair):
    image, mask = augmentation.transform(*pair, 45.0)
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert [float(image[row, column, 0]) for row, column in corners] == [-1000.0] * 4
    assert [int(mask[row, column, 0]) for row, column in corners] == [0] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"degrees": 25.0},
        {"factors": (1.3, 0.8)},
        {"shear": 0.2},
        {"degrees": -40.0, "factors": (0.9, 1.4), "shear": -0.3},
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_transforms_move_a_point_as_geometry_predicts(changes, mirrored):
    row, column = 20, 41
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[row - 1 : row + 2, column - 1 : column + 2] = 1  # Sampling may miss a single pixel.
    pair = tf.constant(mask, tf.float32), tf.constant(mask)
    image, moved = augmentation.transform(*(augmentation.flip(*pair) if mirrored else pair), **changes)
    # The same transforms in order, applied to the offset of the point from the centre.
    right, below = column - 31.5, row - 31.5
    right = -right if mirrored else right
    right += changes.get("shear", 0.0) * below
    along_height, along_width = changes.get("factors", (1.0, 1.0))
    right, below = along_width * right, along_height * below
    angle = np.radians(changes.get("degrees", 0.0))
    right, below = np.cos(angle) * right + np.sin(angle) * below, np.cos(angle) * below - np.sin(angle) * right
    for result in (image.numpy()[..., 0], moved.numpy()[..., 0]):
        position = np.average(np.argwhere(result), axis=0, weights=result[result > 0])
        np.testing.assert_allclose(position, [below + 31.5, right + 31.5], atol=0.6)


@pytest.mark.parametrize("fill", ["constant", "reflect"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_with_and_without_tensorflow_addons_the_result_is_bit_identical(monkeypatch, fill, interpolation, dtype):
    pytest.importorskip("tensorflow_addons", reason="tensorflow-addons is not installed", exc_type=ImportError)
    random = np.random.default_rng(1)
    image = tf.constant(random.uniform(0, 255, (33, 48, 1)).astype(dtype))
    for _ in range(20):
        matrix = tf.constant([*(np.eye(2, 3) + random.normal(0, [0.3, 0.3, 9], (2, 3))).ravel(), 0, 0], tf.float32)
        with_addons = augmentation._resample(image, matrix, interpolation, fill, 3.0)
        with monkeypatch.context() as patch:
            patch.setattr(augmentation, "tfa", None)
            without = augmentation._resample(image, matrix, interpolation, fill, 3.0)
        assert without.dtype == with_addons.dtype
        np.testing.assert_array_equal(without, with_addons)


def test_reflected_edges_agree_in_image_and_mask():
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[:30] = 1
    image, moved = augmentation.transform(
        tf.constant(100.0 * mask, tf.float32), tf.constant(mask), factors=(0.5, 0.5), fill="reflect"
    )
    assert moved.numpy()[2].all()
    assert moved.numpy()[25].all()
    assert np.mean((image.numpy() > 50) != moved.numpy()) < 0.02


@pytest.mark.parametrize(
    "window, expected", [((-200.0, 200.0), [-200, -100, 200]), (None, [-1000, -1000 + 1400 * (900 / 1400) ** 2, 400])]
)
def test_gamma_changes_the_values_within_the_window(window, expected):
    image = augmentation.gamma(tf.constant([[[-1000.0]], [[0.0 if window else -100.0]], [[400.0]]]), 2.0, window)
    np.testing.assert_allclose(image.numpy().ravel(), expected, rtol=1e-5)


def test_gamma_does_not_change_a_constant_image():
    assert augmentation.gamma(tf.fill((4, 4, 1), 7.0), 1.3).numpy().tolist() == np.full((4, 4, 1), 7.0).tolist()


def augmented_pairs(pair, count, **keywords):
    ranges = augmentation.Augmentation(**{"horizontal_flip": True, "max_degrees": 20.0, "noise_sd": 5.0} | keywords)
    return [augmentation.augment(tf.constant([3, number]), *pair, ranges) for number in range(count)]


def test_the_seed_determines_the_augmentation(pair):
    first, again = augmented_pairs(pair, 3), augmented_pairs(pair, 3)
    for (image, mask), (image_again, mask_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(mask, mask_again)
    assert not np.array_equal(first[0][0], first[1][0])


@pytest.mark.parametrize("window", [(-1000.0, 100.0), None])
def test_augmented_pairs_stay_aligned(pair, window):
    for image, mask in augmented_pairs(pair, 20, max_log_scale=0.3, max_log_gamma=0.3, window=window):
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.dtype == tf.uint8
        assert (
            np.mean((image.numpy() > -450) != mask.numpy()) < 0.004
        )  # 16 px; a mask shifted by 1 px differs in 20 more.


def test_half_of_the_images_are_flipped_and_angles_stay_within_their_limit(pair):
    flipped = sum(not np.array_equal(mask, pair[1]) for _, mask in augmented_pairs(pair, 60, max_degrees=0, noise_sd=0))
    assert 18 <= flipped <= 42
    left = tf.cast(tf.reshape(tf.range(64) < 32, (1, 64, 1)), tf.uint8) * tf.ones((64, 1, 1), tf.uint8)
    for _, mask in augmented_pairs((tf.cast(left, tf.float32), left), 20, horizontal_flip=False, max_degrees=10.0):
        top, bottom = mask.numpy()[8].sum(dtype=int), mask.numpy()[55].sum(dtype=int)
        assert abs(np.degrees(np.arctan2(top - bottom, 47))) < 12


def test_sizes_stay_within_max_log_scale(pair):
    sizes = [
        np.count_nonzero(mask) / 200
        for _, mask in augmented_pairs(pair, 30, horizontal_flip=False, max_degrees=0, noise_sd=0, max_log_scale=0.2)
    ]
    # Both sides scale by up to exp(0.2). A stretch keeps the area.
    assert 0.9 * np.exp(-0.4) < min(sizes) < 0.85
    assert 1.15 < max(sizes) < 1.1 * np.exp(0.4)


def test_noise_has_the_given_sd_and_does_not_change_the_mask(pair):
    ((image, mask),) = augmented_pairs(pair, 1, horizontal_flip=False, max_degrees=0, noise_sd=12.0)
    noise = image.numpy() - pair[0].numpy()
    assert abs(noise.std() - 12) < 0.6
    assert abs(noise.mean()) < 0.6
    np.testing.assert_array_equal(mask, pair[1])


def test_each_augmentation_is_applied_independently_with_its_probability(pair):
    changes = {"max_degrees": 20.0, "noise_sd": 5.0, "max_log_gamma": 0.3, "max_log_scale": 0.2}
    kinds = ({"max_log_gamma": 0.3}, {"noise_sd": 5.0}, {"max_degrees": 20.0, "max_log_scale": 0.2})
    changed = [
        [
            not np.array_equal(image, pair[0])
            for image, _ in augmented_pairs(
                pair,
                80,
                **(dict.fromkeys(changes, 0) | kind),
                window=(-1100.0, 200.0),
                horizontal_flip=False,
                probability=0.25,
            )
        ]
        for kind in kinds
    ]
    assert all(10 <= sum(each) <= 32 for each in changed)
    assert len({tuple(each) for each in changed}) == 3


def test_with_probability_0_images_are_only_flipped(pair):
    seen = [
        image.numpy() for image, _ in augmented_pairs(pair, 20, max_log_scale=0.3, max_log_gamma=0.3, probability=0.0)
    ]
    flipped = [np.array_equal(image, pair[0].numpy()[:, ::-1]) for image in seen]
    assert all(flip or np.array_equal(image, pair[0]) for image, flip in zip(seen, flipped, strict=True))
    assert 2 <= sum(flipped) <= 18


def test_without_augmentation_the_pair_is_returned_unchanged(pair):
    ((image, mask),) = augmented_pairs(pair, 1, horizontal_flip=False, max_degrees=0, noise_sd=0)
    assert image is pair[0]
    assert mask is pair[1]
