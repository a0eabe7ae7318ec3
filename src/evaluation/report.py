"""The report: one self-contained HTML page that works offline. Its layout and its scripts are in report.html."""

import base64
import datetime
import hashlib
import html
import inspect
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

import progress
from data import preloaded_dataset
from evaluation import methods, texts
from evaluation.measuring import read_masks
from evaluation.result import METRICS, EvaluationResult
from evaluation.subject import Subject
from masks import agreement, drawing, metrics

# Only the worst cases have a picture on the page, because each picture takes about 50 kB.
MAX_PICTURES = 300

_TEMPLATE = pathlib.Path(__file__).with_name("report.html")
# Columns of the case table: those always shown, labels, units of names with such an ending, decimal places by unit.
_MAIN = {
    *("case", "mark", "dice", "surface_dice", "hausdorff", "hausdorff95", "assd", "true", "predicted"),
    *("area_difference", "predicted_dice", "ood_reasons"),
}
_LABELS = {
    "hausdorff95": "95 % Hausdorff",
    "assd": "ASSD",
    "true": "True area",
    "predicted": "Predicted area",
    "surface_dice": "Surface Dice",
    "predicted_dice": "Predicted Dice",
    "ood_reasons": "Out-of-distribution",
}
_UNITS = {"px": "px", "mm": "mm", "cm2": "cm²", "percent": "%"}
_PLACES = {"": 3, "cm²": 2}
_PLOTS = {
    "distributions.png": "Distribution of each metric: violin plot, box plot and one point per case",
    "areas.png": "Predicted against true areas, and Bland-Altman plot with the limits of agreement",
    "predicted_dice.png": "True Dice of each case against the Dice predicted without the reference mask",
}


def case_entries(subject: Subject, table: pd.DataFrame) -> list[dict]:
    """Returns an entry per case of a table like metrics.csv, the worst Dice first, for `page`.

    Each has the "row" of the table and a "caption". The first MAX_PICTURES also have "image" and "masks" as data URIs.
    """
    entries = []
    rows = table.sort_values(["dice", "case"]).to_dict("records")
    for rank, row in enumerate(progress.Bar(rows, desc="Report", unit=" cases")):
        entry: dict[str, Any] = {"row": {name: _json_value(value) for name, value in row.items()}}
        entry["caption"] = f"Dice {texts.metric('dice', row['dice'])}, Hausdorff {texts.hausdorff(row)}"
        if rank < MAX_PICTURES:
            image = preloaded_dataset.read(subject.folder / "images", row["case"])
            true_mask, mask = read_masks(subject.folder, subject.masks, row["case"])
            entry["image"] = _uri("jpeg", drawing.to_jpeg(drawing.grey(image)))
            # The red channel is the true mask, the green channel the predicted one.
            both = np.stack([true_mask * 255, mask * 255, np.zeros_like(mask)], axis=2).astype(np.uint8)
            entry["masks"] = _uri("png", drawing.to_png(both))
        entries.append(entry)
    return entries


def page(result: EvaluationResult, pictures: dict[str, bytes], entries: list[dict]) -> str:
    """Returns the page with the result, the plots (PNG files by name) and the entries of `case_entries`."""
    values = {
        "cases": texts.counted(len(result.table), result.subject.case_noun),
        "headline": _headline(result),
        "summary": _summary_table(texts.summary_rows(result, result.preferred)),
        "second": _second_reader(result),
        "notes": "".join(f"<p>{html.escape(note)}</p>" for note in texts.notes(result)),
        "areas": html.escape(texts.area_agreement(result)),
        "times_evaluated": html.escape(texts.times_evaluated(result)),
        "predicted_dice_reliability": _predicted_dice(result),
        "plots": "".join(_plot(name, content) for name, content in pictures.items()),
        "methods": html.escape(methods.paragraph(result)),
        "definitions": _definitions(result),
        "empty": _empty_masks(result),
        "date": html.escape(_date_and_model(result)),
        # Without "<", no text in the data can end the script element.
        "data": json.dumps(_data(result, entries)).replace("<", "\\u003c"),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _plot(name: str, content: bytes) -> str:
    width = int.from_bytes(content[16:20], "big") // 2  # From the PNG's header; two pixels of the plot per pixel.
    image = f'<img src="{_uri("png", content)}" alt="{_PLOTS[name]}" width="{width}">'
    return f"<figure>{image}<figcaption>{_PLOTS[name]}</figcaption></figure>"


def _data(result: EvaluationResult, entries: list[dict]) -> dict[str, Any]:
    names = list(result.table)
    if result.table["group"].equals(result.table["case"]):  # Without groups the column repeats the first one.
        names.remove("group")
    columns = [_column(name, result.table) for name in [names[0], "mark", *names[1:]]]
    return {"entries": entries, "columns": columns, "title": _fingerprint(entries)}


def _column(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Returns how the case table shows a column: label, decimal places, and whether it is always shown ("main")."""
    stem, _, suffix = name.rpartition("_")
    stem, unit = (stem, _UNITS[suffix]) if suffix in _UNITS else (name, "")
    label = _LABELS.get(stem, stem.replace("_", " ").capitalize()) + (f" ({unit})" if unit else "")
    in_length_units = f"{stem}_mm" in table or f"{stem}_cm2" in table
    main = (
        stem in _MAIN
        and not (unit == "px" and in_length_units)
        and name not in ("area_difference_px", "area_difference_cm2")
    )
    integers = name in table and pd.api.types.is_integer_dtype(table[name])
    return {"name": name, "label": label, "places": 0 if integers else _PLACES.get(unit, 1), "main": main}


def _headline(result: EvaluationResult) -> str:
    shown = ("dice", "surface_dice", "hausdorff95_px", "hausdorff95_mm", "assd_px", "assd_mm")
    boxes = [_box(result, name) for name in result.plotted if name in shown]
    return "".join([*boxes, *([_empty_box(result.empty)] if result.empty.empty else [])])


def _box(result: EvaluationResult, name: str) -> str:
    row = result.summary.loc[name]
    interval = f"95 % CI {texts.interval(name, row)}"
    if not np.isfinite(row["ci_low"]):
        interval = f"no 95 % CI: fewer than {agreement.MIN_GROUPS} {result.sampling_unit}s"
    failed = f", <b>{row['failed']:.0f} failed</b>" if row["failed"] else ""
    second = ""
    if result.second_summary is not None:
        second = f"<small>second reader: {texts.metric(name, result.second_summary.loc[name, 'mean'])}</small>"
    return (
        f"<div><span>{METRICS[name]}</span><strong>{texts.metric(name, row['mean'])}</strong>"
        f"<small>{interval}{failed}</small>{second}</div>"
    )


def _empty_box(masks: agreement.EmptyReferences) -> str:
    excluded = (
        f"<small>excluded from means; <b>{masks.false_positives} of {masks.empty} predicted non-empty</b></small>"
    )
    return f"<div><span>Empty reference masks</span><strong>{masks.empty} of {masks.cases}</strong>{excluded}</div>"


def _summary_table(rows: list[list[str]]) -> str:
    header, *lines = rows
    head = "".join(f"<th>{text}</th>" for text in header)
    body = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in line)}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _second_reader(result: EvaluationResult) -> str:
    if result.second_summary is None:
        return ""
    return f"<h3>Second reader</h3><p>{html.escape(texts.second_reader(result))}</p>"


def _definitions(result: EvaluationResult) -> str:
    """Returns the definitions with their sources, which are the docstrings of the metrics."""
    names = [name for name in result.names if not name.endswith("_mm")]
    definitions = {
        METRICS[name].removesuffix(" (px)"): " ".join((inspect.getdoc(getattr(metrics.Comparison, name)) or "").split())
        for name in names
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{html.escape(text)}</dd>' for name, text in definitions.items())}</dl>"


def _empty_masks(result: EvaluationResult) -> str:
    """Returns a table with the computed value of each metric for pairs with an empty mask."""
    empty, filled = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    pairs = {"both empty": (empty, empty), "reference mask empty": (empty, filled), "prediction empty": (filled, empty)}
    values = pd.DataFrame(
        {
            title: {name: metrics.compare(*pair, spacing_mm=(1.0, 1.0))[name] for name in result.plotted}
            for title, pair in pairs.items()
        }
    )
    table = values.rename(index=METRICS).to_html(
        float_format=lambda value: f"{value:g}".replace("inf", "infinite").replace("-", "−"), border=0
    )
    return f'<div class="scroll">{table}</div>'


def _predicted_dice(result: EvaluationResult) -> str:
    if result.reliability is None:
        return ""
    return (
        "<h3>How reliable is the predicted Dice?</h3>"
        "<p>The predicted Dice of a mask is computed without its reference mask: it is the agreement of the "
        "predictions for the image and its mirror image, or of the models of the folds. "
        f"{html.escape(texts.predicted_dice(result.reliability))} "
        "If the correlation is high, check the new masks with the lowest predicted Dice first.</p>"
    )


def _date_and_model(result: EvaluationResult) -> str:
    model = f", model {result.subject.provenance.id}" if result.subject.provenance else ""
    return f"Evaluated on {datetime.date.today():%Y-%m-%d}{model}."


def _fingerprint(entries: list[dict]) -> str:
    """Returns the key under which the browser stores the marks: it differs for other cases or predictions."""
    return hashlib.sha256(json.dumps([entry["row"] for entry in entries]).encode()).hexdigest()[:12]


def _json_value(value: object) -> object:
    if isinstance(value, float):
        return "infinite" if np.isinf(value) else None if np.isnan(value) else round(value, 4)
    return value


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
