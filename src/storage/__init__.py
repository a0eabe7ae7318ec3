"""All paths of a workspace; atomic writes, locks, readers of the project's files, errors.

A workspace is a folder of data and results. The project root is one; the demo and every test have others:

    <workspace>/
      config.py              the user's settings (see `settings`)
      original dataset/      the user's images and masks, read only
      preloaded dataset/     step 1: train set/, test set/, cases.csv, facts.json ... (see `data.preloaded_dataset`)
      model tuning/          step 2: trials, TensorBoard logs, trials.csv; grows in place
      unfinished model/      step 3 during the training; grows in place, so that it can be resumed
      failed model/          the remains of the last training that was stopped because it learned nothing
      model/                 step 3: the final model (see `networks.saved_model`)
      results/, images/      step 5: metrics, plots and report; comparison images
      evaluations.csv        step 5: one row per evaluation: model and test images
      new images/            the user's images to predict, read only
      new predictions/       step 6: their masks
      cross-validation/      step 7: the folds' models, out-of-fold masks, their results; grows in place
      external test sets/    the user's labelled images of other sources, a folder per set, read only
      external validation/   step 8: a folder per set, summary.csv, evaluations.csv (see `external_validation`)
"""

import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from storage.atomic import atomic_folder, atomic_write, check_replaceable, content, follow, move, recover, remove
from storage.errors import (
    DamagedFile,
    DatasetError,
    DiskFull,
    InUse,
    MissingResult,
    UserError,
    describe,
    first_line,
    is_disk_full,
)
from storage.locks import MODEL_WAIT_SECONDS, locked
from storage.readers import read_array, read_json, read_table, to_record

__all__ = [
    "MODEL_WAIT_SECONDS",
    "PROJECT",
    "STEPS",
    "DamagedFile",
    "DatasetError",
    "DiskFull",
    "InUse",
    "MissingResult",
    "Step",
    "UserError",
    "Workspace",
    "atomic_folder",
    "atomic_write",
    "check_replaceable",
    "command",
    "content",
    "describe",
    "first_line",
    "follow",
    "is_disk_full",
    "locked",
    "move",
    "read_array",
    "read_json",
    "read_table",
    "reading",
    "recover",
    "remove",
    "require",
    "step_named",
    "to_record",
]  # fmt: skip


def _folder(place: str) -> Any:
    # A result may be a symbolic link to another disk: every operation is on its target.
    return property(lambda workspace: follow(workspace.root / place))


def _input(place: str) -> Any:
    return property(lambda workspace: workspace.root / place)


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The paths of one user's data and results below `root`; none of them has to exist."""

    root: pathlib.Path

    original_dataset = _input("original dataset")
    preloaded_dataset = _folder("preloaded dataset")
    train_set = _folder("preloaded dataset/train set")
    test_set = _folder("preloaded dataset/test set")
    predictions = _folder("preloaded dataset/test set/predictions")
    compared_predictions = _folder("preloaded dataset/test set/compared predictions")
    model_tuning = _folder("model tuning")
    unfinished_model = _folder("unfinished model")
    model = _folder("model")
    results = _folder("results")
    images = _folder("images")
    evaluations = _folder("evaluations.csv")
    new_images = _input("new images")
    new_predictions = _folder("new predictions")
    cross_validation = _folder("cross-validation")
    external_test_sets = _input("external test sets")
    external_validation = _folder("external validation")

    def fold_models(self, folds: int) -> list[pathlib.Path]:
        """The folders of the cross-validation's models."""
        return [self.cross_validation / f"fold {number}" for number in range(1, folds + 1)]


PROJECT = Workspace(pathlib.Path(__file__).resolve().parents[2])


@dataclasses.dataclass(frozen=True)
class Step:
    """A line of main.py. `result` is the folder of the workspace that the step writes, `reads` those that it reads."""

    module: str
    function: str
    title: str
    result: str
    reads: tuple[str, ...] = ("preloaded_dataset",)
    uses_tensorflow: bool = True

    @property
    def number(self) -> int:
        """The position in main.py, from 1."""
        return STEPS.index(self) + 1

    @property
    def line(self) -> str:
        """The call as it stands in main.py."""
        return f"{self.module}.{self.function}()"


STEPS = (
    Step(
        "data.original_dataset",
        "create_preloaded_dataset",
        "Create the preloaded dataset",
        "preloaded_dataset",
        reads=(),
        uses_tensorflow=False,
    ),
    Step("model_exploration", "explore_hyperparameters", "Explore architectures and hyperparameters", "model_tuning"),
    Step("model_training", "train_final_model", "Train the final model", "model"),
    Step("prediction", "predict_test_set", "Predict the test set", "predictions", reads=("model",)),
    Step(
        "evaluation",
        "evaluate_test_set",
        "Evaluate the predictions",
        "results",
        reads=("predictions",),
        uses_tensorflow=False,
    ),
    Step("prediction", "predict_new_images", "Predict new images", "new_predictions", reads=("model",)),
    Step("cross_validation", "cross_validate_train_set", "Cross-validate the train set", "cross_validation"),
    Step(
        "external_validation",
        "evaluate_external_test_sets",
        "Evaluate external test sets",
        "external_validation",
        reads=("model",),
    ),
)


def step_named(function: str) -> Step:
    """The step that the function in main.py runs."""
    return next(step for step in STEPS if step.function == function)


def command(arguments: str, script: str = "main.py") -> str:
    """What to type in the project's folder to run a script of src, with the Python that runs now."""
    python = pathlib.Path(os.path.abspath(sys.executable))  # Not the target of the link: that is outside of .venv.
    shown = python.relative_to(PROJECT.root) if python.is_relative_to(PROJECT.root) else "python"
    return f"{shown} {pathlib.Path('src', script)} {arguments}"


def require(path: pathlib.Path, function: str) -> None:
    """MissingResult, with the step `function` and its line in main.py, if that step's result `path` does not exist."""
    if not path.is_file():  # Files are not replaced like folders, and a dataset has thousands of them.
        recover(path)
    if not path.exists():
        step = step_named(function)
        raise MissingResult(
            f"'{path.name}' is missing ({path}). Run step {step.number} first: uncomment {step.line} in src/main.py, "
            f"or type: {command(step.function)}"
        )


@contextlib.contextmanager
def reading(folder: pathlib.Path, function: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Keeps other programs from replacing the result `folder` of the step `function` while the block reads it.

    MissingResult as `require`; InUse if another program is replacing it, after `wait_seconds`.
    """
    require(folder, function)
    with locked(folder, shared=True, wait_seconds=wait_seconds):
        yield
