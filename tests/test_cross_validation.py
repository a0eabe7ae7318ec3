"""Step 7: every train case gets one out-of-fold prediction; groups stay whole; interrupted runs resume."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import model_training
import resumable
import storage
from conftest import configure, files
from cross_validation import cross_validate_train_set
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from masks import metrics
from networks import ensemble


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace of eight train cases; the test set is removed."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("folds"))
    configure(workspace)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64)
    create_preloaded_dataset(workspace)
    shutil.rmtree(workspace.test_set)
    return workspace


@pytest.fixture
def fresh(prepared):
    shutil.rmtree(prepared.cross_validation, ignore_errors=True)
    configure(prepared, CROSS_VALIDATION_FOLDS=2, TRAINING_EPOCHS=1)
    return prepared


def test_every_case_gets_one_out_of_fold_prediction(fresh, capsys):
    cross_validate_train_set(fresh)
    cases = preloaded_dataset.read_cases(fresh, "train").set_index("case")
    table = pd.read_csv(fresh.cross_validation / "out of fold.csv")
    assert sorted(table["case"]) == sorted(cases.index)
    assert table["dice"].is_monotonic_increasing
    assert table.set_index("case")["group"].to_dict() == cases["group"].to_dict()
    for row in table.itertuples():
        folder = fresh.cross_validation / f"fold {row.fold}"
        assert cases.image_sha256[row.case] not in json.loads((folder / "training.json").read_text())["image_sha256"]
        image, mask = (preloaded_dataset.read(fresh.train_set / kind, row.case) for kind in ("images", "masks"))
        model = ensemble.read([folder])
        expected = model.mask(model.logits(image[None, ..., None].astype(np.float32))[:, 0])
        assert row.dice == pytest.approx(metrics.dice(mask, expected))
    # The case with the lowest Dice comes first in the images and the terminal.
    pictures = sorted(path.name for path in (fresh.cross_validation / "images").iterdir())
    assert len(pictures) == 8
    assert pictures[0] == f"01 {table['case'][0]}.png"
    assert pyplot.imread(fresh.cross_validation / "images" / pictures[0]).shape[:2] == (1024, 1024)
    output = capsys.readouterr().out
    assert "8 out-of-fold cases:" in output
    assert "Mean Dice by fold: 0." in output
    assert table["case"][0] in output


def test_groups_stay_whole(fresh, monkeypatch):
    file = fresh.preloaded_dataset / "cases.csv"
    content = file.read_text()
    groups = (
        pd.read_csv(file)
        .set_index("case")
        .assign(group=lambda cases: [f"patient {number // 2}" for number in range(len(cases))])
    )
    groups.reset_index().to_csv(file, index=False)
    trained = []

    def record(train_set, cases, *_):
        trained.append(set(cases["case"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(model_training, "train", record)
    try:
        with pytest.raises(KeyboardInterrupt):
            cross_validate_train_set(fresh)
    finally:
        file.write_text(content)
    train = groups[groups["split"] == "train"]["group"]
    assert 0 < len(trained[0]) < len(train)
    assert set(train[list(trained[0])]).isdisjoint(train.drop(list(trained[0])))


def test_an_interrupted_cross_validation_resumes_without_repeating_a_finished_fold(fresh, monkeypatch):
    train, trained = model_training.train, []

    def stopping(train_set, cases, *others):
        trained.append(sorted(cases["case"]))
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(train_set, cases, *others)

    monkeypatch.setattr(model_training, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        cross_validate_train_set(fresh)
    first = files(fresh.cross_validation / "fold 1")
    cross_validate_train_set(fresh)
    # The first fold is trained once; the interrupted second one is trained again.
    assert len(trained) == 3
    assert trained[1] == trained[2] != trained[0]
    assert files(fresh.cross_validation / "fold 1") == first
    assert len(pd.read_csv(fresh.cross_validation / "out of fold.csv")) == 8


def test_resuming_with_different_settings_is_refused(fresh):
    resumable.start_or_resume(fresh.cross_validation, {"SEED": 5})
    before = files(fresh.cross_validation)
    with pytest.raises(resumable.ResumeMismatch, match=r"SEED \(was 5, is 1\)"):
        cross_validate_train_set(fresh)
    assert files(fresh.cross_validation) == before


def test_more_folds_than_groups_are_refused(fresh):
    configure(fresh, CROSS_VALIDATION_FOLDS=9)
    with pytest.raises(
        storage.DatasetError,
        match=r"9 folds need at least 9 groups of cases, found 8\. Lower CROSS_VALIDATION_FOLDS",
    ):
        cross_validate_train_set(fresh)


def test_the_results_are_those_of_the_out_of_fold_masks(fresh):
    cross_validate_train_set(fresh)
    results, cases = fresh.cross_validation / "results", preloaded_dataset.read_cases(fresh, "train")
    table = pd.read_csv(results / "metrics.csv").set_index("case")
    for case in cases["case"]:
        masks = [
            preloaded_dataset.read(folder, case)
            for folder in (fresh.train_set / "masks", results.parent / "predictions")
        ]
        assert table.loc[case, "dice"] == pytest.approx(metrics.dice(*masks))
        assert 0 <= table.loc[case, "predicted_dice"] <= 1
    summary = json.loads((results / "summary.json").read_text())
    assert summary["metrics"]["dice"]["mean"] == pytest.approx(table["dice"].mean())
    assert (summary["evaluated"], summary["cases"], summary["test_set"]) == ("cross-validation", 8, None)
    methods = (results / "methods.txt").read_text(encoding="utf-8")
    assert methods.startswith("A 2-fold cross-validation comprised 8 images: each image was predicted by the network")
    assert "For each fold, a U-Net was trained on 4 images" in methods
    assert "8 out-of-fold cases" in (results / "report.html").read_text(encoding="utf-8")
    # No evaluation of the test set is counted.
    assert not fresh.evaluations.exists()
    assert not fresh.images.exists()


def test_a_case_that_the_patients_table_lacks_is_reported_before_the_training(fresh, tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("case,sex\nA__phantom_000,f\n")
    configure(fresh, CROSS_VALIDATION_FOLDS=2, TRAINING_EPOCHS=1, PATIENTS_TABLE=str(table))
    with pytest.raises(storage.DatasetError, match=r"patients\.csv: no row for the case A__phantom_"):
        cross_validate_train_set(fresh)
    assert not fresh.cross_validation.exists()
