"""One array in one CSV file: the same numbers as numpy reads, or a text that says what is wrong and where."""
import numpy as np
import pytest
import storage
from data import csv_array
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


def read(folder, content):
    path = folder / "case.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv_array.read(path)


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
    ],
)
def test_forms_that_are_read(tmp_path, text, values):
    np.testing.assert_array_equal(read(tmp_path, text), values)


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("1,2\n3\n", "row 2 has 1 values, row 1 has 2"),
        ("x,y\n1,2\n", "row 1, column 1: 'x' is not a number. A header or row names must be removed."),
        ("1,2\n3,a\n", "row 2, column 2: 'a' is not a number"),
        ("1,2\n,4\n", "row 2, column 1: an empty cell"),
        ("1,2,\n3,4,\n", "a row must not end with a comma"),
        ("1,nan\n3,4\n", "row 1, column 2: nan, which is no finite number"),
        ("1,2\n3,-1.8e308\n", "row 2, column 2: -1.8e308, which is no finite number in 32 bits"),
        ("1,2\n3,1e39\n", "row 2, column 2: 1e39, which is no finite number in 32 bits"),
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
def test_what_is_wrong_is_told_with_its_place(tmp_path, content, told):
    with pytest.raises(storage.DatasetError) as caught:
        read(tmp_path, content)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"{tmp_path / 'case.csv'}: ") and told in caught.value.faults[0]


def test_a_file_too_large_to_be_an_image_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_array, "MAX_FILE_MB", 0.001)
    with pytest.raises(storage.DatasetError, match="larger than 0.001 MB, which is no 2-D image"):
        read(tmp_path, "1," * 1000 + "1")


def test_an_unreadable_file_is_told(tmp_path):
    (tmp_path / "case.csv").mkdir()
    with pytest.raises(storage.DatasetError, match="can't be read"):
        csv_array.read(tmp_path / "case.csv")
