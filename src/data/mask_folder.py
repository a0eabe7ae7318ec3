"""A folder of masks for the cases of a dataset: the model's predictions, those of anything else, or a second reader's masks.

<case>.npy      as the preloaded dataset has them; or <case>.csv as the original one
_table.csv      with the model's: a row per case, predicted Dice, and what is unlike the train set
_model.json     with the model's: which it is, how it was trained, and the SHA-256 of every image that it was trained on
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import storage
from data import csv_array

# A leading underscore puts them on top of the list.
QUALITY_TABLE = "_table.csv"
_MODEL = "_model.json"

_FIX = "Repeat step 4 to write the predictions again."


def check(folder: pathlib.Path, cases: Sequence[str], setting: str) -> None:
    """DatasetError that names each case without a file in `folder`, or with two; the `setting` of config.py has named the folder."""
    if not folder.is_dir():
        raise storage.DatasetError([f"{folder}: there is no such folder. Change {setting} in config.py."])
    faults = [_unclear(folder, case, files) for case in cases if len(files := _files(folder, case)) != 1]
    if faults:
        raise storage.DatasetError(faults)


def read(folder: pathlib.Path, case: str, shape: tuple[int, int]) -> np.ndarray:
    """The mask of `case`, uint8 0 and 1, of that shape (height, width). DatasetError where it holds anything else."""
    files = _files(folder, case)
    if len(files) != 1:
        raise storage.DatasetError([_unclear(folder, case, files)])
    (file,) = files
    mask = _array(file) if file.suffix.lower() == ".npy" else csv_array.read(file)
    if mask.shape != shape:
        raise storage.DatasetError(
            [f"{file}: {' x '.join(map(str, mask.shape))} values; the case's own mask has {shape[0]} x {shape[1]}."]
        )
    if fault(mask):
        raise storage.DatasetError([f"{file}: {fault(mask)}"])
    return mask.astype(np.uint8)


def fault(mask: np.ndarray) -> str:
    """Which values of a mask are wrong, and the remedy; "" where it holds 0 and 1 only."""
    if ((mask == 0) | (mask == 1)).all():
        return ""
    values = np.unique(mask)
    remedy = (
        "Divide it by 255."
        if np.isin(values, (0, 255)).all()
        else "Export it as 1 inside and 0 outside, without interpolation."
    )
    return f"values {_listed(values)}; a mask holds 0 and 1. {remedy}"


def write_quality_table(folder: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes the table of predictions, a row per case: case, predicted_dice (0 to 1, or NaN), unlike_train_set (words, or "")."""
    table.to_csv(folder / QUALITY_TABLE, index=False)


def read_quality_table(folder: pathlib.Path) -> pd.DataFrame | None:
    """The table that `write_quality_table` wrote; None where the predictions came without one. DamagedFile if it was damaged or edited."""
    file = folder / QUALITY_TABLE
    if not file.exists():
        return None
    columns = {"case": str, "predicted_dice": float, "unlike_train_set": str}
    return storage.read_table(
        file, _FIX, columns, dtype=columns, keep_default_na=False, na_values={"predicted_dice": ""}
    )


def write_provenance(folder: pathlib.Path, provenance: dict[str, Any]) -> None:
    """Writes down which model made the masks: at least its `id` and the `image_sha256` of all that it was trained on."""
    (folder / _MODEL).write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


def read_provenance(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `write_provenance` wrote; None where the masks came without it. DamagedFile or DatasetError if it was damaged or is another program's."""
    file = folder / _MODEL
    if not file.exists():
        return None
    provenance = storage.read_json(file, f"{_FIX} If it is another program's, remove it.")
    if not {"id", "image_sha256"} <= provenance.keys():
        raise storage.DatasetError(
            [
                f"{file}: does not tell which model made the masks, and on which images it was trained. Remove it if it is not this program's."
            ]
        )
    if "mirrored" in provenance:  # The name in earlier versions.
        provenance["test_time_flip"] = provenance.pop("mirrored")
    return provenance


def _files(folder: pathlib.Path, case: str) -> list[pathlib.Path]:
    # One per kind: disks that don't know capitals find case.CSV by the name case.csv, too.
    kinds = [[folder / f"{case}{suffix}" for suffix in (kind, kind.upper())] for kind in (".npy", ".csv")]
    return [file for kind in kinds if (file := next((file for file in kind if file.is_file()), None))]


def _unclear(folder: pathlib.Path, case: str, files: list[pathlib.Path]) -> str:
    if files:
        return f"{files[0]}: there is {files[1].name}, too. Remove one of them."
    return f"{folder}: no mask of the case {case}: wanted {case}.csv or {case}.npy."


def _array(file: pathlib.Path) -> np.ndarray:
    try:
        return storage.read_array(
            file, "Write it again with numpy.save, or repeat step 4 if these are the model's predictions."
        )
    except storage.DamagedFile as error:
        raise storage.DatasetError([str(error)]) from error  # Listed with the faults of the other cases.


def _listed(values: np.ndarray) -> str:
    texts = [f"{value:g}" for value in values[:5]]
    if len(values) > 5:
        return ", ".join(texts) + f" and {len(values) - 5} more"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
