"""The learning curve of step 7 (LEARNING_CURVE): how the Dice depends on the number of train images.

    cross-validation/
      learning curve/
        12 %/fold 1/ ...      models of an eighth of each fold's train set, in the format of `model`
        12 %/predictions/     the out-of-fold masks of these models
        25 %/, 50 %/          the same for a quarter and a half; 100 % are the models of the folds themselves
        learning_curve.csv    a row per size, and an extrapolation; .png and .pdf: a chart of it

Smaller sets are parts of larger ones; groups stay whole. All trainings have the same number of steps, or of minutes
with TRAINING_TIME_LIMIT_MINUTES: with the same number of epochs, small sets would be undertrained.
"""

import dataclasses
import math
import pathlib

import numpy as np
import pandas as pd

import storage
from cross_validation import out_of_fold
from data import preloaded_dataset, splitting
from evaluation.subject import Subject
from masks import figures, learning_curve, metrics
from model_training import fitting
from settings import Settings

FOLDER = "learning curve"
SHARES = (0.125, 0.25, 0.5)


@dataclasses.dataclass(frozen=True)
class Part:
    """A share of the train set of a fold: rows of cases.csv to train on, the model's folder, and its settings."""

    cases: pd.DataFrame
    folder: pathlib.Path
    options: Settings


def parts(folder: pathlib.Path, cases: pd.DataFrame, folds: np.ndarray, options: Settings) -> dict[float, list[Part]]:
    """The parts of each of SHARES, one per fold. `cases`: rows of cases.csv; `folds`: the fold of each.

    DatasetError if a fold has too few groups with a non-empty mask to be divided.
    """
    found: dict[float, list[Part]] = {share: [] for share in SHARES}
    for fold in range(options.CROSS_VALIDATION_FOLDS):
        train = cases[folds != fold]
        order = _shuffled_groups(train, options.SEED + fold)
        if len(order) * SHARES[0] < 1:
            fault = f"A learning curve needs {math.ceil(1 / SHARES[0])} groups of cases in the train set of each fold"
            raise storage.DatasetError([f"{fault}, found {len(order)}. Set LEARNING_CURVE = False in config.py."])
        for share in SHARES:
            chosen = train[train["group"].isin(order[: round(share * len(order))])]
            place = folder / f"{100 * share:.0f} %" / f"fold {fold + 1}"
            found[share].append(Part(chosen, place, _with_equal_steps(options, train, chosen)))
    return found


def _shuffled_groups(cases: pd.DataFrame, seed: int) -> list[str]:
    """The groups in a random order that begins with one that has a non-empty mask."""
    order = splitting.shuffled(cases["group"].tolist(), seed)
    nonempty = set(cases["group"][cases["mask_px"] > 0])
    first = next((group for group in order if group in nonempty), order[0])
    return [first, *(group for group in order if group != first)]


def _with_equal_steps(options: Settings, train: pd.DataFrame, part: pd.DataFrame) -> Settings:
    epochs = options.TRAINING_EPOCHS
    factor = fitting.steps_per_epoch(train["case"].tolist(), options) / fitting.steps_per_epoch(
        part["case"].tolist(), options
    )
    return dataclasses.replace(options, TRAINING_EPOCHS=epochs and round(epochs * factor))


def evaluate(
    folder: pathlib.Path, subject: Subject, divided: dict[float, list[Part]], folds: np.ndarray, options: Settings
) -> str:
    """Predicts the out-of-fold masks of all parts, writes curve and chart into `folder` and returns lines to print.

    The predictions of all folds' own models exist already, in `subject.predictions`.
    """
    cases = subject.cases
    nonempty = (cases["mask_px"] > 0).to_numpy()
    columns, images = [], []
    for of_share in divided.values():
        predictions = of_share[0].folder.parent / "predictions"
        with storage.atomic_folder(predictions) as draft:
            out_of_fold.predict(subject, [part.folder for part in of_share], folds, options, draft)
        columns.append(_dices(subject, predictions))
        images.append(float(np.mean([len(part.cases) for part in of_share])))
    columns.append(_dices(subject, subject.predictions))
    images.append(len(cases) * (1 - 1 / len(next(iter(divided.values())))))
    curve = learning_curve.fit(
        images, np.stack(columns, axis=1)[nonempty], cases["group"][nonempty].tolist(), options.SEED
    )
    storage.atomic_write(folder / "learning_curve.csv", curve.table.to_csv(index=False))
    for name, content in figures.files({"learning_curve": learning_curve.plot(curve)}).items():
        storage.atomic_write(folder / name, content)
    return _lines(curve, folder)


def _dices(subject: Subject, predictions: pathlib.Path) -> np.ndarray:
    """The Dice of each case, (cases,)."""
    masks = subject.folder / "masks"
    return np.array(
        [
            metrics.dice(preloaded_dataset.read(masks, case), preloaded_dataset.read(predictions, case))
            for case in subject.cases["case"]
        ]
    )


def _lines(curve: learning_curve.LearningCurve, folder: pathlib.Path) -> str:
    rows = [f"  {images:5.0f} images: {dice:.3f}" for images, dice in zip(curve.images, curve.dice, strict=True)]
    interval = ""
    if math.isfinite(curve.expected_low):
        interval = f" (95 % CI {curve.expected_low:.3f} to {curve.expected_high:.3f})"
    last = learning_curve.FACTOR * curve.images[-1]
    rows.append(f"  {last:5.0f} images: {curve.expected:.3f}{interval}, extrapolated")
    return "\n".join(["Mean out-of-fold Dice by size of the train set:", *rows, f"Chart: {folder}"])
