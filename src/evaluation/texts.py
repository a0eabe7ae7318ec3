"""The sentences, numbers and summary rows that terminal, report and manuscript share."""

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.result import METRICS, Areas, EvaluationResult, Reliability
from evaluation.subject import Subject
from masks import agreement

_HEADER = ["Metric", "Mean ± SD", "95 % CI of the mean", "Median (quartiles)", "Range", "Cases", "Failed"]

_NETWORKS = {"unet": "U-Net", "deeplabv3_plus": "DeepLabV3+"}
# More folders than that, such as one per patient, are counted, not named.
_MAX_FOLDERS = 3


def number(value: float, places: int, sign: str = "") -> str:
    """Returns the value with so many decimal places, a true minus sign, and "+" if `sign` is "+"; "-" for NaN."""
    if not math.isfinite(value):
        return "-"
    return f"{round(value, places) + 0.0:{sign},.{places}f}".replace("-", "−")


def metric(name: str, value: float) -> str:
    """Returns the value of a metric with the decimal places of that metric."""
    return number(value, 1 if name.endswith(("_px", "_mm", "_percent")) else 3)


def hausdorff(row: Mapping[str, Any]) -> str:
    """Returns the Hausdorff distance of a row of metrics.csv, in mm if it is known, else in px."""
    unit = "mm" if "hausdorff_mm" in row else "px"
    distance = row[f"hausdorff_{unit}"]
    return f"{number(distance, 1)} {unit}" if math.isfinite(distance) else "infinite (one mask is empty)"


def unit(areas: Areas) -> str:
    """Returns the unit of the areas for readers."""
    return {"cm2": "cm²"}.get(areas.unit, areas.unit)


def counted(count: int, noun: str) -> str:
    """Returns the count with the noun, such as "1 case" or "2 cases"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mean_sd(name: str, row: pd.Series) -> str:
    """Returns mean ± SD of a row of the summary; the mean alone if there is no SD."""
    mean = metric(name, row["mean"])
    return f"{mean} ± {metric(name, row['sd'])}" if np.isfinite(row["sd"]) else mean


def interval(name: str, row: pd.Series) -> str:
    """Returns the confidence interval of a row of the summary; "-" if there is none."""
    return _span(name, row, "ci_low", "ci_high")


def summary_rows(result: EvaluationResult, names: Sequence[str]) -> list[list[str]]:
    """Returns the summary table as texts: the header, then a row for each of the metrics `names`."""
    second = result.second_summary
    rows = [[*_HEADER, *(["Second reader"] if second is not None else [])]]
    for name, row in result.summary.loc[list(names)].iterrows():
        quartiles = f"{metric(name, row['median'])} ({_span(name, row, 'q1', 'q3')})" if row["cases"] else "-"
        spread = [quartiles, _span(name, row, "minimum", "maximum")]
        counts = [f"{row['cases']:.0f}", f"{row['failed']:.0f}"]
        cells = [METRICS[name], mean_sd(name, row), interval(name, row), *spread, *counts]
        rows.append(cells if second is None else [*cells, mean_sd(name, second.loc[name])])
    return rows


def terminal(result: EvaluationResult) -> str:
    """Returns the summary for the terminal."""
    lines = [f"{counted(len(result.table), result.subject.case_noun)}:"]
    lines += _aligned(summary_rows(result, result.preferred)) if len(result.nonempty) else []
    lines += [*notes(result), area_agreement(result), second_reader(result), predicted_dice(result.reliability)]
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
    return f"a {network} (model {provenance.id}, trained on {counted(provenance.training.images, 'other image')}) was"


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


def area_agreement(result: EvaluationResult) -> str:
    """Returns a sentence on the agreement of the areas; "" if all reference masks are empty."""
    return f"Areas, predicted − true: {_agreement(result.areas)}." if len(result.nonempty) else ""


def second_reader(result: EvaluationResult) -> str:
    """Returns sentences on the agreement of a second reader with the reference masks; "" without a second reader."""
    summary, areas, empty = result.second_summary, result.second_areas, result.second_empty
    if summary is None or areas is None or empty is None:
        return ""
    sentences = []
    if len(result.nonempty):
        dice = f"mean Dice coefficient {mean_sd('dice', summary.loc['dice'])}"
        difference = f"areas, second reader − true: {_agreement(areas)}"
        sentences += [f"Masks of a second reader for the same cases: {dice}; {difference}."]
    if empty.empty:
        of_cases = f"Of {counted(empty.empty, 'case')} with an empty reference mask"
        sentences += [f"{of_cases}, the second reader annotated {empty.false_positives}."]
    return " ".join(sentences)


def predicted_dice(reliability: Reliability | None) -> str:
    """Returns sentences on the reliability of the predicted Dice; "" for None."""
    if reliability is None:
        return ""
    direction = "too high" if reliability.bias > 0 else "too low"
    bias = f"{abs(reliability.bias):.2f} {direction}" if abs(reliability.bias) >= 0.005 else "equal to the true Dice"
    return (
        f"On average the predicted Dice was {bias}. Its Spearman rank correlation with the true Dice was "
        f"{number(reliability.correlation, 2)} over {counted(reliability.cases, 'case')} "
        "(1: same order of the cases; 0: no relation)."
    )


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
    return f"{metric(name, row[low])} to {metric(name, row[high])}" if np.isfinite(row[low]) else "-"


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


def _agreement(areas: Areas) -> str:
    values, places = areas.agreement, 1 if areas.unit == "px" else 2
    text = f"{number(values.bias, places, '+')} {unit(areas)} on average"
    if values.cases < agreement.MIN_CASES:
        few = f"fewer than {agreement.MIN_CASES} cases ({values.cases})"
        return f"{text}; no limits of agreement and no ICC are given, because there are {few}"
    limits = [number(limit, places, "+") for limit in (values.lower_limit, values.upper_limit)]
    text += f", limits of agreement {limits[0]} to {limits[1]} {unit(areas)}"
    coefficients = f"; ICC(2,1) {number(values.icc, 3)}, Lin's CCC {number(values.ccc, 3)}"
    return text + (coefficients if np.isfinite(values.icc) else "")
