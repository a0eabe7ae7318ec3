"""The table of pixel spacings that PIXEL_SPACING_MM can name: a CSV file with the columns case and spacing_mm."""

import numpy as np
import pandas as pd

import storage

# Relative: smaller differences are due to rounding.
MAX_DIFFERENCE = 0.01


def read_table(file: str) -> pd.Series:
    """The column spacing_mm by case, as it is in the file. DatasetError if it can't be read."""
    try:
        return pd.read_csv(file, dtype={"case": str}).set_index("case")["spacing_mm"]
    except (OSError, KeyError, ValueError) as error:
        fault = f"{file}: not a CSV table with the columns case and spacing_mm ({error})."
        raise storage.DatasetError([f"{fault} Correct it, or PIXEL_SPACING_MM in config.py."]) from error


def valid(column: pd.Series) -> dict[str, float]:
    """The spacings of the cases that have exactly one, which is above 0."""
    numbers = pd.to_numeric(column, errors="coerce").replace(np.inf, np.nan)
    return numbers[(numbers > 0) & ~numbers.index.duplicated(keep=False)].to_dict()
