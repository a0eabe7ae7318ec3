"""The text that step 1 prints about the preloaded dataset: warnings, removed specks, the split."""

from collections.abc import Iterator

import pandas as pd

from data import input_files, splitting
from masks import agreement
from settings import Settings

# A mask that covers more is rarely intended: often 0 and 1 were swapped.
NEARLY_ALL = 0.9


def lines(rows: pd.DataFrame, excluded: pd.DataFrame, options: Settings) -> Iterator[str]:
    """The lines to print. `rows` is cases.csv, `excluded` is `left out.csv`."""
    empty = _empty_per_split(rows, options) if (rows["mask_px"] == 0).any() else ()
    for text in [*case_warnings(rows, excluded, options.MASK_SPECK_PX), *empty, *_few_test_groups(rows, options)]:
        yield f"Warning: {text}"
    specks = rows[rows["specks_removed_px"] > 0]
    if len(specks):
        removed = f"{_count(len(specks), 'mask')} ({specks['specks_removed_px'].sum()} px)"
        yield f"Removed components of at most {options.MASK_SPECK_PX} px from {removed}."
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    grouped = rows["group"].nunique() < len(rows)
    groups = [f" ({_count(each['group'].nunique(), 'group')})" if grouped else "" for each in (train, test)]
    sizes = [_count(len(train), "train case") + groups[0], _count(len(test), "test case") + groups[1]]
    by_patient = options.GROUP_CASES_BY is None and rows["group"].str.fullmatch(r"patient \d+").any()
    apart = "; no group is in both" if grouped else ""
    apart += ", by the patients in the DICOM headers" if grouped and by_patient else ""
    selected = "" if options.TEST_CASES is None else "; TEST_CASES selected the test set"
    yield f"Preloaded dataset: {', '.join(sizes)}{apart}{selected}."


def _few_test_groups(rows: pd.DataFrame, options: Settings) -> Iterator[str]:
    """Step 5 has no confidence intervals for so few groups: the time to change the split is now."""
    groups, unit = rows["group"].tolist(), "group" if rows["group"].nunique() < len(rows) else "case"
    in_test = rows["group"][rows["split"] == "test"].nunique()
    if in_test >= agreement.MIN_GROUPS:
        return
    found = f"{_count(in_test, unit)} in the test set, fewer than {agreement.MIN_GROUPS}: no confidence intervals."
    if options.TEST_CASES is not None:
        yield f"{found} Select cases of more groups in TEST_CASES."
        return
    shares = (percent / 100 for percent in range(1, 100))
    enough = (share for share in shares if _test_groups(groups, share, options.SEED) >= agreement.MIN_GROUPS)
    if share := next(enough, None):
        yield f"{found} TEST_SHARE = {share} would give {_test_groups(groups, share, options.SEED)}."
    else:
        yield f"{found} Add data: no split of these {_count(len(set(groups)), unit)} gives {agreement.MIN_GROUPS}."


def _test_groups(groups: list[str], share: float, seed: int) -> int:
    in_test = splitting.split(groups, share, seed)
    return len({group for group, is_test in zip(groups, in_test, strict=True) if is_test})


def case_warnings(rows: pd.DataFrame, excluded: pd.DataFrame, speck_px: int) -> Iterator[str]:
    """The warnings about single cases: excluded images, empty masks, and masks that cover nearly all of the image."""
    yield from first([f"{entry.image_file} excluded: {entry.reason}." for entry in excluded.itertuples()])
    empty = rows[rows["mask_px"] == 0]
    if len(empty) <= input_files.MAX_LISTED:
        yield from (f"{row.case}: {_why_empty(row.specks_removed_px, speck_px)}" for row in empty.itertuples())
    full = rows["case"][rows["mask_px"] > NEARLY_ALL * rows["height"] * rows["width"]]
    swapped = f"the mask covers more than {NEARLY_ALL:.0%} of the image. Were 0 and 1 swapped?"
    yield from first([f"{case}: {swapped}" for case in full])


def first(lines: list[str]) -> list[str]:
    """The first lines, and the number of the others."""
    more = len(lines) - input_files.MAX_LISTED
    return [*lines[: input_files.MAX_LISTED], f"... and {more} more of this kind."] if more > 0 else lines


def empty_slices(count: int) -> str:
    """What the terminal says about so many skipped slices of volumes."""
    return f"Skipped {_count(count, 'slice')} without foreground. INCLUDE_EMPTY_SLICES = True includes them."


def _why_empty(removed_px: int, speck_px: int) -> str:
    if not removed_px:
        return "the mask is empty."
    setting = f"MASK_SPECK_PX = {speck_px}"
    return f"the mask is now empty: all its components, {removed_px} px, were removed as specks ({setting})."


def _empty_per_split(rows: pd.DataFrame, options: Settings) -> Iterator[str]:
    empty = {split: rows["mask_px"][rows["split"] == split] == 0 for split in ("train", "test")}
    parts = [f"{each.sum()} of {len(each)} {split} masks" for split, each in empty.items() if each.any()]
    verb = "is" if sum(each.sum() for each in empty.values()) == 1 else "are"
    emptied = ((rows["mask_px"] == 0) & (rows["specks_removed_px"] > 0)).sum()
    specks = f"; in {emptied} of them all components were removed as specks (MASK_SPECK_PX = {options.MASK_SPECK_PX})"
    yield f"{' and '.join(parts)} {verb} empty{specks if emptied else ''}."
    if empty["test"].all():
        split = "SEED or TEST_SHARE" if options.TEST_CASES is None else "TEST_CASES"
        fix = f"Change {split} in config.py, or add cases."
        yield f"all test masks are empty: the evaluation can't measure whether the structure is found. {fix}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
