"""What a search has found, for those who look: a table, a picture, and words."""

import json
import math
import pathlib
import statistics

import numpy as np
import pandas as pd
import scipy.stats

import storage
from masks import charts
from model_exploration import trials

_SHOWN = 5


def write(folder: pathlib.Path, rows: list[dict], empty_masks: int = 0) -> None:
    """Writes trials.csv, trials.png and best hyperparameters.json into `folder`, each whole, from `search.run`'s rows.

    If there are `empty_masks` among the validation cases, trials.csv has their number and each trial's false positives.
    """
    ranked = trials.ranked(rows)
    storage.atomic_write(folder / "trials.csv", _table(ranked, empty_masks).to_csv(index=False))
    scored = [row for row in ranked if row["status"] == "completed"]
    if scored:
        values = pd.DataFrame([row["searched"] for row in scored])
        storage.atomic_write(
            folder / "trials.png",
            charts.to_png(charts.search(values, np.array([trials.score(row) for row in scored]), "validation Dice")),
        )
    best = folder / "best hyperparameters.json"
    if scored and not trials.found_nothing(scored[0]):
        storage.atomic_write(best, json.dumps(scored[0]["hyperparameters"], indent=2) + "\n")
    else:
        best.unlink(missing_ok=True)  # Of a time when the best one had not been repeated.


def tell(folder: pathlib.Path, rows: list[dict], empty_masks: int = 0) -> None:
    """Writes as `write`, and prints the best trials, which differ by more than chance, and the lines for config.py.

    UserError if all trials failed. If none found anything, none is recommended.
    """
    write(folder, rows, empty_masks)
    ranked = trials.ranked(rows)
    scored = [row for row in ranked if row["status"] == "completed"]
    failed = [row for row in ranked if row["status"] == "failed"]
    if not scored:
        reasons = "\n".join(f"  {row['trial']}: {row['failure']}" for row in failed)
        fix = f"Fix the cause, and delete the folder '{folder.name}'."
        raise storage.UserError(f"All trials failed.\n{reasons}\n{fix}")
    table = _table(scored, empty_masks)
    told = ["trial", "val_dice", "repeats_mean", "repeats_sd", *(["false_positives"] if empty_masks else [])]
    told += [name for name in ("epochs", *scored[0]["searched"]) if table[name].nunique() > 1]
    print(
        f"\nThe best of {len(scored)} trials, all in '{folder.name}/trials.csv' and trials.png:\n{table[told].head(_SHOWN).to_string(index=False, na_rep='')}"
    )
    if empty_masks:
        are = "mask is" if empty_masks == 1 else "masks are"
        counted = "false_positives counts those predicted non-empty"
        print(f"{empty_masks} validation {are} empty: val_dice is over the others, {counted}.")
    if failed:
        print(f"Failed: {len(failed)}; trials.csv says why.")
    for row in scored:
        if row["repeats_failed"]:
            print(
                f"'{row['trial']}': {row['repeats_failed']} of its further trainings failed; it stands behind those that never did."
            )
    others = [other for other in scored[1:] if min(len(scored[0]["repeats"]), len(other["repeats"])) >= 2]
    for other in others:
        print(_comparison(scored[0], other, len(others)))
    if trials.found_nothing(scored[0]):
        print(f"\nNo trial found anything: no validation Dice coefficient is above 0.01. {_TRAIN_LONGER}")
    else:
        print(
            f"\nTo train the final model with the best one, write in config.py:\nHYPERPARAMETERS = {scored[0]['hyperparameters']!r}"
        )


_TRAIN_LONGER = "Raise EXPLORATION_EPOCHS in config.py, and check the masks and the search space."


def _table(rows: list[dict], empty_masks: int) -> pd.DataFrame:
    columns = ["trial", "val_dice", "repeats_mean", "repeats_sd", "repeats", "repeats_failed", "epochs", "seconds"]
    empty = {}
    if empty_masks:
        empty = {"empty_masks": empty_masks}
        columns += ["false_positives"]
    told = []
    for row in rows:
        told.append({name: row.get(name) for name in columns} | empty | _spread(row["repeats"]) | row["searched"])
    ends = pd.DataFrame([{name: row[name] for name in ("status", "failure")} for row in rows])
    return pd.concat([pd.DataFrame(told), ends], axis=1)


def _spread(dices: list[float]) -> dict:
    return {
        "repeats_mean": statistics.mean(dices) if dices else math.nan,
        "repeats_sd": statistics.stdev(dices) if len(dices) > 1 else math.nan,
        "repeats": " ".join(f"{dice:.4f}" for dice in dices),
    }


def _comparison(best: dict, other: dict, comparisons: int) -> str:
    # Welch's t-test: the spreads need not be alike. The best of several is compared with each of the others, and would seem better than one of them
    # by chance more often than 1 time in 40: Bonferroni's correction.
    interval = scipy.stats.ttest_ind(best["repeats"], other["repeats"], equal_var=False).confidence_interval(
        1 - 0.05 / comparisons
    )
    difference = statistics.mean(best["repeats"]) - statistics.mean(other["repeats"])
    verdict = "is better than" if interval.low > 0 else "can't be told apart from"
    return (
        f"'{best['trial']}' {verdict} '{other['trial']}' on these validation cases: difference {difference:+.4f}, 95 % confidence interval {interval.low:+.4f} to "
        f"{interval.high:+.4f} ({len(best['repeats'])} and {len(other['repeats'])} further seeds{f'; corrected for {comparisons} comparisons' if comparisons > 1 else ''})."
    )
