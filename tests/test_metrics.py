"""Every metric against its definition written out, and scikit-image's Hausdorff distance to the last bit."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from conftest import drawn
from masks import metrics, nearest

MASKS = arrays.arrays(bool, (9, 11), elements=st.booleans())
# Larger than the blocks by which the farthest is looked for: up to six rectangles, (row, column, height, width).
BLOTCHES = st.lists(
    st.tuples(*(st.integers(first, last) for first, last in ((0, 40), (0, 49), (1, 30), (1, 30)))), max_size=6
).map(lambda boxes: blotched(boxes))
EMPTY, FILLED = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)


def blotched(boxes):
    mask = np.zeros((41, 50), bool)
    for row, column, height, width in boxes:
        mask[row : row + height, column : column + width] ^= True
    return mask


@pytest.fixture(params=["tree", "pass over the image"])
def way(request, monkeypatch):
    """Both ways to the nearest pixel, which are chosen by the share of the image that is searched."""
    monkeypatch.setattr(nearest, "TREE_SHARE", 1 if request.param == "tree" else 0)


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


@settings(max_examples=300)
@given(true=MASKS | BLOTCHES, predicted=MASKS | BLOTCHES)
def test_hausdorff_is_scikit_image_s_and_its_pair_is_that_far_apart(true, predicted):
    true, predicted = (np.pad(mask, ((0, 41 - len(mask)), (0, 50 - len(mask[0])))) for mask in (true, predicted))
    for share in (0, 1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(nearest, "TREE_SHARE", share)
            pair = metrics.Comparison(true, predicted)
            assert pair.hausdorff_px() == skimage.metrics.hausdorff_distance(true, predicted)
            if true.any() and predicted.any():
                start, end = pair.hausdorff_pair()
                assert true[start]
                assert predicted[end]
                assert np.hypot(start[0] - end[0], start[1] - end[1]) == pytest.approx(pair.hausdorff_px())


def test_a_pixel_inside_may_be_the_farthest(way):
    true = np.ones((41, 41), bool)
    ring = true & ~scipy.ndimage.binary_erosion(true)
    assert metrics.Comparison(true, ring).hausdorff_px() == 20 == skimage.metrics.hausdorff_distance(true, ring)


def by_definition(true, predicted):
    """The distances from each border pixel of either mask to the nearest one of the other, every pair looked at."""
    # Borders with the edge of the image: what lies beyond is not in the mask.
    borders = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (true, predicted)]
    distances = np.sqrt(((borders[0][:, None] - borders[1][None]) ** 2).sum(axis=-1))
    return distances.min(axis=1), distances.min(axis=0)


@settings(max_examples=200)
@given(true=MASKS, predicted=MASKS, tolerance=st.sampled_from([0, 1, 1.5, 2, 5]))
def test_what_is_measured_between_borders(true, predicted, tolerance):
    true[4, 5] = predicted[0, 0] = True
    one, other = by_definition(true, predicted)
    for share in (0, 1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(nearest, "TREE_SHARE", share)
            pair = metrics.Comparison(true, predicted)
            assert pair.hausdorff95_px() == pytest.approx(max(np.percentile(one, 95), np.percentile(other, 95)))
            assert pair.assd_px() == pytest.approx((one.sum() + other.sum()) / (len(one) + len(other)))
            assert pair.surface_dice(tolerance) == pytest.approx(
                (np.sum(one <= tolerance) + np.sum(other <= tolerance)) / (len(one) + len(other))
            )


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


@pytest.mark.parametrize("bad, told", [(np.zeros((8, 9), bool), "found (8, 8) and (8, 9)"), (FILLED * 255, "found values [255]"), (np.full((8, 8), 0.5), "0.5"), (np.full((8, 8), np.nan), "nan"), (FILLED[None], "(1, 8, 8)")])  # fmt: skip
def test_what_is_no_mask_is_refused(bad, told):
    with pytest.raises(ValueError) as caught:
        metrics.compare(FILLED, bad)
    assert told in str(caught.value)
