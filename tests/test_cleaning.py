"""Cleaning against an obviously right, slow way, and on masks that such programs fall over."""

import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import drawn
from masks import cleaning


def slow_clean(mask):
    """The rule, word for word, with the distance between every two areas."""
    labels = skimage.measure.label(mask, connectivity=2)
    areas = [np.argwhere(labels == label) for label in range(1, labels.max() + 1)]
    accepted = {number for number, area in enumerate(areas) if len(area) >= 0.1 * max(map(len, areas))}
    grown = True
    while grown:
        near = {
            number
            for number, area in enumerate(areas)
            if number not in accepted
            and any(
                np.hypot(*(area[:, None] - areas[other][None]).transpose(2, 0, 1)).min() <= 10 for other in accepted
            )
        }
        accepted |= near
        grown = bool(near)
    cleaned = np.zeros_like(mask)
    for number in accepted:
        if len(areas[number]) > 50:
            cleaned[tuple(areas[number].T)] = 1
    return cleaned


def blocks(draw_from):
    mask = np.zeros((70, 70), np.uint8)
    for row, column, height, width in draw_from:
        mask[row : row + height, column : column + width] = 1
    return mask


BLOCK = st.tuples(st.integers(0, 69), st.integers(0, 69), st.integers(1, 22), st.integers(1, 22))


@settings(max_examples=60)
@given(st.lists(BLOCK, max_size=9))
def test_the_rule_word_for_word(draw_from):
    mask = blocks(draw_from)
    np.testing.assert_array_equal(cleaning.clean(mask), slow_clean(mask))


@pytest.mark.parametrize("gap, kept", [(10, True), (11, False)])
def test_an_area_is_accepted_up_to_ten_pixels_away(gap, kept):
    mask = np.zeros((80, 80), np.uint8)
    mask[10:50, 10:40] = 1
    mask[10:18, 39 + gap : 39 + gap + 8] = 1  # 64 px, less than a tenth
    assert bool(cleaning.clean(mask)[12, 39 + gap]) is kept


def test_acceptance_goes_on_from_area_to_area_also_over_areas_that_are_too_small_to_stay():
    mask = np.zeros((60, 120), np.uint8)
    mask[10:50, 5:35] = 1
    mask[20:22, 42:48] = 1  # 12 px: a stepping stone, which goes in the end
    mask[20:28, 55:63] = 1  # 64 px, 20 px from the main area, 8 px from the stone
    cleaned = cleaning.clean(mask)
    assert cleaned[20:22, 42:48].sum() == 0
    assert cleaned[20:28, 55:63].sum() == 64


@pytest.mark.parametrize("filled", [0.0, 1.0])
def test_empty_and_full_masks_stay_so(filled):
    mask = np.full((64, 64), filled, np.uint8)
    np.testing.assert_array_equal(cleaning.clean(mask), mask)


def test_a_mask_that_covers_most_of_the_image_is_not_turned_into_its_background():
    mask = np.ones((64, 64), np.uint8)
    mask[20:40, 20:40] = 0
    np.testing.assert_array_equal(cleaning.clean(mask), mask)


def test_only_small_areas_leave_nothing():
    assert cleaning.clean(drawn("##.. ##.. ...# ....")).sum() == 0


def test_salt_noise_goes_and_the_muscle_stays():
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
    "max_px, left",
    [
        (0, "##..# .#..# ....# #...."),
        (1, "##..# .#..# ....# ....."),
        (2, "##..# .#..# ....# ....."),
        (3, "..... ..... ..... ....."),
    ],
)
def test_specks_up_to_a_size(max_px, left):
    np.testing.assert_array_equal(cleaning.remove_specks(drawn("##..# .#..# ....# #...."), max_px), drawn(left))


def test_cleaning_is_harmless_where_it_changes_hardly_any_true_mask_and_empties_none():
    whole, speckled = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    whole[20:80, 20:80] = speckled[20:80, 20:80] = 1
    speckled[2:4, 2:4] = 1
    assert cleaning.is_harmless([whole, 0 * whole])
    assert cleaning.is_harmless([])
    # One mask of 49, and of 50.
    assert not cleaning.is_harmless([speckled] + 48 * [whole])
    assert cleaning.is_harmless([speckled] + 49 * [whole])
    # A lesion of 36 px, all that there is in its mask: few pixels, but a whole case.
    lesion = np.zeros((100, 100), np.uint8)
    lesion[2:8, 2:8] = 1
    assert not cleaning.is_harmless([lesion] + 99 * [whole])
