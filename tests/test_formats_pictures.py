"""Pictures, arrays and sliceOmatic tags: grey values and labels as they were drawn."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from data import csv_array, formats
from data.formats import pictures
from format_files import fault_of, write_tag

ROWS, COLUMNS = 20, 30


def grey(dtype=np.uint8, low=0, high=250):
    return np.random.default_rng(1).integers(low, high, (ROWS, COLUMNS)).astype(dtype)


def labels(count=3):
    return np.random.default_rng(2).integers(0, count, (ROWS, COLUMNS)).astype(np.uint8)


def save(path, array, mode=None, **options):
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def palette(path, indices, colours, **options):
    picture = Image.fromarray(indices, "P")
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path, **options)
    return path


@pytest.fixture
def image():
    return formats.Image((grey(),))


@pytest.mark.parametrize(
    ("name", "dtype", "low", "high"),
    [
        ("a.png", np.uint8, 0, 256), ("a.png", np.uint16, 0, 65536), ("a.bmp", np.uint8, 0, 256),
        ("a.tif", np.uint8, 0, 256), ("a.tiff", np.uint16, 0, 65536), ("a.tif", np.int16, -9000, 9000),
        ("a.tif", np.int8, -128, 128), ("a.tif", np.int32, -99999, 99999), ("a.tif", np.uint32, 0, 2**32),
        ("a.tif", np.float32, -5, 5), ("a.tif", np.float64, -5, 5), ("a.tif", np.float16, -5, 5),
        ("a.npy", np.float64, -5, 5), ("a.npy", np.int16, -1000, 1000), ("a.csv", np.int64, -1000, 1000),
    ],
)  # fmt: skip
def test_grey_values_are_read_as_they_are(name, dtype, low, high, tmp_path):
    values, path = grey(dtype, low, high), tmp_path / name
    if name.endswith((".tif", ".tiff")):
        tifffile.imwrite(path, values, photometric="minisblack")
    elif name.endswith(".npy"):
        np.save(path, values)
    elif name.endswith(".csv"):
        csv_array.write(path, values)
    else:
        save(path, values)
    image = formats.read_image(path)
    assert np.array_equal(image.slices, [values])
    assert (image.names, image.spacing_mm, image.grid, image.warnings) == (("",), None, None, ())


@pytest.mark.parametrize(
    "options", [{"tile": (16, 16)}, {"compression": "zlib"}, {"rowsperstrip": 3}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_layouts_of_16_bit_tiff_give_the_same_values(options, tmp_path):
    values = grey(np.uint16, 0, 65536)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", **options)
    assert np.array_equal(formats.read_image(tmp_path / "a.tif").slices[0], values)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressed_tiff_is_read(compression, tmp_path):
    path = save(tmp_path / "a.tif", grey(), compression=compression)
    assert np.array_equal(formats.read_image(path).slices[0], grey())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_with_white_as_0_is_inverted(dtype, tmp_path):
    values = grey(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    assert np.array_equal(formats.read_image(tmp_path / "a.tif").slices[0], np.iinfo(dtype).max - values)


def test_jpeg_is_an_image_but_no_mask(image, tmp_path):
    path = save(tmp_path / "a.jpg", np.full((ROWS, COLUMNS), 77, np.uint8))
    assert (formats.read_image(path).slices[0] == 77).all()
    assert "JPEG changes the values" in fault_of(formats.read_mask, path, image)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_that_is_stored_in_colour_is_grey(mode, tmp_path):
    path = save(tmp_path / "a.png", grey(), mode)
    image = formats.read_image(path)
    assert np.array_equal(image.slices[0], grey())
    assert image.warnings == ()


def test_a_tint_is_taken_off_with_a_warning(tmp_path):
    channels = np.repeat(grey(np.uint8, 0, 200)[..., None], 3, axis=2) + np.array([0, 4, 20], np.uint8)
    picture = formats.read_image(save(tmp_path / "a.png", channels))
    assert "nearly grey" in picture.warnings[0]
    assert np.array_equal(picture.slices[0], np.array(Image.fromarray(channels).convert("L")))


def write_rgb_tiff(path, dtype):
    tifffile.imwrite(path, np.repeat(grey(dtype)[..., None], 3, axis=2), photometric="rgb")


def write_deep_png(path):
    header = struct.pack(">2I5B", COLUMNS, ROWS, 16, 2, 0, 0, 0)  # 16 bits, red, green and blue.
    pixels = zlib.compress(bytes(ROWS * (1 + COLUMNS * 6)))
    chunks = [b"IHDR" + header, b"IDAT" + pixels, b"IEND"]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(c) - 4) + c + crc(c) for c in chunks))


def crc(content):
    return zlib.crc32(content).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("name", "writer", "expected"),
    [
        ("a.png", lambda path: save(path, np.dstack([grey(), grey()[::-1], grey()])), "a colour image"),
        ("a.png", lambda path: save(path, np.dstack([grey()] * 4)), "transparent pixels"),
        ("a.png", write_deep_png, "16 bits per pixel and more than one channel"),
        ("a.tif", lambda path: write_rgb_tiff(path, np.float64), "several values per pixel"),
        ("a.tif", lambda path: tifffile.imwrite(path, np.stack([grey()] * 3), photometric="minisblack"), "3 pages"),
        ("a.tif", lambda path: tifffile.imwrite(path, np.zeros((3, 9, 9)), photometric="minisblack"), "3 pages"),
        ("a.jpg", lambda path: save(path, grey(), exif=turned()), "Exif orientation"),
        ("a.png", lambda path: path.write_bytes(b"junk"), "damaged"),
        ("a.tif", lambda path: path.write_bytes(b"junk"), "damaged"),
        ("a.tif", lambda path: path.write_bytes(b"II*\x00junk"), "damaged"),
        ("a.png", lambda path: path.write_bytes(save(path, grey()).read_bytes()[:200]), "damaged"),
        ("a.npy", lambda path: path.write_bytes(b"junk"), "numpy.save"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 3, 4))), "3 dimensions"),
        ("a.npy", lambda path: np.save(path, np.zeros((3, 4), complex)), "type complex128"),
        ("a.npy", lambda path: np.save(path, np.full((3, 4), np.nan)), "not finite"),
    ],
)
def test_files_that_are_no_grey_picture_are_refused(name, writer, expected, tmp_path):
    writer(tmp_path / name)
    assert expected in fault_of(formats.read_image, tmp_path / name)


def turned():
    exif = Image.Exif()
    exif[274] = 6
    return exif


def test_a_picture_that_could_fill_the_memory_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "too large" in fault_of(formats.read_image, save(tmp_path / "a.png", grey()))
    monkeypatch.setattr(pictures, "_MAX_PIXELS", 100)
    tifffile.imwrite(tmp_path / "a.tif", grey(np.float64), photometric="minisblack")
    assert "too large" in fault_of(formats.read_image, tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("writer", "found"),
    [
        (lambda path: save(path, (labels(2) * 255)), {"255": 1}),
        (lambda path: save(path, labels(2) * 255, "1"), {"1": 1}),
        (lambda path: save(path, labels(2) * 255, "RGB"), {"255": 1}),
        (lambda path: save(path, labels(2) * 255, "LA"), {"255": 1}),
        (lambda path: save(path, labels(2).astype(np.uint16) * 1000), {"1000": 1}),
        (lambda path: palette(path, labels(2), [(0, 0, 0), (170, 0, 0)]), {"1": 1}),
        (lambda path: palette(path, labels(2), [(0, 0, 0), (170, 0, 0)], bits=2), {"1": 1}),
        (lambda path: palette(path, 1 - labels(2), [(170, 0, 0), (0, 0, 0)]), {"#aa0000": 1}),
        (lambda path: palette(path, labels(2), [(0, 0, 0), (170, 0, 0)], transparency=0), {"#aa0000": 1}),
        (lambda path: save(path, labels(2)[..., None] * np.array([170, 0, 16], np.uint8)), {"#aa0010": 1}),
        (lambda path: save(path, np.dstack([labels(2) * 0] * 3 + [labels(2) * 255])), {"#000000": 1}),
        (lambda path: save(path, np.dstack([labels(2) * 0 + 255] * 3 + [labels(2) * 255])), {"255": 1}),
    ],
    ids=[
        "grey", "1 bit", "RGB", "grey and alpha", "16 bit", "palette", "palette of 2 bits", "palette with black last",
        "palette with transparency", "colour", "black on transparent", "white on transparent",
    ],
)  # fmt: skip
def test_each_encoding_of_a_png_mask_gives_the_same_pixels(writer, found, image, tmp_path):
    mask = formats.read_mask(writer(tmp_path / "m.png"), image)
    assert np.array_equal(mask.slices[0], labels(2))
    assert mask.slices[0].dtype == np.uint8
    assert mask.labels == {name: labels(2).sum() for name in found}


def test_labels_of_pictures_are_chosen_by_number_or_colour(image, tmp_path):
    colours = np.array([(0, 0, 0), (255, 255, 255), (0, 170, 0)], np.uint8)
    path = save(tmp_path / "m.png", colours[labels()])
    mask = formats.read_mask(path, image, ("#00AA00",))
    assert np.array_equal(mask.slices[0], labels() == 2)
    assert mask.labels == {"#00aa00": (labels() == 2).sum(), "#ffffff": (labels() == 1).sum()}
    indices = palette(tmp_path / "n.png", labels(), [(0, 0, 0), (9, 9, 9), (0, 170, 0)])
    assert np.array_equal(formats.read_mask(indices, image, (2,)).slices[0], labels() == 2)
    white = save(tmp_path / "w.png", labels(2) * 255)
    for wanted in ((255,), ("255",), ("#ffffff",)):
        assert np.array_equal(formats.read_mask(white, image, wanted).slices[0], labels(2))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_png_of_few_bits_keeps_its_labels(bits, image, tmp_path):
    # Pillow writes them as palettes only: the header gets colour type 0, and the palette goes.
    path = palette(tmp_path / "m.png", labels(2), [(0, 0, 0), (255, 255, 255)], bits=bits)
    content = bytearray(path.read_bytes())
    content[25] = 0
    content[29:33] = crc(content[12:29])
    start = content.index(b"PLTE") - 4
    del content[start : start + 12 + int.from_bytes(content[start : start + 4], "big")]
    path.write_bytes(content)
    assert formats.read_mask(path, image).labels == {"1": labels(2).sum()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("m.tif", {"photometric": "minisblack"}),
        ("m.tif", {"photometric": "minisblack", "tile": (16, 16)}),
    ],
)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32, np.float64])
def test_tiff_masks_of_all_types_are_accepted(name, options, dtype, image, tmp_path):
    tifffile.imwrite(tmp_path / name, labels(2).astype(dtype), **options)
    assert np.array_equal(formats.read_mask(tmp_path / name, image).slices[0], labels(2))


def test_a_tag_gives_its_labels(image, tmp_path):
    mask = formats.read_mask(write_tag(tmp_path / "m.tag", labels()), image, (2,))
    assert np.array_equal(mask.slices[0], labels() == 2)
    assert mask.labels == {"1": (labels() == 1).sum(), "2": (labels() == 2).sum()}
    header = b"x:{columns}\r\n*y:7\r\n Y : {rows}\r\n"
    path = write_tag(tmp_path / "m.tag", labels(), header)
    assert np.array_equal(formats.read_mask(path, image, (1, 2)).slices[0], labels() > 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x:30\ny:20\n" + bytes(600), "sliceOmatic tag"),
        (b"y:20\n\x0c" + bytes(600), "sliceOmatic tag"),
        (b"x:30\ny:20\n\x0c" + bytes(599), "599 pixels; its header has 20 x 30"),
        (b"x:20\ny:30\n\x0c" + bytes(600), "30 x 20 pixels; its image has 20 x 30"),
    ],
)
def test_a_tag_that_cant_be_right_is_refused(content, expected, image, tmp_path):
    (tmp_path / "m.tag").write_bytes(content)
    assert expected in fault_of(formats.read_mask, tmp_path / "m.tag", image)


@pytest.mark.parametrize("name", ["m.tag", "m.png", "m.tif", "m.dcm"])
def test_a_file_that_cant_be_opened_is_reported_with_the_systems_reason(name, image, tmp_path):
    assert "can't be read" in fault_of(formats.read_mask, tmp_path / name, image)


def test_a_tag_whose_form_feed_ends_a_line_is_read(image, tmp_path):
    (tmp_path / "m.tag").write_bytes(b"x:30\ny:20\n\x0c\n" + labels().tobytes())
    assert formats.read_mask(tmp_path / "m.tag", image).labels["2"] == (labels() == 2).sum()


@pytest.mark.parametrize("kind", ["csv", "npy", "picture", "jpeg", "tag"])
def test_a_written_mask_is_read_as_it_was(kind, image, tmp_path):
    path = formats.write_mask(tmp_path / "a.b", [labels(2)], image, kind)
    assert path.name == {"csv": "a.b.csv", "npy": "a.b.npy"}.get(kind, "a.b.png")
    assert np.array_equal(formats.read_mask(path, image).slices[0], labels(2))
    if path.suffix == ".png":
        assert set(np.unique(np.array(Image.open(path)))) == {0, 255}


def test_csv_and_npy_masks_hold_labels_as_numbers(image, tmp_path):
    csv_array.write(tmp_path / "m.csv", labels())
    np.save(tmp_path / "m.npy", labels(2).astype(bool))
    assert np.array_equal(formats.read_mask(tmp_path / "m.csv", image, ("2",)).slices[0], labels() == 2)
    assert formats.read_mask(tmp_path / "m.npy", image).labels == {"1": labels(2).sum()}
    np.save(tmp_path / "m.npy", labels() * 0.3)
    assert "not whole numbers" in fault_of(formats.read_mask, tmp_path / "m.npy", image)


def test_an_image_is_refused_as_a_mask(image, tmp_path):
    save(tmp_path / "m.png", np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS))
    assert "599 different values, as in an image" in fault_of(formats.read_mask, tmp_path / "m.png", image)
    (tmp_path / "m.txt").write_bytes(b"")
    assert "not a known format" in fault_of(formats.read_mask, tmp_path / "m.txt", image)
