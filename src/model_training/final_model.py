"""Step 3: trains the final model on the whole train set."""

import datetime
import functools
import pathlib

import pandas as pd

import model_card
import settings
import storage
from data import pipeline, preloaded_dataset
from masks import figures, training_chart
from model_training import diagnosis, fingerprint, starting_model
from model_training.training import train
from networks import fold_calibration, saved_model
from provenance import Provenance, Training


def train_final_model(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model`: trained on the train set with the hyperparameters of config.py. Resumes an interrupted training.

    ResumeMismatch if an unfinished training was started with other settings or data; DamagedFile if it is damaged;
    MissingResult if step 1 has not run; TrainingFailed if the network learns nothing, or its weights are not finite.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
        facts = preloaded_dataset.read_facts(workspace)
        options = fingerprint.settings_for(options, cases)
        if options.START_FROM is not None:
            dataset = preloaded_dataset.read_table(workspace)
            starting_model.check_no_leakage(options, dataset[dataset["split"] == "test"], "test set")
        diagnosis.warn_about_intensities(options.hyperparameters, cases)
        fold_calibration.read(workspace.cross_validation)  # A damaged one is reported before the training.
        _announce_replacement(workspace)
        history = train(
            workspace.train_set,
            cases,
            options.hyperparameters,
            options,
            workspace.unfinished_model,
            workspace.model,
            add_files=functools.partial(_add_files, workspace, model_card.train_set(cases, facts)),
        )
    # A time limit may end within an epoch, whose few images are not representative.
    whole = history[history["images"] == history["images"].max()]
    print(
        f"Model trained for {len(history)} epochs in {history['seconds'].sum() / 60:.1f} min, "
        f"Dice {whole['dice'].iloc[-1]:.3f} on the train set{_empty_masks(cases)}."
    )
    if options.MODEL is not None:
        print("MODEL is set: steps 4, 6 and 8 predict with that model. Set MODEL = None to predict with the new one.")


def _add_files(
    workspace: storage.Workspace, data: list[str], folder: pathlib.Path, training: Training, history: pd.DataFrame
) -> None:
    # Read at the end: a cross-validation may have finished during the training.
    calibrations = fold_calibration.read(workspace.cross_validation)
    if calibration := calibrations and calibrations.for_training(training):
        saved_model.write_calibration(folder, calibration)
    chart = pathlib.Path(training_chart.FILE).stem
    for name, content in figures.files({chart: training_chart.plot(history)}).items():
        (folder / name).write_bytes(content)
    provenance = Provenance(
        id=saved_model.fingerprint([folder]),
        models=1,
        test_time_flip=training.hyperparameters.horizontal_flip,
        postprocessed=training.cleaning_is_harmless,
        calibrated_on=calibration.cases if calibration else 0,
        hyperparameters=training.hyperparameters,
        training=training.facts,
        image_sha256=training.seen_image_sha256,
    )
    card = model_card.text(provenance, data, model_card.NOT_EVALUATED)
    (folder / model_card.FILE).write_text(card, encoding="utf-8")


def _announce_replacement(workspace: storage.Workspace) -> None:
    file = workspace.model / "training.json"
    if file.exists():
        written = datetime.datetime.fromtimestamp(file.stat().st_mtime)
        print(f"The model of {written:%Y-%m-%d %H:%M} will be replaced when this training ends.")


def _empty_masks(cases: pd.DataFrame) -> str:
    empty = int((cases["mask_px"] == 0).sum())
    return f" ({empty} of {len(cases)} reference masks are empty and not counted)" if empty else ""
