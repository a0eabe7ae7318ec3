"""The result of a search as a table, a chart and text."""

import dataclasses
import json
import math
import pathlib
import statistics
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

import storage
from masks import figures, trial_chart
from model_exploration import trials
from model_exploration.trials import Row

_MAX_LISTED = 5


def write(folder: pathlib.Path, rows: list[Row], empty_masks: int = 0) -> None:
    """Writes trials.csv, trials.png, trials.pdf and best hyperparameters.json into `folder`.

    `rows`: those of `search.run`. Each file is written atomically. With `empty_masks` among the validation cases,
    trials.csv has their number and each trial's false positives.
    """
    ranked = trials.ranked(rows)
    storage.atomic_write(folder / "trials.csv", _table(ranked, empty_masks).to_csv(index=False))
    scored = [row for row in ranked if row.status == "completed"]
    if scored:
        for name, content in figures.files({"trials": _chart(scored)}).items():
            storage.atomic_write(folder / name, content)
    best = folder / "best hyperparameters.json"
    if row := trials.recommended(rows):
        storage.atomic_write(best, json.dumps(dataclasses.asdict(row.trial.values), indent=2) + "\n")
    else:
        best.unlink(missing_ok=True)  # It was written before the best trial had repeats.


def _chart(scored: list[Row]) -> figures.Figure:
    values = pd.DataFrame([row.trial.searched for row in scored])
    scores = np.array([row.score for row in scored])
    repeated = np.array([bool(row.repeat_dices) for row in scored])
    return trial_chart.plot(values, scores, repeated, "validation Dice")


def report(folder: pathlib.Path, rows: list[Row], empty_masks: int = 0) -> None:
    """Does what `write` does, and prints the best trials, the significant differences, and the lines for config.py.

    UserError if all trials failed. If all trials are poor, none is recommended.
    """
    write(folder, rows, empty_masks)
    ranked = trials.ranked(rows)
    scored = [row for row in ranked if row.status == "completed"]
    failed = [row for row in ranked if row.status == "failed"]
    if not scored:
        reasons = "\n".join(f"  {row.trial.name}: {row.outcome.failure}" for row in failed)
        fix = f"Fix the cause, and delete the folder '{folder.name}'."
        raise storage.UserError(f"All trials failed.\n{reasons}\n{fix}")
    print(f"\nThe best of {len(scored)} trials, all in '{folder.name}/trials.csv' and trials.png:")
    print(_shown(scored, empty_masks))
    _print_failures(scored, failed)
    _print_comparisons(scored)
    _print_recommendation(scored, next((row for row in failed if row.is_default), None))


def _print_comparisons(scored: list[Row]) -> None:
    others = [other for other in scored[1:] if min(len(scored[0].repeat_dices), len(other.repeat_dices)) >= 2]
    for other in others:
        print(_comparison(scored[0], other, len(others)))
    if len(scored) > 1 and not others:
        print("No significance test: it needs at least 2 repeats of the best trial and of another one.")


def _print_recommendation(scored: list[Row], failed_default: Row | None) -> None:
    if (row := trials.recommended(scored)) is None:
        print(
            f"\nAll trials are poor: no validation Dice is above {max(row.score for row in scored):.4f}. "
            "Their order is not reliable. Keep the default hyperparameters, and train longer: "
            "raise EXPLORATION_EPOCHS in config.py. Check the masks and the search space."
        )
        return
    default = next((other for other in scored if other.is_default), failed_default)
    print(f"\n{_reason(row, default)} To train the final model with its hyperparameters, write in config.py:")
    print(f"HYPERPARAMETERS = {dataclasses.asdict(row.trial.values)!r}")


def _reason(row: Row, default: Row | None) -> str:
    name = f"'{row.trial.name}'"
    if row.is_default:
        return (
            f"No trial scores higher than {name}, which has the default hyperparameters or the nearest searched ones."
        )
    if default is None or default.status == "failed":
        return f"{name} is the best. It cannot be compared with the default hyperparameters: their trial failed."
    return f"{name} is the best: its score is {row.score - default.score:.4f} higher than that of the defaults."


def _shown(scored: list[Row], empty_masks: int) -> str:
    table = _table(scored, empty_masks)
    columns = ["trial", "val_dice", "repeats_mean", "repeats_sd", *(["false_positives"] if empty_masks else [])]
    columns += [name for name in ("epochs", *scored[0].trial.searched) if table[name].nunique() > 1]
    text = table[columns].head(_MAX_LISTED).to_string(index=False, na_rep="")
    if not empty_masks:
        return text
    are = "mask is" if empty_masks == 1 else "masks are"
    counted = "false_positives counts those predicted non-empty"
    return f"{text}\n{empty_masks} validation {are} empty: val_dice is over the others, {counted}."


def _print_failures(scored: list[Row], failed: list[Row]) -> None:
    if failed:
        print(f"Failed: {len(failed)}. trials.csv lists the reasons.")
    for row in scored:
        if row.failed_repeats:
            print(
                f"'{row.trial.name}': {row.failed_repeats} of its repeats failed. "
                "It ranks below the trials without a failed repeat."
            )


def _table(rows: list[Row], empty_masks: int) -> pd.DataFrame:
    return pd.DataFrame([_line(row, empty_masks) for row in rows])


def _line(row: Row, empty_masks: int) -> dict[str, Any]:
    dices = row.repeat_dices
    line = {
        "trial": row.trial.name,
        "val_dice": row.outcome.dice,
        "repeats_mean": statistics.mean(dices) if dices else math.nan,
        "repeats_sd": statistics.stdev(dices) if len(dices) > 1 else math.nan,
        "repeats": " ".join(f"{dice:.4f}" for dice in dices),
        "repeats_failed": row.failed_repeats,
        "epochs": row.trial.epochs,
        "seconds": row.outcome.seconds,
    }
    if empty_masks:
        line |= {"empty_masks": empty_masks, "false_positives": row.outcome.false_positives}
    return line | row.trial.searched | {"status": row.status, "failure": row.outcome.failure}


def _comparison(best: Row, other: Row, comparisons: int) -> str:
    # Welch's t-test allows different variances. The best trial is compared with each of the others. Without
    # Bonferroni's correction it would seem better than one of them by chance more often than 1 time in 40.
    test = scipy.stats.ttest_ind(best.repeat_dices, other.repeat_dices, equal_var=False)
    interval = test.confidence_interval(1 - 0.05 / comparisons)
    difference = statistics.mean(best.repeat_dices) - statistics.mean(other.repeat_dices)
    verdict = "is better than" if interval.low > 0 else "is not significantly better than"
    corrected = f"; Bonferroni-corrected for {comparisons} comparisons" if comparisons > 1 else ""
    return (
        f"'{best.trial.name}' {verdict} '{other.trial.name}' on these validation cases: difference {difference:+.4f}, "
        f"95 % CI {interval.low:+.4f} to {interval.high:+.4f} "
        f"(Welch's t-test on {len(best.repeat_dices)} and {len(other.repeat_dices)} repeats{corrected})."
    )
