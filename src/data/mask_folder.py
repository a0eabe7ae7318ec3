"""A folder of the model's predictions for the cases of a dataset. `data.case_masks` reads the masks.

<case>.npy      a mask, as in the preloaded dataset
_table.csv      quality table: predicted Dice and out-of-distribution reasons per case
_source.json    path of the model in COMPARE_WITH
_history.png    chart of the model's training, if it has one
_model.json     provenance: model, training, SHA-256 of every image of the train set
"""

import dataclasses
import json
import pathlib

import pandas as pd

import provenance
import storage
from provenance import Provenance

# Names with a leading underscore are sorted first.
QUALITY_TABLE = "_table.csv"
_MODEL = "_model.json"
_HISTORY = "_history.png"
_SOURCE = "_source.json"

# The column ood_reasons in earlier versions.
_FORMER_REASONS = "unlike_train_set"
# Keys of _model.json in earlier versions.
_FORMER_NAMES = {"mirrored": "test_time_flip", "cleaned": "postprocessed"}

_FIX = "Repeat step 4 to write the predictions again."


def write_quality_table(folder: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes a row per case: case, predicted_dice (0 to 1, or NaN), ood_reasons (words, or "").

    If the model is calibrated, predicted_dice_low and predicted_dice_high are the ends of an interval.
    """
    table.to_csv(folder / QUALITY_TABLE, index=False)


def read_quality_table(folder: pathlib.Path) -> pd.DataFrame | None:
    """The table that `write_quality_table` wrote, or None if there is none. DamagedFile if it was damaged or edited."""
    file = folder / QUALITY_TABLE
    if not file.exists():
        return None
    dices = ("predicted_dice", "predicted_dice_low", "predicted_dice_high")
    types = {"case": str, "ood_reasons": str, _FORMER_REASONS: str, **dict.fromkeys(dices, float)}
    table = storage.read_table(
        file, _FIX, ("case", "predicted_dice"), dtype=types, keep_default_na=False, na_values=dict.fromkeys(dices, "")
    ).rename(columns={_FORMER_REASONS: "ood_reasons"})
    if "ood_reasons" not in table:
        raise storage.DamagedFile(f"{file}: no column ood_reasons. {_FIX}")
    return table


def write_provenance(folder: pathlib.Path, record: Provenance) -> None:
    """Records the model that made the masks."""
    (folder / _MODEL).write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n", encoding="utf-8")


def has_provenance(folder: pathlib.Path) -> bool:
    """Whether the masks in a folder are the model's."""
    return (folder / _MODEL).exists()


def write_source(folder: pathlib.Path, path: str) -> None:
    """Records the path of the model that made the masks, as a setting gives it."""
    (folder / _SOURCE).write_text(json.dumps({"model": path}) + "\n", encoding="utf-8")


def read_source(folder: pathlib.Path) -> str:
    """What `write_source` wrote; "" if there is none."""
    file = folder / _SOURCE
    return str(storage.read_json(file, _FIX).get("model", "")) if file.exists() else ""


def read_provenance(folder: pathlib.Path) -> Provenance | None:
    """What `write_provenance` wrote, or None if the masks have none.

    DamagedFile if the file was damaged or is another program's.
    """
    file = folder / _MODEL
    if not file.exists():
        return None
    fix = f"{_FIX} If it is another program's, remove it."
    values = {"calibrated_on": 0} | provenance.with_current_names(storage.read_json(file, fix), _FORMER_NAMES)
    return storage.to_record(values, Provenance, file, fix)


def write_history(folder: pathlib.Path, content: bytes) -> None:
    """Keeps the chart of the training of the model that made the masks: the content of a PNG file."""
    (folder / _HISTORY).write_bytes(content)


def read_history(folder: pathlib.Path) -> bytes | None:
    """What `write_history` wrote, or None if there is none. DamagedFile if it is no PNG file."""
    file = folder / _HISTORY
    if not file.exists():
        return None
    content = file.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise storage.DamagedFile(f"{file}: not a PNG file. {_FIX}")
    return content
