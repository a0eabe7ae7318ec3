"""One 2-D array in one CSV file: a line of text per row, numbers with commas between them, no header. Reads it, or says what is wrong."""
import codecs
import io
import math
import pathlib
import re
import warnings

import numpy as np

import storage

# A 4096 x 4096 image of four-digit numbers takes 84 MB; what is larger is not one 2-D image, and reading it could fill the memory.
MAX_FILE_MB = 100

# Images are kept and computed with in float32.
_LARGEST = np.finfo(np.float32).max


def read(path: pathlib.Path) -> np.ndarray:
    """The array in the file: (rows, columns), int64 where all values are whole numbers as written ("3", not "3.0"), else float64.

    Raises DatasetError with one line for the first fault found: too large, empty, unreadable, not UTF-8, rows of unequal length, a cell
    that is not a finite number, or beyond float32's.
    """
    text = _text(path)
    values = _whole_numbers(text)
    if values is None:
        values = _numbers(text)
    if values is None:
        raise storage.DatasetError([f"{path}: {_fault(text.decode())}"])
    return values


def is_csv(path: pathlib.Path) -> bool:
    """Whether it is a file whose name ends in .csv, in whatever capitals."""
    return path.suffix.lower() == ".csv" and path.is_file()


def find(folder: pathlib.Path) -> tuple[dict[str, pathlib.Path], list[str]]:
    """The CSV files in a folder by their names without ending, sorted, hidden ones passed over; and a fault for each whose name is another's, too."""
    # Sorted: the order in which a disk lists its files differs between machines.
    paths = sorted(path for path in folder.glob("*") if is_csv(path) and not path.name.startswith("."))
    found = {path.stem: path for path in paths}
    return found, [f"{path}: there is another of that name, but for capitals. Remove or rename one." for path in paths if found[path.stem] is not path]


def write(path: pathlib.Path, values: np.ndarray) -> None:
    """Writes a 2-D array of whole numbers in the form that `read` reads. The same numbers as numpy.savetxt writes, in a fraction of its time."""
    # Each distinct number is turned into text once: an image holds a few thousand of them, a mask two.
    distinct, places = np.unique(values, return_inverse=True)
    words = np.array([str(number) for number in distinct.tolist()], dtype=object)[places.reshape(values.shape)]
    path.write_text("".join(",".join(row) + "\n" for row in words), encoding="utf-8")


def _text(path: pathlib.Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_MB * 1e6:
            raise storage.DatasetError([f"{path}: larger than {MAX_FILE_MB} MB, which is no 2-D image. Give one CSV file per slice."])
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8)  # Excel writes the mark; it means nothing here.
        text.decode()
    except OSError as error:
        raise storage.DatasetError([f"{path}: can't be read ({error.strerror}). Check that the file is whole and yours to read."]) from error
    except UnicodeDecodeError as error:
        raise storage.DatasetError([f"{path}: not UTF-8 text. Is it a CSV file? Save it as CSV with the encoding UTF-8."]) from error
    return (text.replace(b"\r\n", b"\n") if b"\r" in text else text).strip(b"\n")


def _whole_numbers(text: bytes) -> np.ndarray | None:
    # The way that nearly every file goes: less than half the time of numpy.loadtxt. Whatever it does not fully understand is left to the next.
    shape = text.count(b"\n") + 1, text.partition(b"\n")[0].count(b",") + 1
    if len(text) == 2 * math.prod(shape) - 1:
        return _digits(text, shape)
    if any(line.count(b",") + 1 != shape[1] for line in text.split(b"\n")):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns where it stops before the end.
        try:
            values = np.fromstring(text.replace(b"\n", b","), dtype=np.int64, sep=",")
        except (DeprecationWarning, ValueError):
            return None
    # Beyond int64 numpy gives the nearest number that fits, in silence.
    whole = values.size == math.prod(shape) and np.abs(values).max() < 2**53
    return values.reshape(shape) if whole else None


def _digits(text: bytes, shape: tuple[int, int]) -> np.ndarray | None:
    # One digit a cell, as in every mask: digits stand at the even places, commas and line ends between them.
    characters = np.frombuffer(text + b"\n", dtype=np.uint8).reshape(*shape, 2)
    digits, separators = characters[..., 0] - ord("0"), characters[..., 1]
    regular = digits.max() <= 9 and (separators[:, :-1] == ord(",")).all() and (separators[:, -1] == ord("\n")).all()
    return digits.astype(np.int64) if regular else None


def _numbers(text: bytes) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # An empty file only warns, and comes back empty.
        try:
            values = np.loadtxt(io.BytesIO(text), dtype=np.float64, delimiter=",", ndmin=2, comments=None, encoding="utf-8")
        except ValueError:
            return None
    return values if values.size and np.abs(values).max() <= _LARGEST else None


def _fault(text: str) -> str:
    lines = text.split("\n")
    if not text.strip():
        return "the file is empty. Export it again."
    separators = _foreign_separators(lines[0])
    if separators:
        return separators
    for row, line in enumerate(lines, start=1):
        cells = line.split(",")
        for column, cell in enumerate(cells, start=1):
            if _cell_fault(cell):
                return f"row {row}, column {column}: {_cell_fault(cell)}"
        if len(cells) != len(lines[0].split(",")):
            return f"row {row} has {len(cells)} values, row 1 has {len(lines[0].split(','))}. All rows must be equally long."
    return "not a table of numbers."


def _foreign_separators(line: str) -> str:
    if ";" in line:
        decimals = " and decimal commas" if re.search(r"\d,\d", line) else ""
        return f"semicolons between the values{decimals}. Save it with commas between the values and points as decimal marks."
    if re.search(r'"-?\d+,\d+"', line):
        return "decimal commas. Save it with points as decimal marks."
    if "," not in line and len(line.split()) > 1 and not re.search(r"[A-Za-z]", line):
        return "spaces or tabs between the values. Save it with commas between the values."
    return ""


def _cell_fault(cell: str) -> str:
    if not cell.strip():
        return "an empty cell. Each cell must hold a number; a row must not end with a comma."
    try:
        value = float(cell if cell.isascii() and "_" not in cell else "")  # Python's own number forms are not CSV's.
    except ValueError:
        return f"'{cell.strip()[:40]}' is not a number. A header or row names must be removed."
    return "" if abs(value) <= _LARGEST else f"{cell.strip()}, which is no finite number in 32 bits. Replace it, for example by the value of air."
