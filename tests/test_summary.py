"""What is told of a search: the order, which differences are more than chance, and lines that config.py takes."""

import ast
import json

import pandas as pd
import pytest
from matplotlib import pyplot

import storage
from model_exploration import summary
from settings import hyperparameters


def row(name, dice, repeats=(), failure="", rate=1e-3, repeats_failed=0):
    values = hyperparameters.Hyperparameters(learning_rate=rate)
    return {
        "trial": name, "status": "failed" if failure else "completed", "val_dice": None if failure else dice, "repeats": list(repeats), "repeats_failed": repeats_failed,
        "epochs": 9, "seconds": 60.0, "searched": {"learning_rate": rate}, "hyperparameters": vars(values), "failure": failure,
    }  # fmt: skip


ROWS = [
    row("lucky", 0.95, [0.80, 0.81, 0.82], rate=1e-4),
    row("failed", 0, failure="the loss is no finite number"),
    row("not repeated", 0.93),
    row("good", 0.94, [0.90, 0.91, 0.92], rate=2e-3),
    row("as good", 0.92, [0.89, 0.92, 0.90], rate=3e-3),
]


def test_repeated_trials_come_first_by_their_repeats_and_failed_ones_last(tmp_path):
    summary.write(tmp_path, ROWS)
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["trial"].tolist() == ["good", "as good", "lucky", "not repeated", "failed"]
    assert table["repeats_mean"][0] == pytest.approx(0.91)
    assert table["repeats_sd"][0] == pytest.approx(0.01)
    assert table["failure"].iloc[-1] == "the loss is no finite number"
    assert table["repeats"][0] == "0.9000 0.9100 0.9200"
    assert json.loads((tmp_path / "best hyperparameters.json").read_text())["learning_rate"] == 2e-3
    assert pyplot.imread(tmp_path / "trials.png").shape[1] == 1300


def test_what_differs_by_more_than_chance_is_told_from_what_does_not(tmp_path, capsys):
    summary.tell(tmp_path, ROWS)
    output = capsys.readouterr().out
    # By the formula of Welch's test, with the t of 3.495 that 4 degrees of freedom have for 97.5 %, of two comparisons: 0.1 -+ 3.495 * sqrt(2 * 0.01 ** 2 / 3).
    told = "difference +0.1000, 95 % confidence interval +0.0715 to +0.1285 (3 and 3 further seeds; corrected for 2 comparisons)."
    assert f"'good' is better than 'lucky' on these validation cases: {told}" in output
    assert "'good' can't be told apart from 'as good' on these validation cases: difference +0.0067" in output
    assert "Failed: 1" in output
    assert "'not repeated'" not in output
    pasted = ast.literal_eval(output.strip().splitlines()[-1].removeprefix("HYPERPARAMETERS = "))
    assert hyperparameters.from_overrides(pasted).learning_rate == 2e-3


def test_failed_repeats_are_told(tmp_path, capsys):
    summary.tell(tmp_path, [*ROWS, row("moody", 0.96, [0.95], rate=2.5e-3, repeats_failed=2)])
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["trial"].tolist() == ["good", "as good", "lucky", "not repeated", "moody", "failed"]
    assert table["repeats_failed"].tolist() == [0, 0, 0, 0, 2, 0]
    assert "'moody': 2 of its further trainings failed" in capsys.readouterr().out


def test_where_all_failed_the_reasons_are_told(tmp_path):
    with pytest.raises(storage.UserError, match="(?s)All trials failed.*failed: the loss is no finite number"):
        summary.tell(tmp_path, ROWS[1:2])
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 1


def test_a_trial_that_found_nothing_stands_behind_all_that_found_something(tmp_path):
    nothing = row("nothing", 0.0, [0.0008, 0.0, 0.0], rate=1e-4)
    rows = [nothing, row("once", 0.1, rate=2e-4), row("moody", 0.4, [0.3], rate=3e-4, repeats_failed=2)]
    summary.write(tmp_path, rows)
    assert pd.read_csv(tmp_path / "trials.csv")["trial"].tolist() == ["once", "moody", "nothing"]
    assert json.loads((tmp_path / "best hyperparameters.json").read_text())["learning_rate"] == 2e-4


def test_where_no_trial_found_anything_none_is_recommended(tmp_path, capsys):
    (tmp_path / "best hyperparameters.json").write_text("that of a trial whose repeats found nothing")
    summary.tell(tmp_path, [row("one", 0.0), row("other", 0.0, [0.0, 0.0], rate=1e-4)])
    output = capsys.readouterr().out
    assert "No trial found anything: no validation Dice coefficient is above 0.01. Raise EXPLORATION_EPOCHS" in output
    assert "HYPERPARAMETERS" not in output
    assert not (tmp_path / "best hyperparameters.json").exists()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2


def test_empty_validation_masks_and_each_trial_s_false_positives_are_reported(tmp_path, capsys):
    rows = [row("one", 0.5) | {"false_positives": 2.0}, row("other", 0.4, rate=1e-4) | {"false_positives": 0.0}]
    summary.tell(tmp_path, rows, empty_masks=3)
    output, table = capsys.readouterr().out, pd.read_csv(tmp_path / "trials.csv")
    assert table["empty_masks"].tolist() == [3, 3]
    assert table["false_positives"].tolist() == [2, 0]
    assert "3 validation masks are empty: val_dice is over the others" in output
    assert "false_positives" in output.splitlines()[2]
    summary.tell(tmp_path, rows)
    assert "validation masks" not in capsys.readouterr().out
    assert "false_positives" not in pd.read_csv(tmp_path / "trials.csv")
