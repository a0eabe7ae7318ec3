"""The learning curve of step 7: its fit on curves that follow a known law, and its trainings on parts of the folds."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.optimize

import model_training
import storage
from conftest import configure
from cross_validation import cross_validate_train_set
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from masks import learning_curve, metrics
from networks import saved_model

IMAGES = (10, 20, 40, 80)


def law(images, exponent=0.5):
    return 0.95 - 0.6 * np.asarray(images, float) ** -exponent


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_a_curve_that_follows_the_law_is_extrapolated_exactly(exponent):
    dices = np.tile(law(IMAGES, exponent), (12, 1))
    curve = learning_curve.fit(IMAGES, dices, list(map(str, range(12))), seed=1)
    assert curve.expected == pytest.approx(law(160, exponent))
    assert (curve.expected_low, curve.expected_high) == pytest.approx((curve.expected, curve.expected))
    assert curve.dice == pytest.approx(law(IMAGES, exponent))


def test_the_interval_covers_the_truth_and_grows_with_the_differences_between_cases():
    rng = np.random.default_rng(1)
    widths = []
    for spread in (0.01, 0.1):
        dices = law(IMAGES) + rng.normal(0, spread, (40, 1)) + rng.normal(0, spread / 3, (40, 4))
        curve = learning_curve.fit(IMAGES, dices, list(map(str, range(40))), seed=1)
        assert curve.expected_low < law(160) < curve.expected_high
        widths.append(curve.expected_high - curve.expected_low)
    assert widths[1] > 3 * widths[0]


def test_a_falling_curve_is_not_extrapolated_upwards_and_none_exceeds_1():
    falling = np.tile([0.9, 0.88, 0.86, 0.84], (6, 1))
    assert learning_curve.fit(IMAGES, falling, list("abcdef"), seed=1).expected == pytest.approx(falling.mean())
    rising = np.tile([0.1, 0.5, 0.8, 0.99], (6, 1))
    assert learning_curve.fit(IMAGES, rising, list("abcdef"), seed=1).expected <= 1


def test_a_curve_whose_limit_is_1_fits_best_with_that_limit():
    images = np.array(IMAGES, float)
    dices = np.array([0.2, 0.6, 0.85, 0.99])  # Unbounded laws would exceed 1.
    curve = learning_curve.fit(IMAGES, np.tile(dices, (6, 1)), list("abcdef"), seed=1)
    fits = []
    for exponent in np.linspace(0.25, 1.5, 6):
        design = np.column_stack([np.ones(4), (images / 80) ** -exponent])
        fitted = scipy.optimize.lsq_linear(design, dices, bounds=([-np.inf, -np.inf], [1, 0]))
        fits.append((fitted.cost, fitted.x[0] + fitted.x[1] * 2**-exponent, fitted.x[0]))
    assert min(fits)[2] == pytest.approx(1, abs=1e-6)
    assert curve.expected == pytest.approx(min(fits)[1], abs=1e-4)


def test_few_groups_have_no_interval_and_few_sizes_no_curve():
    curve = learning_curve.fit(IMAGES, np.tile(law(IMAGES), (8, 1)), list("aabbccdd"), seed=1)
    assert np.isnan([*curve.low, curve.expected_low]).all()
    with pytest.raises(ValueError, match="three sizes"):
        learning_curve.fit(IMAGES[:2], np.ones((3, 2)), list("abc"), seed=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace of 32 train cases in 16 groups."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("curve"))
    phantoms.write_original_dataset(workspace.original_dataset / "A", 40, 64)
    configure(workspace)
    create_preloaded_dataset(workspace)
    file = workspace.preloaded_dataset / "cases.csv"
    cases = pd.read_csv(file)
    train = (cases["split"] == "train").cumsum()
    cases["group"] = np.where(cases["split"] == "train", "patient " + (train // 2).astype(str), cases["group"])
    cases.to_csv(file, index=False)
    configure(workspace, CROSS_VALIDATION_FOLDS=2, TRAINING_EPOCHS=1, LEARNING_CURVE=True)
    return workspace


@pytest.fixture(scope="module")
def trained(prepared):
    """The number of trainings before the last, which was interrupted, and after it; step 7 was started twice."""
    count = []
    original = model_training.train

    def stopping(*arguments):
        count.append(arguments[5])
        if len(count) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_training, "train", stopping)
        with pytest.raises(KeyboardInterrupt):
            cross_validate_train_set(prepared)
        cross_validate_train_set(prepared)
    return count


def test_an_interrupted_learning_curve_resumes_without_repeating_a_training(trained):
    assert len(trained) == 2 + 3 * 2 + 1
    assert len(set(trained)) == 2 + 3 * 2


def test_parts_are_nested_whole_groups_of_the_folds_train_set_with_as_many_steps(prepared, trained):
    cases = preloaded_dataset.read_cases(prepared, "train").set_index("image_sha256")
    folder = prepared.cross_validation / "learning curve"
    for fold in ("fold 1", "fold 2"):
        whole = saved_model.read_training(prepared.cross_validation / fold)
        larger, steps = set(whole.image_sha256), whole.epochs * math.ceil(whole.images / 2)
        for share, groups in (("50 %", 4), ("25 %", 2), ("12 %", 1)):
            training = saved_model.read_training(folder / share / fold)
            chosen = set(training.image_sha256)
            assert chosen < larger
            assert cases.loc[list(chosen), "group"].nunique() == pytest.approx(groups, abs=1)
            assert set(cases.index[cases["group"].isin(cases.loc[list(chosen), "group"])]) == chosen
            assert training.epochs * math.ceil(training.images / 2) == pytest.approx(steps, rel=0.1)
            larger = chosen


def test_each_point_is_the_mean_dice_of_the_out_of_fold_masks(prepared, trained):
    folder = prepared.cross_validation / "learning curve"
    table = pd.read_csv(folder / "learning_curve.csv")
    assert table["extrapolated"].tolist() == [False] * 4 + [True]
    places = [*(folder / share / "predictions" for share in ("12 %", "25 %", "50 %")), None]
    places[-1] = prepared.cross_validation / "predictions"
    masks = prepared.train_set / "masks"
    for place, dice in zip(places, table["dice"], strict=False):
        names = sorted(file.stem for file in place.glob("[!_]*.npy"))
        assert len(names) == 32
        dices = [
            metrics.dice(preloaded_dataset.read(masks, name), preloaded_dataset.read(place, name)) for name in names
        ]
        assert dice == pytest.approx(np.mean(dices), abs=1e-4)
    assert table["images"].iloc[3] == 16
    assert (folder / "learning_curve.png").exists()


def test_too_few_groups_are_reported_before_any_training(prepared, trained):
    configure(prepared, CROSS_VALIDATION_FOLDS=8, LEARNING_CURVE=True)
    cases = prepared.preloaded_dataset / "cases.csv"
    content = cases.read_text()
    table = pd.read_csv(cases)
    table["group"] = np.where(table["split"] == "train", "patient " + (table.index % 8).astype(str), table["group"])
    table.to_csv(cases, index=False)
    try:
        with pytest.raises(
            storage.DatasetError, match="needs 8 groups of cases in the train set of each fold, found 7"
        ):
            cross_validate_train_set(prepared)
    finally:
        cases.write_text(content)
