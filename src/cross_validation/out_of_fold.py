"""Trains one model per fold, and predicts each case with the model that was not trained on its group."""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

import model_training
from evaluation.subject import Subject
from prediction import models
from prediction.cases import predict_cases
from provenance import Provenance
from settings import Settings
from settings.hyperparameters import Hyperparameters


def train(
    train_set: pathlib.Path,
    cases: pd.DataFrame,
    values: Hyperparameters,
    options: Settings,
    folder: pathlib.Path,
    heading: str,
) -> None:
    """Trains a model on `cases`, rows of cases.csv, into `folder` unless it exists; resumes an interrupted training."""
    if folder.exists():
        return
    print(f"\n{heading}")
    unfinished = folder.with_name(f"unfinished {folder.name}")
    model_training.train(train_set, cases, values, options, unfinished, folder)


def predict(
    subject: Subject, folders: Sequence[pathlib.Path], folds: np.ndarray, options: Settings, target: pathlib.Path
) -> tuple[list[Provenance], pd.DataFrame]:
    """Writes each case's mask, predicted by the model of its fold, into `target`.

    `folders`: of the folds' models; `folds`: the fold of each case, from 0. Returns the provenance of each fold's masks
    and the quality table of all.
    """
    provenances, tables, names = [], [], subject.cases["case"]
    for number, folder in enumerate(folders):
        fold = models.read([folder], options)
        held_out, batch_size = names[folds == number].tolist(), options.PREDICTION_BATCH_SIZE
        tables.append(predict_cases(subject.folder, held_out, fold.model, fold.statistics, batch_size, target))
        provenances.append(fold.provenance)
    return provenances, pd.concat(tables)
