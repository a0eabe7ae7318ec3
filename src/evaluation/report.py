"""The report: one HTML page that holds everything and asks no network for anything. Its looks and its behaviour stand in report.html."""

import base64
import datetime
import hashlib
import html
import inspect
import json
import pathlib

import numpy as np
import pandas as pd
import tqdm

from data import mask_folder, preloaded_dataset
from evaluation import methods, tables
from masks import agreement, drawing, metrics

# Of so many of the worst cases the picture is on the page: each takes some 50 kB.
PICTURES = 300

_TEMPLATE = pathlib.Path(__file__).with_name("report.html")
_PLOTS = {
    "distributions.png": "Each metric's values: violin, box and every case",
    "areas.png": "Predicted against true areas, and their differences with the limits of agreement",
    "predicted_dice.png": "The true Dice of each case against the one that was predicted without its true mask",
}


def viewed(test_set: pathlib.Path, predictions: pathlib.Path, table: pd.DataFrame) -> list[dict]:
    """For each case of a table like metrics.csv, the worst Dice first: its row, and of the worst ones the image and both masks, to be drawn."""
    entries = []
    rows = table.sort_values(["dice", "case"]).to_dict("records")
    for rank, row in enumerate(tqdm.tqdm(rows, desc="Report", unit=" cases", disable=None)):
        entry = {"row": {name: _shown(value) for name, value in row.items()}}
        if rank < PICTURES:
            image, true_mask = (preloaded_dataset.read(test_set / kind, row["case"]) for kind in ("images", "masks"))
            mask = mask_folder.read(predictions, row["case"], true_mask.shape)
            entry["image"] = _uri("jpeg", drawing.to_jpeg(drawing.grey(image)))
            # Red holds the true mask, green the predicted one.
            both = np.stack([true_mask * 255, mask * 255, np.zeros_like(mask)], axis=2).astype(np.uint8)
            entry["masks"] = _uri("png", drawing.to_png(both))
        entries.append(entry)
    return entries


def page(found: tables.EvaluationResult, pictures: dict[str, bytes], entries: list[dict]) -> str:
    """The whole page, from what was found, the plots as PNG files by name, and what `viewed` gives."""
    plots = "".join(
        f'<figure><img src="{_uri("png", content)}" alt="{_PLOTS[name]}"><figcaption>{_PLOTS[name]}</figcaption></figure>'
        for name, content in pictures.items()
    )
    values = {
        "cases": str(len(found.table)),
        "headline": _headline(found),
        "summary": _summary_table(found.summary),
        "second": ""
        if found.second is None
        else f"<h3>A second reader's masks of the same cases</h3><p>{html.escape(found.second_text())}</p>{_summary_table(found.second_summary)}",
        "notes": "".join(f"<p>{html.escape(note)}</p>" for note in found.notes()),
        "areas": html.escape(found.area_text()) if len(found.measured) else "",
        "looks": html.escape(found.times_evaluated_text()),
        "predicted_dice_reliability": _foresight(found),
        "plots": plots,
        "methods": html.escape(methods.paragraph(found)),
        "definitions": _definitions(found),
        "empty": _empty_masks(found),
        "made": html.escape(_made(found)),
        # No tag within the data is to end the script.
        "data": json.dumps({"entries": entries, "title": _fingerprint(entries)}).replace("<", "\\u003c"),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"<!--{name}-->", value)
    return text


def _headline(found: tables.EvaluationResult) -> str:
    boxes = []
    for name in [
        name for name in found.drawn if name in ("dice", "surface_dice") or name.startswith(("hausdorff95", "assd"))
    ]:
        row = found.summary.loc[name]
        digits = tables.digits(name)
        interval = "no 95 % CI: too few cases or groups"
        if np.isfinite(row["ci_low"]):
            interval = f"95 % CI {row['ci_low']:.{digits}f} to {row['ci_high']:.{digits}f}"
        failed = f", <b>{int(row['failed'])} failed</b>" if row["failed"] else ""
        second = (
            ""
            if found.second is None
            else f"<small>second reader: {_number(found.second_summary.loc[name, 'mean'], digits)}</small>"
        )
        boxes.append(
            f"<div><span>{tables.METRICS[name]}</span><strong>{_number(row['mean'], digits)}</strong><small>{interval}{failed}</small>{second}</div>"
        )
    return "".join([*boxes, *([_empty_box(found.empty)] if found.empty.empty else [])])


def _empty_box(masks: agreement.EmptyReferences) -> str:
    excluded = f"<small>not averaged in; <b>{masks.false_positives} of {masks.empty} predicted non-empty</b></small>"
    return f"<div><span>Empty reference masks</span><strong>{masks.empty} of {masks.cases}</strong>{excluded}</div>"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _summary_table(summary: pd.DataFrame) -> str:
    named = summary.rename(
        index=tables.METRICS,
        columns={"ci_low": "95 % CI from", "ci_high": "to", "q1": "1st quartile", "q3": "3rd quartile", "sd": "SD"},
    )
    return f'<div class="scroll">{named.to_html(float_format="{:.3f}".format, border=0, na_rep="")}</div>'


def _definitions(found: tables.EvaluationResult) -> str:
    """What stands in the metrics' docstrings: one definition each, with its source."""
    names = [name for name in found.names if not name.endswith("_mm")]
    told = {
        tables.METRICS[name].removesuffix(" (px)"): " ".join(inspect.getdoc(getattr(metrics.Comparison, name)).split())
        for name in names
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{html.escape(text)}</dd>' for name, text in told.items())}</dl>"


def _empty_masks(found: tables.EvaluationResult) -> str:
    """The value of each metric there, computed."""
    empty, filled = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    pairs = {"both are": (empty, empty), "the true one is": (empty, filled), "the prediction is": (filled, empty)}
    values = pd.DataFrame(
        {
            title: {name: metrics.compare(*pair, spacing_mm=1)[name] for name in found.names}
            for title, pair in pairs.items()
        }
    )
    table = values.rename(index=tables.METRICS).to_html(
        float_format=lambda value: f"{value:g}".replace("inf", "infinite"), border=0
    )
    return f'<div class="scroll">{table}</div>'


def _foresight(found: tables.EvaluationResult) -> str:
    figures = tables.predicted_dice_reliability(found.table)
    if not figures:
        return ""
    cases = tables.measured(found.table)["predicted_dice"].count()
    return (
        "<h3>How reliable is the predicted Dice?</h3><p>Each mask's Dice was predicted without its true mask, from how "
        "far the model's masks of the image and of its mirror image, or those of the folds' models, agree. "
        f"Spearman's rank correlation with the true Dice: {figures[0]:.2f}, over {cases} cases; "
        f"{tables.describe_bias(figures[1])} If the correlation is high, check the new masks with the lowest predicted Dice "
        "first.</p>"
    )


def _made(found: tables.EvaluationResult) -> str:
    model = f", model {found.provenance['id']}" if found.provenance else ""
    return f"Evaluated on {datetime.date.today():%Y-%m-%d}{model}."


def _fingerprint(entries: list[dict]) -> str:
    """By which the browser keeps the marks of these cases with these predictions apart from others."""
    return hashlib.sha256(json.dumps([entry["row"] for entry in entries]).encode()).hexdigest()[:12]


def _shown(value: object) -> object:
    if isinstance(value, float):
        return "infinite" if np.isinf(value) else None if np.isnan(value) else round(value, 4)
    return value


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
