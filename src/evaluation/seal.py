"""The seal on the test set: a count of how often it was looked at, with which models.

A test set tells what to expect of new cases once. Whoever looks, changes something and looks again, fits the changes to it.
"""
import datetime
import hashlib

import pandas as pd

import storage


def note_look(workspace: storage.Workspace, cases: pd.DataFrame, made_by: dict, mean_dice: float) -> dict[str, int]:
    """Adds a row to evaluations.csv, and returns how often these cases have been looked at (`looks`), with how many models (`models`)."""
    test_set = hashlib.sha256("".join(sorted(cases["image_sha256"] + cases["mask_sha256"])).encode()).hexdigest()[:12]
    row = {"time": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}", "test_set": test_set, "cases": len(cases), "model": made_by["id"], "mean_dice": round(mean_dice, 4)}
    file = workspace.evaluations
    former = pd.read_csv(file, dtype={"model": str, "test_set": str}) if file.exists() else pd.DataFrame()
    table = pd.concat([former, pd.DataFrame([row])], ignore_index=True)
    storage.write_whole(file, table.to_csv(index=False))
    these = table[table["test_set"] == test_set]
    return {"looks": len(these), "models": these["model"].nunique()}
