"""Sections of the report on quantities, subgroups and comparisons, as HTML."""

import html
import math
from collections.abc import Mapping, Sequence

import html_page
from evaluation import agreement_texts, comparison, subgroups, texts
from evaluation.measured import Measured
from evaluation.result import EvaluationResult
from html_page import Section
from masks import subgroup_chart
from masks.figures import Figure
from masks.quantities import slug


def plot_name(measured: Measured) -> str:
    """Returns the name of the plot of a quantity's agreement, without ending."""
    return f"agreement_{slug(measured.quantity.name)}"


def sections(result: EvaluationResult, plots: Mapping[str, bytes]) -> list[Section]:
    """Returns the sections. `plots`: PNG files by name."""
    if not len(result.nonempty):
        return []
    return [
        Section("quantities", "Agreement of quantities", _quantities(result, plots)),
        Section("subgroups", "Subgroups", _subgroups(result, plots)),
        Section("comparison", "Comparison", _comparison(result, plots)),
    ]


def subgroup_plots(result: EvaluationResult) -> dict[str, Figure]:
    """Returns the plot of the subgroups by its name, without ending; {} if there are none."""
    found = [each.chart_row for each in subgroups.of_result(result) if math.isfinite(each.dice.mean)]
    return {_SUBGROUPS: subgroup_chart.plot(found, result.quantities[0])} if found else {}


_SUBGROUPS = "subgroups"


def _subgroups(result: EvaluationResult, plots: Mapping[str, bytes]) -> str:
    found = subgroups.of_result(result)
    unused = subgroups.unused_columns(result)
    paragraph = f"<p>{html.escape(unused)}</p>" if unused else ""
    if not found:
        return paragraph
    plot = html_page.plot(plots[f"{_SUBGROUPS}.png"], "Subgroups: Dice coefficient and primary quantity")
    note = f"<p>{html.escape(subgroups.note(result, found))}</p>"
    return f"{_table(subgroups.rows(result, found))}{note}{paragraph}{plot}"


def _comparison(result: EvaluationResult, pictures: Mapping[str, bytes]) -> str:
    if result.comparison is None:
        return ""
    shown = [
        html_page.plot(pictures[name], f"{title}: {result.comparison.name} on the left, evaluated on the right")
        for name, title in (("most_improved.png", "Most improved"), ("most_degraded.png", "Most degraded"))
        if name in pictures
    ]
    text = html.escape(comparison.sentences(result.comparison))
    return f"{_table(comparison.rows(result.comparison))}<p>{text}</p>{''.join(shown)}"


def _quantities(result: EvaluationResult, plots: Mapping[str, bytes]) -> str:
    second = ""
    if result.second_measured:
        second = f"<h3>{html.escape(texts.reader_agreement(result))}</h3>"
        second += _table(agreement_texts.rows(result.second_measured))
    shown = [
        html_page.plot(plots[name], f"{each.quantity.label}: predicted against true, and Bland-Altman plot")
        for each in result.measured
        if (name := f"{plot_name(each)}.png") in plots
    ]
    return (
        f"{_table(agreement_texts.rows(result.measured))}<p>{html.escape(agreement_texts.note(result))}</p>"
        f"<details><summary>How to read these numbers</summary>{_READING_AID}</details>{second}{''.join(shown)}"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    return html_page.table(rows[0], rows[1:])


_READING_AID = (
    "<p><b>Bias</b> is a systematic error, the <b>limits of agreement</b> contain about 95 % of the differences: judge "
    "both in the unit of the quantity, by what matters for its use. <b>ICC(2,1)</b> and <b>Lin's CCC</b> are near 1 if "
    "the differences are small compared with the spread of the true values. Common labels for the ICC are: below 0.5 "
    "poor, to 0.75 moderate, to 0.9 good, above excellent (Koo and Li 2016, J. Chiropr. Med. 15). They are low where "
    "the true values hardly differ, even if every prediction is close: then report the limits of agreement. "
    "<b>Pearson's r</b> ignores bias and scale: it is no measure of agreement.</p>"
)
