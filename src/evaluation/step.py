"""The step `evaluate_test_set`."""

import pathlib

import pandas as pd

import settings
import storage
from data import mask_folder, preloaded_dataset
from evaluation import texts
from evaluation.evaluate import evaluate, locked, show_comparisons
from evaluation.subject import Places, Subject
from provenance import holds_model
from settings import Settings


def evaluate_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Evaluates the predictions for the test set, writes `results` and `images`, and prints the summary.

    The predictions are those of step 4, or those in PREDICTIONS_FOLDER if that is set. MissingResult if step 4 has not
    run; DatasetError if masks are missing or the model was trained on a test image.
    """
    options = settings.load(workspace.root)
    images = workspace.images if options.SAVE_IMAGES_ON_DISK else None
    places = Places(workspace.results, images, workspace.evaluations)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = preloaded_dataset.read_cases(workspace, "test")
        predictions = _predictions(workspace, options, cases)
        with locked(predictions, places):
            result = evaluate(_subject(workspace, options, cases, predictions), options, places)
            print(f"{texts.terminal(result)}\nReport: {workspace.results / 'report.html'}")
            if images is None:
                show_comparisons(result, options)


def _predictions(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame) -> pathlib.Path:
    if options.PREDICTIONS_FOLDER is not None:
        return _folder("PREDICTIONS_FOLDER", options.PREDICTIONS_FOLDER)
    for path in (workspace.predictions, *(workspace.predictions / f"{case}.npy" for case in cases["case"])):
        storage.require(path, "predict_test_set")
    return workspace.predictions


def _folder(setting: str, path: str) -> pathlib.Path:
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise storage.DatasetError([f"{folder}: there is no such folder. Change {setting} in config.py."])
    return folder


def _compared(workspace: storage.Workspace, options: Settings) -> tuple[pathlib.Path | None, str]:
    """Returns the folder of the masks that COMPARE_WITH selects, None for none, and their name for readers."""
    path = options.COMPARE_WITH
    if path is None:
        return None, ""
    folder = _folder("COMPARE_WITH", path)
    if not holds_model(folder):
        return folder, folder.name
    predictions = workspace.compared_predictions
    storage.require(predictions, "predict_test_set")
    if mask_folder.read_source(predictions) != path:
        fix = f"Run step 4 again: {storage.command('predict_test_set')}"
        raise storage.MissingResult(f"'{predictions.name}' are those of another model than COMPARE_WITH. {fix}")
    provenance = mask_folder.read_provenance(predictions)
    return predictions, f"{folder.name} (model {provenance.id})" if provenance else folder.name


def _subject(
    workspace: storage.Workspace, options: Settings, cases: pd.DataFrame, predictions: pathlib.Path
) -> Subject:
    second_reader = options.SECOND_READER_FOLDER
    compared, compared_name = _compared(workspace, options)
    return Subject(
        cases=cases,
        folder=workspace.test_set,
        predictions=predictions,
        dataset=preloaded_dataset.read_facts(workspace),
        provenance=mask_folder.read_provenance(predictions),
        second_reader=_folder("SECOND_READER_FOLDER", second_reader) if second_reader is not None else None,
        grids=preloaded_dataset.read_grids(workspace),
        wanted_labels=options.wanted_labels,
        compared=compared,
        compared_name=compared_name,
    )
