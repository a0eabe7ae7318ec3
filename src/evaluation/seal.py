"""The seal on the test set: a count of how often its images were looked at, with which models.

A test set tells what to expect of new cases once. Whoever looks, changes something and looks again, fits the changes to it. A mask that was
corrected, a case that was added or another split do not make it a new one: looks at any of its images count.
"""
import datetime
from typing import Any

import pandas as pd

import storage

# So many hexadecimal digits of an image's SHA-256 tell it from all others that a project will ever have.
_DIGITS = 10


def note_look(workspace: storage.Workspace, cases: pd.DataFrame, model: str, mean_dice: float) -> dict[str, Any]:
    """Adds a row to evaluations.csv, and returns how often any of the images of `cases` was looked at (`looks`), and with which `models`."""
    images = [digest[:_DIGITS] for digest in cases["image_sha256"]]
    row = {"time": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}", "cases": len(cases), "model": model, "mean_dice": round(mean_dice, 4), "images": " ".join(images)}
    file = workspace.evaluations
    former = pd.read_csv(file, dtype={"model": str, "images": str}, keep_default_na=False) if file.exists() else pd.DataFrame()
    table = pd.concat([former, pd.DataFrame([row])], ignore_index=True)
    storage.write_whole(file, table.to_csv(index=False))
    # Looks that an earlier version of this program noted tell no images.
    these = table[[not set(images).isdisjoint(seen.split()) for seen in table["images"].fillna("")]]
    return {"looks": len(these), "models": these["model"].unique().tolist()}
