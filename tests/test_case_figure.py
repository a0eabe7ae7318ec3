"""The figure of cases: what each panel shows, true proportions, lengths, and no case names."""

import numpy as np
import pytest

from masks import case_figure, drawing

IMAGE = np.random.default_rng(0).integers(-160, 240, (40, 40))
TRUE, PREDICTED = np.zeros((2, 40, 40), np.uint8)
TRUE[10:20, 10:30] = PREDICTED[12:22, 10:30] = 1
CASES = [
    case_figure.Case(IMAGE, TRUE, PREDICTED, 0.8, (1.0, 1.0)),
    case_figure.Case(IMAGE[:30], TRUE[:30], PREDICTED[:30], 0.5, (2.0, 1.0)),
    case_figure.Case(IMAGE, TRUE, np.zeros_like(TRUE), 0.0),
]


@pytest.fixture(scope="module")
def rows():
    figure = case_figure.plot(CASES, "abc", drawing.CT_RANGE)
    figure.draw_without_rendering()
    needed, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(needed.x0, needed.y0, width - needed.x1, height - needed.y1) >= 0  # Nothing is cut off.
    return np.reshape(figure.axes, (3, 4))


def test_columns_are_image_reference_prediction_and_outlines(rows):
    titles = [axes.get_title() for axes in rows[0]]
    assert titles == ["Image (W 400 L 40)", "Reference", "Prediction", "Outlines"]
    greys = drawing.grey(IMAGE, drawing.CT_RANGE)
    for axes, values in zip(rows[0], (greys, 255 * TRUE, 255 * PREDICTED, greys), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), values)


def test_rows_have_letters_and_dice(rows):
    assert [row[0].get_ylabel() for row in rows] == ["a\nDice 0.800", "b\nDice 0.500", "c\nDice 0.000"]


def test_outlines_lie_on_the_borders_of_the_masks(rows):
    true, predicted = (contours.get_paths()[0].vertices for contours in rows[0, 3].collections)
    np.testing.assert_allclose((true.min(axis=0), true.max(axis=0)), [(9.5, 9.5), (29.5, 19.5)])
    np.testing.assert_allclose((predicted.min(axis=0), predicted.max(axis=0)), [(9.5, 11.5), (29.5, 21.5)])
    assert len(rows[2, 3].collections) == 1  # The prediction is empty.


def test_pixels_have_their_true_proportions(rows):
    for row, ratio in zip(rows, (1, 1.5, 1), strict=True):
        for axes in row:
            assert axes.bbox.height / axes.bbox.width == pytest.approx(ratio, rel=0.01)


def test_the_scale_bar_is_where_the_spacing_is_known(rows):
    assert [text.get_text() for row in rows for text in row[0].texts] == ["1 cm", "1 cm"]
    assert np.ptp(rows[0, 0].lines[0].get_xdata()) == pytest.approx(10)
