"""Image and mask are always changed alike, and the mask stays 0 and 1."""

import numpy as np
import pytest
import skimage.transform
import tensorflow as tf

from data import augmentation


@pytest.fixture
def pair():
    """A mask of one block off the centre, and an image that is 100 there and -1000 elsewhere."""
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[10:20, 30:50] = 1
    return tf.constant(np.where(mask, 100.0, -1000.0), tf.float32), tf.constant(mask)


def test_flip_is_its_own_undoing_and_left_for_right(pair):
    image, mask = augmentation.flip(*pair)
    np.testing.assert_array_equal(mask, pair[1].numpy()[:, ::-1])
    np.testing.assert_array_equal(image, pair[0].numpy()[:, ::-1])


@pytest.mark.parametrize("degrees, turns", [(90, 1), (180, 2), (-90, -1), (0, 0)])
def test_right_angles_move_every_pixel_where_numpy_does(pair, degrees, turns):
    image, mask = augmentation.transform(*pair, degrees)
    np.testing.assert_array_equal(mask, np.rot90(pair[1], turns))
    np.testing.assert_allclose(image, np.rot90(pair[0], turns), atol=0.1)


@pytest.mark.parametrize("degrees", [17.0, -33.0])
def test_other_angles_are_degrees_and_agree_with_scikit_image(pair, degrees):
    _, mask = augmentation.transform(*pair, degrees)
    oracle = skimage.transform.rotate(pair[1].numpy()[..., 0].astype(float), degrees, order=0)
    assert np.mean(mask.numpy()[..., 0] != oracle) < 0.002


def test_a_rotated_mask_stays_0_and_1_and_lies_on_its_image(pair):
    image, mask = augmentation.transform(*pair, 23.0)
    assert set(np.unique(mask)) == {0, 1}
    assert np.mean((image.numpy() > -450) != mask.numpy()) < 0.005


def test_the_corners_are_filled_with_the_image_s_minimum(pair):
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
def test_a_marked_pixel_arrives_where_geometry_says(changes, mirrored):
    row, column = 20, 41
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[row - 1 : row + 2, column - 1 : column + 2] = 1  # A pixel alone may fall between the nearest ones.
    pair = tf.constant(mask, tf.float32), tf.constant(mask)
    image, moved = augmentation.transform(*(augmentation.flip(*pair) if mirrored else pair), **changes)
    # One thing after the other, on the point's place to the right of the centre and below it.
    right, below = column - 31.5, row - 31.5
    right = -right if mirrored else right
    right += changes.get("shear", 0.0) * below
    along_height, along_width = changes.get("factors", (1.0, 1.0))
    right, below = along_width * right, along_height * below
    angle = np.radians(changes.get("degrees", 0.0))
    right, below = np.cos(angle) * right + np.sin(angle) * below, np.cos(angle) * below - np.sin(angle) * right
    for arrived in (image.numpy()[..., 0], moved.numpy()[..., 0]):
        found = np.average(np.argwhere(arrived), axis=0, weights=arrived[arrived > 0])
        np.testing.assert_allclose(found, [below + 31.5, right + 31.5], atol=0.6)


def test_reflected_edges_are_alike_in_image_and_mask():
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[:30] = 1
    image, moved = augmentation.transform(
        tf.constant(100.0 * mask, tf.float32), tf.constant(mask), factors=(0.5, 0.5), fill="reflect"
    )
    assert moved.numpy()[2].all()
    assert moved.numpy()[25].all()
    assert np.mean((image.numpy() > 50) != moved.numpy()) < 0.02


@pytest.mark.parametrize(
    "window, wanted", [((-200.0, 200.0), [-200, -100, 200]), (None, [-1000, -1000 + 1400 * (900 / 1400) ** 2, 400])]
)
def test_gamma_bends_the_values_within_the_window(window, wanted):
    image = augmentation.gamma(tf.constant([[[-1000.0]], [[0.0 if window else -100.0]], [[400.0]]]), 2.0, window)
    np.testing.assert_allclose(image.numpy().ravel(), wanted, rtol=1e-5)


def test_gamma_of_a_constant_image_is_that_image():
    assert augmentation.gamma(tf.fill((4, 4, 1), 7.0), 1.3).numpy().tolist() == np.full((4, 4, 1), 7.0).tolist()


def versions(pair, count, **keywords):
    ranges = augmentation.Augmentation(**{"horizontal_flip": True, "max_degrees": 20.0, "noise_sd": 5.0} | keywords)
    return [augmentation.augment(tf.constant([3, number]), *pair, ranges) for number in range(count)]


def test_the_seed_determines_the_augmentation(pair):
    first, again = versions(pair, 3), versions(pair, 3)
    for (image, mask), (image_again, mask_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(mask, mask_again)
    assert not np.array_equal(first[0][0], first[1][0])


@pytest.mark.parametrize("window", [(-1000.0, 100.0), None])
def test_random_versions_stay_aligned(pair, window):
    for image, mask in versions(pair, 20, max_log_scale=0.3, max_log_gamma=0.3, window=window):
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.dtype == tf.uint8
        assert (
            np.mean((image.numpy() > -450) != mask.numpy()) < 0.004
        )  # 16 px; a mask shifted by 1 px differs in 20 more.


def test_about_half_are_flipped_and_no_angle_is_too_large(pair):
    flipped = sum(not np.array_equal(mask, pair[1]) for _, mask in versions(pair, 60, max_degrees=0, noise_sd=0))
    assert 18 <= flipped <= 42
    left = tf.cast(tf.reshape(tf.range(64) < 32, (1, 64, 1)), tf.uint8) * tf.ones((64, 1, 1), tf.uint8)
    for _, mask in versions((tf.cast(left, tf.float32), left), 20, horizontal_flip=False, max_degrees=10.0):
        top, bottom = mask.numpy()[8].sum(dtype=int), mask.numpy()[55].sum(dtype=int)
        assert abs(np.degrees(np.arctan2(top - bottom, 47))) < 12


def test_sizes_vary_by_no_more_than_asked_for(pair):
    sizes = [
        np.count_nonzero(mask) / 200
        for _, mask in versions(pair, 30, horizontal_flip=False, max_degrees=0, noise_sd=0, max_log_scale=0.2)
    ]
    # Both sides by up to exp(0.2), which a stretch does not change.
    assert 0.9 * np.exp(-0.4) < min(sizes) < 0.85
    assert 1.15 < max(sizes) < 1.1 * np.exp(0.4)


def test_noise_has_the_deviation_asked_for_and_leaves_the_mask(pair):
    ((image, mask),) = versions(pair, 1, horizontal_flip=False, max_degrees=0, noise_sd=12.0)
    noise = image.numpy() - pair[0].numpy()
    assert abs(noise.std() - 12) < 0.6
    assert abs(noise.mean()) < 0.6
    np.testing.assert_array_equal(mask, pair[1])


def test_each_kind_of_change_comes_with_its_probability_and_independently(pair):
    changes = {"max_degrees": 20.0, "noise_sd": 5.0, "max_log_gamma": 0.3, "max_log_scale": 0.2}
    kinds = ({"max_log_gamma": 0.3}, {"noise_sd": 5.0}, {"max_degrees": 20.0, "max_log_scale": 0.2})
    changed = [
        [
            not np.array_equal(image, pair[0])
            for image, _ in versions(
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


def test_what_is_not_to_be_changed_is_flipped_at_most_and_shown_as_it_is(pair):
    seen = [image.numpy() for image, _ in versions(pair, 20, max_log_scale=0.3, max_log_gamma=0.3, probability=0.0)]
    flipped = [np.array_equal(image, pair[0].numpy()[:, ::-1]) for image in seen]
    assert all(flip or np.array_equal(image, pair[0]) for image, flip in zip(seen, flipped, strict=True))
    assert 2 <= sum(flipped) <= 18


def test_nothing_asked_for_changes_nothing(pair):
    ((image, mask),) = versions(pair, 1, horizontal_flip=False, max_degrees=0, noise_sd=0)
    assert image is pair[0]
    assert mask is pair[1]
