"""The metrics of each test case, and the pixel spacings that give them in mm."""

import pathlib

import numpy as np
import pandas as pd

import progress
import storage
from data import mask_folder, preloaded_dataset
from masks import cleaning, metrics


def read_masks(test_set: pathlib.Path, folder: pathlib.Path, case: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the reference mask of a test case and its mask in `folder`, uint8 (height, width) each.

    DatasetError if the mask in `folder` is missing, has another shape, or has values other than 0 and 1.
    """
    true_mask = preloaded_dataset.read(test_set / "masks", case)
    height, width = true_mask.shape
    return true_mask, mask_folder.read(folder, case, (height, width))


def measure(
    test_set: pathlib.Path,
    folder: pathlib.Path,
    cases: pd.DataFrame,
    spacings_mm: dict[str, float],
    tolerance_mm: float | None,
    max_component_px: int = 0,
) -> pd.DataFrame:
    """Returns a table like metrics.csv that compares the masks in `folder` with the reference masks.

    `cases` are rows of cases.csv, `spacings_mm` as `pixel_spacings` returns them, `tolerance_mm` that of the surface
    Dice. Connected components of at most `max_component_px` are removed from the masks first. DatasetError that lists
    all wrong masks.
    """
    rows, faults = [], []
    names = progress.Bar(cases["case"], desc="Computing metrics", unit=" cases")
    for case, group in zip(names, cases["group"], strict=True):
        try:
            true_mask, mask = read_masks(test_set, folder, case)
        except storage.DatasetError as error:
            faults += error.faults
        else:
            mask = cleaning.remove_specks(mask, max_component_px)
            values = metrics.compare(true_mask, mask, spacings_mm.get(case), tolerance_mm)
            rows.append({"case": case, "group": group, **values})
    if faults:
        raise storage.DatasetError(faults)
    return pd.DataFrame(rows)


def pixel_spacings(setting: float | str | None, cases: list[str]) -> dict[str, float]:
    """Returns the pixel spacing of each case in mm for the value of PIXEL_SPACING_MM; {} for None.

    DatasetError if the setting names a table that can't be read or lacks the spacing of a case.
    """
    if not isinstance(setting, str):
        return dict.fromkeys(cases, setting) if setting else {}
    try:
        column = pd.read_csv(setting, dtype={"case": str}).set_index("case")["spacing_mm"]
    except (OSError, KeyError, ValueError) as error:
        fault = f"{setting}: not a CSV table with the columns case and spacing_mm ({error})."
        raise storage.DatasetError([f"{fault} Correct it, or PIXEL_SPACING_MM in config.py."]) from error
    numbers = pd.to_numeric(column, errors="coerce").replace(np.inf, np.nan)
    valid = numbers[(numbers > 0) & ~numbers.index.duplicated(keep=False)].to_dict()
    faults = [
        f"{setting}: the case {case} has the spacings {column[column.index == case].tolist()}. "
        "Give it one row with a spacing_mm > 0."
        for case in cases
        if case not in valid
    ]
    if faults:
        raise storage.DatasetError(faults)
    return valid
