"""Reads the JSON files, tables and arrays of this project; DamagedFile names a damaged one and the fix.

`fix` is the last sentence of that message: what to delete, or which step to repeat.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from storage.errors import DamagedFile, first_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Record = TypeVar("Record")

# The first bytes of a file that Git LFS has not downloaded yet.
_LFS_POINTER = b"version https://git-lfs.github.com/spec"


def read_json(file: pathlib.Path, fix: str, required: Collection[str] = ()) -> dict[str, Any]:
    """The object in a JSON file with at least the `required` keys. Accepts a byte order mark. DamagedFile otherwise."""
    try:
        values = json.loads(read_content(file, fix).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # From decoding or from JSON.
        raise DamagedFile(f"{file}: not valid JSON ({error}). It was damaged or edited by hand. {fix}") from error
    if not isinstance(values, dict):
        raise DamagedFile(
            f"{file}: holds {type(values).__name__}, not a JSON object. It was damaged or edited by hand. {fix}"
        )
    missing = sorted(set(required) - values.keys())
    if missing:
        raise DamagedFile(
            f"{file}: {', '.join(missing)} is missing. It was damaged or edited by hand, or is another program's. {fix}"
        )
    return values


def to_record(
    values: Mapping[str, Any], kind: type[Record], file: pathlib.Path, fix: str, allow_nan: bool = False
) -> Record:
    """The `values` of a JSON file as the dataclass `kind`; other keys are ignored.

    DamagedFile if a field is missing, even one with a default, or has another type; if a number is infinite or, without
    `allow_nan`, NaN; if the dataclass itself raises ValueError.
    """
    import pydantic

    try:
        record = pydantic.TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
        valid = (lambda number: not math.isinf(number)) if allow_nan else math.isfinite
        fault = _fault(dataclasses.asdict(record), values, valid)  # type: ignore[call-overload]
    except RecursionError:
        fault = "too deeply nested"
    except pydantic.ValidationError as error:
        fault = _first_fault(error.errors(include_url=False)[0])
    if fault:
        raise DamagedFile(f"{file}: {fault.rstrip('.')}. It was damaged or edited by hand. {fix}")
    return record


def _first_fault(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error":  # Of the dataclass itself.
        return str(error["ctx"]["error"])
    place = ".".join(map(str, error["loc"])) or "the file"
    return f"{place} is missing" if error["type"] == "missing" else f"{place}: {error['msg']}"


def _fault(record: Mapping[str, Any], values: Mapping[str, Any], valid: Callable[[float], bool]) -> str:
    """Names the first field that `values` lacks or that is no valid number; also in nested and listed records."""
    for name, value in record.items():
        if name not in values:
            return f"{name} is missing"
        is_list = isinstance(value, (list, tuple))
        items, given = (value, values[name]) if is_list else ([value], [values[name]])
        for item, original in zip(items, given, strict=True):
            if isinstance(item, dict) and (fault := _fault(item, original, valid)):
                return f"{name}.{fault}"
        if not all(valid(number) for number in items if isinstance(number, float)):
            return f"{name}: must be finite"
    return ""


def read_table(file: pathlib.Path, fix: str, columns: Collection[str], **options: Any) -> "pd.DataFrame":
    """The table in a CSV file with at least these `columns`; `options` of pandas.read_csv. DamagedFile otherwise."""
    import io

    import pandas as pd

    content = read_content(file, fix)
    try:
        table = pd.read_csv(io.BytesIO(content), **options)
    except ValueError as error:  # The errors of pandas, decoding and conversion.
        raise DamagedFile(f"{file}: can't be read as a table ({first_line(error)}). {_SPREADSHEET} {fix}") from error
    missing = [name for name in columns if name not in table]
    if missing:
        semicolons = (
            "semicolons between its cells" if b";" in content.partition(b"\n")[0] else f"no column {', '.join(missing)}"
        )
        raise DamagedFile(f"{file}: {semicolons}. {_SPREADSHEET} {fix}")
    return table


def read_array(file: pathlib.Path, fix: str) -> "np.ndarray":
    """The array in a NumPy file, without pickled objects. DamagedFile otherwise; FileNotFoundError if missing."""
    import io

    import numpy as np

    content = read_content(file, fix)
    try:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy has no error class for a damaged header: TokenError, MemoryError, TypeError ...
        raise DamagedFile(f"{file}: not a complete NumPy array ({first_line(error)}). {fix}") from error


def read_content(file: pathlib.Path, fix: str) -> bytes:
    """The bytes of a file. DamagedFile if it is empty or a Git LFS pointer; OSError if it can't be read."""
    content = file.read_bytes()
    if content.startswith(_LFS_POINTER):
        raise DamagedFile(f"{file}: a Git LFS pointer, not the file itself. Type `git lfs pull`, or: {fix}")
    if not content:
        raise DamagedFile(f"{file}: the file is empty. {fix}")
    return content


_SPREADSHEET = "A spreadsheet program may have saved it in its own format."
