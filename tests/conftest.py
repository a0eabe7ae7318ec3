"""Shared by the tests: the import path, small workspaces, data sets as CSV, masks drawn as text, scripts."""

import dataclasses
import os
import pathlib
import shutil
import sys

import hypothesis
import numpy as np
import pytest

# Machines are shared and noisy, so the time of an example means nothing.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # Reproducible, and leaves the GPU to others.

import command_line  # Sets the environment variables, before a test imports TensorFlow.
import provenance
import storage
from data import csv_array, phantoms, preloaded_dataset
from masks import drawing, figures
from settings.hyperparameters import Hyperparameters


def pytest_configure(config):
    command_line.disable_malloc_trim()  # As main.py does. It halves the time of trainings.
    # Warnings of seaborn, TensorFlow, Keras and Keras Tuner, which their later versions fix.
    config.addinivalue_line("filterwarnings", "ignore:vert. bool will be deprecated:PendingDeprecationWarning")
    for message in (
        ".*___pyct_anno",
        "non-integer arguments to randrange",
        "currentThread.. is deprecated",
        "getName.. is deprecated",
    ):
        config.addinivalue_line("filterwarnings", f"ignore:{message}:DeprecationWarning")


real_figure_files = figures.files


def _blank_files(plots):
    png = drawing.to_png(np.full((100, 200, 3), 255, np.uint8))
    return {f"{name}.{kind}": png for name in plots for kind in ("png", "pdf")}


@pytest.fixture(scope="module", autouse=True)
def blank_figures(request):
    """Files of plots are blank, because they take most of an evaluation's time; not where REAL_FIGURES is True."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "REAL_FIGURES", False):
            patch.setattr(figures, "files", _blank_files)
        yield


SMALL = {
    "IMAGE_SIZE": 64,
    "TRAINING_BATCH_SIZE": 2,
    "TRAINING_EPOCHS": 2,
    "MIXED_PRECISION": False,  # Reproducible on every machine.
    "EXPLORATION_MAX_TRIALS": 2,
    "EXPLORATION_EPOCHS": 1,
    "EXPLORATION_REPEATS": 0,
    "EXPLORATION_SEARCH_SPACE": {"architecture": "unet", "filters": 2, "stem_patch_px": 4},
    "ENCODER_WEIGHTS": None,
    "IMAGES_TO_DRAW": {"first": 1, "worst_dice": 1},
    "HYPERPARAMETERS": {"filters": 2},
}


@pytest.fixture
def workspace(tmp_path):
    """An empty workspace with the small settings."""
    empty = storage.Workspace(tmp_path / "a project")
    configure(empty)
    return empty


@pytest.fixture
def dataset(workspace):
    """A workspace with an original dataset of ten phantoms of 64 x 64."""
    phantoms.write_original_dataset(workspace.original_dataset / "hospital A", 10, 64)
    return workspace


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium; the test is skipped where it is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(
        filter(
            None,
            map(
                shutil.which,
                ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"),
            ),
        ),
        None,
    )
    if program is None:
        pytest.skip("no Chromium on this machine: apt install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser):
    """Returns a function that opens an HTML file offline. Errors in its scripts and network requests fail the test."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    problems = []

    def opened(path):
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                problems.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None
            ),
        )
        page.goto(path.as_uri())
        return page

    yield opened
    context.close()
    assert not problems


def configure(workspace, **settings):
    """Writes config.py: the small settings, updated by `settings`."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value!r}\n" for name, value in (SMALL | settings).items()]
    (workspace.root / "config.py").write_text("".join(lines))


def write_pair(folder, name, image, mask):
    """Writes images/<name>.csv and masks/<name>.csv from arrays, text or bytes. None writes no file."""
    for kind, content in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        path = folder / kind / f"{name}.csv"
        if isinstance(content, str):
            path.write_text(content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            csv_array.write(path, content)


def mask_from_text(text):
    """Returns the mask that a text shows: rows are separated by blanks, # is 1."""
    return np.array([[character == "#" for character in row] for row in text.split()], dtype=np.uint8)


def training(hyperparameters=None, **changes):
    """Returns the record of a training, with these hyperparameters and changes."""
    statistics = provenance.TrainSetStatistics(
        quantiles=np.linspace(-1, 1, 33).tolist(), max_distance=0.1, mask_fractions=(0.3, 0.3)
    )
    facts = {
        "images": 2,
        "image_size": 32,
        "batch_size": 2,
        "epochs": 30,
        "minutes": 4.5,
        "peak_learning_rate": 0.002,
        "precision": "float32",
        "encoder_weights": None,
        "start": None,
        "seed": 1,
        "python": "3.11.7",
        "tensorflow": "2.15.1",
        "chosen_defaults": [],
        "packages": {"tensorflow": "2.15.1"},
        "image_sha256": [],
        "earlier_image_sha256": [],
        "mask_sha256": [],
        "train_set_statistics": statistics,
        "cleaning_is_harmless": True,
    }
    return provenance.Training(hyperparameters=Hyperparameters(**hyperparameters or {}), **facts | changes)


def prediction_provenance(**changes):
    """Returns the provenance of predictions, with these changes."""
    record = training()
    names = [field.name for field in dataclasses.fields(provenance.TrainingFacts)]
    fields = {
        "id": "1a2b3c",
        "models": 1,
        "test_time_flip": True,
        "postprocessed": False,
        "calibrated_on": 0,
        "hyperparameters": record.hyperparameters,
        "training": provenance.TrainingFacts(**{name: getattr(record, name) for name in names}),
        "image_sha256": [],
    }
    return provenance.Provenance(**fields | changes)


def dataset_facts(**changes):
    """Returns the facts of a preloaded dataset, with these changes."""
    facts = {"cases": 20, "image_size": 64, "test_share": 0.25, "group_cases_by": None, "seed": 7, "mask_speck_px": 4}
    return preloaded_dataset.DatasetFacts(**facts | changes)


def script_command(name, *arguments):
    """Returns the command that runs tests/scripts/<name>.py."""
    return [sys.executable, str(ROOT / "tests" / "scripts" / f"{name}.py"), *map(str, arguments)]


def files(folder):
    """Returns all files below a folder, as {path: content}."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
