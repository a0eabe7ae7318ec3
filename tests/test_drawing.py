"""Pictures, judged by their pixels: colours match the masks, captions are complete, figures are closed."""

import io

import matplotlib.pyplot
import numpy as np
import PIL.Image
import pytest

from conftest import mask_from_text
from masks import drawing


def pixels(picture):
    """The pixels of the picture's PNG file, 0 to 1."""
    return matplotlib.pyplot.imread(io.BytesIO(drawing.to_png(picture)))


def colour_at(picture, mask, row, column):
    """The colour at the centre of a mask's pixel in a picture of 1024 x 1024."""
    return picture[int((row + 0.5) * 1024 / mask.shape[0]), int((column + 0.5) * 1024 / mask.shape[1])]


TRUE = mask_from_text("................ " * 6 + "..####.......... " * 4 + "................ " * 6)
PREDICTED = np.roll(TRUE, 2, axis=1)


def test_colours_are_green_for_both_blue_for_true_red_for_predicted():
    picture = pixels(drawing.comparison(np.zeros((16, 16)), TRUE, PREDICTED, "a caption"))
    assert picture.shape == (1024, 1024, 3)
    strongest = {column: int(np.argmax(colour_at(picture, TRUE, 7, column))) for column in (2, 4, 6)}
    assert strongest == {2: 2, 4: 1, 6: 0}
    assert colour_at(picture, TRUE, 7, 12).max() == 0


def test_the_hausdorff_line_connects_both_points():
    image = np.zeros((16, 16))
    without = pixels(drawing.comparison(image, TRUE, PREDICTED, ""))
    with_line = pixels(drawing.comparison(image, TRUE, PREDICTED, "", hausdorff_pair=((6, 2), (12, 13))))
    rows, columns = np.nonzero((without != with_line).any(axis=-1))
    assert (rows.min() // 64, rows.max() // 64, columns.min() // 64, columns.max() // 64) == (6, 12, 2, 13)


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (512, 512), (40, 90)])
def test_any_shape_and_empty_masks_can_be_plotted(shape):
    empty = np.zeros(shape, np.uint8)
    assert pixels(drawing.comparison(np.ones(shape), empty, empty, "x")).shape == (1024, 1024, 3)


def test_the_longest_caption_is_complete():
    black = np.zeros((64, 64))
    for name in ("hospital__case1", "hospital__" + "case" * 40):
        has_text = drawing.comparison(black, black, black, name + "   Dice 0.912")[:60].max(axis=(0, 2)) > 200
        ends = np.flatnonzero(has_text)
        assert ends[0] > 0
        assert ends[-1] < 1024 - 10
    # The long caption fills the width, up to its last character.
    assert ends[-1] > 900


def test_the_legend_shows_its_colours():
    black = np.zeros((64, 64))
    legend = drawing.comparison(black, black, black, "")[960:]
    for colour in (drawing.BOTH, drawing.ONLY_TRUE, drawing.ONLY_PREDICTED):
        rows, columns = np.nonzero((legend == colour).all(axis=-1))
        assert len(rows) > 100
        assert columns.max() < 1024 - 20


def test_an_image_of_512_is_enlarged_without_interpolation():
    image = np.random.default_rng(0).integers(-160, 240, (512, 512))
    picture = drawing.comparison(image, np.zeros((512, 512)), np.zeros((512, 512)), "", grey_range=(-160, 240))
    np.testing.assert_array_equal(
        picture[100:900, :, 0], np.kron(drawing.grey(image, (-160, 240)), np.ones((2, 2), np.uint8))[100:900]
    )


def test_the_colours_are_translucent():
    image, mask = np.full((64, 64), 40.0), np.ones((64, 64), np.uint8)
    picture = drawing.comparison(image, mask, mask, "", grey_range=(-160, 240))
    assert picture[512, 512].tolist() == [round(128 * 0.55 + 0.45 * channel) for channel in drawing.BOTH]


def test_a_contact_sheet_has_rows_of_four_pictures():
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


def test_a_panel_has_a_row_per_case():
    images = np.zeros((3, 512, 512))
    picture = drawing.panel(images, np.ones((3, 512, 512), np.uint8), np.zeros((3, 512, 512), np.uint8))
    assert (picture.shape, picture.dtype) == ((3 * 256, 512, 3), np.uint8)
    assert picture[10, 300].argmax() == 2
    assert picture[10, 10].max() == 0


def test_figures_are_closed():
    drawing.to_png(drawing.comparison(np.zeros((64, 64)), np.zeros((64, 64)), np.zeros((64, 64)), ""))
    assert matplotlib.pyplot.get_fignums() == []


def test_show_without_a_screen_names_the_setting(monkeypatch):
    monkeypatch.setattr(matplotlib.pyplot, "get_backend", lambda: "agg")
    with pytest.raises(RuntimeError, match="SAVE_IMAGES_ON_DISK = True"):
        drawing.show([])


def test_a_jpeg_file_is_reduced_until_it_has_the_size_asked_for():
    noise = np.random.default_rng(0).integers(0, 256, (256, 192), np.uint8)
    sizes = {}
    for max_bytes in (2**31, 30_000, 8_000):
        content = drawing.to_jpeg(noise, max_bytes)
        assert len(content) <= max_bytes
        sizes[max_bytes] = PIL.Image.open(io.BytesIO(content)).size
    assert sizes == {2**31: (192, 256), 30_000: (192, 256), 8_000: (96, 128)}


def test_a_pair_of_masks_is_read_back_from_its_png_file():
    true_mask, mask = np.random.default_rng(0).integers(0, 2, (2, 33, 21), np.uint8)
    picture = np.asarray(PIL.Image.open(io.BytesIO(drawing.mask_pair_to_png(true_mask, mask))).convert("RGB"))
    np.testing.assert_array_equal(picture, np.stack([true_mask * 255, mask * 255, 0 * mask], axis=2))
