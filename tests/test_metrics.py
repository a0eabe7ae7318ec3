"""Every metric against its definition written out, and scikit-image's Hausdorff distance to the last bit."""
import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
from conftest import drawn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from masks import metrics

MASKS = arrays.arrays(bool, (9, 11), elements=st.booleans())
EMPTY, FILLED = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)


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
    pair = drawn(true), drawn(predicted)
    found = [measure(*pair) for measure in (metrics.dice, metrics.jaccard, metrics.precision, metrics.recall)]
    assert found == pytest.approx([dice, jaccard, precision, recall])


@pytest.mark.parametrize("true, predicted, share, distance", [(EMPTY, EMPTY, 1, 0), (EMPTY, FILLED, 0, np.inf), (FILLED, EMPTY, 0, np.inf)])
def test_empty_masks_as_the_table_says(true, predicted, share, distance):
    values = metrics.compare(true, predicted)
    assert [values[name] for name in ("dice", "jaccard", "precision", "recall")] == [share] * 4
    assert [values["hausdorff_px"], values["hausdorff95_px"]] == [distance] * 2
    assert metrics.hausdorff_pair(true, predicted) is None


@settings(max_examples=300, deadline=None)
@given(MASKS, MASKS)
def test_hausdorff_is_scikit_image_s_and_its_pair_is_that_far_apart(true, predicted):
    distance = metrics.hausdorff_px(true, predicted)
    assert distance == skimage.metrics.hausdorff_distance(true, predicted)
    if true.any() and predicted.any():
        start, end = metrics.hausdorff_pair(true, predicted)
        assert true[start] and predicted[end]
        assert np.hypot(start[0] - end[0], start[1] - end[1]) == pytest.approx(distance)


def test_a_pixel_inside_may_be_the_farthest():
    true = np.ones((41, 41), bool)
    ring = true & ~scipy.ndimage.binary_erosion(true)
    assert metrics.hausdorff_px(true, ring) == 20 == skimage.metrics.hausdorff_distance(true, ring)


@settings(max_examples=200, deadline=None)
@given(MASKS, MASKS)
def test_hausdorff95_is_the_percentile_of_all_border_distances(true, predicted):
    assume(true.any() and predicted.any())
    borders = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (true, predicted)]
    distances = np.sqrt(((borders[0][:, None] - borders[1][None]) ** 2).sum(axis=-1))
    wanted = max(np.percentile(distances.min(axis=1), 95), np.percentile(distances.min(axis=0), 95))
    assert metrics.hausdorff95_px(true, predicted) == pytest.approx(wanted)


@given(MASKS, MASKS)
def test_shares_by_counting(true, predicted):
    both, either = (true & predicted).sum(), (true | predicted).sum()
    assume(either)
    values = metrics.compare(true, predicted)
    assert values["jaccard"] == pytest.approx(both / either)
    assert values["dice"] == pytest.approx(2 * values["jaccard"] / (1 + values["jaccard"]))
    assert (values["true_px"], values["predicted_px"]) == (true.sum(), predicted.sum())


@pytest.mark.parametrize("bad, told", [(np.zeros((8, 9), bool), "found (8, 8) and (8, 9)"), (FILLED * 255, "found values [255]"), (np.full((8, 8), 0.5), "0.5")])
def test_what_is_no_mask_is_refused(bad, told):
    with pytest.raises(ValueError) as caught:
        metrics.compare(FILLED, bad)
    assert told in str(caught.value)
