"""The trained models that predict.

They are the final model, the models of the cross-validation (PREDICT_WITH_FOLDS), or those in another folder (MODEL).
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import settings
import storage
from masks import training_chart
from networks import ensemble, saved_model
from provenance import Provenance, TrainSetStatistics
from settings import Settings


@contextlib.contextmanager
def reading(workspace: storage.Workspace, options: Settings, setting: str = "MODEL") -> Iterator[list[pathlib.Path]]:
    """The models' folders, which no other program replaces within the context.

    `setting`: which one names another model folder.

    MissingResult if the models are not trained; SettingsError if there is none in MODEL. InUse if another program
    replaces them. DatasetError if there are more folds than CROSS_VALIDATION_FOLDS.
    """
    if (path := getattr(options, setting)) is not None:
        locked, step = pathlib.Path(path), "train_final_model"
        folders = _models_in(locked, setting)
        if setting == "MODEL":
            print(f"Predicting with the model of MODEL, {path}.")
    elif options.PREDICT_WITH_FOLDS:
        folders = _fold_models(workspace, options.CROSS_VALIDATION_FOLDS)
        locked, step = workspace.cross_validation, "cross_validate_train_set"
    else:
        folders = [workspace.model]
        locked, step = workspace.model, "train_final_model"
    with storage.reading(locked, step, wait_seconds=storage.MODEL_WAIT_SECONDS):
        yield folders


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Trained models that predict together, and what is known of them: see the functions of the same names."""

    model: ensemble.Ensemble
    statistics: list[TrainSetStatistics]
    provenance: Provenance
    history: bytes | None


def read(folders: list[pathlib.Path], options: Settings) -> Predictor:
    """The models in `folders`, which `reading` gives. Errors as `ensemble.read`."""
    model = ensemble.read(folders, options.CLEAN_PREDICTIONS)
    return Predictor(model, statistics(folders), provenance(folders, model), history(folders))


def statistics(folders: list[pathlib.Path]) -> list[TrainSetStatistics]:
    """The statistics of each model's train set, which `out_of_distribution.ood_reasons` compares images with."""
    return [saved_model.read_training(folder).train_set_statistics for folder in folders]


def provenance(folders: list[pathlib.Path], model: ensemble.Ensemble) -> Provenance:
    """The provenance of masks that `model`, read from `folders`, predicts."""
    trainings = [saved_model.read_training(folder) for folder in folders]
    return Provenance(
        id=saved_model.fingerprint(folders),
        models=len(folders),
        test_time_flip=model.test_time_flip,
        postprocessed=model.postprocess,
        calibrated_on=model.calibration.cases if model.calibration else 0,
        hyperparameters=saved_model.read_hyperparameters(folders[0]),
        training=trainings[0].facts,
        image_sha256=sorted({image for training in trainings for image in training.seen_image_sha256}),
    )


def history(folders: list[pathlib.Path]) -> bytes | None:
    """The chart of the model's training, the content of a PNG file. None for an ensemble, and if there is no chart."""
    file = folders[0] / training_chart.FILE
    return file.read_bytes() if len(folders) == 1 and file.exists() else None


def _models_in(folder: pathlib.Path, setting: str) -> list[pathlib.Path]:
    """The model in `folder`, or those of the folds if it is a cross-validation."""
    if folds := sorted(folder.glob("fold *"), key=lambda fold: (len(fold.name), fold.name)):
        if not (folder / "out of fold.csv").exists():
            fix = f"Finish it, or change {setting} in config.py."
            raise settings.SettingsError(f"{folder}: a cross-validation that is not finished. {fix}")
        return folds
    try:
        saved_model.read_training(folder)
    except storage.MissingResult as error:
        fix = f'Set {setting} in config.py to a folder of step 3, a finished cross-validation, or "phantoms".'
        raise settings.SettingsError(f"{folder}: there is no model. {fix}") from error
    return [folder]


def _fold_models(workspace: storage.Workspace, count: int) -> list[pathlib.Path]:
    *folders, surplus = workspace.fold_models(count + 1)
    if surplus.exists():
        fix = "Set CROSS_VALIDATION_FOLDS in config.py to the number of folds that were trained."
        raise storage.DatasetError([f"{surplus}: more folds than CROSS_VALIDATION_FOLDS = {count}. {fix}"])
    return folders
