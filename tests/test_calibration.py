"""The calibration of the predicted Dice, on synthetic agreements, and its way from step 7 to steps 3, 4 and 6."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

import storage
from conftest import configure
from cross_validation import cross_validate_train_set, step
from data import phantoms
from data.original_dataset import create_preloaded_dataset
from evaluation import evaluate_test_set
from masks import calibration
from model_training import train_final_model
from networks import ensemble, fold_calibration, saved_model
from prediction import predict_new_images, predict_test_set, quality


def cases(count, seed, groups=None):
    """Agreements that are 0.05 to 0.15 too high, worse where they are low; true Dice, and the groups, of `count`."""
    rng = np.random.default_rng(seed)
    dices = 1 - rng.gamma(2, 0.06, count)
    dices = np.clip(dices, 0, 1)
    agreements = np.clip(1 - 0.5 * (1 - dices) * rng.uniform(0.7, 1.3, count), 0, 1)
    return agreements, dices, np.arange(count) % (groups or count)


@pytest.mark.parametrize("seed", range(5))
def test_on_new_cases_the_mean_error_is_small_and_nine_in_ten_lie_within_the_interval(seed):
    fitted = calibration.fit(*cases(100, seed))
    agreements, dices, _ = cases(5000, 1000 + seed)
    estimates = np.array([fitted.estimate(each) for each in agreements])
    assert (agreements - dices).mean() > 0.04
    assert abs((estimates[:, 0] - dices).mean()) < 0.02
    # The coverage of one calibration by 100 cases varies around 90 %, with a standard deviation of 3 %.
    assert 0.8 < np.mean((estimates[:, 1] <= dices) & (dices <= estimates[:, 2])) < 0.99


def test_the_coverage_is_90_percent_on_average():
    covered = []
    for seed in range(100):
        fitted = calibration.fit(*cases(40, seed))
        agreements, dices, _ = cases(200, 5000 + seed)
        ends = np.array([fitted.estimate(each)[1:] for each in agreements])
        covered.append(np.mean((ends[:, 0] <= dices) & (dices <= ends[:, 1])))
    assert 0.88 < np.mean(covered) < 0.94


def test_an_exact_relation_is_found():
    agreements = np.linspace(0.5, 1, 30)
    fitted = calibration.fit(agreements, 2 * agreements - 1, np.arange(30))
    assert fitted.estimate(0.9) == pytest.approx((0.8, 0.8, 0.8))
    assert fitted.estimate(0.2) == pytest.approx((0, 0, 0))  # Not below 0.
    assert (fitted.cases, fitted.groups) == (30, 30)


def test_without_a_relation_there_is_no_calibration():
    agreements, dices, groups = cases(50, 1)
    assert calibration.fit(agreements, 1 - dices, groups) is None  # The more agreement, the lower the Dice.
    assert calibration.fit(np.ones(50), dices, groups) is None


def test_a_tenth_of_the_cases_is_listed_for_review():
    agreements, dices, groups = cases(100, 1)
    fitted = calibration.fit(agreements, dices, groups)
    assert sum(fitted.estimate(each)[0] < fitted.review_below for each in agreements) == 10


def test_the_interval_has_the_order_statistics_of_cross_validated_residuals():
    # 0.05 of 39 + 1 is the second value from each end. Binary rounding would give the first.
    agreements, dices, groups = cases(39, 4)
    residuals = []
    for number in range(39):
        others = np.arange(39) != number
        slope, intercept = np.polyfit(agreements[others], dices[others], 1)
        expected = np.clip(intercept + slope * agreements[number], 0, 1)
        residuals.append((dices[number] - expected) / (1.02 - expected))
    fitted = calibration.fit(agreements, dices, groups)
    assert (fitted.low, fitted.high) == pytest.approx((sorted(residuals)[1], sorted(residuals)[-2]))


def test_an_unknown_agreement_has_no_estimate():
    assert np.isnan(calibration.fit(*cases(30, 1)).estimate(float("nan"))).all()


@pytest.mark.parametrize("count, groups", [(19, 19), (100, 4)])
def test_too_few_cases_or_groups_give_no_calibration(count, groups):
    assert calibration.fit(*cases(count, 1, groups)) is None


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    """A workspace with a model and a cross-validation of 24 phantoms; at the end, both are calibrated."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("calibrated"))
    configure(workspace, TRAINING_EPOCHS=30, CROSS_VALIDATION_FOLDS=2, HYPERPARAMETERS={"filters": 4})
    phantoms.write_original_dataset(workspace.original_dataset / "A", 30, 64)
    create_preloaded_dataset(workspace)
    train_final_model(workspace)
    cross_validate_train_set(workspace)
    return workspace


def test_step_7_calibrates_the_final_model_by_its_out_of_fold_masks(validated):
    table = pd.read_csv(validated.cross_validation / "out of fold.csv")
    table = table[table["predicted_px"] > 0]
    expected = calibration.fit(*(table[name].to_numpy() for name in ("predicted_dice", "dice", "group")))
    written = saved_model.read_calibration(validated.model)
    assert dataclasses.astuple(written) == pytest.approx(dataclasses.astuple(expected))
    assert expected.cases >= 20


def test_predicted_dice_and_interval_are_those_of_the_calibration(validated, capsys):
    predict_test_set(validated)
    assert "(not calibrated)" not in capsys.readouterr().out
    calibrated = pd.read_csv(validated.predictions / "_table.csv").set_index("case")
    kept = (validated.model / "calibration.json").read_bytes()
    (validated.model / "calibration.json").unlink()
    predict_test_set(validated)
    agreements = pd.read_csv(validated.predictions / "_table.csv").set_index("case")["predicted_dice"]
    assert "predicted_dice_low" not in pd.read_csv(validated.predictions / "_table.csv")
    (validated.model / "calibration.json").write_bytes(kept)
    fitted = saved_model.read_calibration(validated.model)
    columns = ["predicted_dice", "predicted_dice_low", "predicted_dice_high"]
    for case, row in calibrated.iterrows():
        # Agreements are written with four decimal places.
        assert row[columns].tolist() == pytest.approx(fitted.estimate(agreements[case]), abs=2e-3)


def test_step_5_says_how_many_cases_lie_within_the_interval(validated, capsys):
    predict_test_set(validated)
    evaluate_test_set(validated)
    table = pd.read_csv(validated.results / "metrics.csv")
    within = table["dice"].between(table["predicted_dice_low"], table["predicted_dice_high"]).sum()
    output = capsys.readouterr().out
    count = saved_model.read_calibration(validated.model).cases
    assert f"The predicted Dice was calibrated on {count} out-of-fold cases." in output
    assert f"The true Dice of {within} of 6 cases" in output


def test_step_6_writes_the_interval(validated):
    validated.new_images.mkdir(exist_ok=True)
    shutil.copy(next((validated.original_dataset / "A" / "images").iterdir()), validated.new_images)
    predict_new_images(validated)
    (row,) = pd.read_csv(validated.new_predictions / "_table.csv").to_dict("records")
    assert row["predicted_dice_low"] <= row["predicted_dice"] <= row["predicted_dice_high"]


def test_step_3_takes_the_calibration_of_a_cross_validation_with_the_same_training_only(validated):
    expected = saved_model.read_calibration(validated.cross_validation)
    training = saved_model.read_training(validated.model)
    folds = fold_calibration.read(validated.cross_validation)
    assert folds.for_training(training) == expected
    corrected = [*training.mask_sha256[1:], "0" * 64]
    for change in ({"mask_sha256": corrected}, {"image_sha256": corrected}, {"batch_size": 1}, {"epochs": 90}):
        assert folds.for_training(dataclasses.replace(training, **change)) is None
    other = storage.Workspace(validated.root.with_name("other"))
    shutil.copytree(validated.root, other.root)
    configure(other, TRAINING_EPOCHS=1, CROSS_VALIDATION_FOLDS=2, HYPERPARAMETERS={"filters": 2})
    train_final_model(other)
    assert saved_model.read_calibration(other.model) is None
    # A much shorter training of the same recipe is another training, too.
    for epochs, calibrated in ((3, None), (30, expected)):
        configure(other, TRAINING_EPOCHS=epochs, CROSS_VALIDATION_FOLDS=2, HYPERPARAMETERS={"filters": 4})
        train_final_model(other)
        assert saved_model.read_calibration(other.model) == calibrated


def test_an_empty_mask_has_no_expected_dice(validated):
    model = ensemble.read([validated.model])
    image = np.full((64, 64), -1000.0)
    statistics = [saved_model.read_training(validated.model).train_set_statistics]
    mask, estimates = quality.predict_with_quality(model, image, np.full((2, 64, 64), -1.0), statistics)
    assert not mask.any()
    assert np.isnan([estimates.predicted_dice, estimates.predicted_dice_low, estimates.predicted_dice_high]).all()
    assert estimates.ood_reasons


def test_an_empty_mask_on_which_the_predictions_disagree_is_listed_for_review(validated):
    model = ensemble.read([validated.model])
    logits = np.full((2, 64, 64), -1.0)
    logits[0, 10:20, 10:20] = 0.5  # One of them finds something; the mean is empty.
    mask, estimates = quality.predict_with_quality(model, np.full((64, 64), -1000.0), logits, [])
    assert not mask.any()
    assert estimates.predicted_dice == 0
    assert np.isnan(estimates.predicted_dice_low)
    sure = {"predicted_dice": 0.99, "predicted_dice_low": 0.97, "predicted_dice_high": 1.0, "ood_reasons": ""}
    table = pd.DataFrame([sure, estimates.columns], index=["sure", "empty"])
    assert quality.review_list(table, model.calibration).splitlines()[1:] == [
        "  empty: predicted Dice 0.00 (not calibrated)"
    ]


def test_false_positives_count_with_the_dice_0(validated):
    table = pd.read_csv(validated.cross_validation / "out of fold.csv")
    expected = saved_model.read_calibration(validated.cross_validation)
    copy = storage.Workspace(validated.root.with_name("false positives"))
    copy.cross_validation.mkdir(parents=True)
    # The case with the least agreement has an empty reference mask.
    table.loc[table["predicted_dice"].idxmin(), ["true_px", "dice"]] = 0
    step._calibrate(copy, table)
    fitted = saved_model.read_calibration(copy.cross_validation)
    assert fitted.cases == expected.cases
    assert fitted.low < expected.low


def test_without_test_time_augmentation_step_7_says_what_is_missing(validated):
    table = pd.read_csv(validated.cross_validation / "out of fold.csv").assign(predicted_dice=np.nan)
    copy = storage.Workspace(validated.root.with_name("no flip"))
    assert 'That needs test-time augmentation ("horizontal_flip": True).' in step._calibrate(copy, table)


def test_a_model_that_cannot_be_read_does_not_end_step_7(validated, capsys):
    copy = storage.Workspace(validated.root.with_name("broken model"))
    shutil.copytree(validated.root, copy.root)
    (copy.model / "training.json").write_text("{}")
    cross_validate_train_set(copy)
    assert "The calibration could not be copied into 'model': " in capsys.readouterr().out
    assert (copy.cross_validation / "results" / "report.html").exists()


def test_a_damaged_calibration_is_reported(validated):
    copy = storage.Workspace(validated.root.with_name("damaged"))
    shutil.copytree(validated.model, copy.model)
    file = copy.model / "calibration.json"
    for change in ({"slope": 0.0}, {"low": "x"}, {"high": -9.0}):
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        with pytest.raises(storage.DamagedFile, match="calibration.json"):
            saved_model.read_calibration(copy.model)
        shutil.copy(validated.model / "calibration.json", file)
