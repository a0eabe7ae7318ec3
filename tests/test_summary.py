"""The summary of a search: the ranking, the significant differences, and the lines for config.py."""

import ast
import json
import math

import pandas as pd
import pytest
from matplotlib import pyplot

import storage
from model_exploration import summary
from model_exploration.trials import Outcome, Row, Trial
from settings import hyperparameters

REAL_FIGURES = True  # See conftest.py.


def row(name, dice, repeated=(), failure="", rate=1e-3, failed_repeats=0, false_positives=math.nan, number=1):
    values = hyperparameters.Hyperparameters(learning_rate=rate)
    repeats = dict(enumerate([*map(Outcome, repeated), *[Outcome(failure="killed")] * failed_repeats], 1))
    outcome = Outcome(failure=failure) if failure else Outcome(dice, 60.0, false_positives)
    trial = Named(f"{number:04d}", values, {"learning_rate": rate}, 9)
    object.__setattr__(trial, "given", name)
    return Row(trial, "failed" if failure else "completed", outcome, repeats)


class Named(Trial):
    """A trial with a given name."""

    @property
    def name(self):
        return self.given


ROWS = [
    row("lucky", 0.95, [0.80, 0.81, 0.82], rate=1e-4),
    row("failed", 0, failure="the loss is not finite"),
    row("not repeated", 0.93),
    row("good", 0.94, [0.90, 0.91, 0.92], rate=2e-3),
    row("as good", 0.92, [0.89, 0.92, 0.90], rate=3e-3),
]


def test_trials_with_repeats_rank_first_by_their_mean_and_failed_trials_last(tmp_path):
    summary.write(tmp_path, ROWS)
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["trial"].tolist() == ["good", "as good", "lucky", "not repeated", "failed"]
    assert table["repeats_mean"][0] == pytest.approx(0.91)
    assert table["repeats_sd"][0] == pytest.approx(0.01)
    assert table["failure"].iloc[-1] == "the loss is not finite"
    assert table["repeats"][0] == "0.9000 0.9100 0.9200"
    assert json.loads((tmp_path / "best hyperparameters.json").read_text())["learning_rate"] == 2e-3
    assert pyplot.imread(tmp_path / "trials.png").shape[1] == 2125
    assert (tmp_path / "trials.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_says_which_differences_are_significant(tmp_path, capsys):
    summary.report(tmp_path, ROWS)
    output = capsys.readouterr().out
    # By the formula of Welch's test. For two comparisons and 4 degrees of freedom, t is 3.495 at 97.5 %:
    # 0.1 ± 3.495 * sqrt(2 * 0.01 ** 2 / 3).
    expected = (
        "difference +0.1000, 95 % CI +0.0715 to +0.1285 "
        "(Welch's t-test on 3 and 3 repeats; Bonferroni-corrected for 2 comparisons)."
    )
    assert f"'good' is better than 'lucky' on these validation cases: {expected}" in output
    assert "'good' is not significantly better than 'as good' on these validation cases: difference +0.0067" in output
    assert "Failed: 1" in output
    assert "'not repeated'" not in output
    pasted = ast.literal_eval(output.strip().splitlines()[-1].removeprefix("HYPERPARAMETERS = "))
    assert hyperparameters.from_overrides(pasted).learning_rate == 2e-3


def test_the_report_lists_failed_repeats(tmp_path, capsys):
    summary.report(tmp_path, [*ROWS, row("unstable", 0.96, [0.95], rate=2.5e-3, failed_repeats=2)])
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["trial"].tolist() == ["good", "as good", "lucky", "not repeated", "unstable", "failed"]
    assert table["repeats_failed"].tolist() == [0, 0, 0, 0, 2, 0]
    assert "'unstable': 2 of its repeats failed" in capsys.readouterr().out


def test_if_all_trials_failed_the_error_gives_the_reasons(tmp_path):
    with pytest.raises(storage.UserError, match="(?s)All trials failed.*failed: the loss is not finite"):
        summary.report(tmp_path, ROWS[1:2])
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 1


def test_a_trial_without_overlap_ranks_below_all_with_overlap(tmp_path):
    no_overlap = row("no overlap", 0.0, [0.0008, 0.0, 0.0], rate=1e-4)
    rows = [no_overlap, row("once", 0.6, rate=2e-4), row("unstable", 0.7, [0.65], rate=3e-4, failed_repeats=2)]
    summary.write(tmp_path, rows)
    assert pd.read_csv(tmp_path / "trials.csv")["trial"].tolist() == ["once", "unstable", "no overlap"]
    assert json.loads((tmp_path / "best hyperparameters.json").read_text())["learning_rate"] == 2e-4


def test_if_all_trials_are_poor_none_is_recommended(tmp_path, capsys):
    (tmp_path / "best hyperparameters.json").write_text("written before the repeats")
    summary.report(tmp_path, [row("one", 0.12), row("other", 0.7, [0.0, 0.0], rate=1e-4)])
    output = capsys.readouterr().out
    assert "All trials are poor: no validation Dice is above 0.1200." in output
    assert "train longer: raise EXPLORATION_EPOCHS" in output
    assert "HYPERPARAMETERS" not in output
    assert not (tmp_path / "best hyperparameters.json").exists()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2


def test_without_any_overlap_no_trial_is_recommended(tmp_path, capsys):
    summary.report(tmp_path, [row("one", 0.0), row("other", 0.0, [0.0, 0.0], rate=1e-4)])
    assert "HYPERPARAMETERS" not in capsys.readouterr().out


def test_a_poor_trial_with_repeats_ranks_by_its_dice(tmp_path):
    rows = [row("repeated", 0.4, [0.03, 0.04]), row("once", 0.0887), row("better", 0.35, [0.2])]
    summary.write(tmp_path, rows)
    assert pd.read_csv(tmp_path / "trials.csv")["trial"].tolist() == ["better", "once", "repeated"]


def recommended(folder, *rows):
    summary.write(folder, rows)
    return json.loads((folder / "best hyperparameters.json").read_text())["learning_rate"]


def test_the_default_is_recommended_unless_another_trial_scores_higher(tmp_path):
    other = row("other", 0.9, [0.8, 0.81], rate=2e-4)
    assert recommended(tmp_path, row("default", 0.7, number=0), other) == 2e-4
    assert recommended(tmp_path, row("default", 0.82, number=0), other) == 1e-3
    assert recommended(tmp_path, row("default", 0.82, [0.7, 0.7], number=0), other) == 2e-4


def test_the_report_compares_with_the_default(tmp_path, capsys):
    other = row("other", 0.9, rate=2e-4)
    summary.report(tmp_path, [row("default", 0.7, number=0), other])
    assert "'other' is the best: its score is 0.2000 higher than that of the defaults." in capsys.readouterr().out
    summary.report(tmp_path, [row("default", 0.95, number=0), other])
    assert "No trial scores higher than 'default'" in capsys.readouterr().out
    summary.report(tmp_path, [row("default", 0, failure="killed", number=0), other])
    assert "cannot be compared with the default hyperparameters: their trial failed" in capsys.readouterr().out


def test_the_report_says_if_there_are_too_few_repeats_for_a_test(tmp_path, capsys):
    summary.report(tmp_path, [row("one", 0.9, [0.9]), row("other", 0.8, [0.8])])
    assert "No significance test: it needs at least 2 repeats" in capsys.readouterr().out


def test_the_report_counts_empty_validation_masks_and_false_positives(tmp_path, capsys):
    rows = [row("one", 0.5, false_positives=2.0), row("other", 0.4, rate=1e-4, false_positives=0.0)]
    summary.report(tmp_path, rows, empty_masks=3)
    output, table = capsys.readouterr().out, pd.read_csv(tmp_path / "trials.csv")
    assert table["empty_masks"].tolist() == [3, 3]
    assert table["false_positives"].tolist() == [2, 0]
    assert "3 validation masks are empty: val_dice is over the others" in output
    assert "false_positives" in output.splitlines()[2]
    summary.report(tmp_path, rows)
    assert "validation masks" not in capsys.readouterr().out
    assert "false_positives" not in pd.read_csv(tmp_path / "trials.csv")
