"""Reading one array from one CSV file: the same numbers as numpy, or an error with its cause and location."""

import pathlib
import random
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import storage
from data import csv_array

# numpy warns of whole numbers beyond int64, which are then read as float64.
pytestmark = pytest.mark.filterwarnings("ignore:loadtxt")

WHOLE = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*")
ALPHABET = "0123456789,-+. \t\n\r;eE\"'_xN\u2212\x00\x0b\x0c\x1c\x1f\x85\u00a0\u2009\u2028\u0663\uff15\ufeff"
TOKENS = [
    "nan", "NaN", "inf", "-Infinity", "True", "1e5", "1e-400", "1e39", "3.4028235e38", "1_0", "0x10", "--", "+-1",
    "- 5", "5-3", "1.2.3", "e5", "1e", "1e+", "9007199254740991", "9007199254740992", "-9223372036854775808", "1" * 400,
    "99999999999999999999", "-99999999999999999999", "1L", "1d0", "1f", "(1)", "1+2j", "#", "# 5", "\n\n", "\r\n",
    "\r\r\n", "\n \n", ",,", ",\n", "\n,", '"1"', '"-1,024"', "1,5;", "<", "%", "\\",
]  # fmt: skip


def read(folder, content):
    path = folder / "case.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv_array.read(path)


def reference(content: bytes) -> np.ndarray | None:
    """Returns the array that the content defines, or None if it is not a table of numbers."""
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    rows = [line.split(",") for line in re.split("\r\n|\r|\n", text) if line]
    cells = [cell for row in rows for cell in row]
    if not rows or len(set(map(len, rows))) != 1 or not all(map(NUMBER.fullmatch, cells)):
        return None
    if max(abs(float(cell)) for cell in cells) > np.finfo(np.float32).max:
        return None
    if all(map(WHOLE.fullmatch, cells)) and max(abs(int(cell)) for cell in cells) < 2**53:
        return np.array([[int(cell) for cell in row] for row in rows], dtype=np.int64)
    return np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64)


def mutated(choice: random.Random) -> bytes:
    """Returns the content of a valid file, with up to four mutations."""
    kinds = [
        lambda: str(choice.randint(0, 1)),
        lambda: str(choice.randint(-1024, 3000)),
        lambda: f"{choice.uniform(-9, 9):.3f}",
        lambda: f"{choice.uniform(-9, 9):.4e}",
    ]
    kind, end, columns = choice.choice(kinds), choice.choice(["\n", "\n", "\r\n", "\r"]), choice.randint(1, 4)
    rows = [",".join(kind() for _ in range(columns)) for _ in range(choice.randint(1, 4))]
    text = end.join(rows) + choice.choice(["", end])
    for _ in range(choice.randint(0, 4)):
        text = _mutated_once(text, choice)
    content = text.encode()
    return content if choice.random() < 0.98 else content + bytes([choice.randint(0, 255)])


def _mutated_once(text: str, choice: random.Random) -> str:
    start = choice.randint(0, len(text))
    change = choice.randrange(6)
    if change < 3:  # Insert, delete or replace.
        new = choice.choice(ALPHABET) if choice.random() < 0.7 else choice.choice(TOKENS)
        return text[:start] + (new if change != 1 else "") + text[start + (change > 0) :]
    if change == 3:  # Swap.
        return text[:start] + text[start : start + 2][::-1] + text[start + 2 :]
    cells = re.split("([,\r\n]+)", text)
    number = choice.randrange(0, len(cells), 2)
    if change == 4:  # Replace a whole cell.
        cells[number] = choice.choice(TOKENS + list(ALPHABET))
    else:
        cells[number] = choice.choice([" {}", "{} ", "\t{}", "+{}"]).format(cells[number])
    return "".join(cells)


def disagreement(path: pathlib.Path, content: bytes) -> str:
    """Writes the content to `path` and returns how the reader differs from the reference, or ""."""
    path.write_bytes(content)
    expected = reference(content)
    try:
        values = csv_array.read(path)
    except storage.DatasetError as error:
        if expected is None and len(error.faults) == 1 and error.faults[0].isprintable():
            return ""
        return f"{content!r}: rejected with {error.faults}, reference {expected}"
    if expected is not None and values.dtype == expected.dtype and np.array_equal(values, expected):
        return ""
    return f"{content!r}: {values.dtype} {values.tolist()}, reference {expected}"


@settings(max_examples=500, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_reader_agrees_with_a_strict_reference_on_mutated_texts(tmp_path_factory, choice):
    assert not disagreement(tmp_path_factory.getbasetemp() / "mutated.csv", mutated(choice))


def test_mutated_texts_include_readable_and_unreadable_ones():
    readable = [reference(mutated(random.Random(seed))) is not None for seed in range(1000)]
    assert 250 < sum(readable) < 750


@pytest.mark.parametrize(
    "cell",
    ["-", "+", " ", "\t", "", ".", "--1", "5-3", "1 2", "\x0b1", "1\x1c", "\u00a01", "-\t1", "1e", "0x10", "\u0663"],
)
@pytest.mark.parametrize("others", ["100,{},300\n1,2,3\n", "1,2,3\n4,5,{}\n", "{},0,1\n", "1.5,{}\n"])
def test_a_cell_that_is_not_a_number_is_rejected(tmp_path, cell, others):
    with pytest.raises(storage.DatasetError):
        read(tmp_path, others.format(cell))


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(-3000, 3000)))
def test_whole_numbers_come_back_as_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "case.csv"
    csv_array.write(path, values)
    assert csv_array.read(path).dtype == np.int64
    np.testing.assert_array_equal(csv_array.read(path), values)
    np.testing.assert_array_equal(np.loadtxt(path, delimiter=",", ndmin=2), values)


@pytest.mark.parametrize(
    "text, values",
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("0,1\n1,0", [[0, 1], [1, 0]]),
        ("\ufeff1,2\r\n3,4\r\n\r\n", [[1, 2], [3, 4]]),  # as Excel writes it
        (" 1, -2\n 3, 4\n", [[1, -2], [3, 4]]),
        ("1.5,2\n-3e2,4\n", [[1.5, 2], [-300, 4]]),
        ("7", [[7]]),
        ("99999999999999999999,1", [[1e20, 1]]),  # beyond what an integer holds
        ("-99999999999999999999,1", [[-1e20, 1]]),
        ("+1,2\t\n3 ,4", [[1, 2], [3, 4]]),
        ("1.000000000000000000e+00,-2.5e+01\n", [[1, -25]]),  # as numpy.savetxt writes it by default
        ("1,2\r3,4\r", [[1, 2], [3, 4]]),  # as old Macs wrote it
        ("1,2\r\r\n3,4\r\r\n", [[1, 2], [3, 4]]),  # as Python's csv writes it on Windows without newline=""
        ("1,2\n\n3,4\n", [[1, 2], [3, 4]]),
    ],
)
def test_variants_of_the_format_are_read(tmp_path, text, values):
    np.testing.assert_array_equal(read(tmp_path, text), values)


@pytest.mark.parametrize(
    "text, dtype",
    [(" 1,\t+2\r\n\r\n3,4", np.int64), ("1,2.0", np.float64), ("1e2,2", np.float64), ("9007199254740992", np.float64)],
)
def test_only_cells_written_as_whole_numbers_give_integers(tmp_path, text, dtype):
    assert read(tmp_path, text).dtype == dtype


def test_numpys_default_format_with_commas_is_read(tmp_path):
    values = np.linspace(-1024, 3000, 12).reshape(3, 4)
    np.savetxt(tmp_path / "case.csv", values, delimiter=",")
    np.testing.assert_array_equal(csv_array.read(tmp_path / "case.csv"), values)


def test_decimals_are_kept_and_nan_is_rejected_if_warnings_are_ignored(tmp_path):
    # If integers are requested, numpy drops decimals with a warning. Other threads may change the warning filters.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(read(tmp_path, "1,2\n3,4.5\n"), [[1, 2], [3, 4.5]])
        assert all(disagreement(tmp_path / "case.csv", content) == "" for content in (b"1,nan", b"1,INF", b"1,1e2"))


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("1,2\n3\n", "row 2 has 1 values, row 1 has 2"),
        ("x,y\n1,2\n", "row 1, column 1: 'x' is not a number. A header or row names must be removed."),
        ("1,2\n3,a\n", "row 2, column 2: 'a' is not a number"),
        ("1,2\n,4\n", "row 2, column 1: an empty cell"),
        ("1,2,\n3,4,\n", "a row must not end with a comma"),
        ("1,nan\n3,4\n", "row 1, column 2: nan is not a finite number. Replace it"),
        ("1,2\n3,-1.8e308\n", "row 2, column 2: -1.8e308 is outside the float32 range. Replace it"),
        ("1,2\n3,1e39\n", "row 2, column 2: 1e39 is outside the float32 range. Replace it"),
        ("1,2\ninf,4\n", "row 2, column 1: inf"),
        ("1;2\n3;4\n", "semicolons between the values. Save it with commas"),
        ("1,5;2,5\n3,0;4,0\n", "semicolons between the values and decimal commas"),
        ('"1,5","2,5"\n', "decimal commas"),
        ("1 2\n3 4\n", "spaces or tabs between the values"),
        ("1_0,2\n", "'1_0' is not a number"),
        (b"\xff\xfe1\x00,\x002\x00", "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00\x9c", "not UTF-8 text"),
    ],
)
def test_faults_are_reported_with_their_location(tmp_path, content, message):
    with pytest.raises(storage.DatasetError) as caught:
        read(tmp_path, content)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"{tmp_path / 'case.csv'}: ")
    assert message in caught.value.faults[0]


def test_a_file_too_large_to_be_an_image_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_array, "MAX_FILE_MB", 0.001)
    with pytest.raises(storage.DatasetError, match="larger than 0.001 MB, which is no 2-D image"):
        read(tmp_path, "1," * 1000 + "1")


def test_a_2048_px_image_in_numpys_long_format_is_within_the_limit():
    assert 2048 * 2048 * len("-1.024000000000000000e+03,") <= csv_array.MAX_FILE_MB * 1e6 <= 1.2 * 2048 * 2048 * 26


@pytest.mark.parametrize("delimiter", [",", " "])
def test_a_file_too_large_because_of_its_digits_gets_advice_on_the_format(tmp_path, monkeypatch, delimiter):
    monkeypatch.setattr(csv_array, "MAX_FILE_MB", 0.001)
    np.savetxt(tmp_path / "case.csv", np.full((300, 300), -7.0), delimiter=delimiter)
    with pytest.raises(
        storage.DatasetError,
        match='2 MB, 26 characters per number; at most 0.001 MB are read. Write fewer digits: fmt="%d"',
    ):
        csv_array.read(tmp_path / "case.csv")


def test_reading_needs_little_more_memory_than_the_file_and_its_array(tmp_path):
    np.savetxt(tmp_path / "case.csv", np.full((400, 400), -7.0), delimiter=",")
    size = (tmp_path / "case.csv").stat().st_size
    tracemalloc.start()
    array = csv_array.read(tmp_path / "case.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * size + 2 * array.nbytes


IMAGE = np.add.outer(np.arange(6), np.arange(6)) * 37 % 251 - 60


WIDE = np.random.default_rng(0).integers(0, 256, (20, 60))


def pixels(*channels):
    """Returns the channels of all pixels side by side, as if a colour image were reshaped to two dimensions."""
    return np.stack(channels, axis=-1).reshape(len(channels[0]), -1)


COLOUR = pixels(WIDE[:, :20], WIDE[:, :20] + 20, WIDE[:, :20] // 2)


@pytest.mark.parametrize(
    "values, explanation",
    [
        (IMAGE, ""),
        (
            np.vstack([np.arange(6), IMAGE]),
            "the first row counts 0, 1, 2, ...: a header of pandas. Write it with header=False, index=False.",
        ),
        (np.vstack([np.arange(6), IMAGE / 7]), "the first row counts 0, 1, 2, ...: a header"),
        (
            np.column_stack([np.arange(6), IMAGE]),
            "the first column counts 0, 1, 2, ...: an index of pandas. Write it with header=False, index=False.",
        ),
        (
            np.vstack([np.arange(-1, 6), np.column_stack([np.arange(6), IMAGE])]),
            "the first row and column count 0, 1, 2, ...: header and index of pandas.",
        ),
        (np.vstack([np.arange(6), IMAGE[:5]]), ""),  # The shape is right, so 0, 1, 2 are its values.
        (
            np.vstack([np.arange(5), IMAGE[:5, :5]]),
            "the first row counts 0, 1, 2, ...: a header",
        ),  # Of an image of another size.
        (pixels(IMAGE, IMAGE, IMAGE), "3 values per pixel: a colour image. Convert it to grey."),
        (pixels(IMAGE, IMAGE, IMAGE, IMAGE), "4 values per pixel: a colour image. Convert it to grey."),
        (pixels(IMAGE, IMAGE * 0 + 255), "2 values per pixel: grey and alpha. Save it without the alpha channel."),
        (pixels(IMAGE / 251, IMAGE * 0 + 1), "2 values per pixel: grey and alpha."),
        (pixels(IMAGE, np.where(IMAGE > 9, 255, 0)), "2 values per pixel: grey and alpha."),
        (pixels(IMAGE, IMAGE % 10), "2 values per pixel: decimal commas. Save it with points as decimal marks."),
        (pixels(IMAGE, IMAGE * 0), "2 values per pixel: decimal commas."),
        (pixels(IMAGE, IMAGE * 0 + 5), "2 values per pixel: decimal commas."),
        (pixels(IMAGE, IMAGE), ""),  # Negative numbers cannot be decimal places.
        (WIDE, ""),  # A grey image of another size.
        (WIDE[:5, :10], ""),
        (WIDE[:5, :10] % 2, ""),  # A mask.
        (WIDE[:5, :10] % 2 * 255, ""),
        (COLOUR, "3 values per pixel: a colour image."),  # Of another size.
        (pixels(WIDE[:, :20], WIDE[:, :20], WIDE[:, :20]), "3 values per pixel: a colour image."),
        (
            np.kron(np.eye(5), np.ones((4, 12))),
            "",
        ),  # A grey image of shapes whose borders happen to be 12 columns apart.
        (pixels(IMAGE, IMAGE % 2 * 255)[:5, :10], "2 values per pixel: grey and alpha."),
        (IMAGE.reshape(1, -1), "a flattened array. Reshape it to 6 x 6 before saving."),
        (IMAGE.reshape(-1, 1), "a flattened array. Reshape it to 6 x 6 before saving."),
        (IMAGE[:5].reshape(1, -1), "a flattened array. Reshape it to rows x columns before saving."),
        (IMAGE[:5], ""),
        (np.vstack([IMAGE, IMAGE, IMAGE]), ""),
        (np.zeros((7, 6)), ""),
        (np.zeros((1, 1)), ""),
    ],
)
def test_an_unexpected_shape_is_explained_by_the_content(values, explanation):
    text = csv_array.explain_shape(values, 6)
    assert text.startswith(explanation)
    assert bool(text) == bool(explanation)


def test_an_unreadable_file_is_reported(tmp_path):
    (tmp_path / "case.csv").mkdir()
    with pytest.raises(storage.DatasetError, match="can't be read"):
        csv_array.read(tmp_path / "case.csv")
