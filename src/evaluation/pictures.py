"""Comparison images: which cases to plot, and their pictures."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import progress
import storage
from data import intensities
from evaluation import texts
from evaluation.result import EvaluationResult, with_nonempty_reference
from evaluation.subject import Subject
from masks import case_figure, drawing, figures, metrics

# Cases on the contact sheet: three rows of four.
_WORST = 12


def choose_cases(table: pd.DataFrame, counts: dict[str, Any], seed: int) -> list[str]:
    """Returns the names of the cases to plot, without repetition, for `counts` such as IMAGES_TO_DRAW.

    `counts` gives the list "cases" of names, and the numbers of the "first" cases, of "random" ones (from `seed`), of
    the "worst_dice" and of the "worst_hausdorff". DatasetError if a named case is not in `table`.
    """
    names = table.sort_values("case")["case"]
    unknown = sorted(set(counts.get("cases", [])) - set(names))
    if unknown:
        fix = "not in the test set. Correct the name in IMAGES_TO_DRAW in config.py."
        raise storage.DatasetError([f"{case}: {fix}" for case in unknown])
    by_dice = table.sort_values(["dice", "case"])["case"]
    by_distance = table.sort_values(["hausdorff_px", "case"], ascending=[False, True])["case"]
    selected = {
        "cases": counts.get("cases", []),
        "first": names[: counts.get("first", 0)],
        "random": names.sample(min(counts.get("random", 0), len(names)), random_state=seed),
        "worst_dice": by_dice[: counts.get("worst_dice", 0)],
        "worst_hausdorff": by_distance[: counts.get("worst_hausdorff", 0)],
    }
    return list(dict.fromkeys(case for cases in selected.values() for case in cases))


def choose_figure(table: pd.DataFrame, counts: dict[str, Any]) -> list[str]:
    """Returns the cases for `save_figure`: those that `counts` (see `choose_cases`) names, if it names any.

    Else those with the worst, lower quartile, median, upper quartile and best Dice; fewer of few cases.
    """
    if named := [case for case in counts.get("cases", []) if case in set(table["case"])]:
        return named
    by_dice = with_nonempty_reference(table).sort_values(["dice", "case"])["case"].tolist()
    places = np.linspace(0, len(by_dice) - 1, 5).round().astype(int)
    return [by_dice[place] for place in dict.fromkeys(places)] if by_dice else []


def comparisons(
    subject: Subject, table: pd.DataFrame, cases: list[str], hausdorff_line: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each of the `cases` with its picture, uint8 (1024, 1024, 3): image, both masks, Dice, Hausdorff distance.

    `table` is like metrics.csv; `hausdorff_line` adds the line between the two pixels of the Hausdorff distance.
    """
    rows = table.set_index("case")
    for case in cases:
        image, true_mask, mask = subject.read(case)
        row = rows.loc[case].to_dict()
        caption = f"{case}   Dice {row['dice']:.3f}   Hausdorff {texts.hausdorff(row)}"
        pair = metrics.Comparison(true_mask, mask).hausdorff_pair() if hausdorff_line else None
        yield case, drawing.comparison(image, true_mask, mask, caption, hausdorff_pair=pair)


def save(
    folder: pathlib.Path,
    subject: Subject,
    table: pd.DataFrame,
    cases: list[str],
    hausdorff_line: bool,
) -> None:
    """Writes `folder`/<case>.png for each of the `cases`, and the contact sheet _worst.png; see `comparisons`."""
    plotted = comparisons(subject, table, cases, hausdorff_line)
    for case, picture in progress.Bar(plotted, total=len(cases), desc="Plotting", unit=" images"):
        (folder / f"{case}.png").write_bytes(drawing.to_png(picture))
    worst = choose_cases(table, {"worst_dice": _WORST}, seed=0)
    sheet = [picture for _, picture in comparisons(subject, table, worst, hausdorff_line)]
    (folder / "_worst.png").write_bytes(drawing.to_png(drawing.contact_sheet(sheet)))


def save_differences(folder: pathlib.Path, result: EvaluationResult) -> dict[str, bytes]:
    """Writes the cases that differ most from the other masks, and returns the files' contents by name.

    Each row has a case: on the left the other mask, on the right the evaluated one, both with the reference mask.
    """
    comparison, subject = result.comparison, result.subject
    if comparison is None or subject.compared_masks is None:
        return {}
    others = comparison.other.set_index("case")["dice"]
    contents = {}
    for name, cases in (("most_improved.png", comparison.improved), ("most_degraded.png", comparison.degraded)):
        sheet = []
        for case in cases:
            image, true_mask, other = subject.read(case, subject.compared_masks)
            caption = f"{case}   {comparison.name}   Dice {others[case]:.3f}"
            sheet += [drawing.comparison(image, true_mask, other, caption)]
            sheet += [picture for _, picture in comparisons(subject, result.table, [case], hausdorff_line=False)]
        if sheet:
            contents[name] = drawing.to_png(drawing.contact_sheet(sheet, columns=2))
            (folder / name).write_bytes(contents[name])
    return contents


def save_figure(folder: pathlib.Path, result: EvaluationResult, cases: list[str]) -> None:
    """Writes a figure of the `cases`, cases.png and cases.pdf, into `folder`, and which case each row is, cases.csv.

    The figure itself has no names: they may identify patients.
    """
    if not cases:
        return
    letters = [chr(ord("a") + number % 26) * (1 + number // 26) for number in range(len(cases))]
    subject = result.subject
    key = result.table.set_index("case").loc[cases, ["dice"]].reset_index()
    rows = []
    for case, dice in key.itertuples(index=False):
        rows.append(case_figure.Case(*subject.read(case), dice, result.spacings_mm.get(case)))
    figure = case_figure.plot(rows, letters, drawing.CT_RANGE if intensities.are_in_hu(subject.cases) else None)
    for name, content in figures.files({"cases": figure}).items():
        (folder / name).write_bytes(content)
    key.insert(0, "row", letters)
    key.to_csv(folder / "cases.csv", index=False)
