"""Step 5: the table by hand, failures counted beside the means, and every picture under its case's name."""
import json

import evaluation
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import storage
from conftest import configure, drawn, files
from data import preloaded_dataset
from evaluation import evaluate_test_set
from matplotlib import pyplot

NEAR = "........ .####... .####... .####... ........ ........ ........ ........"
SHIFTED = "........ ..####.. ..####.. ..####.. ........ ........ ........ ........"
EMPTY = "........ " * 8
PAIRS = {"A__good": (NEAR, NEAR), "A__shifted": (NEAR, SHIFTED), "A__missed": (NEAR, EMPTY), "A__none": (EMPTY, EMPTY), "B__<odd> & name": (SHIFTED, NEAR)}


def enlarged(text):
    return np.kron(drawn(text), np.ones((8, 8), np.uint8))


@pytest.fixture
def predicted(workspace):
    """A workspace whose test set and predictions are the pairs above."""
    for folder in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
        folder.mkdir(parents=True)
    for case, (true, found) in PAIRS.items():
        preloaded_dataset.write(workspace.test_set / "images", case, np.zeros((64, 64), np.int16))
        preloaded_dataset.write(workspace.test_set / "masks", case, enlarged(true))
        preloaded_dataset.write(workspace.predictions, case, enlarged(found))
    pd.DataFrame({"case": list(PAIRS), "split": "test", "group": list(PAIRS)}).to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
    return workspace


def test_a_row_per_case_with_the_right_numbers(predicted):
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert list(table.index) == sorted(PAIRS) or set(table.index) == set(PAIRS)
    assert table.dice.to_dict() == pytest.approx({"A__good": 1, "A__shifted": 0.75, "A__missed": 0, "A__none": 1, "B__<odd> & name": 0.75})
    assert table.hausdorff_px.to_dict() == {"A__good": 0, "A__shifted": 8, "A__missed": np.inf, "A__none": 0, "B__<odd> & name": 8}
    assert table.true_px["A__missed"] == 12 * 64 and table.predicted_px["A__missed"] == 0


def test_failures_stand_beside_the_mean_and_do_not_swallow_it(predicted, capsys):
    evaluate_test_set(predicted)
    summary = json.loads((predicted.results / "summary.json").read_text())
    assert summary["cases"] == 5
    distance = summary["metrics"]["hausdorff_px"]
    assert (distance["mean"], distance["cases"], distance["failed"]) == (4.0, 4, 1)
    assert summary["metrics"]["dice"]["mean"] == pytest.approx(0.7) and summary["metrics"]["dice"]["failed"] == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["hausdorff_px"][1] == "4.000" and lines["hausdorff_px"][-1] == "1"


def test_all_failed_is_told_as_such(predicted):
    for case in PAIRS:
        preloaded_dataset.write(predicted.predictions, case, enlarged(EMPTY))
        preloaded_dataset.write(predicted.test_set / "masks", case, enlarged(NEAR))
    evaluate_test_set(predicted)
    summary = json.loads((predicted.results / "summary.json").read_text())
    assert summary["metrics"]["hausdorff_px"] == {"mean": None, "sd": None, "median": None, "minimum": None, "maximum": None, "cases": 0, "failed": 5}


def test_pictures_carry_their_case_s_name_and_the_choice_is_the_setting_s(predicted):
    configure(predicted, IMAGES_TO_DRAW={"first": 1, "worst_dice": 1, "worst_hausdorff": 2}, DRAW_HAUSDORFF_LINE=True)
    evaluate_test_set(predicted)
    assert sorted(files(predicted.images)) == ["A__good.png", "A__missed.png", "A__shifted.png"]
    assert pyplot.imread(predicted.images / "A__missed.png").shape[:2] == (1024, 1024)


def test_random_cases_repeat_and_none_is_drawn_twice():
    table = pd.DataFrame({"case": [f"{number:05d}" for number in range(9990, 10010)], "dice": np.linspace(0, 1, 20), "hausdorff_px": np.linspace(9, 0, 20)})
    counts = {"first": 3, "random": 8, "worst_dice": 5, "worst_hausdorff": 5}
    chosen = evaluation.choose_cases(table, counts, 1)
    assert chosen == evaluation.choose_cases(table.sample(frac=1, random_state=0), counts, 1)
    assert len(chosen) == len(set(chosen)) and chosen[:3] == ["09990", "09991", "09992"]
    assert evaluation.choose_cases(table, {"random": 99}, 1) != evaluation.choose_cases(table, {"random": 99}, 2)


def test_the_report_is_one_page_without_network_and_names_are_escaped(predicted):
    evaluate_test_set(predicted)
    page = (predicted.results / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "data:image/png;base64" in page
    assert "<odd>" not in page and "B__&lt;odd&gt; &amp; name" in page


def test_how_well_the_predicted_dice_foresaw_the_true_one_is_told(predicted, capsys):
    true = {"A__good": 1.0, "A__shifted": 0.75, "A__missed": 0.0, "A__none": 1.0, "B__<odd> & name": 0.75}
    guessed = pd.Series({"A__good": 1.0, "A__shifted": 0.9, "A__missed": 0.5, "A__none": 0.95, "B__<odd> & name": 0.8}, name="predicted_dice")
    table = guessed.rename_axis("case").reset_index().assign(unlike_train_set="")
    preloaded_dataset.write_judgements(predicted.predictions, table)
    evaluate_test_set(predicted)
    wanted = scipy.stats.spearmanr(guessed, [true[case] for case in guessed.index]).statistic
    summary = json.loads((predicted.results / "summary.json").read_text())
    assert summary["predicted_dice_correlation"] == pytest.approx(wanted) and summary["predicted_dice_excess"] == pytest.approx((4.15 - 3.5) / 5)
    for text in (capsys.readouterr().out, (predicted.results / "report.html").read_text()):
        assert f"{wanted:.2f}" in text and "on average the prediction was 0.13 too high." in text
    # Nothing is told where all were guessed alike.
    preloaded_dataset.write_judgements(predicted.predictions, table.assign(predicted_dice=0.9))
    evaluate_test_set(predicted)
    assert "Rank correlation" not in capsys.readouterr().out and "Did the model know" not in (predicted.results / "report.html").read_text()


def test_areas_are_told_in_cm2_where_the_spacing_is_known(predicted):
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert table.true_cm2["A__good"] == pytest.approx(12 * 64 * 0.25 / 100)


def test_a_missing_prediction_is_not_passed_over(predicted):
    (predicted.predictions / "A__none.npy").unlink()
    with pytest.raises(storage.MissingResult, match=r"A__none.*Run step 4 first"):
        evaluate_test_set(predicted)


def test_an_evaluation_that_fails_leaves_the_former_results(predicted, monkeypatch):
    evaluate_test_set(predicted)
    before = files(predicted.results)
    monkeypatch.setattr(evaluation, "_report", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_test_set(predicted)
    assert files(predicted.results) == before


def test_pictures_without_a_screen_to_show_them_on_do_not_cost_the_results(predicted):
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 1})
    with pytest.raises(storage.PlainError, match="The results are written, but there is no screen.*SAVE_IMAGES_ON_DISK = True"):
        evaluate_test_set(predicted)
    assert (predicted.results / "report.html").exists()


def test_pictures_can_be_shown_instead_of_saved(predicted, monkeypatch):
    shown = []
    monkeypatch.setattr(evaluation.drawing, "show", lambda figures: shown.extend(figures))
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 2})
    evaluate_test_set(predicted)
    assert len(shown) == 2 and not predicted.images.exists()
