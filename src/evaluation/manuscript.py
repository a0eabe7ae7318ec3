"""The texts of an evaluation: summary.json for programs; a table, a Methods paragraph and more for a manuscript."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import model_card
import training_text
from evaluation import agreement_texts, checklist, comparison, methods, predicted_dice_texts, subgroups, texts
from evaluation.comparison import Comparison
from evaluation.measured import Measured
from evaluation.result import EvaluationResult
from evaluation.subgroups import Subgroup
from masks import agreement
from provenance import Provenance


def files(result: EvaluationResult) -> dict[str, str]:
    """Returns the contents of these files by name."""
    tables = [(_rows(result), texts.notes(result)), *_more_tables(result)]
    contents = {
        "summary.md": "\n".join(markdown(*table) for table in tables),
        "summary.tex": "\n".join(_latex(*table) for table in tables),
    }
    contents |= {"summary.json": _json(result), "methods.txt": methods.paragraph(result) + "\n"}
    contents["checklist.md"] = checklist.text(result)
    provenance = result.subject.provenance
    if provenance is None or result.subject.folds:  # There is no model for readers.
        return contents
    return contents | {"model_card.md": _model_card(result, provenance, contents["summary.md"])}


def _more_tables(result: EvaluationResult) -> list[tuple[list[list[str]], list[str]]]:
    """Returns the tables of quantities, subgroups and comparison, each with its notes."""
    if not len(result.nonempty):
        return []
    tables = [(agreement_texts.rows(result.measured), [agreement_texts.note(result)])]
    if result.second_measured:
        tables.append((agreement_texts.rows(result.second_measured), [f"{texts.reader_agreement(result)}."]))
    if found := subgroups.of_result(result):
        tables.append((subgroups.rows(result, found), [subgroups.note(result, found)]))
    if result.comparison:
        tables.append((comparison.rows(result.comparison), [comparison.sentences(result.comparison)]))
    return tables


def _model_card(result: EvaluationResult, provenance: Provenance, table: str) -> str:
    images, groups = texts.counted(len(result.table), "image"), texts.counted(result.table["group"].nunique(), "group")
    per_model = " per model" * (provenance.models > 1)
    data = [f"{training_text.images(provenance.training.images, provenance.id)}{per_model}."]
    data += ["`README.md` in the model's folder says more about them."] * (provenance.models == 1)
    evaluated = f"Masks of the {result.subject.name}: {images} of {groups}. None of them was used for training."
    sentences = [predicted_dice_texts.sentences(result), texts.times_evaluated(result)]
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
        "comparison": _json_comparison(result.comparison) if result.comparison else None,
        "subgroups": [_json_subgroup(each) for each in subgroups.of_result(result)],
        "predicted_dice_correlation": reliability.correlation if reliability else None,
        "predicted_dice_bias": reliability.bias if reliability else None,
        "predicted_dice_within_interval": reliability.within if reliability else None,
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
    cells = [[text.replace("|", "\\|") for text in row] for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    lines = [f"| {' | '.join(row)} |\n" for row in cells]
    return "".join([*lines, *(f"\n{note}\n" for note in notes)])


def _latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    r"""Returns a tabular environment to include with \input; each note is a paragraph below it."""
    header, *lines = [" & ".join(map(_escaped, row)) + r" \\" for row in rows]
    columns = "l" + "c" * (len(rows[0]) - 1)
    start, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    paragraphs = [rf"\par {_escaped(note)}" for note in notes]
    return "\n".join([start, r"\hline", header, r"\hline", *lines, r"\hline", end, *paragraphs, ""])


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_LATEX = {"−": "$-$", "±": r"$\pm$", "²": "$^2$", "<": "$<$", ">": "$>$", "\\": r"\textbackslash{}"}
_LATEX |= {character: f"\\{character}" for character in "%&_#${}"}


def _json_rows(summary: pd.DataFrame) -> dict:
    # JSON has no NaN: a metric that failed in all cases has the mean null.
    rows = summary.astype(object).to_dict("index")
    return {name: {column: _finite_or_none(value) for column, value in row.items()} for name, row in rows.items()}


def _json_agreement(measured: Measured) -> dict:
    content = _json_statistics(measured.agreement) | {"unit": measured.quantity.unit.replace("²", "2")}
    by_group = measured.group_agreement
    return content | {"group_means": _json_statistics(by_group) if by_group else None}


def _json_comparison(compared: Comparison) -> dict:
    differences = {"dice_difference": compared.dice, "absolute_error_difference": compared.error}
    return {"with": compared.name, "quantity": compared.quantity.name} | {
        name: _json_fields(values) for name, values in differences.items()
    }


def _json_subgroup(subgroup: Subgroup) -> dict:
    names = {"column": subgroup.column, "value": subgroup.value}
    return names | {"dice": _json_fields(subgroup.dice), "quantity": _json_statistics(subgroup.quantity)}


def _json_fields(record: Any) -> dict:
    return {name: _finite_or_none(value) for name, value in dataclasses.asdict(record).items()}


def _json_statistics(values: agreement.Agreement) -> dict:
    statistics = dataclasses.asdict(values)
    intervals = statistics.pop("intervals")
    content = {name: _finite_or_none(value) for name, value in statistics.items()}
    return content | {f"{name}_95_ci": [_finite_or_none(end) for end in ends] for name, ends in intervals.items()}


def _finite_or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
