"""The report: one self-contained HTML page that works offline."""

import html
import inspect
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

import html_page
from evaluation import case_table, methods, predicted_dice_texts, texts
from evaluation.result import METRICS, EvaluationResult
from html_page import Section
from masks import agreement, metrics

_PLOTS = {
    "distributions.png": "Distribution of each metric: violin plot, box plot and one point per case",
    "predicted_dice.png": "True Dice of each case against the Dice predicted without the reference mask",
}


def page(
    result: EvaluationResult,
    plots: Mapping[str, bytes],
    pictures: dict[str, case_table.Picture],
    history: bytes | None = None,
    more: Sequence[Section] = (),
) -> str:
    """Returns the page.

    `plots`: PNG files by name. `pictures`: the result of `case_table.pictures`. `history`: the plot of the model's
    training, a PNG file. `more`: further sections, which follow the summary.
    """
    sections = [
        Section("result", "Result", _result(result)),
        case_table.section(result, pictures),
        Section("summary", "Summary", _summary(result)),
        *more,
        Section(
            "plots",
            "Plots",
            "".join(html_page.plot(plots[name], text) for name, text in _PLOTS.items() if name in plots),
        ),
        Section("training", "Training", _training(history)),
        Section("manuscript", "For the manuscript", f"<p>{html.escape(methods.paragraph(result))}</p>"),
        Section("definitions", "Definitions of the metrics", _definitions(result)),
    ]
    title = f"Segmentation of {texts.counted(len(result.table), result.subject.case_noun)}"
    opening = f'<p class="lead">{html.escape(texts.opening(result))}</p>'
    return html_page.page(title, opening, sections, case_table.style())


def _result(result: EvaluationResult) -> str:
    shown = ("dice", "surface_dice", "hausdorff95_px", "hausdorff95_mm", "assd_px", "assd_mm")
    boxes = [_box(result, name) for name in result.plotted if name in shown]
    boxes += [_empty_box(result.empty)] if result.empty.empty else []
    strip = ""
    if len(result.nonempty):
        strip = '<h3>Worst, median and best case by Dice</h3><div id="examples"></div>'
    return f'<div class="boxes">{"".join(boxes)}</div><p>{html.escape(texts.times_evaluated(result))}</p>{strip}'


def _box(result: EvaluationResult, name: str) -> str:
    row = result.summary.loc[name]
    interval = f"95 % CI {texts.interval(name, row)}"
    if not np.isfinite(row["ci_low"]):
        interval = f"no 95 % CI: fewer than {agreement.MIN_GROUPS} {result.sampling_unit}s"
    failed = f", <b>{row['failed']:.0f} failed</b>" if row["failed"] else ""
    second = ""
    if result.second_summary is not None:
        second = f"<small>{texts.reader(result)}: {texts.metric(name, result.second_summary.loc[name, 'mean'])}</small>"
    return (
        f"<div><span>{METRICS[name]}, mean</span><strong>{texts.metric(name, row['mean'])}</strong>"
        f"<small>{interval}{failed}</small>{second}</div>"
    )


def _empty_box(masks: agreement.EmptyReferences) -> str:
    excluded = (
        f"<small>excluded from means; <b>{masks.false_positives} of {masks.empty} predicted non-empty</b></small>"
    )
    return f"<div><span>Empty reference masks</span><strong>{masks.empty} of {masks.cases}</strong>{excluded}</div>"


def _summary(result: EvaluationResult) -> str:
    header, *rows = texts.summary_rows(result, result.preferred)
    infinite = (
        "A distance is infinite if exactly one of the two masks is empty. Such cases count as failed and are excluded "
        "from the mean. CI: confidence interval; SD: standard deviation; ICC: intraclass correlation coefficient; "
        "CCC: concordance correlation coefficient."
    )
    sentences = [*texts.notes(result), infinite]
    paragraphs = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)
    return html_page.table(header, rows) + paragraphs + _second_reader(result) + _predicted_dice(result)


def _second_reader(result: EvaluationResult) -> str:
    if result.second_summary is None:
        return ""
    return f"<h3>{texts.reader(result).capitalize()}</h3><p>{html.escape(texts.second_reader(result))}</p>"


def _predicted_dice(result: EvaluationResult) -> str:
    if result.reliability is None:
        return ""
    return (
        "<h3>How reliable is the predicted Dice?</h3>"
        "<p>The predicted Dice of a mask is computed without its reference mask, from the agreement of the "
        "predictions for the image and its mirror image, or of the models of the folds. "
        f"{html.escape(predicted_dice_texts.sentences(result))} "
        "If the correlation is high, check the new masks with the lowest predicted Dice first.</p>"
    )


def _training(history: bytes | None) -> str:
    caption = "Training of this model: loss, Dice coefficient on the train set and learning rate over the epochs"
    return html_page.plot(history, caption) if history else ""


def _definitions(result: EvaluationResult) -> str:
    """Returns the definitions with their sources, which are the docstrings of the metrics, and `_empty_masks`."""
    names = [name for name in result.names if not name.endswith("_mm")]
    definitions = {
        METRICS[name].removesuffix(" (px)"): " ".join((inspect.getdoc(getattr(metrics.Comparison, name)) or "").split())
        for name in names
    }
    listed = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in definitions.items())
    return f"<dl>{listed}</dl><h3>Values for empty masks</h3>{_empty_masks(result)}"


def _empty_masks(result: EvaluationResult) -> str:
    """Returns a table with the computed value of each metric for pairs with an empty mask."""
    empty, filled = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    pairs = {"both empty": (empty, empty), "reference mask empty": (empty, filled), "prediction empty": (filled, empty)}
    values = pd.DataFrame({title: metrics.compare(*pair, spacing_mm=(1.0, 1.0)) for title, pair in pairs.items()}).loc[
        result.plotted
    ]
    rows = [[METRICS[name], *map(_exact, row)] for name, row in zip(values.index, values.to_numpy(), strict=True)]
    return html_page.table(["Metric", *pairs], rows)


def _exact(value: float) -> str:
    return f"{value:g}".replace("inf", "infinite").replace("-", "−")
