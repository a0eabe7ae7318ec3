"""The summary of an evaluation as files: summary.json for programs; summary.md, .tex and methods.txt for a manuscript."""

import dataclasses
import json
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation import methods, tables


def files(found: tables.EvaluationResult) -> dict[str, str]:
    """The contents of these files, by name."""
    rows, notes = _rows(found), found.notes()
    contents = {"summary.md": _markdown(rows, notes), "summary.tex": _latex(rows, notes)}
    return contents | {"summary.json": _json(found), "methods.txt": methods.paragraph(found) + "\n"}


def _json(found: tables.EvaluationResult) -> str:
    correlation, too_high = tables.predicted_dice_reliability(found.table) or (None, None)
    areas = {name: _number(value) for name, value in dataclasses.asdict(found.area_agreement).items()}
    content = {
        "cases": len(found.table),
        "groups": found.cases["group"].nunique(),
        "empty_reference_masks": found.empty.empty,
        "false_positives": found.empty.false_positives,
        "metrics": _plain(found.summary),
        "second_reader": None if found.second is None else _plain(found.second_summary),
        "areas": areas | {"unit": found.areas()[2]},
        "predicted_dice_correlation": correlation,
        "predicted_dice_excess": too_high,
        "test_set": found.looks,
        "model": (found.provenance or {}).get("id"),
    }
    return json.dumps(content, indent=2) + "\n"


_HEADER = ["Metric", "Mean, SD", "95 % CI of the mean", "Median (quartiles)", "Cases", "Failed"]


def _rows(found: tables.EvaluationResult) -> list[list[str]]:
    second = found.second_summary
    rows = [[*_HEADER, *(["Second reader"] if second is not None else [])]]
    for name, row in found.summary.iterrows():
        texts = _cells(name, row)
        interval = f"{texts['ci_low']} to {texts['ci_high']}" if np.isfinite(row["ci_low"]) else "-"
        quartiles = f"{texts['median']} ({texts['q1']} to {texts['q3']})" if row["cases"] else "-"
        counts = [str(int(row["cases"])), str(int(row["failed"]))]
        cells = [tables.METRICS[name], _mean_sd(texts), interval, quartiles, *counts]
        rows.append(cells if second is None else [*cells, _mean_sd(_cells(name, second.loc[name]))])
    return rows


def _markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """The content of a Markdown file; a note is a paragraph."""
    lines = [f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    return "".join([*lines, *(f"\n{note}\n" for note in notes)])


def _latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    r"""A tabular environment, to be included by \input; a note is a paragraph after it."""
    header, *lines = [_escaped(" & ".join(row)) + r" \\" for row in rows]
    columns = "l" + "c" * (len(rows[0]) - 1)
    start, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    paragraphs = [rf"\par {_escaped(note)}" for note in notes]
    return "\n".join([start, r"\hline", header, r"\hline", *lines, r"\hline", end, *paragraphs, ""])


def _escaped(text: str) -> str:
    # A hyphen before a number is a minus.
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", text).replace("%", r"\%").replace("±", r"$\pm$")


def _cells(name: str, row: pd.Series) -> dict[str, str]:
    digits = tables.digits(name)
    return {column: f"{value:.{digits}f}" if np.isfinite(value) else "-" for column, value in row.items()}


def _mean_sd(texts: dict[str, str]) -> str:
    return texts["mean"] if texts["sd"] == "-" else f"{texts['mean']} ± {texts['sd']}"


def _plain(summary: pd.DataFrame) -> dict:
    # JSON knows no NaN: a metric that failed in all cases has null for its mean.
    rows = summary.astype(object).to_dict("index")
    return {name: {column: _number(value) for column, value in row.items()} for name, row in rows.items()}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
