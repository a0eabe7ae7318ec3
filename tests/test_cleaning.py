"""Post-processing against a slow reference implementation, and on masks that break similar programs."""

import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import mask_from_text
from masks import cleaning


def slow_clean(mask):
    """The documented rule, with the distances between all pairs of components."""
    labels = skimage.measure.label(mask, connectivity=2)
    components = [np.argwhere(labels == label) for label in range(1, labels.max() + 1)]
    kept = {number for number, component in enumerate(components) if len(component) >= 0.1 * max(map(len, components))}
    while near := {
        number
        for number, component in enumerate(components)
        if number not in kept and any(distance(component, components[other]) <= 10 for other in kept)
    }:
        kept |= near
    cleaned = np.zeros_like(mask)
    for number in kept:
        if len(components[number]) > 50:
            cleaned[tuple(components[number].T)] = 1
    return cleaned


def distance(first, second):
    """The smallest distance between pixels, each (count, 2)."""
    return np.hypot(*(first[:, None] - second[None]).transpose(2, 0, 1)).min()


def union_of_rectangles(rectangles):
    mask = np.zeros((70, 70), np.uint8)
    for row, column, height, width in rectangles:
        mask[row : row + height, column : column + width] = 1
    return mask


RECTANGLE = st.tuples(st.integers(0, 69), st.integers(0, 69), st.integers(1, 22), st.integers(1, 22))


@settings(max_examples=60)
@given(st.lists(RECTANGLE, max_size=9))
def test_clean_equals_the_slow_reference(rectangles):
    mask = union_of_rectangles(rectangles)
    np.testing.assert_array_equal(cleaning.clean(mask), slow_clean(mask))


@pytest.mark.parametrize("gap, kept", [(10, True), (11, False)])
def test_components_up_to_ten_pixels_away_are_kept(gap, kept):
    mask = np.zeros((80, 80), np.uint8)
    mask[10:50, 10:40] = 1
    mask[10:18, 39 + gap : 39 + gap + 8] = 1  # 64 px, less than 10 % of the largest
    assert bool(cleaning.clean(mask)[12, 39 + gap]) is kept


def test_distances_are_transitive_even_over_components_that_are_dropped():
    mask = np.zeros((60, 120), np.uint8)
    mask[10:50, 5:35] = 1
    mask[20:22, 42:48] = 1  # 12 px: links the others and is dropped in the end
    mask[20:28, 55:63] = 1  # 64 px, 20 px from the main component, 8 px from the link
    cleaned = cleaning.clean(mask)
    assert cleaned[20:22, 42:48].sum() == 0
    assert cleaned[20:28, 55:63].sum() == 64


@pytest.mark.parametrize("filled", [0.0, 1.0])
def test_empty_and_full_masks_are_unchanged(filled):
    mask = np.full((64, 64), filled, np.uint8)
    np.testing.assert_array_equal(cleaning.clean(mask), mask)


def test_a_mask_of_more_than_half_of_the_image_is_not_inverted():
    mask = np.ones((64, 64), np.uint8)
    mask[20:40, 20:40] = 0
    np.testing.assert_array_equal(cleaning.clean(mask), mask)


def test_a_mask_of_small_components_becomes_empty():
    assert cleaning.clean(mask_from_text("##.. ##.. ...# ....")).sum() == 0


def test_salt_noise_is_removed_and_the_muscle_kept():
    muscle = np.zeros((512, 512), bool)
    muscle[200:300, 100:200] = muscle[200:300, 300:400] = True
    salt = np.random.default_rng(0).random((512, 512)) < 0.02
    cleaned = cleaning.clean(muscle | salt)
    assert cleaned[muscle].all()
    assert cleaned[~muscle].sum() < 500


def test_the_input_is_not_changed():
    mask = np.eye(64, dtype=np.uint8)
    cleaning.clean(mask)
    np.testing.assert_array_equal(mask, np.eye(64))


@pytest.mark.parametrize(
    "max_px, expected",
    [
        (0, "##..# .#..# ....# #...."),
        (1, "##..# .#..# ....# ....."),
        (2, "##..# .#..# ....# ....."),
        (3, "..... ..... ..... ....."),
    ],
)
def test_specks_up_to_max_px_are_removed(max_px, expected):
    np.testing.assert_array_equal(
        cleaning.remove_specks(mask_from_text("##..# .#..# ....# #...."), max_px), mask_from_text(expected)
    )


def test_cleaning_is_harmless_if_it_alters_few_reference_masks_and_empties_none():
    whole, speckled = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    whole[20:80, 20:80] = speckled[20:80, 20:80] = 1
    speckled[2:4, 2:4] = 1
    assert cleaning.is_harmless([whole, 0 * whole])
    assert cleaning.is_harmless([])
    # One mask of 49 is too many, one of 50 is not.
    assert not cleaning.is_harmless([speckled] + 48 * [whole])
    assert cleaning.is_harmless([speckled] + 49 * [whole])
    # A lesion of 36 px is its whole mask: few pixels, but a whole case.
    lesion = np.zeros((100, 100), np.uint8)
    lesion[2:8, 2:8] = 1
    assert not cleaning.is_harmless([lesion] + 99 * [whole])
