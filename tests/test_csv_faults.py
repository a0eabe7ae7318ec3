"""Messages about files that are not tables of numbers: each names the cause and the fix."""

import numpy as np
import pandas as pd
import pytest

from data import csv_faults

HEADER = "the first row counts 0, 1, 2, ...: a header of pandas. Write it with header=False, index=False."


def fault(text):
    return csv_faults.find_fault(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    "text, message",
    [
        ("True,False\n", "row 1, column 1: 'True' is a boolean value. Save 0 and 1, for example with astype(int)."),
        ("1,FALSE\n", "row 1, column 2: 'FALSE' is a boolean value."),
        ('"1","2"\n', "row 1, column 1: '\"1\"' is in quotation marks. Save numbers without quotation marks."),
        ("'1','2'\n", "row 1, column 1: \"'1'\" is in quotation marks."),
        ('"-1,024","2"\n', "thousands separators: '-1,024'. Save the numbers without them."),
        ('7,"1,024,000"\n', "thousands separators: '1,024,000'."),
        ('7,8\n7,"-1,024"\n', "thousands separators: '-1,024'."),
        ('"1,024","2,5"\n', "decimal commas. Save it with points as decimal marks."),
        ('"0,024","0,031"\n', "decimal commas."),
        ("1,024,5\n1,5\n", "row 2 has 2 values, row 1 has 3. All rows must be equally long."),
        ("\u22121024,2\n", "row 1, column 1: '\u22121024' has a typographic minus sign. Replace it by a hyphen, -."),
        ("1,\u20132\n", "row 1, column 2: '\u20132' has a typographic minus sign."),
        ("1\u00a0024,2\n", "row 1, column 1: '1\\xa0024' has a special space. Remove it."),
        ("1,2\u2009000\n", "row 1, column 2: '2\\u2009000' has a special space."),
        (
            "100,-,300\n",
            "row 1, column 2: '-' is not a number. Replace missing values, for example by the value of air.",
        ),
        ("NA,2\n", "row 1, column 1: 'NA' is not a number. Replace missing values"),
        ("1,2\nnan,4\n", "row 2, column 1: nan is not a finite number."),
        ("12, ,7\n", "row 1, column 2: an empty cell. Each cell must hold a number"),
        ("1,0x10\n", "row 1, column 2: '0x10' is not a number. Write it with digits, as in -1024 or 0.5."),
        ("1,\u0663\n", "row 1, column 2: '\u0663' is not a number. Write it with digits"),
        (
            "1\x00,\x002\x00\n",
            "row 1, column 1: '1\\x00' is not a number: it has a NUL character. Save the file as CSV",
        ),
        ("\n\n1,2\n\n3,x\n", "row 5, column 2: 'x' is not a number."),
    ],
)
def test_a_cell_is_reported_with_its_location_cause_and_fix(text, message):
    assert fault(text).startswith(message)


@pytest.mark.parametrize(
    "text", ["x,y\n1,2\n", "id,0\n1,2\n", '"","V1","V2"\n"1",2,3\n', ",a,b\n0,1,2\n", "# width 512\n1,2\n", "Größe,2\n"]
)
def test_letters_in_the_first_row_are_a_header(text):
    assert fault(text).endswith("is not a number. A header or row names must be removed.")


@pytest.mark.parametrize(
    "text",
    ["1,2\n3,a\n", "1,a\n", "1,2\na,4\n", "True,1\n", "nan,1\n", "-,1\n", '"1","2"\n', "1.0e+00x,2\n", "\u22121,2\n"],
)
def test_nothing_else_is_called_a_header(text):
    assert "header" not in fault(text)


@pytest.mark.parametrize("index_label", [None, "case"])
def test_labels_of_pandas_are_recognized(tmp_path, index_label):
    pd.DataFrame(np.full((4, 4), -5)).to_csv(tmp_path / "image.csv", index_label=index_label)
    assert fault((tmp_path / "image.csv").read_bytes()) == HEADER


@pytest.mark.parametrize("delimiter", [" ", "\t"])
def test_numpys_default_format_without_commas_is_reported_by_its_separator(tmp_path, delimiter):
    np.savetxt(tmp_path / "image.csv", np.full((4, 4), -5), delimiter=delimiter)
    assert fault((tmp_path / "image.csv").read_bytes()).startswith(
        "spaces or tabs between the values. Save it with commas"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "<!DOCTYPE html>\n<html><body>Log in, please",
            "an HTML page: the download failed or needs a login. Download it again.",
        ),
        ("\n <HTML lang='en'>", "an HTML page"),
        ("<?xml version='1.0'?>\n<!DOCTYPE html>\n<html>", "an HTML page"),
        ("<?xml version='1.0'?>\n<image/>", "an XML file. Export the image as CSV."),
        (b"<html>caf\xe9", "an HTML page"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "a Git LFS pointer, not the file itself. Type `git lfs pull`.",
        ),
        (b"PK\x03\x04\x14\x00\xff", "an Excel workbook or a ZIP archive. Export the image as CSV."),
        (b"\x1f\x8b\x08", "compressed with gzip. Decompress it."),
        (b"\x93NUMPY\x01", "a NumPy file."),
    ],
)
def test_another_format_is_named(text, message):
    assert fault(text).startswith(message)


def test_a_cell_is_shown_escaped_and_cut(tmp_path):
    assert "'\\x1b[2J\\x07'" in fault("1,\x1b[2J\x07\n")
    assert "'\\u202e1'" in fault("1,\u202e1\n")
    for text in ("9" * 5000, "x" * 5000, '"1,5"' * 1000, "1," + "\x00" * 5000):
        assert len(fault(text)) < 350
        assert fault(text).isprintable()


def test_a_long_row_with_a_fault_at_its_end_is_reported_at_once():
    # A regular expression with catastrophic backtracking would try every way to divide the digits.
    assert fault(",".join(["-1024.000"] * 5000) + ",12345678901234567890x").startswith("row 1, column 5001")
