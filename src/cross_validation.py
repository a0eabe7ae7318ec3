"""Step 7 (optional): cross-validation on the train set.

    cross-validation/
      facts.json          settings and data of the training; they must match to resume
      fold 1/, 2/ ...     the folds' models, in the format of `model`; an ensemble if PREDICT_WITH_FOLDS is True
      predictions/        the out-of-fold masks: each predicted by the model that was not trained on its group
      results/            their evaluation: report, tables, plots and Methods paragraph, as in step 5
      out of fold.csv     metrics.csv with the fold of each case, lowest Dice first
      images/             comparison images of the lowest Dice, by rank

A reference mask may be wrong where it disagrees with a model that was not trained on it. An interrupted
cross-validation resumes. The test set is not read.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

import model_training
import resumable
import settings
import storage
from data import mask_folder, pipeline, preloaded_dataset, splitting
from evaluation import pictures, texts
from evaluation.evaluate import evaluate
from evaluation.result import with_nonempty_reference
from evaluation.subject import Places, Subject
from masks import drawing
from model_training import diagnosis, distribution, fitting, hardware, window
from networks import ensemble, saved_model
from prediction import models
from prediction.cases import predict_cases
from provenance import Provenance
from settings import Settings, hyperparameters

# The folder of the out-of-fold masks.
_MASKS = "predictions"

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
            _train(workspace, values, options, cases, folds)
            if is_chief:
                _evaluate(workspace, options, cases, folds)


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


def _train(
    workspace: storage.Workspace,
    values: hyperparameters.Hyperparameters,
    options: Settings,
    cases: pd.DataFrame,
    folds: np.ndarray,
) -> None:
    """Trains the folds that have no model yet."""
    for number, folder in enumerate(workspace.fold_models(options.CROSS_VALIDATION_FOLDS)):
        if not folder.exists():
            print(f"\nFold {number + 1} of {options.CROSS_VALIDATION_FOLDS}")
            unfinished = folder.with_name(f"unfinished {folder.name}")
            model_training.train(workspace.train_set, cases[folds != number], values, options, unfinished, folder)


def _predict(
    workspace: storage.Workspace, options: Settings, cases: pd.DataFrame, folds: np.ndarray
) -> tuple[pathlib.Path, Provenance]:
    """Writes each case's mask, predicted by the model of its fold, and returns their folder and provenance."""
    folders, predictions = workspace.fold_models(options.CROSS_VALIDATION_FOLDS), workspace.cross_validation / _MASKS
    records, tables = [], []
    with storage.atomic_folder(predictions) as draft:
        for number, folder in enumerate(folders):
            names, statistics = cases["case"][folds == number].tolist(), models.statistics([folder])
            model = ensemble.read([folder], options.CLEAN_PREDICTIONS)
            tables.append(
                predict_cases(workspace.train_set, names, model, statistics, options.PREDICTION_BATCH_SIZE, draft)
            )
            records.append(models.provenance([folder], model))
        mask_folder.write_quality_table(draft, pd.concat(tables))
    images = sorted({image for record in records for image in record.image_sha256})
    return predictions, dataclasses.replace(
        records[0],
        id=saved_model.fingerprint(folders),
        postprocessed=any(record.postprocessed for record in records),
        image_sha256=images,
    )


def _evaluate(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame, folds: np.ndarray) -> None:
    predictions, provenance = _predict(workspace, options, cases, folds)
    subject = Subject(
        cases=cases,
        folder=workspace.train_set,
        predictions=predictions,
        dataset=preloaded_dataset.read_facts(workspace),
        provenance=provenance,
        folds=options.CROSS_VALIDATION_FOLDS,
    )
    places = Places(workspace.cross_validation / "results")
    result = evaluate(subject, options, places)
    table = result.table.assign(fold=folds + 1).sort_values(["dice", "case"], ignore_index=True)
    storage.atomic_write(workspace.cross_validation / "out of fold.csv", table.to_csv(index=False))
    _save_images(subject, table)
    print(f"\n{texts.terminal(result)}\n{_by_fold(table)}\n{_lowest(workspace, table)}")
    print(f"Report: {places.results / 'report.html'}")


def _save_images(subject: Subject, table: pd.DataFrame) -> None:
    worst = table.head(MAX_IMAGES)
    plotted = pictures.comparisons(subject, worst, worst["case"].tolist(), hausdorff_line=False)
    with storage.atomic_folder(subject.predictions.with_name("images")) as draft:
        for rank, (case, picture) in enumerate(plotted, start=1):
            (draft / f"{rank:02d} {case}.png").write_bytes(drawing.to_png(picture))


def _by_fold(table: pd.DataFrame) -> str:
    means = with_nonempty_reference(table).groupby("fold")["dice"].mean()
    return f"Mean Dice by fold: {means.min():.3f} to {means.max():.3f}." if len(means) else ""


def _lowest(workspace: storage.Workspace, table: pd.DataFrame) -> str:
    return (
        "These cases have the lowest out-of-fold Dice. Check their reference masks for errors: "
        f"{workspace.cross_validation / 'images'}\n"
        f"{table[['case', 'fold', 'dice', 'hausdorff95_px']].head(5).to_string(index=False)}"
    )
