"""The texts of an evaluation: summary.json for programs; a table, a Methods paragraph and more for a manuscript."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

import model_card
from evaluation import checklist, methods, texts
from evaluation.measured import Measured
from evaluation.result import EvaluationResult
from masks import agreement
from provenance import Provenance


def files(result: EvaluationResult) -> dict[str, str]:
    """Returns the contents of these files by name."""
    rows, notes = _rows(result), texts.notes(result)
    contents = {"summary.md": markdown(rows, notes), "summary.tex": _latex(rows, notes)}
    contents |= {"summary.json": _json(result), "methods.txt": methods.paragraph(result) + "\n"}
    contents["checklist.md"] = checklist.text(result)
    provenance = result.subject.provenance
    if provenance is None or result.subject.folds:  # There is no model for readers.
        return contents
    return contents | {"model_card.md": _model_card(result, provenance, contents["summary.md"])}


def _model_card(result: EvaluationResult, provenance: Provenance, table: str) -> str:
    images, groups = texts.counted(len(result.table), "image"), texts.counted(result.table["group"].nunique(), "group")
    per_model = " per model" * (provenance.models > 1)
    data = [f"{texts.counted(provenance.training.images, 'image')}{per_model}."]
    data += ["`README.md` in the model's folder says more about them."] * (provenance.models == 1)
    evaluated = f"Masks of the {result.subject.name}: {images} of {groups}. None of them was used for training."
    sentences = [texts.predicted_dice(result.reliability), texts.times_evaluated(result)]
    return model_card.text(provenance, data, "\n\n".join(filter(None, [evaluated, table.strip(), *sentences])))


def _json(result: EvaluationResult) -> str:
    reliability = result.reliability
    measured = {each.quantity.name: _json_agreement(each) for each in result.measured}
    content = {
        "evaluated": result.subject.name,
        "cases": len(result.table),
        "groups": result.table["group"].nunique(),
        "empty_reference_masks": result.empty.empty,
        "false_positives": result.empty.false_positives,
        "metrics": _json_rows(result.summary),
        "second_reader": None if result.second_summary is None else _json_rows(result.second_summary),
        "areas": measured["area"],
        "quantities": measured,
        "second_reader_quantities": {each.quantity.name: _json_agreement(each) for each in result.second_measured},
        "predicted_dice_correlation": reliability.correlation if reliability else None,
        "predicted_dice_bias": reliability.bias if reliability else None,
        "test_set": dataclasses.asdict(result.evaluations) if result.evaluations else None,
        "model": result.subject.provenance.id if result.subject.provenance else None,
    }
    return json.dumps(content, indent=2) + "\n"


def _rows(result: EvaluationResult) -> list[list[str]]:
    """Returns the summary table without the column "Range", which would make it too wide for a page."""
    rows = texts.summary_rows(result, result.summary.index.tolist())
    column = rows[0].index("Range")
    return [[*row[:column], *row[column + 1 :]] for row in rows]


def markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Returns a Markdown table; each note is a paragraph below it."""
    lines = [f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    return "".join([*lines, *(f"\n{note}\n" for note in notes)])


def _latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    r"""Returns a tabular environment to include with \input; each note is a paragraph below it."""
    header, *lines = [_escaped(" & ".join(row)) + r" \\" for row in rows]
    columns = "l" + "c" * (len(rows[0]) - 1)
    start, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    paragraphs = [rf"\par {_escaped(note)}" for note in notes]
    return "\n".join([start, r"\hline", header, r"\hline", *lines, r"\hline", end, *paragraphs, ""])


def _escaped(text: str) -> str:
    return text.replace("−", "$-$").replace("%", r"\%").replace("±", r"$\pm$").replace("²", "$^2$")


def _json_rows(summary: pd.DataFrame) -> dict:
    # JSON has no NaN: a metric that failed in all cases has the mean null.
    rows = summary.astype(object).to_dict("index")
    return {name: {column: _finite_or_none(value) for column, value in row.items()} for name, row in rows.items()}


def _json_agreement(measured: Measured) -> dict:
    content = _json_statistics(measured.agreement) | {"unit": measured.quantity.unit.replace("²", "2")}
    by_group = measured.group_agreement
    return content | {"group_means": _json_statistics(by_group) if by_group else None}


def _json_statistics(values: agreement.Agreement) -> dict:
    statistics = dataclasses.asdict(values)
    intervals = statistics.pop("intervals")
    content = {name: _finite_or_none(value) for name, value in statistics.items()}
    return content | {f"{name}_95_ci": [_finite_or_none(end) for end in ends] for name, ends in intervals.items()}


def _finite_or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
