"""The log of evaluations, evaluations.csv: how often the images of a test set were evaluated, and with which models.

Repeated evaluation with changes in between overfits the test set. A corrected mask, an added case or another split does
not make a new test set: every evaluation of any of its images counts.
"""

import dataclasses
import datetime
import pathlib

import pandas as pd

import storage

# Stored hexadecimal digits of an image's SHA-256: 40 bits. Any two of 10,000 images collide with a probability of 5e-5.
_DIGITS = 10

# Files of an earlier version lack the column `images`.
_COLUMNS = ("time", "cases", "model", "mean_dice")
_FIX = "Save it as CSV with commas, or restore it from a backup. Deleting it loses the count of evaluations."


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """How often a test set was evaluated, and with which models, in order of first use."""

    times_evaluated: int
    models: tuple[str, ...]


def record_evaluation(file: pathlib.Path, cases: pd.DataFrame, model: str, mean_dice: float) -> Evaluations:
    """Adds a row to the log `file` and returns all evaluations of the test set, this one included.

    `cases` are rows of cases.csv. Every evaluation counts that shares an image with them.
    DamagedFile if the file is not such a table: the count must not restart unnoticed.
    """
    images = [digest[:_DIGITS] for digest in cases["image_sha256"]]
    row = {
        "time": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
        "cases": len(cases),
        "model": model,
        "mean_dice": round(mean_dice, 4),
        "images": " ".join(images),
    }
    previous = pd.DataFrame()
    if file.exists():
        previous = storage.read_table(file, _FIX, _COLUMNS, dtype={"model": str, "images": str}, keep_default_na=False)
    table = pd.concat([previous, pd.DataFrame([row])], ignore_index=True)
    storage.atomic_write(file, table.to_csv(index=False))
    overlapping = table[[not set(images).isdisjoint(row_images.split()) for row_images in table["images"].fillna("")]]
    return Evaluations(len(overlapping), tuple(overlapping["model"].unique()))
