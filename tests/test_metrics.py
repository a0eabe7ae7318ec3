"""Every metric agrees with its definition, computed by brute force, and with scikit-image."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from conftest import drawn
from masks import metrics

MASKS = arrays.arrays(bool, (9, 11), elements=st.booleans())
# Up to six overlapping rectangles, (row, column, height, width).
BLOTCHES = st.lists(
    st.tuples(*(st.integers(first, last) for first, last in ((0, 40), (0, 49), (1, 30), (1, 30)))), max_size=6
).map(lambda boxes: blotched(boxes))
EMPTY, FILLED = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)


def blotched(boxes):
    mask = np.zeros((41, 50), bool)
    for row, column, height, width in boxes:
        mask[row : row + height, column : column + width] ^= True
    return mask


@pytest.mark.parametrize(
    "true, predicted, dice, jaccard, precision, recall",
    [
        ("##.. ##..", "##.. ##..", 1.0, 1.0, 1.0, 1.0),
        ("##.. ##..", ".##. .##.", 0.5, 1 / 3, 0.5, 0.5),  # shifted by one pixel
        ("##.. ##..", "..## ..##", 0.0, 0.0, 0.0, 0.0),
        ("#### ....", "##.. ....", 2 / 3, 0.5, 1.0, 0.5),  # half of it
    ],
)
def test_shares_by_eye(true, predicted, dice, jaccard, precision, recall):
    pair = metrics.Comparison(drawn(true), drawn(predicted))
    assert [pair.dice(), pair.jaccard(), pair.precision(), pair.recall()] == pytest.approx(
        [dice, jaccard, precision, recall]
    )


@pytest.mark.parametrize(
    "true, predicted, share, distance, percent",
    [(EMPTY, EMPTY, 1, 0, 0), (EMPTY, FILLED, 0, np.inf, np.inf), (FILLED, EMPTY, 0, np.inf, -100)],
)
def test_empty_masks_as_the_table_says(true, predicted, share, distance, percent):
    values = metrics.compare(true, predicted, spacing_mm=0.5)
    assert [values[name] for name in ("dice", "jaccard", "precision", "recall", "surface_dice")] == [share] * 5
    assert [values[name] for name in ("hausdorff_px", "hausdorff95_px", "assd_px", "hausdorff_mm")] == [distance] * 4
    assert values["area_difference_px"] == int(predicted.sum()) - int(true.sum())
    assert values["area_difference_percent"] == percent
    assert not any(np.isnan(value) for value in values.values())
    assert metrics.Comparison(true, predicted).hausdorff_pair() is None


def padded(mask):
    return np.pad(mask, ((0, 41 - len(mask)), (0, 50 - len(mask[0]))))


@settings(max_examples=300)
@given(true=MASKS | BLOTCHES, predicted=MASKS | BLOTCHES)
def test_the_hausdorff_distance_of_all_pixels_is_scikit_image_s(true, predicted):
    true, predicted = padded(true), padded(predicted)
    expected = skimage.metrics.hausdorff_distance(true, predicted)
    assert metrics.Comparison(true, predicted).hausdorff_all_pixels_px() == expected


@settings(max_examples=300)
@given(true=MASKS | BLOTCHES, predicted=MASKS | BLOTCHES)
def test_the_hausdorff_distance_is_scikit_image_s_of_the_borders(true, predicted):
    true, predicted = padded(true), padded(predicted)
    pair = metrics.Comparison(true, predicted)
    borders = [mask & ~scipy.ndimage.binary_erosion(mask) for mask in (true, predicted)]
    assert pair.hausdorff_px() == skimage.metrics.hausdorff_distance(*borders)
    assert pair.hausdorff95_px() <= pair.hausdorff_px()


@settings(max_examples=200)
@given(true=MASKS | BLOTCHES, predicted=MASKS | BLOTCHES)
def test_the_hausdorff_pair_lies_in_the_masks_at_the_hausdorff_distance(true, predicted):
    true, predicted = padded(true), padded(predicted)
    true[3, 4] = predicted[8, 9] = True
    pair = metrics.Comparison(true, predicted)
    start, end = pair.hausdorff_pair()
    assert true[start]
    assert predicted[end]
    assert np.hypot(start[0] - end[0], start[1] - end[1]) == pytest.approx(pair.hausdorff_px())


def test_hd95_does_not_exceed_the_hausdorff_distance_where_seams_are_filled():
    # All pixels of the seams lie deep inside the prediction: far from its border, near its pixels.
    true = np.ones((60, 60), bool)
    true[:, 10::10] = False
    pair = metrics.Comparison(true, np.ones_like(true))
    assert pair.hausdorff_all_pixels_px() == 1
    assert pair.hausdorff95_px() <= pair.hausdorff_px()
    assert pair.hausdorff_px() > 20


def test_a_disc_and_its_rim_have_the_same_border():
    true = np.ones((41, 41), bool)
    rim = true & ~scipy.ndimage.binary_erosion(true)
    pair = metrics.Comparison(true, rim)
    assert pair.hausdorff_all_pixels_px() == 20
    assert pair.hausdorff_px() == 0


def by_definition(true, predicted):
    """The distances from each border pixel of either mask to the nearest one of the other, over all pairs."""
    # A pixel at the edge of the image is a border pixel.
    borders = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (true, predicted)]
    distances = np.sqrt(((borders[0][:, None] - borders[1][None]) ** 2).sum(axis=-1))
    return distances.min(axis=1), distances.min(axis=0)


@settings(max_examples=200)
@given(true=MASKS, predicted=MASKS, tolerance=st.sampled_from([0, 1, 1.5, 2, 5]))
def test_what_is_measured_between_borders(true, predicted, tolerance):
    true[4, 5] = predicted[0, 0] = True
    one, other = by_definition(true, predicted)
    pair = metrics.Comparison(true, predicted)
    within = np.sum(one <= tolerance) + np.sum(other <= tolerance)
    assert pair.hausdorff_px() == pytest.approx(max(one.max(), other.max()))
    assert pair.hausdorff95_px() == pytest.approx(max(np.percentile(one, 95), np.percentile(other, 95)))
    assert pair.assd_px() == pytest.approx((one.sum() + other.sum()) / (len(one) + len(other)))
    assert pair.surface_dice(tolerance) == pytest.approx(within / (len(one) + len(other)))


@given(true=MASKS, predicted=MASKS)
def test_shares_and_areas_by_counting(true, predicted):
    true[4, 5] = True
    both, either = (true & predicted).sum(), (true | predicted).sum()
    values = metrics.compare(true, predicted)
    assert values["jaccard"] == pytest.approx(both / either)
    assert values["recall"] == pytest.approx(both / true.sum())
    assert values["dice"] == pytest.approx(2 * values["jaccard"] / (1 + values["jaccard"]))
    assert (values["true_px"], values["predicted_px"]) == (true.sum(), predicted.sum())
    assert values["area_difference_percent"] == pytest.approx(100 * (predicted.sum() / true.sum() - 1))


def test_a_mask_at_the_edge_of_the_image_ends_there():
    # The whole image against a part of it: the border along the edge counts.
    true, predicted = drawn("#### #### ####"), drawn("##.. ##.. ##..")
    assert metrics.Comparison(true, predicted).assd_px() == pytest.approx(
        np.mean([0, 0, 1, 2, 0, 2, 0, 0, 1, 2, *[0] * 5, 1])
    )


@pytest.mark.parametrize("tolerance_mm, spacing_mm, shift", [(2.4, 0.8, 3), (2.34, 0.78, 3), (0.6, 0.2, 3)])
def test_a_border_just_at_the_tolerance_is_within_it(tolerance_mm, spacing_mm, shift):
    assert tolerance_mm / spacing_mm < shift  # The trap.
    true = np.zeros((40, 12), bool)
    true[5:30] = True
    assert metrics.compare(true, np.roll(true, shift, axis=0), spacing_mm, tolerance_mm)["surface_dice"] == 1.0


def test_millimetres_and_square_centimetres():
    true, predicted = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    true[5:15, 5:15], predicted[5:15, 9:19] = True, True
    values = metrics.compare(true, predicted, spacing_mm=0.5, tolerance_mm=1.0)
    assert (values["hausdorff_px"], values["hausdorff_mm"], values["true_cm2"], values["area_difference_cm2"]) == (
        4,
        2,
        0.25,
        0,
    )
    # One millimetre are two pixels.
    assert (
        values["surface_dice"]
        == metrics.Comparison(true, predicted).surface_dice(2.0)
        != metrics.Comparison(true, predicted).surface_dice(1.0)
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((8, 9), bool), "found (8, 8) and (8, 9)"),
        (FILLED * 255, "found [255]"),
        (np.full((8, 8), 0.5), "0.5"),
        (np.full((8, 8), np.nan), "nan"),
        (FILLED[None], "(1, 8, 8)"),
    ],
)
def test_values_that_are_not_a_mask_are_an_error(bad, message):
    with pytest.raises(ValueError) as caught:
        metrics.compare(FILLED, bad)
    assert message in str(caught.value)
