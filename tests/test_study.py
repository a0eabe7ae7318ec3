"""A study from training to comparison on blocks of known area and Hounsfield units: every number is read back.

Steps 1, 3 (two models), 8, 4 and 5 run; the expected numbers are computed from the images, the masks on disk and the
networks, with NumPy and SciPy.
"""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import storage
from conftest import configure
from data import preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from evaluation import evaluate_test_set
from external_validation import evaluate_external_test_sets
from model_training import train_final_model
from networks import saved_model
from prediction import predict_test_set

SPACING_MM = 5.0
CM2 = SPACING_MM**2 / 100


def write_blocks(folder, count, seed):
    """Slices of 64 px: fat with a block of muscle of 12 to 23 px a side and 40 to 69 HU, and bone; the block's mask."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        image, mask = np.full((64, 64), -100, np.int16), np.zeros((64, 64), np.uint8)
        (top, left), (height, width) = rng.integers(6, 30, 2), rng.integers(12, 24, 2)
        mask[top : top + height, left : left + width] = 1
        image[mask == 1] = 40 + rng.integers(30)
        image[:3] = -1000
        image[56:60, rng.integers(5, 50) :] = 400
        np.save(folder / "images" / f"{number:02d}.npy", image)
        np.save(folder / "masks" / f"{number:02d}.npy", mask)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The workspace after all steps: 16 train and 6 test cases, 6 external ones, and a weaker model to compare with."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("study") / "a project")
    tests = [f"A__{number:02d}" for number in range(6)]
    values = {"TEST_CASES": tests, "PIXEL_SPACING_MM": SPACING_MM, "HYPERPARAMETERS": {"filters": 8}}
    values |= {"CLEAN_PREDICTIONS": False, "GROUP_CASES_BY": "case"}
    configure(workspace, **values, TRAINING_EPOCHS=15)
    write_blocks(workspace.original_dataset / "A", 22, seed=1)
    write_blocks(workspace.external_test_sets / "hospital B", 6, seed=2)
    create_preloaded_dataset(workspace)
    train_final_model(workspace)
    shutil.move(workspace.model, workspace.root / "weaker model")
    configure(workspace, **values, TRAINING_EPOCHS=60, COMPARE_WITH="weaker model")
    train_final_model(workspace)
    evaluate_external_test_sets(workspace)
    predict_test_set(workspace)
    evaluate_test_set(workspace)
    return workspace


def predicted(folder, image):
    """The mask of an image by the model in a folder: mean of the logits of image and mirror image."""
    network = saved_model.read(folder)
    plain, flipped = (
        network(part[None, ..., None].astype(np.float32)).numpy()[0, ..., 0] for part in (image, image[:, ::-1])
    )
    return (plain + flipped[:, ::-1] >= 0).astype(np.uint8)


def pairs(study):
    """Image and mask of each test case, by name."""
    cases = pd.read_csv(study.results / "metrics.csv")["case"]
    return {
        case: tuple(preloaded_dataset.read(study.test_set / kind, case) for kind in ("images", "masks"))
        for case in cases
    }


def dice(one, other):
    return 2 * np.sum(one & other) / (one.sum() + other.sum())


def test_each_test_case_has_the_known_area_and_attenuation_and_the_networks_mask(study):
    metrics = pd.read_csv(study.results / "metrics.csv").set_index("case")
    assert len(metrics) == 6
    for case, (image, mask) in pairs(study).items():
        own, row = predicted(study.model, image), metrics.loc[case]
        height, width = np.ptp(np.argwhere(mask), axis=0) + 1
        assert row["true_cm2"] == pytest.approx(height * width * CM2)
        assert row["true_mean_hu"] == image[mask == 1][0]
        assert row["true_sd_hu"] == pytest.approx(0, abs=1e-6)
        assert row["dice"] == pytest.approx(dice(own, mask))
        assert row["predicted_cm2"] == pytest.approx(own.sum() * CM2)
        assert row["predicted_mean_hu"] == pytest.approx(image[own == 1].mean())
        assert row["dice"] > 0.8


def test_the_summary_has_the_bias_limits_and_correlation_of_the_areas(study):
    summary = json.loads((study.results / "summary.json").read_text())
    masks = [(mask.sum() * CM2, predicted(study.model, image).sum() * CM2) for image, mask in pairs(study).values()]
    true, own = np.array(masks).T
    areas = summary["areas"]
    assert areas["bias"] == pytest.approx(np.mean(own - true))
    half = 1.96 * np.std(own - true, ddof=1)
    assert [areas["lower_limit"], areas["upper_limit"]] == pytest.approx(
        [np.mean(own - true) - half, np.mean(own - true) + half]
    )
    assert areas["pearson"] == pytest.approx(scipy.stats.pearsonr(true, own)[0])


def test_the_external_set_has_the_mean_dice_and_area_bias_of_the_same_model(study):
    table = pd.read_csv(study.external_validation / "summary.csv").set_index("set")
    folder, dices, differences = study.external_test_sets / "hospital B", [], []
    for file in sorted((folder / "images").iterdir()):
        mask = np.load(folder / "masks" / file.name)
        own = predicted(study.model, np.load(file))
        dices.append(dice(own, mask))
        differences.append((int(own.sum()) - int(mask.sum())) * CM2)
    assert table.loc["hospital B", "dice"] == pytest.approx(np.mean(dices))
    assert table.loc["hospital B", "area_bias"] == pytest.approx(np.mean(differences))


def test_the_comparison_has_the_difference_of_both_models(study):
    compared = json.loads((study.results / "summary.json").read_text())["comparison"]
    differences, errors = [], []
    for image, mask in pairs(study).values():
        own, other = (predicted(study.root / name, image) for name in ("model", "weaker model"))
        differences.append(dice(own, mask) - dice(other, mask))
        areas = [abs(int(each.sum()) - int(mask.sum())) * CM2 for each in (own, other)]
        errors.append(areas[0] - areas[1])
    assert compared["dice_difference"]["mean"] == pytest.approx(np.mean(differences))
    assert compared["absolute_error_difference"]["mean"] == pytest.approx(np.mean(errors))
    assert compared["dice_difference"]["p_value"] == pytest.approx(scipy.stats.wilcoxon(differences).pvalue)
    assert np.mean(differences) > 0
