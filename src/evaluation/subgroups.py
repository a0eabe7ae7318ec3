"""Subgroups of the cases, from the columns of PATIENTS_TABLE: Dice coefficient and primary quantity of each."""

import dataclasses

from evaluation.measured import Measured
from evaluation.result import EvaluationResult, with_nonempty_reference
from masks import agreement
from masks.agreement import Agreement, Summary
from masks.subgroup_chart import Row
from wording import counted, mean_sd, number, with_interval

# Means of fewer cases say little about new cases.
MIN_CASES = 5


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """The cases with a non-empty reference mask that have this `value` in the `column` of the table of patients."""

    column: str
    value: str
    dice: Summary
    quantity: Agreement

    @property
    def is_small(self) -> bool:
        """Whether there are fewer than MIN_CASES cases."""
        return self.dice.cases < MIN_CASES

    @property
    def chart_row(self) -> Row:
        """The row of the plot."""
        return Row(
            f"{self.column}: {self.value} (n = {self.dice.cases})",
            (self.dice.mean, self.dice.ci_low, self.dice.ci_high),
            (self.quantity.bias, *self.quantity.intervals["bias"]),
        )


def of_result(result: EvaluationResult) -> list[Subgroup]:
    """Returns the subgroups, in the order of the columns and of the values."""
    table = with_nonempty_reference(result.table).set_index("case", drop=False)
    found = []
    for column, values in result.subgroups.items():
        of_cases = values.loc[table.index]
        for value in sorted(of_cases.unique()):
            part = table[(of_cases == value).to_numpy()]
            dice = agreement.summarize(part["dice"].tolist(), part["group"].tolist(), result.seed)
            measured = Measured.of_table(part, result.quantities[0], result.seed)
            found.append(Subgroup(column, value, dice, measured.agreement))
    return found


def rows(result: EvaluationResult, subgroups: list[Subgroup]) -> list[list[str]]:
    """Returns the table of subgroups as texts: the header, then a row per subgroup."""
    quantity = result.quantities[0]
    header = ["Subgroup", "Cases", "Groups", "Dice, mean ± SD", f"Predicted − true {quantity.phrase_with_unit}"]
    return [header, *(_row(each, quantity.places) for each in subgroups)]


def note(result: EvaluationResult, subgroups: list[Subgroup]) -> str:
    """Returns sentences that qualify the table of subgroups."""
    sentences = [f"In brackets: 95 % confidence intervals, bootstrap over {result.sampling_unit}s"]
    sentences[0] += f", from {agreement.MIN_GROUPS} {result.sampling_unit}s on."
    if small := [f"{each.column}: {each.value} ({each.dice.cases})" for each in subgroups if each.is_small]:
        sentences.append(f"Warning: fewer than {MIN_CASES} cases, too few for a conclusion: {', '.join(small)}.")
    if len(subgroups) > 2:
        sentences.append("With several subgroups, some differences are due to chance.")
    return " ".join(sentences)


def unused_columns(result: EvaluationResult) -> str:
    """Returns a sentence on columns of the table of patients that form no subgroups; "" if there are none."""
    if not result.unused_columns:
        return ""
    names = ", ".join(result.unused_columns)
    fix = "Write classes, such as <60 and 60+, to compare them."
    columns = counted(len(result.unused_columns), "column")
    return f"{columns} of PATIENTS_TABLE with one or with many values form no subgroups: {names}. {fix}"


def _row(each: Subgroup, places: int) -> list[str]:
    dice, quantity = each.dice, each.quantity
    mean = mean_sd(dice.mean, dice.sd, 3)
    bias = with_interval(number(quantity.bias, places, "+"), quantity.intervals["bias"], places, "+")
    name = f"{each.column}: {each.value}" + (" (too few)" if each.is_small else "")
    return [name, str(dice.cases), str(dice.groups), with_interval(mean, (dice.ci_low, dice.ci_high), 3), bias]
