"""Pictures by their pixels: the colours stand where the masks lie, nothing is cut off, no figure is left open."""

import io

import matplotlib.pyplot
import numpy as np
import pytest

from conftest import drawn
from masks import drawing


def pixels(picture):
    """What a PNG file of it holds, as shares of 255."""
    return matplotlib.pyplot.imread(io.BytesIO(drawing.to_png(picture)))


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
    black = np.zeros((64, 64))
    for name in ("hospital__case1", "hospital__" + "case" * 40):
        written = drawing.comparison(black, black, black, name + "   Dice 0.912")[:60].max(axis=(0, 2)) > 200
        ends = np.flatnonzero(written)
        assert 0 < ends[0]
        assert ends[-1] < 1024 - 10
    # The end is written, not only the beginning: a longer name goes on where the shorter one ended.
    assert ends[-1] > 900


def test_the_legend_stands_in_the_picture_with_its_colours():
    black = np.zeros((64, 64))
    legend = drawing.comparison(black, black, black, "")[960:]
    for colour in (drawing.BOTH, drawing.ONLY_TRUE, drawing.ONLY_PREDICTED):
        rows, columns = np.nonzero((legend == colour).all(axis=-1))
        assert len(rows) > 100
        assert columns.max() < 1024 - 20


def test_pixels_of_an_image_of_512_are_enlarged_without_blur():
    image = np.random.default_rng(0).integers(-160, 240, (512, 512))
    picture = drawing.comparison(image, np.zeros((512, 512)), np.zeros((512, 512)), "", grey_range=(-160, 240))
    np.testing.assert_array_equal(
        picture[100:900, :, 0], np.kron(drawing.grey(image, (-160, 240)), np.ones((2, 2), np.uint8))[100:900]
    )


def test_the_image_is_seen_through_the_colours():
    image, mask = np.full((64, 64), 40.0), np.ones((64, 64), np.uint8)
    picture = drawing.overlay(image, mask, "", (-160, 240))
    assert picture[512, 512].tolist() == [round(128 * 0.55 + 0.45 * channel) for channel in drawing.BOTH]


def test_a_contact_sheet_holds_all_pictures_in_rows_of_four():
    pictures = [np.full((1024, 1024, 3), 10 * number, np.uint8) for number in range(6)]
    sheet = drawing.contact_sheet(pictures)
    assert sheet.shape == (1024, 2048, 3)
    assert [int(sheet[256 + 512 * (number // 4), 256 + 512 * (number % 4), 0]) for number in range(8)] == [
        0,
        10,
        20,
        30,
        40,
        50,
        0,
        0,
    ]
    assert drawing.contact_sheet(pictures[:2]).shape == (512, 1024, 3)


def test_a_panel_has_a_row_for_each_case():
    images = np.zeros((3, 512, 512))
    picture = drawing.panel(images, np.ones((3, 512, 512), np.uint8), np.zeros((3, 512, 512), np.uint8))
    assert (picture.shape, picture.dtype) == ((3 * 256, 512, 3), np.uint8)
    assert picture[10, 300].argmax() == 2
    assert picture[10, 10].max() == 0


def test_no_figure_is_left_open():
    drawing.to_png(drawing.comparison(np.zeros((64, 64)), np.zeros((64, 64)), np.zeros((64, 64)), ""))
    assert matplotlib.pyplot.get_fignums() == []


def test_showing_without_a_screen_says_what_to_set(monkeypatch):
    monkeypatch.setattr(matplotlib.pyplot, "get_backend", lambda: "agg")
    with pytest.raises(RuntimeError, match="SAVE_IMAGES_ON_DISK = True"):
        drawing.show([])
