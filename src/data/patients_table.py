"""The table of patients that PATIENTS_TABLE names: heights, groups and subgroups of cases.

A CSV file with a header and a row per case (column `case`) or per group (column `group`). `height_m` is the patient's
height; every other column, such as sex or scanner, can divide the cases into subgroups.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

import storage

HEIGHT = "height_m"
_KEYS = ("case", "group")
# Heights in m: 172 would be cm.
_HEIGHTS = (0.3, 2.6)
_MAX_LISTED = 10


@dataclasses.dataclass(frozen=True)
class PatientsTable:
    """The cells of the table as texts, "" where empty. key: the column that `rows` are indexed by, case or group."""

    file: pathlib.Path
    key: str
    rows: pd.DataFrame

    def of_cases(self, cases: pd.DataFrame) -> pd.DataFrame:
        """The rows of the `cases`, a table with the columns case and group, in their order, indexed by case.

        DatasetError that lists the cases without a row.
        """
        if missing := self.missing(cases):
            listed = ", ".join(missing[:_MAX_LISTED])
            more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
            fix = f"Add a row with this {self.key}, or correct its name."
            raise storage.DatasetError([f"{self.file}: no row for the {self.key} {listed}{more}. {fix}"])
        return self.rows.loc[cases[self.key]].set_axis(cases["case"])

    def missing(self, cases: pd.DataFrame) -> list[str]:
        """The cases, or the groups if these are the key, that have no row."""
        return [name for name in dict.fromkeys(cases[self.key]) if name not in self.rows.index]

    def heights(self, cases: pd.DataFrame) -> dict[str, float]:
        """The height in m of each case that has one."""
        if HEIGHT not in self.rows:
            return {}
        heights = pd.to_numeric(self.of_cases(cases)[HEIGHT]).dropna()
        return {str(case): float(height) for case, height in heights.items()}


def read(file: pathlib.Path) -> PatientsTable:
    """The table. DatasetError if it can't be read, has no column case or group, or has an invalid height."""
    rows = _read(file).apply(lambda column: column.str.strip())
    key = next((name for name in _KEYS if name in rows), "")
    if not key:
        found = ", ".join(map(str, rows.columns))
        raise storage.DatasetError([f"{file}: no column case or group, only {found}. Add it, or correct its name."])
    faults = [
        f"{file}: the {key} {name} has several rows. Keep one of them."
        for name in dict.fromkeys(rows[key][rows[key].duplicated()])
    ]
    if HEIGHT in rows:
        rows[HEIGHT] = rows[HEIGHT].str.replace(",", ".")
        faults += [
            f"{file}: the {key} {name} has the {HEIGHT} {text}. Give it in m, such as 1.72, or leave it empty."
            for name, text in zip(rows[key], rows[HEIGHT], strict=True)
            if not _is_height(text)
        ]
    if faults:
        raise storage.DatasetError(faults)
    return PatientsTable(file, key, rows.set_index(key))


def _read(file: pathlib.Path) -> pd.DataFrame:
    fix = "Save it as CSV in UTF-8, or correct PATIENTS_TABLE in config.py."
    try:
        with file.open(encoding="utf-8-sig") as lines:
            header = lines.readline()
        # Spreadsheet programs write semicolons where the comma is the decimal separator.
        separator = max(",;\t", key=header.count)
        return pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise storage.DatasetError([f"{file}: not a CSV table ({storage.first_line(error)}). {fix}"]) from error


def _is_height(text: str) -> bool:
    try:
        return text == "" or _HEIGHTS[0] <= float(text) <= _HEIGHTS[1]
    except ValueError:
        return False


def subgroups(rows: pd.DataFrame) -> tuple[dict[str, pd.Series], list[str]]:
    """The columns that divide cases into subgroups, "not given" where a cell is empty; and the names of the others.

    `rows`: as from `PatientsTable.of_cases`. Text with 2 to 10 different values divides, numbers with 2 to 5, if values
    repeat: ages and identifiers do not.
    """
    used, others = {}, []
    for name in rows.columns.drop([HEIGHT, *_KEYS], errors="ignore"):
        cells = rows[name]
        if _divides(cells[cells != ""]):
            used[str(name)] = cells.replace("", "not given")
        else:
            others.append(str(name))
    return used, others


def _divides(values: pd.Series) -> bool:
    numeric = np.isfinite(pd.to_numeric(values, errors="coerce")).all()
    return 2 <= values.nunique() <= min(5 if numeric else 10, len(values) - 1)
