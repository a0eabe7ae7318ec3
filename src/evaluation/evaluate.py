"""Evaluates predicted masks: metrics, tables, plots, report and comparison images."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import pandas as pd

import storage
from evaluation import case_table, evaluation_log, manuscript, pictures, report, sections
from evaluation.computing import compute_result
from evaluation.evaluation_log import Evaluations
from evaluation.result import METRICS, EvaluationResult
from evaluation.subject import Places, Subject
from masks import charts, drawing, figures
from settings import Settings


def evaluate(subject: Subject, options: Settings, places: Places) -> EvaluationResult:
    """Evaluates the subject's predictions and writes all results, which appear together.

    DatasetError if masks are missing or a model was trained on a case that it predicts. The caller holds the locks.
    """
    subject.check_no_leakage()
    result = compute_result(subject, options)
    selected, history = _selected(result.table, subject, options), subject.history()
    if places.images:
        storage.check_replaceable(places.images)
    with storage.atomic_folder(places.results) as draft:
        # After every check that can fail, and before any result is visible: every published result must count.
        if places.log:
            result = dataclasses.replace(result, evaluations=_record(places.log, result))
        if places.images:
            with storage.atomic_folder(places.images) as images_draft:
                pictures.save(images_draft, subject, result.table, selected, options.DRAW_HAUSDORFF_LINE)
        _write(draft, result, history)
        shown = pictures.choose_figure(result.table, options.IMAGES_TO_DRAW)
        pictures.save_figure(draft, result, shown)
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


def _record(log: pathlib.Path, result: EvaluationResult) -> Evaluations:
    subject = result.subject
    mean_dice = result.nonempty["dice"].mean()
    evaluations = evaluation_log.record_evaluation(log, subject.cases, subject.model_name, mean_dice)
    if result.comparison:  # Its result is published, too.
        mean_dice = result.comparison.other["dice"].mean()
        evaluation_log.record_evaluation(log, subject.cases, subject.compared_name, mean_dice)
    return evaluations


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
    plots |= sections.subgroup_plots(result)
    contents = figures.files(plots)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    result.table.to_csv(folder / "metrics.csv", index=False)
    for name, text in manuscript.files(result).items():
        (folder / name).write_text(text, encoding="utf-8")
    shown = {name: content for name, content in contents.items() if name.endswith(".png")}
    if result.comparison:
        result.comparison.table.to_csv(folder / "comparison.csv", index=False)
    more = sections.sections(result, shown | pictures.save_differences(folder, result))
    page = report.page(result, shown, case_table.pictures(result), history, more)
    (folder / "report.html").write_text(page, encoding="utf-8")
