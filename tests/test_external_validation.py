"""Step 8: external sets are converted, predicted and evaluated as the test set is; a set that fails loses no other."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import external_validation
import storage
from conftest import configure, files
from data import csv_array, phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from evaluation import set_table
from external_validation import evaluate_external_test_sets
from networks import saved_model
from settings import SettingsError
from test_prediction import write_model

SETTINGS = {"MASK_SPECK_PX": 0, "CLEAN_PREDICTIONS": False, "IMAGES_TO_DRAW": {"first": 1}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace with a model and two external sets, one of them in subdirectories."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("external") / "a project")
    configure(workspace, **SETTINGS)
    phantoms.write_original_dataset(workspace.original_dataset / "hospital A", 4, 64)
    create_preloaded_dataset(workspace)
    write_model(workspace.model, trained_on=preloaded_dataset.read_cases(workspace, "train")["image_sha256"])
    phantoms.write_original_dataset(workspace.external_test_sets / "hospital C", 5, 64, seed=100)
    for number in range(2):
        folder = workspace.external_test_sets / "hospital D" / f"patient {number}"
        phantoms.write_original_dataset(folder, 1, 64, seed=200 + number)
    return workspace


@pytest.fixture(scope="module")
def evaluated(prepared):
    """That workspace after step 8, and the files of the preloaded dataset before it."""
    before = files(prepared.preloaded_dataset)
    evaluate_external_test_sets(prepared)
    return prepared, before


@pytest.fixture
def fresh(prepared, monkeypatch):
    """That workspace without results of step 8. The evaluation writes a summary only."""

    def summarize(subject, options, places):
        dice = {"mean": 0.5, "ci_low": None, "ci_high": None}
        content = {"cases": len(subject.cases), "groups": 1, "metrics": {"dice": dice}, "model": subject.model_name}
        places.results.mkdir()
        areas = {"bias": -3.0, "unit": "cm2"}
        (places.results / "summary.json").write_text(json.dumps(content | {"areas": areas}))

    monkeypatch.setattr(external_validation, "evaluate", summarize)
    monkeypatch.setattr(external_validation.texts, "terminal", lambda _: "")
    shutil.rmtree(prepared.external_validation, ignore_errors=True)
    yield prepared
    configure(prepared, **SETTINGS)
    for folder in prepared.external_test_sets.iterdir():
        if folder.name not in ("hospital C", "hospital D"):
            shutil.rmtree(folder)


def dice_and_area_difference(network, folder):
    """The Dice and the predicted − true area in px of each pair in a folder, computed with the network and NumPy."""
    for file in sorted((folder / "images").iterdir()):
        image, true = csv_array.read(file).astype(np.float32), csv_array.read(folder / "masks" / file.name)
        plain = network(image[None, ..., None]).numpy()[0, ..., 0]
        flipped = network(image[None, :, ::-1, None]).numpy()[0, :, ::-1, 0]
        mask = plain + flipped >= 0
        yield 2 * (mask * true).sum() / (mask.sum() + true.sum()), int(mask.sum()) - int(true.sum())


def test_two_sets_get_the_results_of_an_independent_computation(evaluated):
    workspace, before = evaluated
    network = saved_model.read(workspace.model)
    table = pd.read_csv(workspace.external_validation / "summary.csv").set_index("set")
    assert table.index.tolist() == ["hospital C", "hospital D"]
    folders = [workspace.external_test_sets / "hospital D" / f"patient {number}" for number in range(2)]
    for name, parts in (("hospital C", [workspace.external_test_sets / "hospital C"]), ("hospital D", folders)):
        expected = [values for part in parts for values in dice_and_area_difference(network, part)]
        dice, differences = zip(*expected, strict=True)
        assert 0.05 < max(dice) < 1
        metrics = pd.read_csv(workspace.external_validation / name / "results" / "metrics.csv")
        np.testing.assert_allclose(metrics["dice"], dice)
        assert (metrics["predicted_px"] - metrics["true_px"]).tolist() == list(differences)
        assert table.loc[name, "dice"] == pytest.approx(np.mean(dice))
        assert table.loc[name, "area_bias"] == pytest.approx(np.mean(differences))
        assert table.loc[name, ["cases", "groups"]].tolist() == [len(dice), len(dice)]
    assert table["dice_ci_low"].notna().tolist() == [True, False]  # Only that set has five groups.
    assert files(workspace.preloaded_dataset) == before


def test_a_set_has_report_images_methods_and_a_counted_evaluation(evaluated):
    workspace, _ = evaluated
    folder = workspace.external_validation / "hospital D"
    for name in ("results/report.html", "images/_worst.png", "predictions/_model.json", "dataset/cases.csv"):
        assert (folder / name).is_file()
    methods = (folder / "results" / "methods.txt").read_text()
    assert methods.startswith(
        "The external test set hospital D comprised 2 images. None of its images was used for training or for the split"
    )
    assert "at random" not in methods
    assert pd.read_csv(workspace.external_validation / "evaluations.csv")["cases"].tolist() == [5, 2]
    assert not workspace.evaluations.exists()


def test_known_images_and_faults_of_one_set_do_not_stop_the_others(fresh):
    evaluate_external_test_sets(fresh)
    before = files(fresh.external_validation / "hospital C")
    splits = {split: preloaded_dataset.read_cases(fresh, split)["image_file"][0] for split in ("train", "test")}
    seen = fresh.external_test_sets / "seen"
    for file in splits.values():
        for kind in ("images", "masks"):
            (seen / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(fresh.original_dataset / file.replace("images", kind), seen / kind)
    broken = fresh.external_test_sets / "another" / "images"
    broken.mkdir(parents=True)
    (broken / "x.csv").write_text("1,2\n")
    with pytest.raises(storage.DatasetError) as caught:
        evaluate_external_test_sets(fresh)
    first, no_masks, *known = caught.value.faults
    assert first == "2 of 4 external test sets were not evaluated:"
    assert "another: no image files in its folder masks." in no_masks
    trained_on, in_test_set = (f"seen/images/{splits[split].split('/')[-1]}" for split in ("train", "test"))
    fix = "Remove it from the external test set."
    assert sorted(known) == sorted(
        [
            f"{trained_on}: this image is not external: the model was trained on it. {fix}",
            f"{in_test_set}: this image is not external: it is in the test set of the preloaded dataset. {fix}",
        ]
    )
    assert sorted(path.name for path in fresh.external_validation.iterdir()) == [
        "hospital C",
        "hospital D",
        "summary.csv",
        "summary.md",
    ]
    assert files(fresh.external_validation / "hospital C").keys() == before.keys()


def test_a_failing_set_keeps_its_previous_results(fresh, monkeypatch):
    evaluate_external_test_sets(fresh)
    before = files(fresh.external_validation / "hospital C")

    def fail(subject, *_):
        raise storage.UserError("no")

    monkeypatch.setattr(external_validation, "evaluate", fail)
    with pytest.raises(storage.DatasetError, match="2 of 2 external test sets were not evaluated:\n.*hospital C: no"):
        evaluate_external_test_sets(fresh)
    assert files(fresh.external_validation / "hospital C") == before


def test_images_are_converted_for_the_model_that_model_names(fresh):
    write_model(fresh.root / "shared", image_size=32, clip_hu=None)
    configure(fresh, **SETTINGS, MODEL="shared", FIT_IMAGES=True)
    fresh.results.mkdir()
    internal = {"cases": 9, "metrics": {"dice": {"mean": 0.8, "ci_low": 0.7, "ci_high": 0.9}}, "model": "another"}
    areas = {"bias": -3.0, "unit": "px"}
    (fresh.results / "summary.json").write_text(json.dumps(internal | {"areas": areas}))
    evaluate_external_test_sets(fresh)
    shutil.rmtree(fresh.results)
    cases = pd.read_csv(fresh.external_validation / "hospital C" / "dataset" / "cases.csv")
    assert set(cases["height"]) == {32}
    table = pd.read_csv(fresh.external_validation / "summary.csv").set_index("set")
    assert table.loc["hospital C", "model"] == saved_model.fingerprint([fresh.root / "shared"])
    text = (fresh.external_validation / "summary.md").read_text()
    assert "| internal test set | 9 | - | 0.800 (0.700 to 0.900) | - px | −3.0 px | another |" in text
    assert "| hospital C | 5 | 1 | 0.500 | - px | −3.00 cm² |" in text
    assert "different models" in text


def test_missing_inputs_are_reported(workspace):
    with pytest.raises(
        storage.DatasetError, match="no external test sets. Put labelled images into external test sets/"
    ):
        evaluate_external_test_sets(workspace)
    phantoms.write_original_dataset(workspace.external_test_sets / "C", 1, 64)
    with pytest.raises(storage.MissingResult, match="Run step 3 first"):
        evaluate_external_test_sets(workspace)
    configure(workspace, MODEL="none")
    with pytest.raises(SettingsError, match="none: there is no model"):
        evaluate_external_test_sets(workspace)
    assert not workspace.external_validation.exists()


def test_a_damaged_summary_is_reported(tmp_path):
    (tmp_path / "summary.json").write_text('{"cases": 1, "metrics": {}, "areas": {}, "model": null}')
    with pytest.raises(storage.DamagedFile, match="summary.json: not a summary of this program"):
        set_table.row("a set", tmp_path)
