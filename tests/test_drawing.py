"""Pictures by their pixels: the colours stand where the masks lie, nothing is cut off, no figure is left open."""
import io

import matplotlib.pyplot
import numpy as np
import pytest
from conftest import drawn
from masks import drawing


def pixels(figure):
    return matplotlib.pyplot.imread(io.BytesIO(drawing.to_png(figure)))[..., :3]


def square(mask, row, column):
    """The colour of the middle of a mask's pixel, in a picture of 1024 x 1024."""
    return lambda picture: picture[int((row + 0.5) * 1024 / mask.shape[0]), int((column + 0.5) * 1024 / mask.shape[1])]


TRUE = drawn("................ " * 6 + "..####.......... " * 4 + "................ " * 6)
PREDICTED = np.roll(TRUE, 2, axis=1)


def test_green_both_blue_only_true_red_only_predicted():
    picture = pixels(drawing.comparison(np.zeros((16, 16)), TRUE, PREDICTED, "a caption"))
    assert picture.shape == (1024, 1024, 3)
    strongest = {column: int(np.argmax(square(TRUE, 7, column)(picture))) for column in (2, 4, 6)}
    assert strongest == {2: 2, 4: 1, 6: 0}
    assert square(TRUE, 7, 12)(picture).max() == 0


def test_the_hausdorff_line_runs_from_point_to_point():
    image = np.zeros((16, 16))
    without = pixels(drawing.comparison(image, TRUE, PREDICTED, ""))
    with_line = pixels(drawing.comparison(image, TRUE, PREDICTED, "", hausdorff_pair=((6, 2), (12, 13))))
    rows, columns = np.nonzero((without != with_line).any(axis=-1))
    assert (rows.min() // 64, rows.max() // 64, columns.min() // 64, columns.max() // 64) == (6, 12, 2, 13)


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (512, 512), (40, 90)])
def test_any_shape_and_empty_masks(shape):
    empty = np.zeros(shape, np.uint8)
    assert pixels(drawing.comparison(np.ones(shape), empty, empty, "x")).shape == (1024, 1024, 3)
    assert pixels(drawing.overlay(np.ones(shape), empty, "x")).shape == (1024, 1024, 3)


def test_the_longest_caption_is_not_cut_off():
    figure = drawing.comparison(np.zeros((64, 64)), np.zeros((64, 64)), np.zeros((64, 64)), "hospital__" + "case" * 40 + "   Dice 0.912")
    (text,) = figure.axes[0].texts
    figure.canvas.draw()
    box = text.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= 1024 and box.y1 <= 1024


def test_a_panel_has_a_row_for_each_case():
    images = np.zeros((3, 512, 512))
    picture = drawing.panel(images, np.ones((3, 512, 512), np.uint8), np.zeros((3, 512, 512), np.uint8))
    assert (picture.shape, picture.dtype) == ((3 * 256, 512, 3), np.uint8)
    assert picture[10, 300].argmax() == 2 and picture[10, 10].max() == 0


def test_no_figure_is_left_open():
    drawing.to_png(drawing.comparison(np.zeros((64, 64)), np.zeros((64, 64)), np.zeros((64, 64)), ""))
    assert matplotlib.pyplot.get_fignums() == []


def test_showing_without_a_screen_says_what_to_set(monkeypatch):
    monkeypatch.setattr(matplotlib.pyplot, "get_backend", lambda: "agg")
    with pytest.raises(RuntimeError, match="SAVE_IMAGES_ON_DISK = True"):
        drawing.show([])
