"""Step 5: metrics computed by hand, counts of failed cases and empty reference masks, texts, pictures, and the log."""

import dataclasses
import hashlib
import json
import re
import types

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib import pyplot

import about
import settings
import storage
from conftest import configure, dataset_facts, files, mask_from_text, prediction_provenance
from data import csv_array, mask_folder, preloaded_dataset
from evaluation import evaluate_test_set, methods, pictures, report
from masks import drawing
from settings.hyperparameters import Hyperparameters

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

TRAINING = dataclasses.replace(
    prediction_provenance().training, images=64, image_size=64, batch_size=8, precision="bfloat16"
)


def enlarged(text):
    return np.kron(mask_from_text(text), np.ones((8, 8), np.uint8))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def replace_masks(workspace, true, predicted):
    """Replaces the reference mask and the prediction of each case, in order."""
    for case, true_mask, predicted_mask in zip(PAIRS, true, predicted, strict=True):
        preloaded_dataset.write(workspace.test_set / "masks", case, enlarged(true_mask))
        preloaded_dataset.write(workspace.predictions, case, enlarged(predicted_mask))


def summary(workspace):
    return json.loads((workspace.results / "summary.json").read_text())


@pytest.fixture
def predicted(workspace):
    """A workspace with the pairs above as test set and predictions."""
    for folder in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
        folder.mkdir(parents=True)
    for case, (true, prediction) in PAIRS.items():
        preloaded_dataset.write(workspace.test_set / "images", case, np.zeros((64, 64), np.int16))
        preloaded_dataset.write(workspace.test_set / "masks", case, enlarged(true))
        preloaded_dataset.write(workspace.predictions, case, enlarged(prediction))
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
    preloaded_dataset.write_facts(workspace.preloaded_dataset, dataset_facts(cases=20, mask_speck_px=3))
    return workspace


def test_metrics_csv_has_the_metrics_of_each_case(predicted):
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


def test_metrics_csv_has_the_group_of_each_case(predicted):
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    groups = ["one", "one", "two", "two", "three"]
    table.assign(group=groups).to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
    evaluate_test_set(predicted)
    result = pd.read_csv(predicted.results / "metrics.csv").set_index("case")["group"]
    assert result.to_dict() == dict(zip(PAIRS, groups, strict=True))


def test_failed_cases_are_counted_and_excluded_from_the_mean(predicted, capsys):
    evaluate_test_set(predicted)
    result = summary(predicted)
    assert result["cases"] == 5
    distance = result["metrics"]["hausdorff_px"]
    # Over the four cases with a non-empty reference mask.
    assert (distance["mean"], distance["cases"], distance["failed"]) == (pytest.approx(16 / 3), 3, 1)
    assert result["metrics"]["dice"]["mean"] == pytest.approx(0.625)
    assert result["metrics"]["dice"]["failed"] == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Hausdorff distance (px)"))
    assert line.split()[3:5] == ["5.3", "±"]
    assert line.split()[-2:] == ["3", "1"]


def test_empty_reference_masks_are_excluded_from_means_and_false_positives_are_counted(predicted, capsys):
    replace_masks(predicted, [NEAR, NEAR, EMPTY, EMPTY, EMPTY], [NEAR, SHIFTED, EMPTY, EMPTY, SHIFTED])
    evaluate_test_set(predicted)
    result = summary(predicted)
    note = "3 of 5 reference masks are empty; 1 of 3 was predicted non-empty (false positives). "
    note += "Means are over the other 2 cases."
    assert (result["empty_reference_masks"], result["false_positives"]) == (3, 1)
    dice, all_cases = result["metrics"]["dice"], result["metrics"]["dice_all_cases"]
    assert (dice["mean"], dice["cases"], all_cases["mean"], all_cases["cases"]) == (0.875, 2, pytest.approx(0.75), 5)
    assert result["metrics"]["hausdorff_px"]["mean"] == 4
    assert result["metrics"]["recall"]["mean"] == 0.875
    assert result["areas"]["cases"] == 2
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
    assert "The mean Dice coefficient over 2 images with a non-empty reference mask was 0.875" in methods
    assert (
        "The reference masks of 3 images were empty; these images were excluded from all means. "
        "The prediction was non-empty for 1 of 3." in methods
    )
    assert pd.read_csv(predicted.evaluations)["mean_dice"].tolist() == [0.875]


def test_texts_do_not_mention_empty_reference_masks_without_any(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, EMPTY, NEAR, NEAR])
    evaluate_test_set(predicted)
    page = (predicted.results / "report.html").read_text().partition("Definitions of the metrics")[0]
    for text in (
        capsys.readouterr().out,
        page,
        *((predicted.results / name).read_text() for name in ("summary.md", "summary.tex", "methods.txt")),
    ):
        assert "reference masks" not in text.replace("removed from the reference masks", "")
        assert "all cases |" not in text
    assert "dice_all_cases" not in summary(predicted)["metrics"]
    assert summary(predicted)["empty_reference_masks"] == 0


def test_all_reference_masks_empty_gives_no_mean_but_counts_false_positives(predicted, capsys):
    replace_masks(predicted, [EMPTY] * 5, [EMPTY, EMPTY, EMPTY, EMPTY, NEAR])
    evaluate_test_set(predicted)
    assert {
        value
        for name, value in summary(predicted)["metrics"]["dice"].items()
        if name not in ("cases", "failed", "groups")
    } == {None}
    output, markdown, methods = (
        capsys.readouterr().out,
        (predicted.results / "summary.md").read_text(),
        (predicted.results / "methods.txt").read_text(),
    )
    assert (
        "5 of 5 reference masks are empty; 1 of 5 was predicted non-empty (false positives). No means are given."
        in output
    )
    assert "| Dice coefficient | - | - | - | 0 | 0 |" in markdown
    assert "± -" not in markdown
    assert "nan" not in (output + markdown + methods).lower()
    assert "no means are given. The prediction was non-empty for 1 of 5" in methods
    assert "The mean Dice" not in methods
    assert sorted(path.name for path in predicted.results.glob("*.png")) == []


def test_means_of_the_second_reader_exclude_empty_reference_masks(predicted, capsys):
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
        assert "Dice coefficient 0.875" in text
        assert "Of 3 cases with an empty reference mask, the second reader annotated 2." in text


def outputs(workspace, capsys):
    """Returns the texts of terminal, summary.md, summary.tex, methods.txt and report, without LaTeX escapes."""
    names = ("summary.md", "summary.tex", "methods.txt", "report.html")
    texts = [capsys.readouterr().out, *((workspace.results / name).read_text() for name in names)]
    return [text.replace(r"\%", "%") for text in texts]


def test_texts_give_the_sample_of_the_sd_and_the_reason_for_missing_intervals(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, NEAR, NEAR, NEAR])
    file = predicted.preloaded_dataset / "cases.csv"
    pd.read_csv(file).assign(group=["one", "one", "one", "two", "two"]).to_csv(file, index=False)
    evaluate_test_set(predicted)
    terminal, markdown, latex, methods, page = outputs(predicted, capsys)
    for text in (terminal, markdown, latex, methods, page):
        assert "No 95 % confidence intervals are given, because there are fewer than 5 groups (2)." in text
    for text in (terminal, markdown, latex, page):
        assert "The SD is over cases, not over groups (5 cases of 2 groups)." in text
    assert "over 5 images from 2 groups was 0.950 (SD over images 0.112)." in methods
    assert "no 95 % CI: fewer than 5 groups" in page


def test_texts_name_the_metrics_without_an_interval(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, EMPTY, NEAR, NEAR])
    evaluate_test_set(predicted)
    reason = "No 95 % confidence interval is given for Hausdorff distance, 95 % Hausdorff distance,"
    for text in outputs(predicted, capsys):
        assert reason in text
        assert "because fewer than 5 cases have a finite value." in text
    assert "The SD is over cases (5 cases)." in (predicted.results / "summary.md").read_text()


def test_texts_have_true_minus_signs_and_square_centimetres(predicted, capsys):
    replace_masks(predicted, [NEAR] * 5, [NEAR, SHIFTED, EMPTY, NEAR, NEAR])
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    terminal, markdown, latex, _, _ = outputs(predicted, capsys)
    assert "Area, predicted − true: −0.38 cm² on average" in terminal
    assert "| Area difference (%) | −20.0 ± 44.7 |" in markdown
    assert r"Area difference (%) & $-$20.0 $\pm$ 44.7 &" in latex


def test_texts_give_the_reason_for_missing_limits_of_agreement(predicted, capsys):
    replace_masks(predicted, [NEAR, NEAR, EMPTY, EMPTY, EMPTY], [NEAR, SHIFTED, EMPTY, EMPTY, EMPTY])
    evaluate_test_set(predicted)
    assert (
        "Area, predicted − true: +0.0 px on average; "
        "no limits of agreement and no ICC are given, because there are fewer than 4 cases (2)."
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
def test_a_damaged_log_of_evaluations_stops_the_step(predicted, content):
    predicted.evaluations.write_text(content)
    with pytest.raises(
        storage.DamagedFile,
        match=r"evaluations\.csv: .* restore it from a backup\. Deleting it loses the count of evaluations\.",
    ):
        evaluate_test_set(predicted)
    assert predicted.evaluations.read_text() == content
    assert not predicted.results.exists()


def test_the_log_may_have_reordered_columns_a_byte_order_mark_or_no_images(predicted, capsys):
    evaluate_test_set(predicted)
    log = pd.read_csv(predicted.evaluations, dtype=str)
    predicted.evaluations.write_text("\ufeff" + log[log.columns[::-1]].to_csv(index=False), encoding="utf-8")
    evaluate_test_set(predicted)
    assert "This is evaluation 2 of this test set" in capsys.readouterr().out
    # Files of an earlier version lack this column.
    log.drop(columns="images").to_csv(predicted.evaluations, index=False)
    evaluate_test_set(predicted)
    assert len(pd.read_csv(predicted.evaluations)) == 2
    assert "This is evaluation 1 of this test set" in capsys.readouterr().out


def test_the_log_of_the_previous_version_is_continued(predicted):
    images = " ".join(sha256(f"image-{case}")[:10] for case in PAIRS)
    row = f"2026-01-01 10:00:00,5,an earlier model,0.7,{images}"
    predicted.evaluations.write_text(f"time,cases,model,mean_dice,images\n{row}\n")
    evaluate_test_set(predicted)
    assert summary(predicted)["test_set"]["times_evaluated"] == 2
    assert summary(predicted)["test_set"]["models"][0] == "an earlier model"
    assert predicted.evaluations.read_text().splitlines()[1] == row


def test_all_cases_failed_gives_null_in_summary_json(predicted):
    for case in PAIRS:
        preloaded_dataset.write(predicted.predictions, case, enlarged(EMPTY))
        preloaded_dataset.write(predicted.test_set / "masks", case, enlarged(NEAR))
    evaluate_test_set(predicted)
    distance = summary(predicted)["metrics"]["hausdorff_px"]
    assert (distance.pop("cases"), distance.pop("failed"), distance.pop("groups")) == (0, 5, 0)
    assert set(distance.values()) == {None}


def test_pictures_are_named_after_the_cases_that_the_setting_selects(predicted):
    configure(predicted, IMAGES_TO_DRAW={"first": 1, "worst_dice": 1, "worst_hausdorff": 2}, DRAW_HAUSDORFF_LINE=True)
    evaluate_test_set(predicted)
    assert sorted(files(predicted.images)) == ["A__good.png", "A__missed.png", "A__shifted.png", "_worst.png"]
    assert pyplot.imread(predicted.images / "A__missed.png").shape[:2] == (1024, 1024)


def test_the_figure_shows_the_quartiles_or_the_named_cases(predicted):
    evaluate_test_set(predicted)
    key = pd.read_csv(predicted.results / "cases.csv")
    nonempty = pd.read_csv(predicted.results / "metrics.csv").query("true_px > 0").sort_values(["dice", "case"])
    assert key["case"].tolist() == nonempty["case"].tolist()  # There are no more than five.
    assert key["dice"].tolist() == nonempty["dice"].tolist()
    assert key["row"].tolist() == list("abcde")[: len(key)]
    assert {"cases.png", "cases.pdf"} <= set(files(predicted.results))
    configure(predicted, IMAGES_TO_DRAW={"cases": ["A__shifted"]})
    evaluate_test_set(predicted)
    assert pd.read_csv(predicted.results / "cases.csv")["case"].tolist() == ["A__shifted"]


def test_the_figure_has_the_quartiles_by_dice():
    dices = np.random.default_rng(0).permutation(21) / 21
    table = pd.DataFrame({"case": [f"{dice:.3f}" for dice in dices], "dice": dices, "true_px": 1})
    table.loc[len(table)] = ["empty", 1.0, 0]
    shown = [float(case) for case in pictures.choose_figure(table, {})]
    np.testing.assert_allclose(shown, np.quantile(dices, (0, 0.25, 0.5, 0.75, 1)), atol=5e-4)


def test_selected_cases_are_reproducible_and_unique():
    table = pd.DataFrame(
        {
            "case": [f"{number:05d}" for number in range(9990, 10010)],
            "dice": np.linspace(0, 1, 20),
            "hausdorff_px": np.linspace(9, 0, 20),
        }
    )
    counts = {"first": 3, "random": 8, "worst_dice": 5, "worst_hausdorff": 5}
    selected = pictures.choose_cases(table, counts, 1)
    assert selected == pictures.choose_cases(table.sample(frac=1, random_state=0), counts, 1)
    assert len(selected) == len(set(selected))
    assert selected[:3] == ["09990", "09991", "09992"]
    assert pictures.choose_cases(table, {"random": 99}, 1) != pictures.choose_cases(table, {"random": 99}, 2)


def test_the_report_is_self_contained_and_escapes_names(predicted):
    evaluate_test_set(predicted)
    page = (predicted.results / "report.html").read_text()
    assert "://" not in page
    assert "data:image/png;base64" in page
    assert "<link" not in page
    assert "<odd>" not in page
    assert "B__\\u003codd> & name" in page


def test_the_case_table_of_the_report_has_labels_and_preferred_units(predicted):
    for spacing, labels in (
        (None, ["Hausdorff (px)", "95 % Hausdorff (px)", "ASSD (px)", "True area (px)", "Predicted area (px)"]),
        (0.5, ["Hausdorff (mm)", "95 % Hausdorff (mm)", "ASSD (mm)", "True area (cm²)", "Predicted area (cm²)"]),
    ):
        configure(predicted, PIXEL_SPACING_MM=spacing)
        evaluate_test_set(predicted)
        page = (predicted.results / "report.html").read_text()
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page).group(1)
        main = [column["label"] for column in json.loads(data)["columns"] if column["main"]]
        assert main[:3] == ["Case", "Mark", "Dice"]
        assert sorted(main[3:]) == sorted([*labels, "Surface Dice", "Area difference (%)"])


def test_texts_give_correlation_and_bias_of_the_predicted_dice(predicted, capsys):
    true = {"A__good": 1.0, "A__shifted": 0.75, "A__missed": 0.0, "A__none": 1.0, "B__<odd> & name": 0.75}
    predictions = pd.Series(
        {"A__good": 1.0, "A__shifted": 0.9, "A__missed": 0.5, "A__none": 0.95, "B__<odd> & name": 0.8},
        name="predicted_dice",
    )
    table = predictions.rename_axis("case").reset_index().assign(ood_reasons="")
    mask_folder.write_provenance(predicted.predictions, prediction_provenance(id="x"))
    mask_folder.write_quality_table(predicted.predictions, table)
    evaluate_test_set(predicted)
    del predictions["A__none"]  # Its reference mask is empty.
    correlation = scipy.stats.spearmanr(predictions, [true[case] for case in predictions.index]).statistic
    result = summary(predicted)
    assert result["predicted_dice_correlation"] == pytest.approx(correlation)
    assert result["predicted_dice_bias"] == pytest.approx((3.2 - 2.5) / 4)
    for text in (capsys.readouterr().out, (predicted.results / "report.html").read_text()):
        assert f"{correlation:.2f}" in text
        assert "On average the predicted Dice was 0.18 too high." in text
    # A constant prediction has no rank correlation.
    mask_folder.write_quality_table(predicted.predictions, table.assign(predicted_dice=0.9))
    evaluate_test_set(predicted)
    assert "rank correlation" not in capsys.readouterr().out
    assert "How reliable is" not in (predicted.results / "report.html").read_text()


def test_a_known_pixel_spacing_gives_areas_in_cm2(predicted):
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert table.true_cm2["A__good"] == pytest.approx(12 * 64 * 0.25 / 100)


def test_a_missing_prediction_stops_the_step(predicted):
    (predicted.predictions / "A__none.npy").unlink()
    with pytest.raises(storage.MissingResult, match=r"A__none.*Run step 4 first"):
        evaluate_test_set(predicted)


def test_a_failed_evaluation_keeps_the_previous_results(predicted, monkeypatch):
    evaluate_test_set(predicted)
    before = files(predicted.results)
    monkeypatch.setattr(report, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_test_set(predicted)
    assert files(predicted.results) == before


def test_results_are_written_without_a_screen_for_pictures(predicted):
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 1})
    with pytest.raises(
        storage.UserError, match="The results are written, but there is no .*SAVE_IMAGES_ON_DISK = True"
    ):
        evaluate_test_set(predicted)
    assert (predicted.results / "report.html").exists()


def test_pictures_can_be_shown_instead_of_saved(predicted, monkeypatch):
    shown = []
    monkeypatch.setattr(drawing, "show", lambda figures: shown.extend(figures))
    configure(predicted, SAVE_IMAGES_ON_DISK=False, IMAGES_TO_DRAW={"first": 2})
    evaluate_test_set(predicted)
    assert len(shown) == 2
    assert not predicted.images.exists()


def test_each_evaluation_is_counted_with_its_model(predicted, capsys):
    mask_folder.write_provenance(predicted.predictions, prediction_provenance(id="first"))
    evaluate_test_set(predicted)
    assert "This is evaluation 1 of this test set: an unbiased estimate" in capsys.readouterr().out
    evaluate_test_set(predicted)
    mask_folder.write_provenance(predicted.predictions, prediction_provenance(id="second"))
    evaluate_test_set(predicted)
    assert (
        "This is evaluation 3 of this test set, or of part of it, with 2 models (first, second)."
        in capsys.readouterr().out
    )
    log = pd.read_csv(predicted.evaluations)
    assert log["model"].tolist() == ["first", "first", "second"]
    assert log["mean_dice"].tolist() == [0.625] * 3
    assert json.loads((predicted.results / "summary.json").read_text())["test_set"] == {
        "times_evaluated": 3,
        "models": ["first", "second"],
    }
    # Only a test set without any of these images is a new one; a corrected mask or another split is not.
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    for changed, text in (
        (table.assign(mask_sha256=sha256("other")), "evaluation 4 of"),
        (
            table.assign(image_sha256=[sha256("image-A__good"), *(sha256(f"new-{number}") for number in range(4))]),
            "evaluation 5 of",
        ),
        (table.assign(image_sha256=[sha256(f"other-{number}") for number in range(5)]), "evaluation 1 of"),
    ):
        changed.to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
        evaluate_test_set(predicted)
        assert text in capsys.readouterr().out
    assert len(pd.read_csv(predicted.evaluations)) == 6


@pytest.mark.parametrize("digest", ["1234567890abc", "12345e6789abc", "0000000000abc"])
def test_a_digest_of_digits_is_read_as_text(predicted, capsys, digest):
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    table[:1].assign(image_sha256=digest.ljust(64, "0")).to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
    for text in ("This is evaluation 1 of", "This is evaluation 2 of"):
        evaluate_test_set(predicted)
        assert text in capsys.readouterr().out


def test_the_model_card_has_the_table_of_results_and_no_case(predicted):
    mask_folder.write_provenance(predicted.predictions, prediction_provenance(id="0a1b2c"))
    evaluate_test_set(predicted)
    card = (predicted.results / "model_card.md").read_text(encoding="utf-8")
    assert "fingerprint `0a1b2c`" in card
    assert (predicted.results / "summary.md").read_text(encoding="utf-8").strip() in card
    assert "evaluation 1 of this test set" in card
    assert not [case for case in PAIRS if case in card]


def test_the_methods_describe_the_actual_split_and_augmentation(predicted):
    values = Hyperparameters(clip_hu=None, horizontal_flip=False, max_log_scale=0.0, gamma=0.0)
    provenance = prediction_provenance(test_time_flip=False, training=TRAINING)
    # Two patients of five images each: the smallest group exceeds the target share of a quarter.
    pd.read_csv(predicted.preloaded_dataset / "cases.csv").assign(group="one").to_csv(
        predicted.preloaded_dataset / "cases.csv", index=False
    )
    preloaded_dataset.write_facts(predicted.preloaded_dataset, dataset_facts(cases=10, mask_speck_px=0))
    for probability, augmentation in (
        (0.5, "Data augmentation consisted of rotation (with a probability of 50 %)."),
        (0.0, "No data augmentation was used."),
    ):
        hyperparameters = dataclasses.replace(values, augmentation_probability=probability)
        mask_folder.write_provenance(
            predicted.predictions, dataclasses.replace(provenance, hyperparameters=hyperparameters)
        )
        evaluate_test_set(predicted)
        methods = (predicted.results / "methods.txt").read_text()
        assert augmentation in methods
        assert (
            "comprised 5 of 10 images from 1 group: "
            "the smallest group, because each group exceeded the target share of 25 %." in methods
        )
        # One group gives no confidence interval.
        assert "at random" not in methods
        assert "Confidence intervals" not in methods
        assert "removed from the reference masks" not in methods


@pytest.mark.parametrize("place", ["results", "images"])
def test_an_evaluation_without_writable_results_is_not_counted(predicted, place):
    (predicted.root / place).write_text("a file of the user")
    with pytest.raises(storage.UserError, match=f"{place}: a file, where the results' folder must be"):
        evaluate_test_set(predicted)
    assert not predicted.evaluations.exists()


def test_an_evaluation_is_counted_before_any_result_is_visible(predicted, monkeypatch):
    monkeypatch.setattr(drawing, "comparison", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate_test_set(predicted)
    assert len(pd.read_csv(predicted.evaluations)) == 1


def test_a_model_trained_on_a_test_image_is_rejected(predicted):
    digests = ["another", sha256("image-A__good")]
    mask_folder.write_provenance(predicted.predictions, prediction_provenance(image_sha256=digests))
    with pytest.raises(storage.DatasetError, match="A__good: in the test set, but the model was trained on it"):
        evaluate_test_set(predicted)
    assert not predicted.results.exists()
    assert not predicted.evaluations.exists()


def test_masks_of_another_program_get_the_same_metrics(predicted):
    evaluate_test_set(predicted)
    expected = pd.read_csv(predicted.results / "metrics.csv")
    folder = predicted.root / "theirs"
    folder.mkdir()
    for case, (_, prediction) in PAIRS.items():
        csv_array.write(folder / f"{case}.csv", enlarged(prediction))
    (predicted.predictions / "A__none.npy").unlink()  # The predictions of the model are not needed.
    configure(predicted, PREDICTIONS_FOLDER="theirs")
    evaluate_test_set(predicted)
    pd.testing.assert_frame_equal(pd.read_csv(predicted.results / "metrics.csv"), expected)
    methods = (predicted.results / "methods.txt").read_text()
    assert f'another program. Evaluation used the program "{about.NAME}", version {about.VERSION}.' in methods
    assert "It is unknown whether any test image was used for training." in methods
    assert "none of" not in methods.lower()
    # A table of the same name in that folder is ignored. Other labels are listed.
    (folder / "_table.csv").write_text("image,dice\nA__good,0.1\n")
    evaluate_test_set(predicted)
    pd.testing.assert_frame_equal(pd.read_csv(predicted.results / "metrics.csv"), expected)
    for case in ("A__good", "A__missed"):
        csv_array.write(folder / f"{case}.csv", enlarged(NEAR) * 2)
    with pytest.raises(storage.DatasetError) as caught:
        evaluate_test_set(predicted)
    (fault,) = caught.value.faults
    assert "several labels: 1 (2 masks, such as A__shifted.csv), 2 (2 masks, such as A__good.csv)" in fault


def test_masks_of_a_second_reader_are_compared_with_the_reference_masks(predicted, capsys):
    folder = predicted.root / "reader 2"
    folder.mkdir()
    large = "........ .######. .######. .######. ........ ........ ........ ........"
    preloaded_dataset.write(predicted.test_set / "masks", "A__none", enlarged(large))
    for case, (true, _) in (PAIRS | {"A__none": (large, EMPTY)}).items():
        mask = enlarged(true)
        mask[63, 61:] = 1  # A small component, which step 1 removes from the reference masks.
        preloaded_dataset.write(folder, case, mask)
    configure(predicted, SECOND_READER_FOLDER=folder.name)
    evaluate_test_set(predicted)
    assert json.loads((predicted.results / "summary.json").read_text())["second_reader"]["dice"]["mean"] == 1.0
    text = "Inter-reader agreement (second reader) on the same cases: mean Dice coefficient 1.000 ± 0.000; "
    text += "area, second reader − true: +0.0 px on average, limits of agreement +0.0 to +0.0 px; ICC(2,1) 1.000"
    assert text in capsys.readouterr().out
    assert text in (predicted.results / "methods.txt").read_text()
    assert "<small>second reader: 1.000</small>" in (predicted.results / "report.html").read_text()
    markdown = (predicted.results / "summary.md").read_text()
    assert "| Second reader |" in markdown
    assert markdown.splitlines()[2].endswith("| 5 | 0 | 1.000 ± 0.000 |")
    assert r"\begin{tabular}{lcccccc}" in (predicted.results / "summary.tex").read_text()


def test_a_second_reading_by_the_same_person_is_called_intra_reader_agreement(predicted, capsys):
    folder = predicted.root / "reading 2"
    folder.mkdir()
    for case, (true, _) in PAIRS.items():
        preloaded_dataset.write(folder, case, enlarged(true))
    configure(predicted, SECOND_READER_FOLDER=folder.name, SECOND_READER_IS_SAME_PERSON=True)
    evaluate_test_set(predicted)
    text = "Intra-reader agreement (second reading by the same person) on the same cases: mean Dice coefficient 1.000"
    assert text in capsys.readouterr().out
    report = (predicted.results / "report.html").read_text()
    assert text in report
    assert "second reader" not in report.lower()
    assert "| Second reading |" in (predicted.results / "summary.md").read_text()


def test_texts_for_one_case_contain_no_nan(predicted, capsys):
    table = pd.read_csv(predicted.preloaded_dataset / "cases.csv")
    table[table["case"] == "A__shifted"].to_csv(predicted.preloaded_dataset / "cases.csv", index=False)
    evaluate_test_set(predicted)
    texts = (
        capsys.readouterr().out
        + (predicted.results / "methods.txt").read_text()
        + (predicted.results / "summary.md").read_text()
    )
    assert "nan" not in texts.lower()
    assert "Area, predicted − true: +0.0 px on average; no limits" in texts
    assert "- ± -" not in texts


def test_a_tolerance_in_mm_requires_the_pixel_spacing(predicted):
    configure(predicted, SURFACE_DICE_TOLERANCE_MM=1.5)
    with pytest.raises(
        settings.SettingsError, match="SURFACE_DICE_TOLERANCE_MM is set in config.py, but the pixel spacing is unknown"
    ):
        evaluate_test_set(predicted)


def with_spacings(workspace, **columns):
    """Adds columns to cases.csv, as step 1 writes them for files with a pixel spacing."""
    file = workspace.preloaded_dataset / "cases.csv"
    pd.read_csv(file).assign(**columns).to_csv(file, index=False)


def test_the_pixel_spacing_of_the_files_gives_mm_and_cm2(predicted):
    with_spacings(predicted, row_mm=0.5, column_mm=2.0)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv")
    np.testing.assert_allclose(table["true_cm2"], table["true_px"] * 0.5 * 2.0 / 100)
    assert "hausdorff_mm" in table


def test_a_pixel_spacing_that_some_files_lack_is_not_used(predicted, capsys):
    with_spacings(predicted, row_mm=[0.5, None, 0.5, 0.5, 0.5], column_mm=0.5)
    evaluate_test_set(predicted)
    assert "1 of 5 image files have no pixel spacing" in capsys.readouterr().out
    assert "true_cm2" not in pd.read_csv(predicted.results / "metrics.csv")


def test_a_pixel_spacing_in_the_settings_overrides_that_of_the_files(predicted, capsys):
    with_spacings(predicted, row_mm=[0.5, 0.5, 0.5, 0.5, 0.4], column_mm=0.5, resized_by=1.0)
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    text = "PIXEL_SPACING_MM differs from the pixel spacing in 1 of 5 image files, by up to +25 %."
    assert text in capsys.readouterr().out
    table = pd.read_csv(predicted.results / "metrics.csv")
    np.testing.assert_allclose(table["true_cm2"], table["true_px"] * 0.25 / 100)


def test_a_pixel_spacing_that_contradicts_one_axis_is_reported(predicted, capsys):
    with_spacings(predicted, row_mm=1.5, column_mm=0.5)
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    assert "differs from the pixel spacing in 5 of 5 image files, by up to -67 %" in capsys.readouterr().out


def test_a_pixel_spacing_in_the_settings_is_that_of_the_original_image(predicted):
    with_spacings(predicted, resized_by=2.0)
    configure(predicted, PIXEL_SPACING_MM=0.5)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv")
    np.testing.assert_allclose(table["true_cm2"], table["true_px"] * 1.0 / 100)


def test_the_pixel_spacing_can_be_a_table_by_case(predicted):
    file = predicted.root / "spacings.csv"
    pd.DataFrame({"case": list(PAIRS), "spacing_mm": [0.5, 0.5, 1.0, 0.5, 0.25]}).to_csv(file, index=False)
    configure(predicted, PIXEL_SPACING_MM=file.name)
    evaluate_test_set(predicted)
    table = pd.read_csv(predicted.results / "metrics.csv").set_index("case")
    assert table.true_cm2["A__missed"] == pytest.approx(12 * 64 / 100)
    assert table.hausdorff_mm["B__<odd> & name"] == 2.0
    for values, listed in (
        ([*"1111"], "[]"),
        (["0.7mm", *"1111"], "['0.7mm']"),
        (["inf", *"1111"], "[inf]"),
        ([*"01111"], "[0]"),
    ):
        pd.DataFrame({"case": list(PAIRS)[-len(values) :], "spacing_mm": values}).to_csv(file, index=False)
        with pytest.raises(storage.DatasetError) as caught:
            evaluate_test_set(predicted)
        assert f"the case A__good has the spacings {listed}. Give it one row with a spacing_mm > 0." in str(
            caught.value
        )
        assert len(caught.value.faults) == 1
    pd.DataFrame({"case": [*PAIRS, "A__good"], "spacing_mm": 1.0}).to_csv(file, index=False)
    with pytest.raises(storage.DatasetError, match=r"A__good has the spacings \[1.0, 1.0\]"):
        evaluate_test_set(predicted)


def test_cases_can_be_selected_by_name_and_unknown_names_are_rejected(predicted):
    configure(predicted, IMAGES_TO_DRAW={"cases": ["A__shifted"]})
    evaluate_test_set(predicted)
    assert sorted(files(predicted.images)) == ["A__shifted.png", "_worst.png"]
    configure(predicted, IMAGES_TO_DRAW={"cases": ["A__shiftet"]})
    with pytest.raises(
        storage.DatasetError, match="A__shiftet: not in the test set. Correct the name in IMAGES_TO_DRAW"
    ):
        evaluate_test_set(predicted)
    # The rejected call is not an evaluation.
    assert len(pd.read_csv(predicted.evaluations)) == 1


def test_tables_and_methods_for_a_manuscript_contain_the_numbers(predicted):
    mask_folder.write_provenance(
        predicted.predictions,
        prediction_provenance(models=5, postprocessed=True, image_sha256=["a"] * 80, training=TRAINING),
    )
    preloaded_dataset.write(predicted.test_set / "masks", "A__none", enlarged(NEAR))
    preloaded_dataset.write(predicted.predictions, "A__none", enlarged(NEAR))
    evaluate_test_set(predicted)
    markdown, latex, methods = (
        (predicted.results / name).read_text() for name in ("summary.md", "summary.tex", "methods.txt")
    )
    assert "| Dice coefficient | 0.700 ± 0.411 |" in markdown
    assert {line.count("|") for line in markdown.splitlines() if line.startswith("|")} == {
        7,
        11,
    }  # Metrics, quantities.
    assert r"Dice coefficient & 0.700 $\pm$ 0.411 &" in latex
    assert r"95 \% Hausdorff distance (px) &" in latex
    for text in (
        "A U-Net was trained on 64 images of 64 × 64 px",
        "clipped to −200 to 200 HU",
        "30 epochs (4.5 min)",
        "peak learning rate 0.002",
        "an ensemble of 5 such networks (one per fold of a cross-validation over 80 images) "
        "and over the image and its mirror image",
        "selected at random (target share 25 %, seed 7)",
        "Connected components of at most 3 px were removed from the reference masks",
        "Small isolated components were removed",
        "TensorFlow 2.15.1, Python 3.11.7; precision bfloat16; seed 1",
        "comprised 5 of 20 images",
        "in 1 of 5 cases",
        "0.700 (95 % CI",
    ):
        assert text in methods, text


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("A", "comprised 4 of 20 images, those of A, selected before training."),
        (["A__good", "A__none"], "comprised 4 of 20 images, named in a list, selected before training."),
        (
            "A_+",
            'comprised 4 of 20 images, those whose names match the regular expression "A_+", selected before training.',
        ),
    ],
)
def test_methods_say_how_the_test_set_was_selected(wanted, text):
    table = pd.DataFrame({"case": [f"A__{number}" for number in range(4)], "group": [*"abcd"]})
    subject = types.SimpleNamespace(provenance=prediction_provenance(), dataset=dataset_facts(test_cases=wanted))
    result = types.SimpleNamespace(table=table, subject=subject)
    assert text in methods._test_set(result)
    assert "at random" not in methods._test_set(result)
