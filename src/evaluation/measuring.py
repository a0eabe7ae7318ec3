"""The metrics of each test case, and the pixel spacings that give them in mm."""

import dataclasses
import math

import numpy as np
import pandas as pd

import progress
import storage
from data import spacing_table
from data.case_masks import CaseMasks
from evaluation.subject import Subject
from masks import cleaning, metrics, quantities

# The distances of rows and of columns, in mm.
Spacing = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured besides the overlap of masks.

    spacings_mm: as `pixel_spacings` returns them. tolerance_mm: of the surface Dice. windows, in_hu: as in
    `masks.quantities`. heights_m: of the patients of the cases, where known.
    """

    spacings_mm: dict[str, Spacing]
    tolerance_mm: float | None
    windows: quantities.Windows
    in_hu: bool
    heights_m: dict[str, float]

    def of_pair(self, case: str, image: np.ndarray, true_mask: np.ndarray, mask: np.ndarray) -> dict[str, float]:
        """The metrics of a mask of a case, and the quantities of both masks: true_<ending>, predicted_<ending>."""
        spacing_mm = self.spacings_mm.get(case)
        values = metrics.compare(true_mask, mask, spacing_mm, self.tolerance_mm)
        height_m = self.heights_m.get(case, math.nan)
        for name, each in (("true", true_mask), ("predicted", mask)):
            measured = quantities.measure(image, each, self.windows, self.in_hu, spacing_mm, height_m)
            values |= {f"{name}_{ending}": value for ending, value in measured.items()}
        return values

    @property
    def quantities(self) -> list[quantities.Quantity]:
        """The quantities that `of_pair` gives."""
        return quantities.quantities(self.windows, bool(self.spacings_mm), self.in_hu, bool(self.heights_m))


def measure(subject: Subject, masks: CaseMasks, measures: Measures, max_component_px: int = 0) -> pd.DataFrame:
    """Returns a table like metrics.csv that compares the masks with the reference masks.

    Connected components of at most `max_component_px` are removed from the masks first.
    """
    rows, cases = [], subject.cases
    names = progress.Bar(cases["case"], desc="Computing metrics", unit=" cases")
    for case, group in zip(names, cases["group"], strict=True):
        image, true_mask, mask = subject.read(case, masks)
        mask = cleaning.remove_specks(mask, max_component_px)
        rows.append({"case": case, "group": group, **measures.of_pair(case, image, true_mask, mask)})
    return pd.DataFrame(rows)


def pixel_spacings(setting: float | str | None, cases: pd.DataFrame) -> dict[str, Spacing]:
    """Returns the distances of rows and of columns in mm of each case, a row of cases.csv; {} if they are unknown.

    They are those of the image files, or those of PIXEL_SPACING_MM, the `setting`, multiplied by the factor by which
    step 1 resized the image. DatasetError if the setting names a table that can't be read or lacks a case.
    """
    if setting is None:
        return _from_files(cases)
    names = cases["case"].tolist()
    spacings = _from_table(setting, names) if isinstance(setting, str) else dict.fromkeys(names, setting)
    factors = cases.get("resized_by", pd.Series(1.0, cases.index))
    return {
        case: (spacings[case] * factor, spacings[case] * factor) for case, factor in zip(names, factors, strict=True)
    }


def spacing_note(setting: float | str | None, cases: pd.DataFrame, used: dict[str, Spacing]) -> str:
    """Says for how many cases the files lack a pixel spacing, or PIXEL_SPACING_MM contradicts it; "" for none.

    `used`: what `pixel_spacings` returned.
    """
    known = _known_spacings(cases)
    if setting is None:
        if not 0 < len(known) < len(cases):
            return ""
        return (
            f"{len(cases) - len(known)} of {len(cases)} image files have no pixel spacing: no lengths in mm are given. "
            "Set PIXEL_SPACING_MM in config.py."
        )
    ratios = [max((used[case][axis] / known[case][axis] for axis in (0, 1)), key=_deviation) for case in known]
    different = [ratio for ratio in ratios if _deviation(ratio) > spacing_table.MAX_DIFFERENCE]
    if not different:
        return ""
    largest = max(different, key=_deviation)
    return (
        f"PIXEL_SPACING_MM differs from the pixel spacing in {len(different)} of {len(known)} image files, by up to "
        f"{100 * (largest - 1):+.0f} %. The setting is used. Set it to None to use that of the files."
    )


def _deviation(ratio: float) -> float:
    return abs(math.log(ratio))


def _from_files(cases: pd.DataFrame) -> dict[str, Spacing]:
    # For some cases only, the others' lengths would count as failures.
    known = _known_spacings(cases)
    return known if len(known) == len(cases) else {}


def _known_spacings(cases: pd.DataFrame) -> dict[str, Spacing]:
    # Datasets of earlier versions lack the columns.
    columns = cases.reindex(columns=["case", "row_mm", "column_mm"]).dropna()
    return {case: (float(row), float(column)) for case, row, column in columns.itertuples(index=False)}


def _from_table(file: str, cases: list[str]) -> dict[str, float]:
    column = spacing_table.read_table(file)
    valid = spacing_table.valid(column)
    faults = [
        f"{file}: the case {case} has the spacings {column[column.index == case].tolist()}. "
        "Give it one row with a spacing_mm > 0."
        for case in cases
        if case not in valid
    ]
    if faults:
        raise storage.DatasetError(faults)
    return valid
