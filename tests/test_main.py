"""All steps as a user runs them: with src/main.py, one after the other, on a copy of the project."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import demo
import settings
import storage
from conftest import ROOT, configure, files
from data import csv_array, phantoms


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with twelve phantoms of 64 x 64, in a folder with a space in its name."""
    root = tmp_path_factory.mktemp("a user") / "my project"
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "config_template.py", root)
    workspace = storage.Workspace(root)
    configure(
        workspace,
        EXPLORATION_MAX_TRIALS=1,
        TRAINING_EPOCHS=1,
        CROSS_VALIDATION_FOLDS=2,
        HYPERPARAMETERS={"filters": 4, "learning_rate": 0.01},
    )
    phantoms.write_original_dataset(workspace.original_dataset / "A", 12, 64)
    return workspace


def run(project, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, "src/main.py", *arguments],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(project):
    """The results of one step run too early, the first step by uncommenting its line, and the others by name."""
    early = run(project, "evaluate_test_set")
    main = project.root / "src" / "main.py"
    main.write_text(main.read_text().replace("# data.original_dataset.", "data.original_dataset."))
    first = run(project)
    shutil.copy(ROOT / "src" / "main.py", main)
    project.new_images.mkdir()
    csv_array.write(project.new_images / "new.csv", phantoms.draw(99, 96)[0])
    for number, name in enumerate(("hospital B", "hospital C"), 2):
        phantoms.write_original_dataset(project.external_test_sets / name, number, 64, seed=100 * number)
    rest = run(
        project,
        "explore_hyperparameters",
        "train_final_model",
        "predict_test_set",
        "evaluate_test_set",
        "predict_new_images",
        "cross_validate_train_set",
        "evaluate_external_test_sets",
    )
    return early, first, rest


def test_every_step_writes_the_result_that_the_next_one_needs(project, runs):
    early, first, rest = runs
    assert early.returncode == 1
    assert "Run step 1 first" in early.stderr
    assert "Traceback" not in early.stderr
    assert first.returncode == 0, first.stderr
    assert "9 train cases" in first.stdout or "10 train cases" in first.stdout
    assert "Run steps:" not in first.stdout
    assert rest.returncode == 0, rest.stderr
    for step in storage.STEPS:
        assert getattr(project, step.result).is_dir(), step.function
    table = pd.read_csv(project.results / "metrics.csv")
    assert sorted(table["case"]) == sorted(path.stem for path in (project.test_set / "masks").iterdir())
    assert json.loads((project.results / "summary.json").read_text())["cases"] == len(table)
    assert sorted(files(project.new_predictions)) == ["_table.csv", "new.csv", "overlays/new.png"]
    sets = pd.read_csv(project.external_validation / "summary.csv").set_index("set")
    assert sets["cases"].to_dict() == {"internal test set": len(table), "hospital B": 2, "hospital C": 3}
    assert sets.loc["internal test set", "dice"] == pytest.approx(table["dice"].mean())
    for name in ("hospital B", "hospital C"):
        data, predictions = (project.external_validation / name / kind for kind in ("dataset/masks", "predictions"))
        pairs = [(np.load(data / file.name), np.load(file)) for file in sorted(predictions.glob("*.npy"))]
        dice = [2 * (true & mask).sum() / (true.sum() + mask.sum()) for true, mask in pairs]
        assert sets.loc[name, "dice"] == pytest.approx(np.mean(dice))
    # The user sees no log messages of TensorFlow.
    assert not [
        line for line in rest.stderr.splitlines() if "oneDNN" in line or "cuda" in line.lower() or "Warning" in line
    ]
    assert run(project).stdout.count(" of 20") == len(storage.STEPS)


def test_the_worst_case_can_be_viewed_and_marked_in_the_report(project, runs, open_page, tmp_path):
    table = pd.read_csv(project.results / "metrics.csv").sort_values(["dice", "case"], ascending=[False, True])
    page = open_page(project.results / "report.html")
    assert page.locator("#training img").evaluate("chart => chart.naturalWidth") > 100
    page.get_by_role("button", name="Dice", exact=True).click()
    assert page.locator("#cases tbody tr td:first-child").all_text_contents() == table["case"].tolist()
    worst = table["case"].iloc[-1]
    page.locator("#cases tbody tr").last.click()
    assert page.locator("#name").text_content() == worst
    page.wait_for_function("document.getElementById('picture').width === 128")
    page.keyboard.press("l")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save marks as CSV").click()
    download.value.save_as(tmp_path / "marks.csv")
    marks = pd.read_csv(tmp_path / "marks.csv", keep_default_na=False).set_index("case")["mark"]
    assert marks[worst] == "look again"
    assert set(marks.drop(worst)) == {""}


def test_the_demo_replaces_its_folder_and_writes_valid_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "CASES", 3)
    monkeypatch.setattr(demo, "EXTERNAL_CASES", 1)
    workspace = storage.Workspace(tmp_path / "demo")
    (workspace.root / "results").mkdir(parents=True)
    demo.prepare(workspace)
    assert settings.load(workspace.root).IMAGE_SIZE == 256
    assert len(files(workspace.original_dataset)) == 6
    assert len(files(workspace.external_test_sets)) == 2
    assert len(files(workspace.new_images)) == demo.NEW_IMAGES
    assert not workspace.results.exists()
    assert len({csv_array.read(path).shape for path in workspace.new_images.iterdir()}) == demo.NEW_IMAGES
