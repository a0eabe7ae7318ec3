"""Sentences and table rows on the agreement of quantities, which terminal, report and manuscript share."""

import math
from collections.abc import Sequence

import numpy as np

from evaluation.measured import Measured
from evaluation.result import EvaluationResult
from masks import agreement
from masks.agreement import Agreement
from masks.quantities import Quantity
from wording import counted, mean_sd, number, span, with_interval

_HEADER = ["Quantity", "Over", "True, mean ± SD", "Predicted, mean ± SD", "Bias", "Limits of agreement"]
_COEFFICIENTS = {"icc": "ICC(2,1)", "ccc": "Lin's CCC", "pearson": "Pearson's r"}


def difference(measured: Measured, other: str = "predicted") -> str:
    """Returns the agreement of a quantity within a sentence; `other` is the name of the masks that are compared."""
    return f"{measured.quantity.phrase}, {other} − true: {_agreement(measured.quantity, measured.agreement)}"


def rows(every: Sequence[Measured]) -> list[list[str]]:
    """Returns the table of agreement as texts: the header, then a row per quantity, and one for the groups' means."""
    header = [*_HEADER, *_COEFFICIENTS.values(), "Failed"]
    table = [header]
    for measured in every:
        table.append(_row(measured.quantity, measured.agreement, "case", measured.true, measured.predicted))
        if measured.group_agreement:
            true, predicted = measured.group_means
            row = _row(measured.quantity, measured.group_agreement, "group mean", true, predicted)
            table.append([*row[:-1], ""])
    return table


def note(result: EvaluationResult) -> str:
    """Returns sentences on what the table of agreement shows; "" if it has no rows."""
    if not len(result.nonempty):
        return ""
    intervals = f"In brackets: 95 % confidence intervals, bootstrap over {result.sampling_unit}s."
    if result.groups < agreement.MIN_GROUPS:
        few = f"fewer than {agreement.MIN_GROUPS} {result.sampling_unit}s ({result.groups})"
        intervals = f"No 95 % confidence intervals are given, because there are {few}."
    failed = sum(measured.agreement.failed for measured in result.measured)
    without = " Failed: cases without a value, because the mask is empty or the height is unknown." if failed else ""
    return f"Bias: mean of predicted − true. {intervals}{without}"


def _row(quantity: Quantity, values: Agreement, over: str, true: np.ndarray, predicted: np.ndarray) -> list[str]:
    places, ends = quantity.places, values.intervals
    counts = counted(values.cases, over)
    bias = with_interval(number(values.bias, places, "+"), ends["bias"], places, "+")
    limits = span(values.lower_limit, values.upper_limit, places, "+")
    coefficients = [with_interval(number(getattr(values, name), 3), ends[name], 3) for name in _COEFFICIENTS]
    means = [_mean_sd(each, places) for each in (true, predicted)]
    return [quantity.title, counts, *means, bias, limits, *coefficients, str(values.failed)]


def _mean_sd(values: np.ndarray, places: int) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "-"
    return mean_sd(finite.mean(), finite.std(ddof=1) if len(finite) > 1 else math.nan, places)


def _agreement(quantity: Quantity, values: Agreement) -> str:
    places, unit = quantity.places, f" {quantity.unit}".rstrip()
    text = f"{number(values.bias, places, '+')}{unit} on average"
    if values.cases < agreement.MIN_CASES:
        few = f"fewer than {agreement.MIN_CASES} cases ({values.cases})"
        return f"{text}; no limits of agreement and no ICC are given, because there are {few}"
    text += f", limits of agreement {span(values.lower_limit, values.upper_limit, places, '+')}{unit}"
    if not np.isfinite(values.icc):
        return text
    icc = with_interval(number(values.icc, 3), values.intervals["icc"], 3).replace("(", "(95 % CI ")
    return f"{text}; ICC(2,1) {icc}, Lin's CCC {number(values.ccc, 3)}"
