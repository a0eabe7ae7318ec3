"""The cases of the test set: chosen at random, or selected by the setting TEST_CASES."""

import difflib
import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd

import storage
from data import splitting
from data.image_mask_pairs import Pair
from settings import Settings


def name_faults(pairs: Sequence[Pair], options: Settings) -> list[str]:
    """The faults of TEST_CASES that are known before a file is read: one per unknown name, or a wrong pattern."""
    wanted, cases = options.TEST_CASES, [pair.case for pair in pairs]
    if not pairs or wanted is None:
        return []
    if isinstance(wanted, str):
        return [] if wanted in {pair.image.parts[-3] for pair in pairs} else _pattern_faults(wanted)
    # The names of slices are not known yet.
    unknown = [name for name in wanted if not any(f"{name}_".startswith(f"{case}_") for case in cases)]
    return [_unknown(name, cases) for name in unknown]


def choose(rows: pd.DataFrame, volumes: Sequence[str], excluded: pd.DataFrame, options: Settings) -> np.ndarray:
    """Whether each case, a row of cases.csv, is in the test set: (cases,) bool. A group is never divided.

    `volumes` has the name of each case's file, which the slices of a volume share; `excluded` is `left out.csv`.
    DatasetError if TEST_CASES names an unknown or excluded case, selects no case or all, or divides a group.
    """
    if options.TEST_CASES is None:
        return splitting.split(rows["group"].tolist(), options.TEST_SHARE, options.SEED)
    table = rows.assign(volume=list(volumes))
    faults = _list_faults(table, excluded, options.TEST_CASES)
    in_test = np.array(_selected(table, options.TEST_CASES), bool)
    if faults := faults or _size_faults(in_test, options.TEST_CASES) or list(_divided_groups(rows, in_test)):
        raise storage.DatasetError(faults)
    return in_test


def _pattern_faults(pattern: str) -> list[str]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        text = f"'{pattern}' is neither a subdirectory of the original dataset nor a regular expression ({error})."
        return [f"TEST_CASES in config.py: {text}"]
    return []


def _list_faults(table: pd.DataFrame, excluded: pd.DataFrame, wanted: str | Sequence[str]) -> list[str]:
    if isinstance(wanted, str):
        return []
    known = {*table["case"], *table["volume"]}
    reasons = dict(zip(excluded["case"], excluded["reason"], strict=True))
    return [
        f"TEST_CASES in config.py: '{name}' was excluded: {reasons[name]}. Remove it from the list, or set FIT_IMAGES."
        if name in reasons
        else _unknown(name, known)
        for name in wanted
        if name not in known
    ]


def _unknown(name: str, known: Collection[str]) -> str:
    closest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0)[0]
    return f"TEST_CASES in config.py: '{name}' is not a case of the dataset. The closest name is '{closest}'."


def _selected(table: pd.DataFrame, wanted: str | Sequence[str]) -> pd.Series:
    if not isinstance(wanted, str):
        return table["case"].isin(wanted) | table["volume"].isin(wanted)
    in_subdirectory = table["image_file"].str.split("/").str[0] == wanted
    return in_subdirectory if in_subdirectory.any() else table["case"].map(lambda case: bool(re.search(wanted, case)))


def _size_faults(in_test: np.ndarray, wanted: str | Sequence[str]) -> list[str]:
    if in_test.all():
        text = f"selects all {len(in_test)} cases, and none is left for training. Select fewer."
    elif not in_test.any():
        text = f"'{wanted}' is neither a subdirectory of the original dataset nor found in any case name. Correct it."
    else:
        return []
    return [f"TEST_CASES in config.py: {text}"]


def _divided_groups(rows: pd.DataFrame, in_test: np.ndarray) -> Iterator[str]:
    for group, cases in rows["case"].groupby(rows["group"]):
        tested = in_test[cases.index]
        if tested.any() and not tested.all():
            examples = f"'{cases[tested].iloc[0]}' in the test set, '{cases[~tested].iloc[0]}' in the train set"
            fix = "Select all of its cases or none."
            yield f"TEST_CASES in config.py: the group '{group}' would be in both sets, {examples}. {fix}"
