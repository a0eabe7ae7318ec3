"""The log of evaluations: how often the test set was evaluated, with which models.

Repeated evaluation with changes in between overfits the test set. A corrected mask, an added case or another split does
not make it a new one: every evaluation of any of its images counts.
"""

import datetime
from typing import Any

import pandas as pd

import storage

# So many hexadecimal digits of an image's SHA-256 tell it from all others that a project will ever have.
_DIGITS = 10

# An earlier version had no column `images`.
_COLUMNS = ("time", "cases", "model", "mean_dice")
_FIX = (
    "Save it again as CSV with commas, or restore it from a backup. If you delete it, the count of evaluations is lost."
)


def record_evaluation(
    workspace: storage.Workspace, cases: pd.DataFrame, model: str, mean_dice: float
) -> dict[str, Any]:
    """Adds a row to evaluations.csv; returns how often any image of `cases` was evaluated (`looks`), by which `models`.

    DamagedFile if evaluations.csv is not such a table: the count must not start again unnoticed.
    """
    images = [digest[:_DIGITS] for digest in cases["image_sha256"]]
    row = {
        "time": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
        "cases": len(cases),
        "model": model,
        "mean_dice": round(mean_dice, 4),
        "images": " ".join(images),
    }
    file = workspace.evaluations
    former = pd.DataFrame()
    if file.exists():
        former = storage.read_table(file, _FIX, _COLUMNS, dtype={"model": str, "images": str}, keep_default_na=False)
    table = pd.concat([former, pd.DataFrame([row])], ignore_index=True)
    storage.atomic_write(file, table.to_csv(index=False))
    these = table[[not set(images).isdisjoint(seen.split()) for seen in table["images"].fillna("")]]
    return {"looks": len(these), "models": these["model"].unique().tolist()}
