"""A folder of masks of a dataset's cases: predictions of the model or of another program, or a second reader's masks.

<case>.npy      as in the preloaded dataset; or <case>.csv, <case>.png ..., as in the original dataset
_table.csv      quality table of the model's predictions: predicted Dice and out-of-distribution reasons per case
_model.json     provenance of the model's predictions: model, training, SHA-256 of every image of the train set
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

import provenance
import storage
from data import csv_array, formats
from provenance import Provenance

# Names with a leading underscore are sorted first.
QUALITY_TABLE = "_table.csv"
_MODEL = "_model.json"

# ".seg.nrrd" ends in ".nrrd".
_ENDINGS = (".npy", ".csv", *(ending for ending in formats.ENDINGS if ending not in (".npy", ".csv")))

# The column ood_reasons in earlier versions.
_FORMER_REASONS = "unlike_train_set"
# Keys of _model.json in earlier versions.
_FORMER_NAMES = {"mirrored": "test_time_flip", "cleaned": "postprocessed"}

_FIX = "Repeat step 4 to write the predictions again."


def check(folder: pathlib.Path, cases: Sequence[str], setting: str) -> None:
    """DatasetError for each case with no file or two files in `folder`, which the `setting` of config.py names."""
    if not folder.is_dir():
        raise storage.DatasetError([f"{folder}: there is no such folder. Change {setting} in config.py."])
    faults = [_unclear(folder, case, files) for case in cases if len(files := _files(folder, case)) != 1]
    if faults:
        raise storage.DatasetError(faults)


def read(folder: pathlib.Path, case: str, shape: tuple[int, int]) -> np.ndarray:
    """The mask of `case`, uint8 0 and 1, with the given shape (height, width). DatasetError otherwise."""
    files = _files(folder, case)
    if len(files) != 1:
        raise storage.DatasetError([_unclear(folder, case, files)])
    (file,) = files
    mask = _read_any(file, shape)
    if mask.shape != shape:
        size = " x ".join(map(str, mask.shape))
        raise storage.DatasetError([f"{file}: {size} values; the reference mask has {shape[0]} x {shape[1]}."])
    if fault(mask):
        raise storage.DatasetError([f"{file}: {fault(mask)}"])
    return (mask > 0).astype(np.uint8)


def fault(mask: np.ndarray) -> str:
    """The invalid values of a mask, and the fix; "" if it has only 0 and 1, or 0 and 255."""
    if ((mask == 0) | (mask == 1)).all() or ((mask == 0) | (mask == 255)).all():
        return ""
    fix = "Export it as 1 inside and 0 outside, without interpolation."
    return f"values {_listed(np.unique(mask))}; a mask holds 0 and 1. {fix}"


def write_quality_table(folder: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes a row per case: case, predicted_dice (0 to 1, or NaN), ood_reasons (words, or "")."""
    table.to_csv(folder / QUALITY_TABLE, index=False)


def read_quality_table(folder: pathlib.Path) -> pd.DataFrame | None:
    """The table that `write_quality_table` wrote, or None if there is none. DamagedFile if it was damaged or edited."""
    file = folder / QUALITY_TABLE
    if not file.exists():
        return None
    types = {"case": str, "predicted_dice": float, "ood_reasons": str, _FORMER_REASONS: str}
    table = storage.read_table(
        file, _FIX, ("case", "predicted_dice"), dtype=types, keep_default_na=False, na_values={"predicted_dice": ""}
    ).rename(columns={_FORMER_REASONS: "ood_reasons"})
    if "ood_reasons" not in table:
        raise storage.DamagedFile(f"{file}: no column ood_reasons. {_FIX}")
    return table


def write_provenance(folder: pathlib.Path, record: Provenance) -> None:
    """Records the model that made the masks."""
    (folder / _MODEL).write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n", encoding="utf-8")


def read_provenance(folder: pathlib.Path) -> Provenance | None:
    """What `write_provenance` wrote, or None if the masks have none.

    DamagedFile if the file was damaged or is another program's.
    """
    file = folder / _MODEL
    if not file.exists():
        return None
    fix = f"{_FIX} If it is another program's, remove it."
    values = provenance.with_current_names(storage.read_json(file, fix), _FORMER_NAMES)
    return storage.to_record(values, Provenance, file, fix)


def _files(folder: pathlib.Path, case: str) -> list[pathlib.Path]:
    # One per kind: file systems that ignore case find case.CSV by the name case.csv, too.
    kinds = [[folder / f"{case}{suffix}" for suffix in (kind, kind.upper())] for kind in _ENDINGS]
    return [file for kind in kinds if (file := next((file for file in kind if file.is_file()), None))]


def _unclear(folder: pathlib.Path, case: str, files: list[pathlib.Path]) -> str:
    if files:
        return f"{files[0]}: {files[1].name} exists, too. Remove one of them."
    return f"{folder}: no mask of the case {case}. Add {case}.csv, {case}.npy, {case}.png or another format."


def _read_any(file: pathlib.Path, shape: tuple[int, int]) -> np.ndarray:
    if file.suffix.lower() == ".npy":
        return _array(file)
    if file.suffix.lower() == ".csv":
        return csv_array.read(file)
    mask = formats.read_mask(file, formats.Image((np.zeros(shape, np.uint8),)))
    if len(mask.labels) > 1:
        labels = ", ".join(mask.labels)
        raise storage.DatasetError([f"{file}: several labels ({labels}). Export that of the structure only."])
    return mask.slices[0]


def _array(file: pathlib.Path) -> np.ndarray:
    try:
        return storage.read_array(
            file, "Write it again with numpy.save, or repeat step 4 if these are the model's predictions."
        )
    except storage.DamagedFile as error:
        raise storage.DatasetError([str(error)]) from error  # It is listed with the faults of other cases.


def _listed(values: np.ndarray) -> str:
    texts = [f"{value:g}" for value in values[:5]]
    if len(values) > 5:
        return ", ".join(texts) + f" and {len(values) - 5} more"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
