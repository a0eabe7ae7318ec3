"""What is wrong with a text that is no table of numbers, and how to fix it: the messages of `csv_array`."""

import re

import numpy as np

# Images are kept and computed with in float32.
MAX_VALUE = float(np.finfo(np.float32).max)

# From as many columns on, 0, 1, 2, ... are column names, not values.
MIN_LABELS = 3
PANDAS = "the {} 0, 1, 2, ...: {} of pandas. Write it with header=False, index=False."

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LINE = re.compile(rf"[ \t]*{_NUMBER.pattern}[ \t]*(,[ \t]*{_NUMBER.pattern}[ \t]*)*")

# Longer numbers hold more digits than an image needs.
_LONG_NUMBER = 10
_MAX_SHOWN = 40


def explain_size(beginning: bytes, megabytes: float, max_megabytes: float) -> str:
    """Why a file is larger than allowed, from its first bytes, and the fix."""
    words = re.split(r"[,;\s]+", beginning.decode("latin-1"))[1:-1]  # The first may follow a mark, the last is cut off.
    length = len(beginning) / max(1, len(words))
    if length > _LONG_NUMBER and words and all(map(_NUMBER.fullmatch, words)):
        fix = 'Write fewer digits: fmt="%d" or fmt="%.4f" in numpy.savetxt.'
        return f"{megabytes:.0f} MB, {length:.0f} characters per number; at most {max_megabytes} MB are read. {fix}"
    return f"larger than {max_megabytes} MB, which is no 2-D image. Give one CSV file per slice."


def find_fault(text: bytes) -> str:
    """What is wrong with a text that `csv_array.read` rejects, if possible with row and column, and the fix.

    The text has no byte order mark, and LF as line end. Control characters of its cells are escaped. ValueError where
    nothing is wrong.
    """
    if not text.strip():
        return "the file is empty. Export it again."
    for beginning, cause in _FORMATS.items():
        if re.match(beginning, text[:2000]):
            return cause
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        return "not UTF-8 text. Is it a CSV file? Save it as CSV with the encoding UTF-8."
    first = next(filter(None, lines))
    cells = first.split(",")
    return _separators(first) or _quoted_commas(text) or _header(cells) or _first_fault(lines, len(cells))


# What other files begin with.
_FORMATS = {
    rb"version https://git-lfs": "a Git LFS pointer, not the file itself. Type `git lfs pull`.",
    rb"(?is)\s*<(.*<)?(!doctype )?html": "an HTML page: the download failed or needs a login. Download it again.",
    rb"\s*<": "an XML file. Export the image as CSV.",
    rb"PK\x03\x04": "an Excel workbook or a ZIP archive. Export the image as CSV.",
    rb"\x1f\x8b": "compressed with gzip. Decompress it.",
    rb"\x93NUMPY": 'a NumPy file. Save the array with numpy.savetxt(..., delimiter=",").',
}


def _separators(line: str) -> str:
    if ";" in line:
        decimals = " and decimal commas" if re.search(r"\d,\d", line) else ""
        fix = "Save it with commas between the values and points as decimal marks."
        return f"semicolons between the values{decimals}. {fix}"
    words = line.split()
    if len(words) > 1 and all(map(_NUMBER.fullmatch, words)):
        return 'spaces or tabs between the values. Save it with commas instead: delimiter="," in numpy.savetxt.'
    return ""


def _quoted_commas(text: bytes) -> str:
    numbers = re.findall(rb'"([+-]?[0-9.]+(?:,[0-9]+)+(?:\.[0-9]+)?)"', text)
    if not numbers:
        return ""
    if all(re.fullmatch(rb"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?", number) for number in numbers):
        return f"thousands separators: {_shown(numbers[0].decode())}. Save the numbers without them."
    return "decimal commas. Save it with points as decimal marks."


def _header(cells: list[str]) -> str:
    words = [cell.strip(' \t"') for cell in cells]
    labels = [str(number) for number in range(len(words) - 1)]
    if len(labels) >= MIN_LABELS and words[1:] == labels and not _NUMBER.fullmatch(words[0]):
        return PANDAS.format("first row counts", "a header")
    names = [column for column, word in enumerate(words) if _is_name(word)]
    if names and (names[0] == 0 or 2 * len(names) > len(words)):
        word = _shown(words[names[0]])
        return f"row 1, column {names[0] + 1}: {word} is not a number. A header or row names must be removed."
    return ""


def _is_name(word: str) -> bool:
    return bool(re.match(r"#|[^\W\d_]", word)) and not _NOT_FINITE.fullmatch(word) and not _known_fault(word)


def _first_fault(lines: list[str], columns: int) -> str:
    for row, line in enumerate(lines, start=1):
        cells = line.split(",") if line else []
        # Only the lines that need it are searched cell by cell: this takes 10 times as long.
        if line and not (_LINE.fullmatch(line) and max(map(abs, map(float, cells))) <= MAX_VALUE):
            faults = enumerate(map(_cell_fault, cells), start=1)
            return next(f"row {row}, column {column}: {fault}" for column, fault in faults if fault)
        if line and len(cells) != columns:
            return f"row {row} has {len(cells)} values, row 1 has {columns}. All rows must be equally long."
    raise ValueError("a table of numbers has no fault")


def _cell_fault(cell: str) -> str:
    word = cell.strip(" \t")
    if not word:
        return "an empty cell. Each cell must hold a number; a row must not end with a comma."
    if _NOT_FINITE.fullmatch(word):
        return f"{word} is not a finite number. Replace it, for example by the value of air."
    if not _NUMBER.fullmatch(word):
        return f"{_shown(word)} {_known_fault(word) or 'is not a number. Write it with digits, as in -1024 or 0.5.'}"
    if abs(float(word)) > MAX_VALUE:
        return f"{_shown(word)[1:-1]} is outside the float32 range. Replace it, for example by the value of air."
    return ""


def _known_fault(word: str) -> str:
    return next((fault for pattern, fault in _WORDS.items() if re.search(pattern, word, re.IGNORECASE)), "")


_WORDS = {
    r"^(true|false)$": "is a boolean value. Save 0 and 1, for example with astype(int).",
    r"^(na|<na>|n/a|#n/a|none|null)$": "is not a number. Replace missing values, for example by the value of air.",
    "[\"']": "is in quotation marks. Save numbers without quotation marks.",
    "\\x00": "is not a number: it has a NUL character. Save the file as CSV with the encoding UTF-8, or copy it again.",
    "[\\u2010-\\u2015\\u2212\\ufe63\\uff0d]": "has a typographic minus sign. Replace it by a hyphen, -.",
    "[\\u00a0\\u1680\\u2000-\\u200b\\u202f\\u205f\\u3000\\ufeff]": "has a special space. Remove it.",
    r"^[-+.?*_/~]+$": "is not a number. Replace missing values, for example by the value of air.",
}


def _shown(word: str) -> str:
    # Escaped: raw control characters could change the terminal.
    return repr(word if len(word) <= _MAX_SHOWN else word[: _MAX_SHOWN - 3] + "...")
