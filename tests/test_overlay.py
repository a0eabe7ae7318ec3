"""Overlays, judged by their pixels: the left half is the image, the outline is the mask's border, lengths are true."""

import io

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from masks import drawing, overlay

TOP = 3 * 34  # Above the pictures there are two lines of text.
IMAGE = np.random.default_rng(0).integers(-160, 240, (64, 64)).astype(np.int16)
MASK = np.zeros((64, 64), np.uint8)
MASK[20:40, 10:30] = 1
MASK[25, 15] = 0


def halves(image=IMAGE, mask=MASK, **options):
    """The left and the right picture, each 1024 px at its longer side."""
    picture = overlay.draw(image, mask, ["name", "caption"], **options)
    width = (picture.shape[1] - 8) // 2
    return picture[TOP:-68, :width], picture[TOP:-68, width + 8 :]


def bar(picture):
    """The length of the scale bar in px."""
    runs = scipy.ndimage.label(picture[-34] == 254)[0]
    return np.bincount(runs[runs > 0])[1:].max(initial=0)


def test_the_left_picture_is_the_image_without_annotation():
    left, _ = halves(grey_range=(-160, 240))
    greys = np.minimum(drawing.grey(IMAGE, (-160, 240)), 254)
    np.testing.assert_array_equal(left, np.kron(greys, np.ones((16, 16), np.uint8)))


def test_the_outline_is_one_px_on_each_side_of_the_border():
    left, right = halves()
    enlarged = np.kron(MASK, np.ones((16, 16), np.uint8)).astype(bool)
    border = scipy.ndimage.binary_dilation(enlarged) & ~scipy.ndimage.binary_erosion(enlarged)
    np.testing.assert_array_equal(right == overlay.OUTLINE_INDEX, border)
    np.testing.assert_array_equal(right[~border], left[~border])


def test_pixels_have_their_true_proportions():
    left, right = halves(IMAGE[:32], MASK[:32], spacing_mm=(3.0, 1.0))
    assert left.shape == right.shape == (1024, round(1024 * 64 / 96))


def test_the_scale_bar_has_its_length_in_the_image():
    # 64 px of 6.4 mm are 409.6 mm on 1024 px; a quarter of that is 102.4 mm.
    picture = overlay.draw(IMAGE, MASK, ["name"], spacing_mm=(6.4, 6.4))
    assert bar(picture) == pytest.approx(100 / 409.6 * 1024, abs=1)
    assert bar(overlay.draw(IMAGE, MASK, ["name"])) < 30


@pytest.mark.parametrize(
    ("limit", "length", "text"),
    [
        (102.4, 100, "10 cm"),
        (99, 50, "5 cm"),
        (10, 10, "1 cm"),
        (4.9, 2, "2 mm"),
        (0.3, 0.2, "200 µm"),
    ],
)
def test_scale_bars_have_round_lengths(limit, length, text):
    assert overlay.round_length(limit) == pytest.approx(length)
    assert overlay.length_text(overlay.round_length(limit)) == text


def test_the_longest_line_is_complete():
    picture = overlay.draw(IMAGE[:, :4], MASK[:, :4], ["case" * 45])
    ends = np.flatnonzero((picture[:60] > 200).any(axis=0))
    assert ends[0] > 0
    assert 1000 < ends[-1] < picture.shape[1] - 8


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (40, 90), (1500, 1200)])
def test_any_shape_and_empty_masks_can_be_plotted(shape):
    picture = overlay.draw(np.ones(shape), np.zeros(shape, np.uint8), [], spacing_mm=(0.7, 0.7))
    assert picture.shape[1] >= 1200


def test_the_outline_is_orange_in_the_file_and_all_else_is_grey():
    picture = overlay.draw(IMAGE, MASK, ["name"])
    with PIL.Image.open(io.BytesIO(overlay.to_png(picture))) as file:
        colours = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal((colours == overlay.OUTLINE).all(axis=-1), picture == overlay.OUTLINE_INDEX)
    greys = colours[picture != overlay.OUTLINE_INDEX]
    np.testing.assert_array_equal(greys, np.repeat(greys[:, :1], 3, axis=1))
