"""The sentences, numbers and summary rows that terminal, report and manuscript share."""

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import training_text
import wording
from evaluation import agreement_texts, comparison, predicted_dice_texts
from evaluation.result import METRICS, EvaluationResult
from evaluation.subject import Subject
from masks import agreement
from wording import counted, number

_HEADER = ["Metric", "Mean ± SD", "95 % CI of the mean", "Median (quartiles)", "Range", "Cases", "Failed"]
_GROUP_MEAN = "Mean of groups (95 % CI)"

_NETWORKS = {"unet": "U-Net", "deeplabv3_plus": "DeepLabV3+"}
# More folders than that, such as one per patient, are counted, not named.
_MAX_FOLDERS = 3


def metric(name: str, value: float) -> str:
    """Returns the value of a metric with the decimal places of that metric."""
    return number(value, _decimals(name))


def _decimals(name: str) -> int:
    return 1 if name.endswith(("_px", "_mm", "_percent")) else 3


def hausdorff(row: Mapping[str, Any]) -> str:
    """Returns the Hausdorff distance of a row of metrics.csv, in mm if it is known, else in px."""
    unit = "mm" if "hausdorff_mm" in row else "px"
    distance = row[f"hausdorff_{unit}"]
    return f"{number(distance, 1)} {unit}" if math.isfinite(distance) else "infinite (one mask is empty)"


def mean_sd(name: str, row: pd.Series) -> str:
    """Returns mean ± SD of a row of the summary; the mean alone if there is no SD."""
    return wording.mean_sd(row["mean"], row["sd"], _decimals(name))


def interval(name: str, row: pd.Series) -> str:
    """Returns the confidence interval of a row of the summary; "-" if there is none."""
    return _span(name, row, "ci_low", "ci_high")


def summary_rows(result: EvaluationResult, names: Sequence[str]) -> list[list[str]]:
    """Returns the summary table as texts: the header, then a row for each of the metrics `names`."""
    second, grouped = result.second_summary, result.sampling_unit == "group"
    header = [*_HEADER[:3], *([_GROUP_MEAN] if grouped else []), *_HEADER[3:]]
    rows = [[*header, *([reader(result).capitalize()] if second is not None else [])]]
    for name, row in result.summary.loc[list(names)].iterrows():
        quartiles = f"{metric(name, row['median'])} ({_span(name, row, 'q1', 'q3')})" if row["cases"] else "-"
        spread = [quartiles, _span(name, row, "minimum", "maximum")]
        counts = [f"{row['cases']:.0f}", f"{row['failed']:.0f}"]
        means = [mean_sd(name, row), interval(name, row), *([_group_mean(name, row)] if grouped else [])]
        cells = [METRICS[name], *means, *spread, *counts]
        rows.append(cells if second is None else [*cells, mean_sd(name, second.loc[name])])
    return rows


def _group_mean(name: str, row: pd.Series) -> str:
    ends = row["group_ci_low"], row["group_ci_high"]
    return wording.with_interval(metric(name, row["group_mean"]), ends, _decimals(name))


def terminal(result: EvaluationResult) -> str:
    """Returns the summary for the terminal."""
    lines = [f"{counted(len(result.table), result.subject.case_noun)}:"]
    lines += _aligned(summary_rows(result, result.preferred)) if len(result.nonempty) else []
    lines += [*notes(result), primary_agreement(result), second_reader(result)]
    lines += [comparison.sentences(result.comparison)] if result.comparison else []
    lines += [predicted_dice_texts.sentences(result)]
    return "\n".join(filter(None, [*lines, times_evaluated(result)]))


def opening(result: EvaluationResult) -> str:
    """Returns the result in plain words: date, model, data, mean Dice coefficient with its interval."""
    day, cases = datetime.date.today(), counted(len(result.table), result.subject.case_noun)
    groups = f" from {counted(result.table['group'].nunique(), 'group')}" if result.sampling_unit == "group" else ""
    sentence = f"On {day.day} {day:%B %Y}, {_evaluated(result.subject)} evaluated on {cases}{groups}{_places(result)}."
    if not len(result.nonempty):
        return f"{sentence} All reference masks are empty."
    row = result.summary.loc["dice"]
    bounds = f" (95 % confidence interval {interval('dice', row)})" if np.isfinite(row["ci_low"]) else ""
    return (
        f"{sentence} The mean Dice coefficient is {metric('dice', row['mean'])}{bounds}: "
        "1 means that prediction and reference mask are equal, 0 that they do not overlap."
    )


def _evaluated(subject: Subject) -> str:
    provenance = subject.provenance
    if provenance is None:
        return "masks of another program were"
    network = _NETWORKS[provenance.hyperparameters.architecture]
    if subject.folds:
        return f"the {subject.folds} {network} models of a cross-validation ({provenance.id}) were"
    if provenance.models > 1:
        images = counted(len(provenance.image_sha256), "other image")
        return f"an ensemble of {provenance.models} {network} models ({provenance.id}, trained on {images}) was"
    images = training_text.images(provenance.training.images, provenance.id, "other image")
    return f"a {network} (model {provenance.id}, trained on {images}) was"


def _places(result: EvaluationResult) -> str:
    if result.subject.external:
        return f" ({result.subject.external})"
    names = sorted({case.partition("__")[0] for case in result.table["case"] if "__" in case})
    if len(names) > _MAX_FOLDERS:
        return f" of {len(names)} folders"
    return f" ({', '.join(names)})" if names else ""


def notes(result: EvaluationResult) -> list[str]:
    """Returns sentences that qualify the means: empty reference masks, sample of the SD, missing intervals."""
    cases = len(result.nonempty)
    return list(
        filter(None, [_empty_references(result), f"{_sample(result)}." if cases else "", missing_intervals(result)])
    )


def missing_intervals(result: EvaluationResult) -> str:
    """Returns a sentence on why confidence intervals are missing; "" if none is."""
    names, few = result.without_interval, f"fewer than {agreement.MIN_GROUPS} {result.sampling_unit}s"
    if not names:
        return ""
    if 0 < result.groups < agreement.MIN_GROUPS:
        return f"No 95 % confidence intervals are given, because there are {few} ({result.groups})."
    metrics = ", ".join(dict.fromkeys(METRICS[name].partition(" (")[0] for name in names))
    return f"No 95 % confidence interval is given for {metrics}, because {few} have a finite value."


def primary_agreement(result: EvaluationResult) -> str:
    """Returns a sentence on the agreement of the primary quantity; "" if all reference masks are empty."""
    text = agreement_texts.difference(result.primary)
    return f"{text[0].upper()}{text[1:]}." if len(result.nonempty) else ""


def second_reader(result: EvaluationResult) -> str:
    """Returns sentences on the agreement of a second reading with the reference masks; "" without a second reading."""
    summary, empty = result.second_summary, result.second_empty
    if summary is None or empty is None:
        return ""
    sentences = []
    if len(result.nonempty):
        title = reader_agreement(result)
        dice = f"mean Dice coefficient {mean_sd('dice', summary.loc['dice'])}"
        difference = agreement_texts.difference(result.second_measured[0], reader(result))
        sentences += [f"{title} on the same cases: {dice}; {difference}."]
    if empty.empty:
        of_cases = f"Of {counted(empty.empty, 'case')} with an empty reference mask"
        sentences += [f"{of_cases}, the {reader(result)} annotated {empty.false_positives}."]
    return " ".join(sentences)


def reader(result: EvaluationResult) -> str:
    """Returns what the masks of the second reading are called: "second reader" or "second reading"."""
    return "second reading" if result.intra_reader else "second reader"


def reader_agreement(result: EvaluationResult) -> str:
    """Returns the term for the agreement of the second reading, such as "Inter-reader agreement"."""
    if result.intra_reader:
        return "Intra-reader agreement (second reading by the same person)"
    return "Inter-reader agreement (second reader)"


def times_evaluated(result: EvaluationResult) -> str:
    """Returns sentences on how often this test set was evaluated, or on why the evaluations are not counted."""
    if result.evaluations is None:
        return (
            "Each case was predicted by the model of the fold that excludes its group. The test set was not used. The "
            "result is optimistic if hyperparameters were chosen on the same cases."
        )
    times, models = result.evaluations.times_evaluated, result.evaluations.models
    unknown = (
        "" if result.subject.provenance else " It is unknown whether the external model was trained on these images."
    )
    if times == 1:
        return f"This is evaluation 1 of this test set: an unbiased estimate for similar new cases.{unknown}"
    return (
        f"This is evaluation {times} of this test set, or of part of it, with {counted(len(models), 'model')} "
        f"({', '.join(models)}). Repeated evaluation with changes in between overfits the test set. "
        f"Select models by the exploration or by cross-validation.{unknown}"
    )


def _span(name: str, row: pd.Series, low: str, high: str) -> str:
    return wording.span(row[low], row[high], _decimals(name))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return lines


def _empty_references(result: EvaluationResult) -> str:
    if not result.empty.empty:
        return ""
    cases = len(result.nonempty)
    if not cases:
        return f"{result.empty.text()} No means are given."
    return (
        f"{result.empty.text()} Means are over the other {counted(cases, 'case')}. "
        f'Only the row "{METRICS["dice_all_cases"]}" includes all cases; it has no confidence interval, because pairs '
        "of empty masks inflate its mean."
    )


def _sample(result: EvaluationResult) -> str:
    cases = counted(len(result.nonempty), "case")
    if result.sampling_unit == "case":
        return f"The SD is over cases ({cases})"
    return f"The SD is over cases, not over groups ({cases} of {counted(result.groups, 'group')})"
