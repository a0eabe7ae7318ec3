"""The step `cross_validate_train_set`.

    cross-validation/
      facts.json          settings and data of the training; they must match to resume
      fold 1/, 2/ ...     the folds' models, in the format of `model`; an ensemble if PREDICT_WITH_FOLDS is True
      predictions/        the out-of-fold masks: each predicted by the model that was not trained on its group
      calibration.json    of the predicted Dice, by these masks; also in `model` if trained in the same way
      results/            their evaluation: report, tables, plots and Methods paragraph, as in step 5
      out of fold.csv     metrics.csv with the fold of each case, lowest Dice first
      images/             comparison images of the lowest Dice, by rank
      learning curve/     if LEARNING_CURVE is True: see `learning_curve`

A reference mask may be wrong where it disagrees with a model that was not trained on it. An interrupted
cross-validation resumes. The test set is not read.
"""

import dataclasses
import itertools
import pathlib

import numpy as np
import pandas as pd

import resumable
import settings
import storage
from cross_validation import learning_curve, out_of_fold
from data import mask_folder, pipeline, preloaded_dataset, splitting
from evaluation import computing, pictures, texts
from evaluation.evaluate import evaluate
from evaluation.result import with_nonempty_reference
from evaluation.subject import Places, Subject
from masks import calibration, drawing
from model_training import diagnosis, distribution, fingerprint, fitting, hardware, starting_model
from networks import fold_calibration, saved_model
from provenance import TRAINING_FILE, Provenance
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
        options = fingerprint.settings_for(options, cases)
        starting_model.check_no_leakage(options, cases, "train set, which is cross-validated")
        values = options.hyperparameters
        folds = _assign_folds(cases, options)
        subject = _subject(workspace, options, cases)
        computing.check_settings(subject, options)
        parts = _parts(workspace, cases, folds, options)
        hardware.prepare(options)
        facts = _facts(values, options, cases, folds)
        is_chief = distribution.is_chief()
        start = resumable.start_or_resume if is_chief else resumable.join
        with resumable.exclusive_lock(workspace.cross_validation, is_chief):
            distribution.chief_first(lambda: start(workspace.cross_validation, facts))
            diagnosis.warn_about_intensities(values, cases)
            _train(workspace, values, options, cases, folds)
            if is_chief:
                _evaluate(workspace, options, subject, folds)
            for part in itertools.chain(*parts.values()):
                heading = f"Learning curve: {part.folder.parent.name} of the train set, {part.folder.name}"
                out_of_fold.train(workspace.train_set, part.cases, values, part.options, part.folder, heading)
            if parts:
                curve = workspace.cross_validation / learning_curve.FOLDER
                print(f"\n{learning_curve.evaluate(curve, subject, parts, folds, options)}")


def _assign_folds(cases: pd.DataFrame, options: Settings) -> np.ndarray:
    """The number of each case's fold, from 0."""
    try:
        return splitting.folds(cases["group"].tolist(), options.CROSS_VALIDATION_FOLDS, options.SEED)
    except ValueError as error:
        fix = "Lower CROSS_VALIDATION_FOLDS, or change GROUP_CASES_BY, in config.py."
        raise storage.DatasetError([f"Too few groups: {error}. {fix}"]) from error


def _parts(
    workspace: storage.Workspace, cases: pd.DataFrame, folds: np.ndarray, options: Settings
) -> dict[float, list[learning_curve.Part]]:
    if not options.LEARNING_CURVE:
        return {}
    if distribution.count() > 1:
        fix = "Set LEARNING_CURVE = False, or unset TF_CONFIG: the folds' models are kept."
        raise storage.UserError(f"LEARNING_CURVE: a learning curve is trained on one machine only. {fix}")
    return learning_curve.parts(workspace.cross_validation / learning_curve.FOLDER, cases, folds, options)


def _facts(values: hyperparameters.Hyperparameters, options: Settings, cases: pd.DataFrame, folds: np.ndarray) -> dict:
    facts = options.fixed(settings.CROSS_VALIDATION) | {"ENCODER_WEIGHTS": fitting.encoder_name(options)}
    facts |= {"hyperparameters": dataclasses.asdict(values), "folds": folds.tolist()}
    del facts["START_FROM"]  # Cross-validations of earlier versions lack it.
    if start := starting_model.read(options):
        facts["START_FROM"] = start.record.id
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
        heading = f"Fold {number + 1} of {options.CROSS_VALIDATION_FOLDS}"
        out_of_fold.train(workspace.train_set, cases[folds != number], values, options, folder, heading)


def _predict(subject: Subject, options: Settings, folders: list[pathlib.Path], folds: np.ndarray) -> Provenance:
    """Writes each case's mask, predicted by the model of its fold, and returns the masks' provenance."""
    with storage.atomic_folder(subject.predictions) as draft:
        provenances, table = out_of_fold.predict(subject, folders, folds, options, draft)
        mask_folder.write_quality_table(draft, table)
    return dataclasses.replace(
        provenances[0],
        id=saved_model.fingerprint(folders),
        postprocessed=any(provenance.postprocessed for provenance in provenances),
        image_sha256=sorted({image for provenance in provenances for image in provenance.image_sha256}),
    )


def _subject(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame) -> Subject:
    return Subject(
        cases=cases,
        folder=workspace.train_set,
        predictions=workspace.cross_validation / "predictions",
        dataset=preloaded_dataset.read_facts(workspace),
        folds=options.CROSS_VALIDATION_FOLDS,
    )


def _evaluate(workspace: storage.Workspace, options: Settings, subject: Subject, folds: np.ndarray) -> None:
    provenance = _predict(subject, options, workspace.fold_models(subject.folds), folds)
    places = Places(workspace.cross_validation / "results")
    result = evaluate(dataclasses.replace(subject, provenance=provenance), options, places)
    table = result.table.assign(fold=folds + 1).sort_values(["dice", "case"], ignore_index=True)
    storage.atomic_write(workspace.cross_validation / "out of fold.csv", table.to_csv(index=False))
    _save_images(subject, table)
    print(f"\n{texts.terminal(result)}\n{_by_fold(table)}\n{_lowest(workspace, table)}")
    print(_calibrate(workspace, table))
    print(f"Report: {places.results / 'report.html'}")


def _calibrate(workspace: storage.Workspace, table: pd.DataFrame) -> str:
    """Calibrates the predicted Dice by `table`, and that of the final model if it was trained in the same way.

    Returns a line to print. What is wrong with the final model does not end this step.
    """
    # Where nothing is predicted nothing is known of the Dice. False positives count: their Dice is 0.
    rows = table[table["predicted_px"] > 0].reindex(columns=["predicted_dice", "dice", "group"])
    known = rows.dropna()
    fitted = calibration.fit(*(known[name].to_numpy() for name in known))
    if fitted is None:
        (workspace.cross_validation / saved_model.CALIBRATION).unlink(missing_ok=True)
        needed = f"{calibration.MIN_CASES} cases of {calibration.MIN_GROUPS} groups with a non-empty prediction"
        needed += ", whose Dice rises with the predicted one"
        if len(rows) and known.empty:
            needed = 'test-time augmentation ("horizontal_flip": True)'
        return f"The predicted Dice was not calibrated. That needs {needed}."
    saved_model.write_calibration(workspace.cross_validation, fitted)
    text = f"The predicted Dice was calibrated on {fitted.cases} out-of-fold cases of {fitted.groups} groups."
    try:
        return f"{text} {_calibrate_final_model(workspace)}"
    except (storage.UserError, OSError) as error:
        return f"{text} The calibration could not be copied into '{workspace.model.name}': {error}"


def _calibrate_final_model(workspace: storage.Workspace) -> str:
    storage.recover(workspace.model)
    with storage.locked(workspace.model, wait_seconds=storage.MODEL_WAIT_SECONDS):
        if not (workspace.model / TRAINING_FILE).exists():
            return "Step 3 will use this for a model that is trained in the same way."
        folds = fold_calibration.read(workspace.cross_validation)
        if fitted := folds and folds.for_training(saved_model.read_training(workspace.model)):
            saved_model.write_calibration(workspace.model, fitted)
            return "The final model uses this."
    return "The final model does not use this: it was trained with other settings or data."


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
