"""Step 7 (optional): cross-validation on the train set.

    cross-validation/
      facts.json          settings and data of the training; they must match to resume
      fold 1/, 2/ ...     the folds' models, in the format of `model`; an ensemble if PREDICT_WITH_FOLDS is True
      out of fold.csv     a row per train case: group, fold and metrics of its out-of-fold prediction, lowest Dice
                          first; true_px is 0 for an empty reference mask
      images/             comparison images of the lowest Dice, by rank

A reference mask may be wrong where it disagrees with a model that was not trained on it. An interrupted
cross-validation resumes. The test set is not read.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

import model_training
import progress
import resumable
import settings
import storage
from data import pipeline, preloaded_dataset, splitting
from masks import agreement, drawing, metrics
from model_training import diagnosis, distribution, fitting, hardware, window
from networks import ensemble
from settings import Settings, hyperparameters

# Number of comparison images: the cases with the lowest out-of-fold Dice.
MAX_IMAGES = 12


def cross_validate_train_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Cross-validates the hyperparameters of config.py on the train set and writes `cross-validation`.

    Raises the errors of `train_final_model`, and DatasetError for fewer groups than folds.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
        options = window.settings_for(options, cases)
        values = options.hyperparameters
        folds = _assign_folds(cases, options)
        hardware.prepare(options)
        facts = _facts(values, options, cases, folds)
        is_chief = distribution.is_chief()
        start = resumable.start_or_resume if is_chief else resumable.join
        with resumable.exclusive_lock(workspace.cross_validation, is_chief):
            distribution.chief_first(lambda: start(workspace.cross_validation, facts))
            diagnosis.warn_about_intensities(values, cases)
            rows = _train_and_predict(workspace, values, options, cases, folds)
            if is_chief:
                _write_results(workspace, pd.DataFrame(rows).sort_values(["dice", "case"], ignore_index=True))


def _assign_folds(cases: pd.DataFrame, options: Settings) -> np.ndarray:
    """The number of each case's fold, from 0."""
    try:
        return splitting.folds(cases["group"].tolist(), options.CROSS_VALIDATION_FOLDS, options.SEED)
    except ValueError as error:
        fix = "Lower CROSS_VALIDATION_FOLDS, or change GROUP_CASES_BY, in config.py."
        raise storage.DatasetError([f"Too few groups: {error}. {fix}"]) from error


def _facts(values: hyperparameters.Hyperparameters, options: Settings, cases: pd.DataFrame, folds: np.ndarray) -> dict:
    facts = options.fixed(settings.CROSS_VALIDATION) | {"ENCODER_WEIGHTS": fitting.encoder_name(options)}
    facts |= {"hyperparameters": dataclasses.asdict(values), "folds": folds.tolist()}
    return facts | {name: cases[name].tolist() for name in ("case", "group", "image_sha256", "mask_sha256")}


def _train_and_predict(
    workspace: storage.Workspace,
    values: hyperparameters.Hyperparameters,
    options: Settings,
    cases: pd.DataFrame,
    folds: np.ndarray,
) -> list[dict]:
    """Trains the folds that have no model yet. The chief predicts each fold and returns a row per case."""
    rows = []
    for number, folder in enumerate(workspace.fold_models(options.CROSS_VALIDATION_FOLDS)):
        held_out = folds == number
        if not folder.exists():
            print(f"\nFold {number + 1} of {options.CROSS_VALIDATION_FOLDS}")
            unfinished = folder.with_name(f"unfinished {folder.name}")
            model_training.train(workspace.train_set, cases[~held_out], values, options, unfinished, folder)
        if distribution.is_chief():
            model = ensemble.read([folder], options.CLEAN_PREDICTIONS)
            rows += _predict_fold(workspace, model, folder / "predictions", cases[held_out], number + 1)
    return rows


def _predict_fold(
    workspace: storage.Workspace, model: ensemble.Ensemble, folder: pathlib.Path, cases: pd.DataFrame, fold: int
) -> list[dict]:
    """Writes the masks of a fold's cases. Returns a row per case: case, group, fold and metrics."""
    folder.mkdir(exist_ok=True)
    bar = progress.Bar(cases["case"], desc=f"Predicting fold {fold}", unit=" cases", leave=False)
    return [
        {"case": case, "group": group, "fold": fold, **_predict_case(workspace, model, folder, case)}
        for case, group in zip(bar, cases["group"], strict=True)
    ]


def _predict_case(
    workspace: storage.Workspace, model: ensemble.Ensemble, folder: pathlib.Path, case: str
) -> dict[str, float]:
    """Writes the mask of a case into `folder` and returns its metrics."""
    image, true_mask = _read_case(workspace, case)
    mask = model.mask(model.logits(image[None, ..., None].astype(np.float32))[:, 0])
    preloaded_dataset.write(folder, case, mask)
    return metrics.compare(true_mask, mask)


def _read_case(workspace: storage.Workspace, case: str) -> tuple[np.ndarray, np.ndarray]:
    image, mask = (preloaded_dataset.read(workspace.train_set / kind, case) for kind in ("images", "masks"))
    return image, mask


def _write_results(workspace: storage.Workspace, table: pd.DataFrame) -> None:
    storage.atomic_write(workspace.cross_validation / "out of fold.csv", table.to_csv(index=False))
    _save_images(workspace, table)
    print(_summary(workspace, table))


def _save_images(workspace: storage.Workspace, table: pd.DataFrame) -> None:
    with storage.atomic_folder(workspace.cross_validation / "images") as draft:
        for rank, row in enumerate(table.head(MAX_IMAGES).to_dict("records"), start=1):
            case, folder = row["case"], workspace.cross_validation / f"fold {row['fold']}" / "predictions"
            caption = f"{case}   out-of-fold Dice {row['dice']:.3f}"
            picture = drawing.comparison(*_read_case(workspace, case), preloaded_dataset.read(folder, case), caption)
            (draft / f"{rank:02d} {case}.png").write_bytes(drawing.to_png(picture))


def _summary(workspace: storage.Workspace, table: pd.DataFrame) -> str:
    return (
        f"\nOut-of-fold predictions of {len(table)} train cases: {_dice_text(table)}.\n"
        "These cases have the lowest out-of-fold Dice. Check their reference masks for errors: "
        f"{workspace.cross_validation / 'images'}\n"
        f"{table[['case', 'fold', 'dice', 'hausdorff95_px']].head(5).to_string(index=False)}"
    )


def _dice_text(table: pd.DataFrame) -> str:
    # The mean would be inflated by cases with an empty reference mask: two empty masks have the Dice coefficient 1.
    references = agreement.EmptyReferences.count(table["true_px"], table["predicted_px"])
    measured = table[table["true_px"] > 0]
    by_fold = measured.groupby("fold")["dice"].mean()
    text = f"mean Dice {measured['dice'].mean():.3f} (means of the folds: {by_fold.min():.3f} to {by_fold.max():.3f})"
    if not references.empty:
        return text
    return f"{text}, over the {len(measured)} with a non-empty reference mask. {references.text().removesuffix('.')}"
