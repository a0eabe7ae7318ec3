"""The quantities of predicted masks on the original pixels of new images, and the groups of these images."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from data import formats, grouping, intensities, patients_table, spacing_table
from data.patients_table import PatientsTable
from masks import quantities
from prediction.slices import Slice
from settings import Settings


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured on new images.

    windows: as VALUE_WINDOWS. spacings_mm: the pixel spacing of images whose files have none, by name or one for all.
    patients: heights and groups by name. group_pattern: a regular expression, as GROUP_CASES_BY, or None.
    """

    windows: quantities.Windows
    spacings_mm: Mapping[str, float] | float | None
    patients: PatientsTable | None
    group_pattern: str | None

    @classmethod
    def from_settings(cls, options: Settings) -> "Measures":
        """As the settings say. DatasetError if a table that they name can't be read."""
        setting, rule = options.PIXEL_SPACING_MM, options.GROUP_CASES_BY
        spacings = spacing_table.valid(spacing_table.read_table(setting)) if isinstance(setting, str) else setting
        patients = patients_table.read(pathlib.Path(options.PATIENTS_TABLE)) if options.PATIENTS_TABLE else None
        return cls(options.VALUE_WINDOWS, spacings, patients, None if rule in _RULES else rule)

    def measure(self, each: Slice, mask: np.ndarray) -> dict[str, float]:
        """The quantities of the mask of a slice, uint8 (rows, columns), as `quantities.measure` returns them.

        The mean and the SD of images that are not in Hounsfield units have names of their own.
        """
        in_hu = intensities.is_in_hu(each.image.modality, float(each.pixels.min()))
        height_m = self._height_m(*_names(each))
        return quantities.measure(each.pixels, mask, self.windows, in_hu, self._spacing_mm(each), height_m)

    def columns(self, each: Slice, measured: Mapping[str, float]) -> dict[str, float]:
        """The columns of _table.csv for a slice and what `measure` returned."""
        row_mm, column_mm = self._spacing_mm(each) or (math.nan, math.nan)
        names = {"cm2": "area_cm2"}
        columns = {names.get(name, name): round(value, 4) for name, value in measured.items() if name != "px"}
        return {"row_mm": row_mm, "column_mm": column_mm, **columns}

    def spacing_note(self, table: pd.DataFrame) -> str:
        """Says for how many images of a table with `columns` the files contradict the setting; "" for none."""
        spacings = [self._setting_mm(name) or math.nan for name in table["image"]]
        ratios = table[["row_mm", "column_mm"]].div(spacings, axis=0)
        different = int((np.log(ratios).abs() > spacing_table.MAX_DIFFERENCE).any(axis=1).sum())
        if not different:
            return ""
        files = f"{different} of {len(table)} images"
        return (
            f"Warning: PIXEL_SPACING_MM differs from the pixel spacing in {files}. That of the file is used for these."
        )

    def groups(self, patients: Mapping[pathlib.Path, str | None]) -> dict[pathlib.Path, str]:
        """The group of each file: that of the table, the match of the pattern, its patient's number, or its own name.

        `patients`: as in `formats.Image`; they are not part of the groups' names.
        """
        by_patient = grouping.by_patient({str(file): patient for file, patient in patients.items()})
        return {file: self._group(formats.stem(file), file, by_patient) for file in patients}

    def _group(self, name: str, file: pathlib.Path, by_patient: Mapping[str, str]) -> str:
        rows = self.patients.rows if self.patients and self.patients.key == "case" else None
        if rows is not None and "group" in rows and name in rows.index and rows.loc[name, "group"]:
            return str(rows.loc[name, "group"])
        if self.group_pattern and (match := re.search(self.group_pattern, name)):
            return next(filter(None, match.groups() or [match.group()]), name)
        group = by_patient[str(file)]
        return name if group == str(file) else group

    def _spacing_mm(self, each: Slice) -> tuple[float, float] | None:
        setting_mm = self._setting_mm(*_names(each))
        return each.image.spacing_mm or ((setting_mm, setting_mm) if setting_mm else None)

    def _height_m(self, *names: str) -> float:
        if not self.patients or patients_table.HEIGHT not in self.patients.rows:
            return math.nan
        heights = self.patients.rows[patients_table.HEIGHT]
        text = next((heights[name] for name in names if name in heights.index), "")
        return float(text) if text else math.nan

    def _setting_mm(self, *names: str) -> float | None:
        if isinstance(self.spacings_mm, Mapping):
            return next((self.spacings_mm[name] for name in names if name in self.spacings_mm), None)
        return self.spacings_mm


def _names(each: Slice) -> tuple[str, str]:
    """The names under which tables may have a slice: its own and its file's."""
    return each.name, formats.stem(each.file)


# Values of GROUP_CASES_BY that are no regular expression.
_RULES = (None, "subdirectory", "case")
