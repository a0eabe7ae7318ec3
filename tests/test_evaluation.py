"""Step 5: the table by hand, failures and empty reference masks counted beside the means, and every picture under its case's name."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib import pyplot

import evaluation
import settings
import storage
from conftest import configure, drawn, files
from data import csv_array, mask_folder, preloaded_dataset
from evaluation import evaluate_test_set

NEAR = "........ .####... .####... .####... ........ ........ ........ ........"
SHIFTED = "........ ..####.. ..####.. ..####.. ........ ........ ........ ........"
EMPTY = "........ " * 8
PAIRS = {
    "A__good": (NEAR, NEAR),
    "A__shifted": (NEAR, SHIFTED),
    "A__missed": (NEAR, EMPTY),
    "A__none": (EMPTY, EMPTY),
    "B__<odd> & name": (SHIFTED, NEAR),
}


def enlarged(text):
    return np.kron(drawn(text), np.ones((8, 8), np.uint8))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def replace_masks(workspace, true, found):
    """Gives every case this reference mask and this prediction, in order."""
    for case, true_mask, predicted_mask in zip(PAIRS, true, found, strict=True):
        preloaded_dataset.write(workspace.test_set / "masks", case, enlarged(true_mask))
        preloaded_dataset.write(workspace.predictions, case, enlarged(predicted_mask))


def summary(workspace):
    return json.loads((workspace.results / "summary.json").read_text())


@pytest.fixture
def predicted(workspace):
    """A workspace whose test set and predictions are the pairs above."""
    for folder in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
        folder.mkdir(parents=True)
    for case, (true, found) in PAIRS.items():
        preloaded_dataset.write(workspace.test_set / "images", case, np.zeros((64, 64), np.int16))
        preloaded_dataset.write(workspace.test_set / "masks", case, enlarged(true))
        preloaded_dataset.write(workspace.predictions, case, enlarged(found))
    table = pd.DataFrame({"case": list(PAIRS), "split": "test", "group": list(PAIRS)})
    table = table.assign(
        image_sha256=[sha256(f"image-{case}") for case in PAIRS], mask_sha256=[sha256(f"mask {case}") for case in PAIRS]
    )
    table = table.assign(
        image_file="a.csv",
        dtype="int16",
        height=64,
        width=64,
        minimum=0,
        maximum=0,
        mask_px=[int(enlarged(true).sum()) for true, _ in PAIRS.values()],
    )
    table.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
    preloaded_dataset.write_facts(
        workspace.preloaded_dataset, {"cases": 20, "SEED": 7, "TEST_SHARE": 0.25, "MASK_SPECK_PX": 3}
    )
    return workspace


def test_a_row_per_case_with_the_right_numbers(predicted):
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert sorted(table.index) == sorted(PAIRS)
    assert table.dice.to_dict() == pytest.approx(
        {"A__good": 1, "A__shifted": 0.75, "A__missed": 0, "A__none": 1, "B__<odd> & name": 0.75}
    )
    assert table.hausdorff_px.to_dict() == {
        "A__good": 0,
        "A__shifted": 8,
        "A__missed": np.inf,
        "A__none": 0,
        "B__<odd> & name": 8,
    }
    assert table.true_px["A__missed"] == 12 * 64
    assert table.predicted_px["A__missed"] == 0


def test_failures_stand_beside_the_mean_and_do_not_swallow_it(predicted, capsys):
    evaluate_test_set(predicted)
    found = summary(predicted)
    assert found["cases"] == 5
    distance = found["metrics"]["hausdorff_px"]
    # Over the four cases with a non-empty reference mask.
    assert (distance["mean"], distance["cases"], distance["failed"]) == (pytest.approx(16 / 3), 3, 1)
    assert found["metrics"]["dice"]["mean"] == pytest.approx(0.625)
    assert found["metrics"]["dice"]["failed"] == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["hausdorff_px"][1] == "5.333"
    assert lines["hausdorff_px"][-1] == "1"


def test_empty_reference_masks_are_not_averaged_in_and_false_positives_are_counted(predicted, capsys):
    replace_masks(predicted, [NEAR, NEAR, EMPTY, EMPTY, EMPTY], [NEAR, SHIFTED, EMPTY, EMPTY, SHIFTED])
    evaluate_test_set(predicted)
    found, note = (
        summary(predicted),
        "3 of 5 reference masks are empty; 1 of 3 was predicted non-empty (false positives). Metrics are over the other 2, but for the row of all cases.",
    )
    assert (found["empty_reference_masks"], found["false_positives"]) == (3, 1)
    dice, all_cases = found["metrics"]["dice"], found["metrics"]["dice_all_cases"]
    assert (dice["mean"], dice["cases"], all_cases["mean"], all_cases["cases"]) == (0.875, 2, pytest.approx(0.75), 5)
    assert found["metrics"]["hausdorff_px"]["mean"] == 4
    assert found["metrics"]["recall"]["mean"] == 0.875
    assert found["areas"]["cases"] == 2
    output, markdown, methods = (
        capsys.readouterr().out,
        (predicted.results / "summary.md").read_text(),
        (predicted.results / "methods.txt").read_text(),
    )
    page, latex = (predicted.results / "report.html").read_text(), (predicted.results / "summary.tex").read_text()
    assert all(note in text for text in (output, markdown, page, latex))
    assert "| Dice coefficient | 0.875 ± 0.177 | - |" in markdown
    assert "| Dice coefficient, all cases | 0.750 ±" in markdown
    assert "<strong>3 of 5</strong>" in page
    assert "<b>1 of 3 predicted non-empty</b>" in page
    assert "The mean Dice coefficient over the 2 images with a non-empty reference mask was 0.875" in methods
    assert (
        "The reference masks of 3 images were empty: these were excluded from all metrics; the prediction was non-empty for 1 of 3."
        in methods
    )
    assert pd.read_csv(predicted.evaluations)["mean_dice"].tolist() == [0.875]


def test_without_empty_reference_masks_nothing_is_said_of_them(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, EMPTY, NEAR, NEAR])
    evaluate_test_set(predicted)
    page = (predicted.results / "report.html").read_text().partition("How each number is defined")[0]
    for text in (
        capsys.readouterr().out,
        page,
        *((predicted.results / name).read_text() for name in ("summary.md", "summary.tex", "methods.txt")),
    ):
        assert "reference masks" not in text.replace("removed from the reference masks", "")
        assert "all cases |" not in text
        assert "No 95 %" not in text
        assert r"\par" not in text
    assert "dice_all_cases" not in summary(predicted)["metrics"]
    assert summary(predicted)["empty_reference_masks"] == 0


def test_where_all_reference_masks_are_empty_there_is_no_mean_but_false_positives(predicted, capsys):
    replace_masks(predicted, [EMPTY] * 5, [EMPTY, EMPTY, EMPTY, EMPTY, NEAR])
    evaluate_test_set(predicted)
    assert {
        value for name, value in summary(predicted)["metrics"]["dice"].items() if name not in ("cases", "failed")
    } == {None}
    output, markdown, methods = (
        capsys.readouterr().out,
        (predicted.results / "summary.md").read_text(),
        (predicted.results / "methods.txt").read_text(),
    )
    assert (
        "5 of 5 reference masks are empty; 1 of 5 was predicted non-empty (false positives). No mean can be given."
        in output
    )
    assert "| Dice coefficient | - | - | - | 0 | 0 |" in markdown
    assert "± -" not in markdown
    assert "nan" not in (output + markdown + methods).lower()
    assert "no mean of a metric is given; the prediction was non-empty for 1 of 5" in methods
    assert "The mean Dice" not in methods
    assert sorted(path.name for path in predicted.results.glob("*.png")) == []


def test_the_second_reader_is_not_averaged_over_empty_reference_masks_either(predicted, capsys):
    folder = predicted.root / "reader 2"
    folder.mkdir()
    replace_masks(predicted, [NEAR, NEAR, EMPTY, EMPTY, EMPTY], [NEAR] * 5)
    for case, mask in zip(PAIRS, [NEAR, SHIFTED, EMPTY, NEAR, NEAR], strict=True):
        preloaded_dataset.write(folder, case, enlarged(mask))
    configure(predicted, SECOND_READER_FOLDER=folder.name)
    evaluate_test_set(predicted)
    assert summary(predicted)["second_reader"]["dice"]["mean"] == 0.875
    output, methods = capsys.readouterr().out, (predicted.results / "methods.txt").read_text()
    for text in (output, methods):
        assert "Dice 0.875" in text
        assert "Of 3 cases with an empty reference mask, the second reader annotated 2." in text


def test_the_sd_says_over_what_and_a_missing_interval_says_why(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, NEAR, NEAR, NEAR])
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    table.assign(group=["one", "one", "one", "two", "two"]).to_csv(
        predicted.preloaded_dataset / "cases.csv", index=False
    )
    evaluate_test_set(predicted)
    for text in (
        capsys.readouterr().out,
        (predicted.results / "summary.md").read_text(),
        (predicted.results / "report.html").read_text(),
    ):
        assert "SD over 5 images of 2 groups." in text
        assert "No 95 % confidence interval: 2 groups, 5 are needed." in text
    latex, methods = (predicted.results / "summary.tex").read_text(), (predicted.results / "methods.txt").read_text()
    assert r"\par No 95 \% confidence interval: 2 groups, 5 are needed." in latex
    assert "SD 0.112 over 5 images of 2 groups" in methods
    assert "it would need at least 5 groups, and there were 2." in methods


def test_too_few_cases_for_limits_of_agreement_are_reported_as_such(predicted, capsys):
    replace_masks(predicted, [NEAR, NEAR, EMPTY, EMPTY, EMPTY], [NEAR, SHIFTED, EMPTY, EMPTY, EMPTY])
    evaluate_test_set(predicted)
    assert (
        "Areas, predicted − true: +0.0 px on average; too few cases for limits of agreement and ICC (2, 4 are needed)."
        in capsys.readouterr().out
    )
    assert summary(predicted)["areas"]["icc"] is None
    assert "Bland-Altman" not in (predicted.results / "methods.txt").read_text()


@pytest.mark.parametrize(
    "content",
    [
        "time;cases;model;mean_dice;images\n2026-01-01 10:00:00;5;first;0,7;abc\n",
        "",
        "version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_a_damaged_log_of_evaluations_stops_the_evaluation_and_does_not_restart_the_count(predicted, content):
    predicted.evaluations.write_text(content)
    with pytest.raises(
        storage.DamagedFile,
        match=r"evaluations\.csv: .* restore it from a backup\. If you delete it, the count of evaluations is lost\.",
    ):
        evaluate_test_set(predicted)
    assert predicted.evaluations.read_text() == content
    assert not predicted.results.exists()


def test_a_log_of_evaluations_may_have_its_columns_in_any_order_a_byte_order_mark_or_no_images(predicted, capsys):
    evaluate_test_set(predicted)
    log = pd.read_csv(predicted.evaluations, dtype=str)
    predicted.evaluations.write_text("\ufeff" + log[log.columns[::-1]].to_csv(index=False), encoding="utf-8")
    evaluate_test_set(predicted)
    assert "This is evaluation 2 of this test set" in capsys.readouterr().out
    # As an earlier version wrote it.
    log.drop(columns="images").to_csv(predicted.evaluations, index=False)
    evaluate_test_set(predicted)
    assert len(pd.read_csv(predicted.evaluations)) == 2
    assert "This is evaluation 1 of this test set" in capsys.readouterr().out


def test_all_failed_is_told_as_such(predicted):
    for case in PAIRS:
        preloaded_dataset.write(predicted.predictions, case, enlarged(EMPTY))
        preloaded_dataset.write(predicted.test_set / "masks", case, enlarged(NEAR))
    evaluate_test_set(predicted)
    distance = summary(predicted)["metrics"]["hausdorff_px"]
    assert (distance.pop("cases"), distance.pop("failed")) == (0, 5)
    assert set(distance.values()) == {None}


def test_pictures_carry_their_case_s_name_and_the_choice_is_the_setting_s(predicted):
    configure(predicted, IMAGES_TO_DRAW={"first": 1, "worst_dice": 1, "worst_hausdorff": 2}, DRAW_HAUSDORFF_LINE=True)
    evaluate_test_set(predicted)
    assert sorted(files(predicted.images)) == ["A__good.png", "A__missed.png", "A__shifted.png", "_worst.png"]
    assert pyplot.imread(predicted.images / "A__missed.png").shape[:2] == (1024, 1024)


def test_random_cases_repeat_and_none_is_drawn_twice():
    table = pd.DataFrame(
        {
            "case": [f"{number:05d}" for number in range(9990, 10010)],
            "dice": np.linspace(0, 1, 20),
            "hausdorff_px": np.linspace(9, 0, 20),
        }
    )
    counts = {"first": 3, "random": 8, "worst_dice": 5, "worst_hausdorff": 5}
    chosen = evaluation.choose_cases(table, counts, 1)
    assert chosen == evaluation.choose_cases(table.sample(frac=1, random_state=0), counts, 1)
    assert len(chosen) == len(set(chosen))
    assert chosen[:3] == ["09990", "09991", "09992"]
    assert evaluation.choose_cases(table, {"random": 99}, 1) != evaluation.choose_cases(table, {"random": 99}, 2)


def test_the_report_is_one_page_without_network_and_names_are_escaped(predicted):
    evaluate_test_set(predicted)
    page = (predicted.results / "report.html").read_text()
    assert "://" not in page
    assert "data:image/png;base64" in page
    assert "<link" not in page
    assert "<odd>" not in page
    assert "B__\\u003codd> & name" in page


def test_how_well_the_predicted_dice_foresaw_the_true_one_is_told(predicted, capsys):
    true = {"A__good": 1.0, "A__shifted": 0.75, "A__missed": 0.0, "A__none": 1.0, "B__<odd> & name": 0.75}
    guessed = pd.Series(
        {"A__good": 1.0, "A__shifted": 0.9, "A__missed": 0.5, "A__none": 0.95, "B__<odd> & name": 0.8},
        name="predicted_dice",
    )
    table = guessed.rename_axis("case").reset_index().assign(ood_reasons="")
    mask_folder.write_provenance(predicted.predictions, {"id": "x", "image_sha256": []})
    mask_folder.write_quality_table(predicted.predictions, table)
    evaluate_test_set(predicted)
    del guessed["A__none"]  # Its reference mask is empty.
    wanted = scipy.stats.spearmanr(guessed, [true[case] for case in guessed.index]).statistic
    found = summary(predicted)
    assert found["predicted_dice_correlation"] == pytest.approx(wanted)
    assert found["predicted_dice_excess"] == pytest.approx((3.2 - 2.5) / 4)
    for text in (capsys.readouterr().out, (predicted.results / "report.html").read_text()):
        assert f"{wanted:.2f}" in text
        assert "on average the prediction was 0.18 too high." in text
    # Nothing is told where all were guessed alike.
    mask_folder.write_quality_table(predicted.predictions, table.assign(predicted_dice=0.9))
    evaluate_test_set(predicted)
    assert "Rank correlation" not in capsys.readouterr().out
    assert "How reliable is" not in (predicted.results / "report.html").read_text()


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
    monkeypatch.setattr(evaluation.report, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_test_set(predicted)
    assert files(predicted.results) == before


def test_pictures_without_a_screen_to_show_them_on_do_not_cost_the_results(predicted):
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 1})
    with pytest.raises(
        storage.UserError, match="The results are written, but there is no display.*SAVE_IMAGES_ON_DISK = True"
    ):
        evaluate_test_set(predicted)
    assert (predicted.results / "report.html").exists()


def test_pictures_can_be_shown_instead_of_saved(predicted, monkeypatch):
    shown = []
    monkeypatch.setattr(evaluation.drawing, "show", lambda figures: shown.extend(figures))
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 2})
    evaluate_test_set(predicted)
    assert len(shown) == 2
    assert not predicted.images.exists()


def test_each_look_at_the_test_set_is_counted_with_its_model(predicted, capsys):
    mask_folder.write_provenance(predicted.predictions, {"id": "first", "image_sha256": []})
    evaluate_test_set(predicted)
    assert "This is evaluation 1 of this test set: an unbiased estimate" in capsys.readouterr().out
    evaluate_test_set(predicted)
    mask_folder.write_provenance(predicted.predictions, {"id": "second", "image_sha256": []})
    evaluate_test_set(predicted)
    assert (
        "This is evaluation 3 of this test set, or of a part of it, with 2 models (first, second)."
        in capsys.readouterr().out
    )
    log = pd.read_csv(predicted.evaluations)
    assert log["model"].tolist() == ["first", "first", "second"]
    assert log["mean_dice"].tolist() == [0.625] * 3
    assert json.loads((predicted.results / "summary.json").read_text())["test_set"] == {
        "looks": 3,
        "models": ["first", "second"],
    }
    # A corrected mask does not make it a new one, nor does another split that holds one of its images; other images do.
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    for changed, told in (
        (table.assign(mask_sha256=sha256("other")), "evaluation 4 of"),
        (
            table.assign(image_sha256=[sha256("image-A__good"), *(sha256(f"new-{number}") for number in range(4))]),
            "evaluation 5 of",
        ),
        (table.assign(image_sha256=[sha256(f"other-{number}") for number in range(5)]), "evaluation 1 of"),
    ):
        changed.to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
        evaluate_test_set(predicted)
        assert told in capsys.readouterr().out
    assert len(pd.read_csv(predicted.evaluations)) == 6


@pytest.mark.parametrize("digest", ["1234567890abc", "12345e6789abc", "0000000000abc"])
def test_a_digest_that_looks_like_a_number_is_none(predicted, capsys, digest):
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    table[:1].assign(image_sha256=digest.ljust(64, "0")).to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
    for told in ("This is evaluation 1 of", "This is evaluation 2 of"):
        evaluate_test_set(predicted)
        assert told in capsys.readouterr().out


def test_the_methods_tell_of_the_split_and_the_augmentation_what_was_done(predicted):
    values = {"architecture": "unet", "clip_hu": None, "loss": "binary_crossentropy", "learning_rate": 1e-3, "horizontal_flip": False,
              "rotation_degrees": 10, "scale": 0.0, "gamma": 0.0, "gaussian_noise": 0, "augmentation_probability": 0.5}  # fmt: skip
    training = {"tensorflow": "2.15.1", "python": "3.11.7", "precision": "float32", "image_size": 64, "images": 64, "batch_size": 8, "peak_learning_rate": 2e-3,
                "encoder_weights": None, "seed": 1, "epochs": 30, "minutes": 4.5}  # fmt: skip
    provenance = {
        "id": "x",
        "models": 1,
        "test_time_flip": False,
        "cleaned": False,
        "image_sha256": [],
        "training": training,
    }
    # Two patients of five images each: the smaller group, here one of two that are alike, is more than a quarter.
    pd.read_csv(predicted.preloaded_dataset / "cases.csv").assign(group="one").to_csv(
        predicted.preloaded_dataset / "cases.csv", index=False
    )
    preloaded_dataset.write_facts(
        predicted.preloaded_dataset, {"cases": 10, "SEED": 7, "TEST_SHARE": 0.25, "MASK_SPECK_PX": 0}
    )
    for probability, augmentation in (
        (0.5, "augmentation by rotation, each of 50% of the images"),
        (0.0, "no augmentation"),
    ):
        mask_folder.write_provenance(
            predicted.predictions, provenance | {"hyperparameters": values | {"augmentation_probability": probability}}
        )
        evaluate_test_set(predicted)
        methods = (predicted.results / "methods.txt").read_text()
        assert augmentation in methods
        assert "held 5 of 10 images in 1 group, the smallest one: each held more than 25% of all; groups" in methods
        # One group has no interval.
        assert "random" not in methods
        assert "Confidence intervals" not in methods
        assert "removed from the reference masks" not in methods


@pytest.mark.parametrize("place", ["results", "images"])
def test_an_evaluation_whose_results_can_not_be_written_is_not_counted(predicted, place):
    (predicted.root / place).write_text("a user's own")
    with pytest.raises(storage.UserError, match=f"{place}: a file, where the results' folder must be"):
        evaluate_test_set(predicted)
    assert not predicted.evaluations.exists()


def test_a_look_counts_before_there_is_anything_to_look_at(predicted, monkeypatch):
    monkeypatch.setattr(evaluation.drawing, "comparison", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_test_set(predicted)
    assert len(pd.read_csv(predicted.evaluations)) == 1


def test_a_model_that_was_trained_on_a_test_image_is_refused(predicted):
    mask_folder.write_provenance(
        predicted.predictions, {"id": "cheat", "image_sha256": ["another", sha256("image-A__good")]}
    )
    with pytest.raises(storage.DatasetError, match="A__good: in the test set, but the model was trained on it"):
        evaluate_test_set(predicted)
    assert not predicted.results.exists()
    assert not predicted.evaluations.exists()


def test_masks_made_by_something_else_are_judged_alike(predicted):
    evaluate_test_set(predicted)
    own = pd.read_csv(predicted.results / "metrics.csv")
    folder = predicted.root / "theirs"
    folder.mkdir()
    for case, (_, found) in PAIRS.items():
        csv_array.write(folder / f"{case}.csv", enlarged(found))
    (predicted.predictions / "A__none.npy").unlink()  # The model's are not needed.
    configure(predicted, PREDICTIONS_FOLDER="theirs")
    evaluate_test_set(predicted)
    pd.testing.assert_frame_equal(pd.read_csv(predicted.results / "metrics.csv"), own)
    methods = (predicted.results / "methods.txt").read_text()
    assert "The masks were predicted by another program." in methods
    assert "It is unknown whether any of them was used for training." in methods
    assert "none of" not in methods.lower()
    # Its own table, of the same name as ours, is left alone; a wrong mask is told, with all others.
    (folder / "_table.csv").write_text("image,dice\nA__good,0.1\n")
    evaluate_test_set(predicted)
    pd.testing.assert_frame_equal(pd.read_csv(predicted.results / "metrics.csv"), own)
    for case in ("A__good", "A__missed"):
        csv_array.write(folder / f"{case}.csv", enlarged(NEAR) * 255)
    with pytest.raises(storage.DatasetError) as caught:
        evaluate_test_set(predicted)
    assert len(caught.value.faults) == 2
    assert "Divide it by 255" in caught.value.faults[0]


def test_a_second_reader_s_masks_give_the_ceiling(predicted, capsys):
    folder = predicted.root / "reader 2"
    folder.mkdir()
    large = "........ .######. .######. .######. ........ ........ ........ ........"
    preloaded_dataset.write(predicted.test_set / "masks", "A__none", enlarged(large))
    for case, (true, _) in (PAIRS | {"A__none": (large, EMPTY)}).items():
        mask = enlarged(true)
        mask[63, 61:] = 1  # A slip of the pen, as step 1 takes it out of the true masks.
        preloaded_dataset.write(folder, case, mask)
    configure(predicted, SECOND_READER_FOLDER=folder.name)
    evaluate_test_set(predicted)
    assert json.loads((predicted.results / "summary.json").read_text())["second_reader"]["dice"]["mean"] == 1.0
    told = "A second reader's masks of the same cases: Dice 1.000 (SD 0.000); areas, second reader − true: +0.0 px on average, limits of agreement +0.0 to +0.0 px; ICC(2,1) 1.000"
    assert told in capsys.readouterr().out
    assert told in (predicted.results / "methods.txt").read_text()
    assert "<small>second reader: 1.000</small>" in (predicted.results / "report.html").read_text()
    markdown = (predicted.results / "summary.md").read_text()
    assert "| Second reader |" in markdown
    assert markdown.splitlines()[2].endswith("| 5 | 0 | 1.000 ± 0.000 |")
    assert r"\begin{tabular}{lcccccc}" in (predicted.results / "summary.tex").read_text()


def test_one_case_is_told_without_numbers_that_are_none(predicted, capsys):
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    table[table["case"] == "A__shifted"].to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
    evaluate_test_set(predicted)
    told = (
        capsys.readouterr().out
        + (predicted.results / "methods.txt").read_text()
        + (predicted.results / "summary.md").read_text()
    )
    assert "nan" not in told.lower()
    assert "Areas, predicted − true: +0.0 px on average; too few cases" in told
    assert "- ± -" not in told


def test_a_tolerance_in_mm_without_the_spacing_is_told(predicted):
    configure(predicted, SURFACE_DICE_TOLERANCE_MM=1.5)
    with pytest.raises(
        settings.SettingsError, match="SURFACE_DICE_TOLERANCE_MM in config.py is in mm, but PIXEL_SPACING_MM is not set"
    ):
        evaluate_test_set(predicted)


def test_the_spacing_may_be_each_case_s_own(predicted):
    file = predicted.root / "spacings.csv"
    pd.DataFrame({"case": list(PAIRS), "spacing_mm": [0.5, 0.5, 1.0, 0.5, 0.25]}).to_csv(file, index=False)
    configure(predicted, PIXEL_SPACING_MM=file.name)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert table.true_cm2["A__missed"] == pytest.approx(12 * 64 / 100)
    assert table.hausdorff_mm["B__<odd> & name"] == 2.0
    for values, told in (
        ([*"1111"], "A__good, found []"),
        (["0.7mm", *"1111"], "A__good, found ['0.7mm']"),
        (["inf", *"1111"], "A__good, found [inf]"),
        ([*"01111"], "A__good, found [0]"),
    ):
        pd.DataFrame({"case": list(PAIRS)[-len(values) :], "spacing_mm": values}).to_csv(file, index=False)
        with pytest.raises(storage.DatasetError) as caught:
            evaluate_test_set(predicted)
        assert f"wanted one row with a spacing_mm above 0 for the case {told}" in str(caught.value)
        assert len(caught.value.faults) == 1
    pd.DataFrame({"case": [*PAIRS, "A__good"], "spacing_mm": 1.0}).to_csv(file, index=False)
    with pytest.raises(storage.DatasetError, match=r"A__good, found \[1.0, 1.0\]"):
        evaluate_test_set(predicted)


def test_named_cases_are_drawn_and_unknown_ones_told(predicted):
    configure(predicted, IMAGES_TO_DRAW={"cases": ["A__shifted"]})
    evaluate_test_set(predicted)
    assert sorted(files(predicted.images)) == ["A__shifted.png", "_worst.png"]
    configure(predicted, IMAGES_TO_DRAW={"cases": ["A__shiftet"]})
    with pytest.raises(storage.DatasetError, match="A__shiftet: IMAGES_TO_DRAW in config.py names this case"):
        evaluate_test_set(predicted)
    # A slip of the user's is no look.
    assert len(pd.read_csv(predicted.evaluations)) == 1


def test_tables_and_methods_for_a_manuscript_hold_the_figures(predicted):
    values = {"architecture": "unet", "clip_hu": [-200, 200], "loss": "binary_crossentropy_dice", "learning_rate": 1e-3, "horizontal_flip": True,
              "rotation_degrees": 10, "scale": 0.2, "gamma": 0.3, "gaussian_noise": 0, "augmentation_probability": 0.25}  # fmt: skip
    training = {"tensorflow": "2.15.1", "python": "3.11.7", "precision": "bfloat16", "image_size": 64, "images": 64, "batch_size": 8, "peak_learning_rate": 2e-3,
                "encoder_weights": None, "seed": 1, "epochs": 30, "minutes": 4.5}  # fmt: skip
    mask_folder.write_provenance(
        predicted.predictions,
        {
            "id": "x",
            "models": 5,
            "test_time_flip": True,
            "cleaned": True,
            "image_sha256": ["a"] * 80,
            "hyperparameters": values,
            "training": training,
        },
    )
    preloaded_dataset.write(predicted.test_set / "masks", "A__none", enlarged(NEAR))
    preloaded_dataset.write(predicted.predictions, "A__none", enlarged(NEAR))
    evaluate_test_set(predicted)
    markdown, latex, methods = (
        (predicted.results / name).read_text() for name in ("summary.md", "summary.tex", "methods.txt")
    )
    assert "| Dice coefficient | 0.700 ± 0.411 |" in markdown
    assert len({line.count("|") for line in markdown.splitlines()}) == 1
    assert r"Dice coefficient & 0.700 $\pm$ 0.411 &" in latex
    assert r"95 \% Hausdorff distance (px) &" in latex
    for told in (
        "A U-Net was trained on 64 images of 64 x 64 px",
        "30 epochs (4.5 min)",
        "learning rate 0.002 at",
        "5 such networks (one per fold of a cross-validation over 80 images) on the image and its mirror image",
        "drawn at random (seed 7) as about 25% of all",
        "Connected components of at most 3 px were removed from the reference masks",
        "Small isolated components were removed",
        "TensorFlow 2.15.1, Python 3.11.7, bfloat16, seed 1",
        "held 5 of 20 images",
        "in 1 of 5 cases",
        "0.700 (95 % CI",
    ):
        assert told in methods, told
