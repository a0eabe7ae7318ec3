"""Every metric against a brute-force definition; the all-pixel Hausdorff distance equals scikit-image's exactly."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from conftest import mask_from_text
from masks import metrics, nearest

MASKS = arrays.arrays(bool, (9, 11), elements=st.booleans())
# Larger than the blocks of the search for the farthest pixel: the XOR of up to six rectangles.
RECTANGLE = st.tuples(st.integers(0, 40), st.integers(0, 49), st.integers(1, 30), st.integers(1, 30))
RECTANGLES = st.lists(RECTANGLE, max_size=6).map(lambda rectangles: xor_of_rectangles(rectangles))
EMPTY, FILLED = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)


def xor_of_rectangles(rectangles):
    """A mask from rectangles (row, column, height, width)."""
    mask = np.zeros((41, 50), bool)
    for row, column, height, width in rectangles:
        mask[row : row + height, column : column + width] ^= True
    return mask


@pytest.mark.parametrize(
    "true, predicted, dice, jaccard, precision, recall",
    [
        ("##.. ##..", "##.. ##..", 1.0, 1.0, 1.0, 1.0),
        ("##.. ##..", ".##. .##.", 0.5, 1 / 3, 0.5, 0.5),  # shifted by one pixel
        ("##.. ##..", "..## ..##", 0.0, 0.0, 0.0, 0.0),
        ("#### ....", "##.. ....", 2 / 3, 0.5, 1.0, 0.5),  # half of the mask
    ],
)
def test_overlap_metrics_of_masks_drawn_as_text(true, predicted, dice, jaccard, precision, recall):
    pair = metrics.Comparison(mask_from_text(true), mask_from_text(predicted))
    assert [pair.dice(), pair.jaccard(), pair.precision(), pair.recall()] == pytest.approx(
        [dice, jaccard, precision, recall]
    )


@pytest.mark.parametrize(
    "true, predicted, share, distance, percent",
    [(EMPTY, EMPTY, 1, 0, 0), (EMPTY, FILLED, 0, np.inf, np.inf), (FILLED, EMPTY, 0, np.inf, -100)],
)
def test_empty_masks_get_the_documented_values(true, predicted, share, distance, percent):
    values = metrics.compare(true, predicted, spacing_mm=(0.5, 0.5))
    assert [values[name] for name in ("dice", "jaccard", "precision", "recall", "surface_dice")] == [share] * 5
    distances = ("hausdorff_px", "hausdorff95_px", "assd_px", "hausdorff_all_pixels_px", "hausdorff_mm")
    assert [values[name] for name in distances] == [distance] * 5
    assert values["area_difference_px"] == int(predicted.sum()) - int(true.sum())
    assert values["area_difference_percent"] == percent
    assert not any(np.isnan(value) for value in values.values())
    assert metrics.Comparison(true, predicted).hausdorff_pair() is None


@settings(max_examples=300)
@given(true=MASKS | RECTANGLES, predicted=MASKS | RECTANGLES)
def test_all_pixel_hausdorff_equals_scikit_image(true, predicted):
    true, predicted = (np.pad(mask, ((0, 41 - len(mask)), (0, 50 - len(mask[0])))) for mask in (true, predicted))
    expected = skimage.metrics.hausdorff_distance(true, predicted)
    assert metrics.Comparison(true, predicted).hausdorff_all_pixels_px() == expected


def test_borders_ignore_the_inside_of_a_ring_and_all_pixels_do_not():
    true = np.ones((41, 41), bool)
    ring = true & ~scipy.ndimage.binary_erosion(true)
    pair = metrics.Comparison(true, ring)
    assert pair.hausdorff_px() == 0
    assert pair.hausdorff_all_pixels_px() == 20


@settings(max_examples=200)
@given(true=MASKS | RECTANGLES, predicted=MASKS | RECTANGLES)
def test_the_hausdorff_pair_connects_borders_over_the_hausdorff_distance(true, predicted):
    true, predicted = (np.pad(mask, ((0, 41 - len(mask)), (0, 50 - len(mask[0])))) for mask in (true, predicted))
    true[3, 7] = predicted[40, 49] = True
    pair = metrics.Comparison(true, predicted)
    start, end = pair.hausdorff_pair()
    assert nearest.border(true)[start]
    assert nearest.border(predicted)[end]
    assert np.hypot(start[0] - end[0], start[1] - end[1]) == pytest.approx(pair.hausdorff_px())


@settings(max_examples=200)
@given(true=MASKS | RECTANGLES, predicted=st.none() | MASKS | RECTANGLES)
def test_hd95_never_exceeds_the_hausdorff_distance(true, predicted):
    if predicted is None or predicted.shape != true.shape:
        predicted = scipy.ndimage.binary_closing(np.pad(true, 3), np.ones((3, 3)))[3:-3, 3:-3]  # Fills seams.
    pair = metrics.Comparison(true, predicted)
    assert pair.hausdorff95_px() <= pair.hausdorff_px()


def test_a_filled_seam_counts_for_borders_only():
    filled = np.zeros((40, 41), bool)
    filled[5:35, 5:36] = True
    seam = filled.copy()
    seam[5:35, 20] = False
    pair = metrics.Comparison(seam, filled)
    assert pair.hausdorff_all_pixels_px() == 1
    assert pair.hausdorff_px() == pytest.approx(14)
    assert 1 < pair.hausdorff95_px() <= pair.hausdorff_px()


def brute_force_border_distances(true, predicted):
    """The distances from each border pixel of either mask to the nearest one of the other, from all pairs."""
    # The image's edge is a border: pixels beyond it are not in the mask.
    borders = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (true, predicted)]
    distances = np.sqrt(((borders[0][:, None] - borders[1][None]) ** 2).sum(axis=-1))
    return distances.min(axis=1), distances.min(axis=0)


@settings(max_examples=200)
@given(true=MASKS, predicted=MASKS, tolerance=st.sampled_from([0, 1, 1.5, 2, 5]))
def test_border_metrics_equal_brute_force(true, predicted, tolerance):
    true[4, 5] = predicted[0, 0] = True
    from_true, from_predicted = brute_force_border_distances(true, predicted)
    pair = metrics.Comparison(true, predicted)
    assert pair.hausdorff_px() == pytest.approx(max(from_true.max(), from_predicted.max()))
    assert pair.hausdorff95_px() == pytest.approx(max(np.percentile(from_true, 95), np.percentile(from_predicted, 95)))
    both = np.concatenate([from_true, from_predicted])
    assert pair.assd_px() == pytest.approx(both.mean())
    assert pair.surface_dice(tolerance) == pytest.approx(np.mean(both <= tolerance))


@given(true=MASKS, predicted=MASKS)
def test_overlap_metrics_and_areas_equal_counts_of_pixels(true, predicted):
    true[4, 5] = True
    intersection, union = (true & predicted).sum(), (true | predicted).sum()
    values = metrics.compare(true, predicted)
    assert values["jaccard"] == pytest.approx(intersection / union)
    assert values["recall"] == pytest.approx(intersection / true.sum())
    assert values["dice"] == pytest.approx(2 * values["jaccard"] / (1 + values["jaccard"]))
    assert (values["true_px"], values["predicted_px"]) == (true.sum(), predicted.sum())
    assert values["area_difference_percent"] == pytest.approx(100 * (predicted.sum() / true.sum() - 1))


def test_the_edge_of_the_image_is_a_border():
    # The true mask fills the whole image.
    true, predicted = mask_from_text("#### #### ####"), mask_from_text("##.. ##.. ##..")
    assert metrics.Comparison(true, predicted).assd_px() == pytest.approx(
        np.mean([0, 0, 1, 2, 0, 2, 0, 0, 1, 2, *[0] * 5, 1])
    )


@pytest.mark.parametrize("tolerance_mm, spacing_mm, shift", [(2.4, 0.8, 3), (2.34, 0.78, 3), (0.6, 0.2, 3)])
def test_a_border_exactly_at_the_tolerance_counts_as_within(tolerance_mm, spacing_mm, shift):
    assert tolerance_mm / spacing_mm < shift  # By a rounding error.
    true = np.zeros((40, 12), bool)
    true[5:30] = True
    assert (
        metrics.compare(true, np.roll(true, shift, axis=0), (spacing_mm, spacing_mm), tolerance_mm)["surface_dice"]
        == 1.0
    )


def test_millimetres_and_square_centimetres():
    true, predicted = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    true[5:15, 5:15], predicted[5:15, 9:19] = True, True
    values = metrics.compare(true, predicted, spacing_mm=(0.5, 0.5), tolerance_mm=1.0)
    assert (values["hausdorff_px"], values["hausdorff_mm"], values["true_cm2"], values["area_difference_cm2"]) == (
        4,
        2,
        0.25,
        0,
    )
    # 1 mm is 2 px.
    assert (
        values["surface_dice"]
        == metrics.Comparison(true, predicted).surface_dice(2.0)
        != metrics.Comparison(true, predicted).surface_dice(1.0)
    )


@pytest.mark.parametrize(
    "invalid, text",
    [
        (np.zeros((8, 9), bool), "got (8, 8) and (8, 9)"),
        (FILLED * 255, "got the values [255]"),
        (np.full((8, 8), 0.5), "0.5"),
        (np.full((8, 8), np.nan), "nan"),
        (FILLED[None], "(1, 8, 8)"),
    ],
)
def test_invalid_masks_are_refused(invalid, text):
    with pytest.raises(ValueError) as caught:
        metrics.compare(FILLED, invalid)
    assert text in str(caught.value)


@given(true=MASKS, predicted=MASKS)
def test_distances_of_anisotropic_pixels_equal_those_of_brute_force(true, predicted):
    true[4, 5] = predicted[2, 3] = True
    spacing = np.array([0.5, 1.7])
    values = metrics.compare(true, predicted, spacing_mm=(0.5, 1.7), tolerance_mm=1.0)
    borders = [np.argwhere(nearest.border(mask)) * spacing for mask in (true, predicted)]
    between = scipy.spatial.distance.cdist(*borders)
    both = np.concatenate([between.min(axis=1), between.min(axis=0)])
    assert values["hausdorff_mm"] == pytest.approx(both.max())
    assert values["assd_mm"] == pytest.approx(both.mean())
    assert values["surface_dice"] == pytest.approx(np.mean(both <= 1.0))
    pixels = scipy.spatial.distance.cdist(np.argwhere(true) * spacing, np.argwhere(predicted) * spacing)
    largest = max(pixels.min(axis=1).max(), pixels.min(axis=0).max())
    assert values["hausdorff_all_pixels_mm"] == pytest.approx(largest)
    assert values["true_cm2"] == pytest.approx(true.sum() * 0.5 * 1.7 / 100)
    assert values["hausdorff_px"] == metrics.compare(true, predicted)["hausdorff_px"]
