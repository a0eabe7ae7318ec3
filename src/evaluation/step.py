"""The step `evaluate_test_set`: reads the test set and the predictions, writes `results` and `images`."""

import pathlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

import settings
import storage
from data import mask_folder, preloaded_dataset
from evaluation import evaluation_log, manuscript, measuring, pictures, report, texts
from evaluation.result import METRICS, EvaluationResult, with_nonempty_reference
from masks import charts, drawing
from provenance import Provenance
from settings import Settings


def evaluate_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Evaluates the predictions for the test set, writes `results` and `images`, and prints the summary.

    The predictions are those of step 4, or those in PREDICTIONS_FOLDER if that is set. MissingResult if step 4 has not
    run; DatasetError if masks are missing or the model was trained on a test image.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = preloaded_dataset.read_cases(workspace, "test")
        predictions = _predictions(workspace, options, cases)
        locks = storage.locked(workspace.results), storage.locked(workspace.images)
        with locks[0], locks[1], storage.locked(predictions, shared=True):
            _evaluate(workspace, options, cases, predictions)


def _evaluate(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame, predictions: pathlib.Path) -> None:
    provenance = mask_folder.read_provenance(predictions)
    preloaded_dataset.check_no_leakage(cases, provenance.image_sha256 if provenance else [])
    dataset = preloaded_dataset.read_facts(workspace)
    table, second = _tables(workspace, options, cases, predictions, dataset.mask_speck_px)
    selected = pictures.choose_cases(table, options.IMAGES_TO_DRAW, options.SEED)
    if provenance:  # Without it the folder is another program's, whose _table.csv holds something else.
        table = _with_quality(table, predictions)
    if options.SAVE_IMAGES_ON_DISK:
        storage.check_replaceable(workspace.images)
    plotted = workspace.test_set, predictions, table, selected, options.DRAW_HAUSDORFF_LINE
    with storage.atomic_folder(workspace.results) as draft:
        # After every check that can fail, and before any result is visible: every published result must count.
        mean_dice = with_nonempty_reference(table)["dice"].mean()
        evaluations = evaluation_log.record_evaluation(workspace, cases, _model_name(provenance, options), mean_dice)
        if options.SAVE_IMAGES_ON_DISK:
            with storage.atomic_folder(workspace.images) as images_draft:
                pictures.save(images_draft, *plotted)
        tolerance_mm = options.SURFACE_DICE_TOLERANCE_MM
        result = EvaluationResult(table, provenance, dataset, second, evaluations, tolerance_mm, options.SEED)
        _write(draft, result, report.case_entries(workspace.test_set, predictions, table))
    print(f"{texts.terminal(result)}\nReport: {workspace.results / 'report.html'}")
    if not options.SAVE_IMAGES_ON_DISK:
        _show(picture for _, picture in pictures.comparisons(*plotted))


def _predictions(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame) -> pathlib.Path:
    if options.PREDICTIONS_FOLDER is not None:
        return _mask_folder(options, "PREDICTIONS_FOLDER", cases)
    for path in (workspace.predictions, *(workspace.predictions / f"{case}.npy" for case in cases["case"])):
        storage.require(path, "predict_test_set")
    return workspace.predictions


def _mask_folder(options: Settings, setting: str, cases: pd.DataFrame) -> pathlib.Path:
    folder = pathlib.Path(getattr(options, setting))
    mask_folder.check(folder, cases["case"].tolist(), setting)
    return folder


def _tables(
    workspace: storage.Workspace,
    options: Settings,
    cases: pd.DataFrame,
    predictions: pathlib.Path,
    max_component_px: int,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Returns the metrics of the predictions and, if there are such masks, of the second reader."""
    tolerance_mm = options.SURFACE_DICE_TOLERANCE_MM
    spacings_mm = measuring.pixel_spacings(options.PIXEL_SPACING_MM, cases)
    if tolerance_mm and not spacings_mm:
        raise settings.SettingsError(
            "SURFACE_DICE_TOLERANCE_MM is set in config.py, but the pixel spacing is unknown. Set PIXEL_SPACING_MM."
        )
    if note := measuring.spacing_note(options.PIXEL_SPACING_MM, cases, spacings_mm):
        print(f"Warning: {note}")
    table = measuring.measure(workspace.test_set, predictions, cases, spacings_mm, tolerance_mm)
    if options.SECOND_READER_FOLDER is None:
        return table, None
    # Step 1 removed small components from the reference masks; the second reader's masks get the same treatment.
    folder = _mask_folder(options, "SECOND_READER_FOLDER", cases)
    return table, measuring.measure(workspace.test_set, folder, cases, spacings_mm, tolerance_mm, max_component_px)


def _with_quality(table: pd.DataFrame, predictions: pathlib.Path) -> pd.DataFrame:
    quality = mask_folder.read_quality_table(predictions)
    return table if quality is None else table.merge(quality, on="case", how="left")


def _model_name(provenance: Provenance | None, options: Settings) -> str:
    return provenance.id if provenance else pathlib.Path(options.PREDICTIONS_FOLDER or "unknown").name


def _write(folder: pathlib.Path, result: EvaluationResult, entries: list[dict]) -> None:
    plots = {}
    if len(result.nonempty):
        areas = result.areas
        plots["distributions.png"] = charts.distributions(
            result.nonempty, {name: METRICS[name] for name in result.plotted}
        )
        plots["areas.png"] = charts.areas(areas.true, areas.predicted, areas.unit, areas.agreement)
    if result.reliability:
        plots["predicted_dice.png"] = charts.predicted_and_true_dice(result.nonempty)
    contents = {name: charts.to_png(figure) for name, figure in plots.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    result.table.to_csv(folder / "metrics.csv", index=False)
    for name, text in manuscript.files(result).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(report.page(result, contents, entries), encoding="utf-8")


def _show(images: Iterator[np.ndarray]) -> None:
    try:
        drawing.show(images)
    except RuntimeError as error:
        raise storage.UserError(f"The results are written, but {error}.") from error
