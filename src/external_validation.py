"""Step 8 (optional): external validation of the finished model, without any change of the split.

    external test sets/
      <name>/images, masks          labelled images, in the formats of `original dataset`; or <name>/<subdirectory>/...

    external validation/
      summary.csv, summary.md       all sets side by side, with the internal test set's row if step 5 has run
      evaluations.csv               a row per evaluation of any external set; never replaced
      <name>/
        dataset/                    the converted cases: images/, masks/, cases.csv, left out.csv, checks.csv, checks/
        predictions/                their masks, as step 4 writes them
        results/, images/           as step 5 writes them

Images and masks are converted as in step 1, with the image size and the CT window of the model. Each set's folder is
replaced as a whole. A set that fails keeps its previous folder, and the others are evaluated.
"""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import pandas as pd

import settings
import storage
from data import dataset_summary, file_names, image_mask_pairs, input_files, labelled_cases, preloaded_dataset
from evaluation import set_table, texts
from evaluation.evaluate import evaluate
from evaluation.subject import Places, Subject
from prediction import cases as test_cases
from prediction import models
from settings import Settings

_RESULTS = "results"


def evaluate_external_test_sets(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Predicts and evaluates each set in `external test sets`; writes `external validation`.

    The model is that of step 4: the final model, the folds (PREDICT_WITH_FOLDS) or MODEL. MissingResult if it is not
    trained. DatasetError, after the other sets are evaluated, that lists the faults of the sets that failed: those of
    step 1, and images that the model was trained on or that are in the preloaded dataset.
    """
    options = settings.load(workspace.root)
    sets, faults = _find(workspace.external_test_sets)
    with models.reading(workspace, options) as folders:
        predictor = models.read(folders, options)
    options, rows = _for_model(options, predictor), []
    with storage.locked(workspace.external_validation):
        for folder in sets:
            print(f"\nExternal test set {folder.name}:")
            try:
                _evaluate(folder, workspace, predictor, options)
                rows.append(set_table.row(folder.name, workspace.external_validation / folder.name / _RESULTS))
            except storage.DatasetError as error:
                faults += error.faults
            except storage.UserError as error:
                faults.append(f"{folder}: {error}")
        if rows:
            _write_table(workspace, rows)
    if faults:
        missing = len(sets) - len(rows)
        counted = [f"{missing} of {len(sets)} external test sets were not evaluated:"] if missing else []
        raise storage.DatasetError([*counted, *faults])


def _find(root: pathlib.Path) -> tuple[list[pathlib.Path], list[str]]:
    """The folders of the sets, and a line per fault."""
    paths, faults = input_files.list_folder(root)
    for path in paths:
        fault = input_files.broken_link(path) or (path.is_dir() and file_names.name_fault(path.name, len("__x.npy")))
        faults += [f"{file_names.printable(path)}: {fault}"] if fault else []
    sets = [path for path in paths if path.is_dir() and not file_names.name_fault(path.name, len("__x.npy"))]
    if not sets:
        place = f"{root.name}/<name>/images, their masks, with the same names, into .../masks"
        raise storage.DatasetError([*faults, f"{root}: no external test sets. Put labelled images into {place}."])
    return sets, faults


def _for_model(options: Settings, predictor: models.Predictor) -> Settings:
    """The settings with the image size and the CT window of the model."""
    record = predictor.provenance
    window = {"clip_hu": record.hyperparameters.clip_hu}
    return dataclasses.replace(
        options,
        IMAGE_SIZE=record.training.image_size,
        HYPERPARAMETERS=options.HYPERPARAMETERS | window,
        TEST_CASES=None,
    )


def _evaluate(
    folder: pathlib.Path, workspace: storage.Workspace, predictor: models.Predictor, options: Settings
) -> None:
    """Converts, predicts and evaluates one set."""
    target = workspace.external_validation / folder.name
    with storage.atomic_folder(target) as draft:
        data, predictions = draft / "dataset", draft / "predictions"
        cases = _convert(folder, data, workspace, predictor, options)
        predictions.mkdir()
        print(test_cases.predict_set(predictor, data, cases["case"].tolist(), predictions, options))
        subject = Subject(
            cases=cases,
            folder=data,
            predictions=predictions,
            dataset=preloaded_dataset.facts(len(cases), options),
            provenance=predictor.provenance,
            external=folder.name,
        )
        images = draft / "images" if options.SAVE_IMAGES_ON_DISK else None
        log = workspace.external_validation / "evaluations.csv"
        result = evaluate(subject, options, Places(draft / _RESULTS, images, log))
    print(f"{texts.terminal(result)}\nReport: {target / _RESULTS / 'report.html'}")


def _convert(
    folder: pathlib.Path,
    data: pathlib.Path,
    workspace: storage.Workspace,
    predictor: models.Predictor,
    options: Settings,
) -> pd.DataFrame:
    """Writes the cases of a set into `data`, prints warnings, and returns the rows of its cases.csv."""
    found = image_mask_pairs.find_external(folder)
    converted = labelled_cases.convert(found, data, options)
    rows = converted.rows.assign(split="test")
    labelled_cases.raise_faults(_known_images(rows, workspace, predictor.provenance.image_sha256))
    findings = labelled_cases.check(converted, data, data, options)
    rows.to_csv(data / "cases.csv", index=False)
    converted.excluded.to_csv(data / "left out.csv", index=False)
    about_cases = dataset_summary.case_warnings(rows, converted.excluded, options.MASK_SPECK_PX)
    skipped = dataset_summary.first(converted.warnings) + dataset_summary.first(found.skipped)
    for warning in [*skipped, *about_cases, *(finding.message for finding in findings)]:
        print(f"Warning: {warning}")
    if converted.empty_slices:
        print(dataset_summary.empty_slices(converted.empty_slices))
    return rows


def _known_images(rows: pd.DataFrame, workspace: storage.Workspace, trained_on: Iterable[str]) -> list[str]:
    """A fault for each image that the model was trained on, or that is in the preloaded dataset."""
    places = {}
    if workspace.preloaded_dataset.exists():
        table = preloaded_dataset.read_table(workspace)
        sets = "it is in the " + table["split"] + " set of the preloaded dataset"
        places = dict(zip(table["image_sha256"], sets, strict=True))
    places |= dict.fromkeys(trained_on, "the model was trained on it")
    names = labelled_cases.image_names(rows)
    return [
        f"{name}: this image is not external: {places[digest]}. Remove it from the external test set."
        for name, digest in zip(names, rows["image_sha256"], strict=True)
        if digest in places
    ]


def _write_table(workspace: storage.Workspace, rows: list[dict[str, Any]]) -> None:
    """Writes all sets side by side, after the internal test set if step 5 has evaluated it, and prints them."""
    if (workspace.results / "summary.json").exists():
        rows = [set_table.row("internal test set", workspace.results), *rows]
    contents = set_table.files(rows)
    for name, content in contents.items():
        storage.atomic_write(workspace.external_validation / name, content)
    print(f"\n{contents['summary.md']}\nTable: {workspace.external_validation / 'summary.md'}")
