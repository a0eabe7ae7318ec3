"""The interactive part of the report: a table of all cases, pictures of the worst. See case_table.html, .css, .js."""

import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

import html_page
import progress
from evaluation import predicted_dice_texts, texts
from evaluation.result import EvaluationResult, with_nonempty_reference
from masks import drawing

# The worst cases have a picture on the page, as many as fit: with it the page stays below 10 MB.
MAX_PICTURES, MAX_BYTES = 300, 9_000_000

_MARKUP, _STYLE, _SCRIPT = (pathlib.Path(__file__).with_name(f"case_table.{kind}") for kind in ("html", "css", "js"))
# The image and the masks of a case, as data URIs.
Picture = tuple[str, str]
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
    "predicted_dice_low": "Predicted Dice, low",
    "predicted_dice_high": "Predicted Dice, high",
    "ood_reasons": "Out-of-distribution",
}
_UNITS = {"px": "px", "mm": "mm", "cm2": "cm²", "percent": "%", "hu": "HU"}
_PLACES = {"": 3, "cm²": 2}


def pictures(result: EvaluationResult) -> dict[str, Picture]:
    """Returns the pictures of cases: those of `examples`, and the worst by Dice.

    At most MAX_PICTURES, and only as many as MAX_BYTES hold.
    """
    subject, table = result.subject, result.table
    names = list(dict.fromkeys([*examples(table).values(), *_worst_first(table)["case"]]))[:MAX_PICTURES]
    found: dict[str, Picture] = {}
    available = MAX_BYTES
    for case in progress.Bar(names, desc="Report", unit=" cases"):
        picture = _picture(*subject.read(case), MAX_BYTES // len(names))
        available -= sum(map(len, picture))
        if available < 0:
            break
        found[case] = picture
    return found


def examples(table: pd.DataFrame) -> dict[str, str]:
    """Returns the worst, the median and the best case by Dice with a non-empty reference mask, without repetition."""
    names = _worst_first(with_nonempty_reference(table))["case"].tolist()
    if len(names) < 3:
        return dict(zip(("Worst", "Best"), names, strict=False))
    return {"Worst": names[0], "Median": names[(len(names) - 1) // 2], "Best": names[-1]}


def style() -> str:
    """Returns the CSS of `section`."""
    return _STYLE.read_text(encoding="utf-8")


def section(result: EvaluationResult, shown: dict[str, Picture]) -> html_page.Section:
    """Returns the section of the page. `shown`: the result of `pictures`."""
    # Without "<", no text in the data can end the script element.
    data = json.dumps(_data(result, shown), separators=(",", ":")).replace("<", "\\u003c")
    scripts = f"<script>\n{_SCRIPT.read_text(encoding='utf-8')}</script>"
    body = f'{_MARKUP.read_text(encoding="utf-8")}<script type="application/json" id="data">{data}</script>\n{scripts}'
    return html_page.Section("cases", "Cases", body)


def _picture(image: np.ndarray, true_mask: np.ndarray, mask: np.ndarray, max_characters: int) -> Picture:
    masks = html_page.data_uri(drawing.mask_pair_to_png(true_mask, mask))
    max_bytes = (max_characters - len(masks)) * 3 // 4 - 30  # In base64, 4 characters are 3 bytes; and the prefix.
    return html_page.data_uri(drawing.to_jpeg(drawing.grey(image), max_bytes)), masks


def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["dice", "case"])


def _data(result: EvaluationResult, shown: dict[str, Picture]) -> dict[str, Any]:
    table = _worst_first(result.table)
    names = list(table)
    if table["group"].equals(table["case"]):  # Without groups the column repeats the first one.
        names.remove("group")
    columns = [_column(name, table) for name in [names[0], "mark", *names[1:]]]
    for column in columns:
        if column["name"] == "predicted_dice":
            column["label"] = predicted_dice_texts.label(result)
    cases = table["case"].tolist()
    return {
        "columns": columns,
        "captions": [_caption(row) for row in table.to_dict("records")],
        "pictures": [shown.get(case) for case in cases],
        "examples": [(title, cases.index(case)) for title, case in examples(table).items()],
        "title": hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:12],  # Other cases have other marks.
    }


def _caption(row: dict[Any, Any]) -> str:
    return f"Dice {texts.metric('dice', row['dice'])}, Hausdorff {texts.hausdorff(row)}"


def _column(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Returns a column: its values, label, decimal places, and whether it is always shown ("main")."""
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
    places = 0 if integers else _PLACES.get(unit, 1)
    values = [_json_value(value) for value in table[name]] if name in table else []
    return {"name": name, "label": label, "places": places, "main": main, "values": values}


def _json_value(value: Any) -> object:
    if isinstance(value, float):
        return "infinite" if np.isinf(value) else None if np.isnan(value) else round(value, 4)
    return value.item() if isinstance(value, np.generic) else value
