"""Step 4: masks of the test cases and the quality table."""

import concurrent.futures
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

import progress
import settings
import storage
from data import mask_folder, pipeline, preloaded_dataset
from networks import ensemble, saved_model
from prediction import models, overlap, quality
from provenance import Training, TrainSetStatistics, holds_model


def predict_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes the model's mask of each test case into `preloaded dataset/test set/predictions`.

    Also writes a table with each case's predicted Dice and out-of-distribution reasons. MissingResult if step 1 or 3
    has not run. DatasetError if the model was trained on a test image or on another image size. InUse if another
    program replaces the data set or the model. SettingsError if there is no model in MODEL.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = preloaded_dataset.read_cases(workspace, "test")
        _predict_with(workspace, options, cases, "MODEL", workspace.predictions)
        if options.COMPARE_WITH is not None and holds_model(pathlib.Path(options.COMPARE_WITH)):
            print(f"Predicting also with the model of COMPARE_WITH, {options.COMPARE_WITH}.")
            _predict_with(workspace, options, cases, "COMPARE_WITH", workspace.compared_predictions)


def _predict_with(
    workspace: storage.Workspace, options: settings.Settings, cases: pd.DataFrame, setting: str, folder: pathlib.Path
) -> None:
    """Writes the masks of the models that `setting` selects into `folder`."""
    with models.reading(workspace, options, setting) as folders:
        for each in folders:
            _check_compatible(cases, saved_model.read_training(each), options, setting)
        predictor = models.read(folders, options)
    with storage.atomic_folder(folder) as draft:
        text = predict_set(predictor, workspace.test_set, cases["case"].tolist(), draft, options)
        if setting == "COMPARE_WITH":
            mask_folder.write_source(draft, str(options.COMPARE_WITH))
    print(text)


def predict_set(
    predictor: models.Predictor,
    dataset: pathlib.Path,
    names: list[str],
    folder: pathlib.Path,
    options: settings.Settings,
) -> str:
    """Writes the masks of the cases in `dataset`/images into `folder`, with quality table, provenance and history.

    Returns the text for the terminal: the number of cases, and those to review first.
    """
    model = predictor.model
    table = predict_cases(dataset, names, model, predictor.statistics, options.PREDICTION_BATCH_SIZE, folder)
    mask_folder.write_quality_table(folder, table)
    mask_folder.write_provenance(folder, predictor.provenance)
    if predictor.history:
        mask_folder.write_history(folder, predictor.history)
    predicted = f"{len(names)} test case{'s' * (len(names) > 1)}{', post-processed' if model.postprocess else ''}"
    return f"Predicted {predicted}.{quality.review_list(table.set_index('case'), model.calibration)}"


def predict_cases(
    dataset: pathlib.Path,
    names: list[str],
    model: ensemble.Ensemble,
    statistics: list[TrainSetStatistics],
    batch_size: int,
    folder: pathlib.Path,
) -> pd.DataFrame:
    """Writes the mask of each case of `dataset`/images as `folder`/<case>.npy and returns their quality table.

    `statistics`: as `models.statistics` returns them.
    """
    images = pipeline.images(dataset, names, model.image_size)
    return pd.DataFrame(_predict(names, images.batch(batch_size).prefetch(1), model, statistics, folder))


def _check_compatible(cases: pd.DataFrame, training: Training, options: settings.Settings, setting: str) -> None:
    sizes, size = set(cases["height"]), training.image_size
    if sizes != {size}:
        fix = "Train the model again."
        if getattr(options, setting) is not None:
            fix = f"Change {setting}, or set IMAGE_SIZE = {size} and FIT_IMAGES = True and run step 1 again."
        trained = f"The model was trained on images of {size} px"
        raise storage.DatasetError([f"{trained}, the data set has {sizes.pop()} px. {fix}"])
    fix = "Train the model again on the current train set."
    if getattr(options, setting) is not None:
        fix = f"Change {setting}, or select another test set (TEST_CASES)."
    preloaded_dataset.check_no_leakage(cases, training.seen_image_sha256, fix)


def _predict(
    names: list[str],
    batches: Iterable[Any],
    model: ensemble.Ensemble,
    statistics: list[TrainSetStatistics],
    folder: pathlib.Path,
) -> list[dict[str, Any]]:
    """Writes the mask of each case and returns the rows of the table. Reading, predicting and writing overlap."""

    def predicted() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        remaining = iter(names)
        for images in batches:
            for image, logits in zip(images.numpy()[..., 0], model.logits(images).swapaxes(0, 1), strict=True):
                yield next(remaining), image, logits

    def write(case: str, image: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
        mask, estimates = quality.predict_with_quality(model, image, logits, statistics)
        preloaded_dataset.write(folder, case, mask)
        return {"case": case, **estimates.columns}

    with concurrent.futures.ThreadPoolExecutor(overlap.THREADS) as pool:
        rows = overlap.submit_ahead(pool, write, predicted())
        bar = progress.Bar(rows, total=len(names), desc="Predicting", unit=" cases")
        return [row.result() for _, row in bar]
