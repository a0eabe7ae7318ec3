"""Evaluates predicted masks: metrics, tables, plots, report and comparison images."""

import contextlib
import pathlib
from collections.abc import Iterator

import pandas as pd

import settings
import storage
from data import intensities, patients_table
from data.patients_table import PatientsTable
from evaluation import case_table, evaluation_log, manuscript, measuring, pictures, report, sections
from evaluation.result import METRICS, EvaluationResult, with_nonempty_reference
from evaluation.subject import Places, Subject
from masks import charts, drawing, figures
from settings import Settings


def evaluate(subject: Subject, options: Settings, places: Places) -> EvaluationResult:
    """Evaluates the subject's predictions and writes all results, which appear together.

    DatasetError if masks are missing or a model was trained on a case that it predicts. The caller holds the locks.
    """
    subject.check_no_leakage()
    patients = _patients(subject, options)
    measures = _measures(subject, options, patients)
    table, second = _tables(subject, measures)
    selected = _selected(table, subject, options)
    table, history = subject.with_quality(table), subject.history()
    if places.images:
        storage.check_replaceable(places.images)
    with storage.atomic_folder(places.results) as draft:
        # After every check that can fail, and before any result is visible: every published result must count.
        evaluations = None
        if places.log:
            mean_dice = with_nonempty_reference(table)["dice"].mean()
            evaluations = evaluation_log.record_evaluation(places.log, subject.cases, subject.model_name, mean_dice)
        if places.images:
            with storage.atomic_folder(places.images) as images_draft:
                pictures.save(images_draft, subject, table, selected, options.DRAW_HAUSDORFF_LINE)
        result = EvaluationResult(
            table=table,
            subject=subject,
            second=second,
            evaluations=evaluations,
            tolerance_mm=options.SURFACE_DICE_TOLERANCE_MM,
            seed=options.SEED,
            quantities=sorted(measures.quantities, key=lambda quantity: quantity.name != options.PRIMARY_QUANTITY),
            intra_reader=options.SECOND_READER_IS_SAME_PERSON,
        )
        _write(draft, result, history)
        shown = pictures.choose_figure(table, options.IMAGES_TO_DRAW)
        pictures.save_figure(draft, subject, table, shown, measures.spacings_mm)
    return result


@contextlib.contextmanager
def locked(predictions: pathlib.Path, places: Places) -> Iterator[None]:
    """Keeps other programs from replacing the predictions and from writing at the same places. InUse if one does."""
    with contextlib.ExitStack() as stack:
        for folder in filter(None, (places.results, places.images)):
            stack.enter_context(storage.locked(folder))
        stack.enter_context(storage.locked(predictions, shared=True))
        yield


def show_comparisons(result: EvaluationResult, options: Settings) -> None:
    """Shows the comparison images on the screen, one by one. UserError without a screen."""
    selected = _selected(result.table, result.subject, options)
    plotted = pictures.comparisons(result.subject, result.table, selected, options.DRAW_HAUSDORFF_LINE)
    try:
        drawing.show(picture for _, picture in plotted)
    except RuntimeError as error:
        raise storage.UserError(f"The results are written, but {error}.") from error


def _selected(table: pd.DataFrame, subject: Subject, options: Settings) -> list[str]:
    counts = options.IMAGES_TO_DRAW
    if subject.external or subject.folds:  # The names may be those of test cases.
        counts = counts | {"cases": sorted(set(counts.get("cases", [])) & set(table["case"]))}
    return pictures.choose_cases(table, counts, options.SEED)


def _patients(subject: Subject, options: Settings) -> PatientsTable | None:
    """Returns the table of patients; None if there is none, or if it has no case of an external test set."""
    if options.PATIENTS_TABLE is None:
        return None
    table = patients_table.read(pathlib.Path(options.PATIENTS_TABLE))
    if subject.external and len(table.missing(subject.cases)) == subject.cases[table.key].nunique():
        print(f"Warning: {table.file} has no {table.key} of the {subject.name}: no subgroups and no SMI are given.")
        return None
    return table


def _measures(subject: Subject, options: Settings, patients: PatientsTable | None) -> measuring.Measures:
    tolerance_mm, cases = options.SURFACE_DICE_TOLERANCE_MM, subject.cases
    spacings_mm = measuring.pixel_spacings(options.PIXEL_SPACING_MM, cases)
    if tolerance_mm and not spacings_mm:
        raise settings.SettingsError(
            "SURFACE_DICE_TOLERANCE_MM is set in config.py, but the pixel spacing is unknown. Set PIXEL_SPACING_MM."
        )
    if note := measuring.spacing_note(options.PIXEL_SPACING_MM, cases, spacings_mm):
        print(f"Warning: {note}")
    heights_m = patients.heights(cases) if patients else {}
    in_hu = intensities.are_in_hu(cases)
    measures = measuring.Measures(spacings_mm, tolerance_mm, options.VALUE_WINDOWS, in_hu, heights_m)
    if options.PRIMARY_QUANTITY not in [quantity.name for quantity in measures.quantities]:
        needed = "the pixel spacing (PIXEL_SPACING_MM) and a PATIENTS_TABLE with the column height_m"
        raise settings.SettingsError(f'PRIMARY_QUANTITY = "{options.PRIMARY_QUANTITY}" in config.py needs {needed}.')
    return measures


def _tables(subject: Subject, measures: measuring.Measures) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Returns the metrics of the predictions and, if there are such masks, of the second reader."""
    masks, second_masks = subject.masks, subject.second_masks
    for each in filter(None, (masks, second_masks)):
        if each.note:
            print(each.note)
    table = measuring.measure(subject, masks, measures)
    if second_masks is None:
        return table, None
    # Step 1 removed small components from the reference masks; the second reader's masks get the same treatment.
    max_component_px = subject.dataset.mask_speck_px
    return table, measuring.measure(subject, second_masks, measures, max_component_px)


def _write(folder: pathlib.Path, result: EvaluationResult, history: bytes | None) -> None:
    plots: dict[str, figures.Figure] = {}
    if len(result.nonempty):
        plots["distributions"] = charts.distributions(result.nonempty, {name: METRICS[name] for name in result.plotted})
        plots |= {
            sections.plot_name(each): charts.agreement(each.true, each.predicted, each.quantity, each.agreement)
            for each in result.measured
            if each.is_varied
        }
    if result.reliability:
        plots["predicted_dice"] = charts.predicted_and_true_dice(result.nonempty)
    contents = figures.files(plots)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    result.table.to_csv(folder / "metrics.csv", index=False)
    for name, text in manuscript.files(result).items():
        (folder / name).write_text(text, encoding="utf-8")
    shown = {name: content for name, content in contents.items() if name.endswith(".png")}
    more = sections.sections(result, shown)
    page = report.page(result, shown, case_table.pictures(result), history, more)
    (folder / "report.html").write_text(page, encoding="utf-8")
