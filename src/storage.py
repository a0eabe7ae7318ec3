"""Every place on disk, and how a result gets there: whole, or not at all.

A workspace is a folder that holds one user's data and results. The project's own root is one; the demo and every test have theirs:

    <workspace>/
      config.py              the user's settings (see `settings`)
      original dataset/      the user's CSV files, only ever read
      preloaded dataset/     step 1: train set/, test set/, cases.csv, facts.json ... (see `data.preloaded_dataset`)
      model tuning/          step 2: trials, TensorBoard logs, trials.csv; grows in place
      unfinished model/      step 3 while it trains; grows in place, so that a stopped training can go on
      failed model/          what the last training left that was stopped because it learned nothing
      model/                 step 3: the final model (see `networks.saved_model`)
      results/, images/      step 5: metrics, plots and report; comparison images
      evaluations.csv        step 5: a row per evaluation, of which model on which test set
      new images/            the user's CSV files to predict, only ever read
      new predictions/       step 6: their masks
      cross-validation/      step 7: the folds' models, out of fold.csv; grows in place
"""
import contextlib
import dataclasses
import errno
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any


class PlainError(Exception):
    """What the user can mend: main.py shows its text alone, without traceback."""


class DatasetError(PlainError):
    """The user's files are not as they must be. Its text holds all faults, one line each: file, what is wrong, what to do."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple:
        # As it is made: an error of a trial's process is pickled on its way.
        return type(self), (self.faults,)


class MissingResult(PlainError):
    """A step was started before the one whose result it reads."""


class DiskFull(PlainError):
    """Something could not be written for lack of room."""

    def __init__(self, text: str = "The disk is full, or your share of it is. Make room, and run the step again: it goes on from what was written.") -> None:
        super().__init__(text)


def is_disk_full(error: Exception) -> bool:
    """Whether an error, Python's or TensorFlow's, tells of a disk, or a user's share of one, that is full."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(text in str(error).lower() for text in ("no space left", "quota exceeded"))


def _folder(place: str) -> Any:
    return property(lambda workspace: workspace.root / place)


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folders of one user's data and results below `root`, each a pathlib.Path; none of them needs to exist."""

    root: pathlib.Path

    original_dataset = _folder("original dataset")
    preloaded_dataset = _folder("preloaded dataset")
    train_set = _folder("preloaded dataset/train set")
    test_set = _folder("preloaded dataset/test set")
    predictions = _folder("preloaded dataset/test set/predictions")
    model_tuning = _folder("model tuning")
    unfinished_model = _folder("unfinished model")
    model = _folder("model")
    results = _folder("results")
    images = _folder("images")
    evaluations = _folder("evaluations.csv")
    new_images = _folder("new images")
    new_predictions = _folder("new predictions")
    cross_validation = _folder("cross-validation")

    def fold_models(self, folds: int) -> list[pathlib.Path]:
        """The folders of the cross-validation's models."""
        return [self.cross_validation / f"fold {number}" for number in range(1, folds + 1)]


PROJECT = Workspace(pathlib.Path(__file__).resolve().parents[1])


@dataclasses.dataclass(frozen=True)
class Step:
    """A line of main.py: the module and function it calls, what it is for, and the workspace's folder that tells it has run."""

    module: str
    function: str
    title: str
    result: str

    @property
    def line(self) -> str:
        """The call as it stands in main.py."""
        return f"{self.module}.{self.function}()"


STEPS = (
    Step("data.original_dataset", "create_preloaded_dataset", "Create the preloaded dataset", "preloaded_dataset"),
    Step("model_exploration", "explore_hyperparameters", "Explore architectures and hyperparameters", "model_tuning"),
    Step("model_training", "train_final_model", "Train the final model", "model"),
    Step("prediction", "predict_test_set", "Predict the test set", "predictions"),
    Step("evaluation", "evaluate_test_set", "Evaluate the predictions", "results"),
    Step("prediction", "predict_new_images", "Predict new images", "new_predictions"),
    Step("cross_validation", "cross_validate_train_set", "Cross-validate the train set", "cross_validation"),
)


def require(path: pathlib.Path, function: str) -> None:
    """Raises MissingResult, naming the step `function` and its line in main.py, where that step's result `path` does not exist."""
    _recover(path)
    if not path.exists():
        number, step = next((i, step) for i, step in enumerate(STEPS, start=1) if step.function == function)
        raise MissingResult(
            f"'{path.name}' is missing ({path}). Run step {number} first: uncomment {step.line} in src/main.py, "
            f"or type: python src/main.py {step.function}"
        )


@contextlib.contextmanager
def replacing(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty draft folder, which takes the place of the folder `target` when the block ends well.

    A block that raises leaves `target` as it was, and no draft. So does a crash at any moment, but that the next call, or the next
    `require`, clears up what lies about.
    """
    _recover(target)
    draft, former = _beside(target, "draft"), _beside(target, "former")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    # Moved aside, not deleted first: a crash between these lines then loses nothing.
    if target.exists():
        target.rename(former)
    draft.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def write_whole(file: pathlib.Path, content: str | bytes) -> None:
    """Writes a file that is never seen half written, nor left so by a crash."""
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(content if isinstance(content, bytes) else content.encode())
    draft.replace(file)


def _recover(target: pathlib.Path) -> None:
    former = _beside(target, "former")
    if former.exists() and not target.exists():
        former.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def _beside(target: pathlib.Path, role: str) -> pathlib.Path:
    # On the same disk as the target, so that renaming is one operation; hidden, so that nobody takes it for a result.
    return target.with_name(f".{target.name}.{role}")
