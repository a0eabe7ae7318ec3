"""Step 1: reads the original dataset, the user's image files, and writes the preloaded dataset.

    original dataset/
      <subdirectory>/              one or more, with any names: a hospital, a patient, a series
        images/<name>.<ending>     one file per image or volume, or a folder with the slices of a DICOM series
        masks/<name>.<ending>      its mask, under the same name, in the same or another format

`data.formats` reads them. A case is named `<subdirectory>__<name>`, a slice of a volume
`<subdirectory>__<name>_<slice>`; with the ending ".npy" it may have 251 bytes. A slice of a volume is a case if its
mask is not empty, or with INCLUDE_EMPTY_SLICES.

An image that is not IMAGE_SIZE x IMAGE_SIZE is excluded, unless FIT_IMAGES is set: a warning and
`preloaded dataset/left out.csv` list it. Any other fault stops the step, and the previous preloaded dataset is kept.
One DatasetError lists the faults of all files, equal ones once, with their number and the first ten files:
  - an image without mask, a mask without image, a mask identical to its image, the same image under two names;
  - a file that can't be read, a mask on other pixels than its image's, several labels without MASK_LABELS, a CSV file
    whose shape has a known cause, such as a header, row names or colours;
  - files that were meant as data and can't be read: broken symbolic links, placeholders of a cloud, compressed files,
    image files in the wrong folder (see `data.input_files`);
  - names that differ only in upper and lower case or in Unicode normalization, and names that no result can have;
  - a GROUP_CASES_BY that does not fit the case names: this is checked before any file is read;
  - a TEST_CASES that names unknown cases, selects none or all, or divides a group between train and test set;
  - the same patient in the DICOM headers of all images, without GROUP_CASES_BY;
  - train masks that are all empty.

Warnings, not faults: files of other formats, empty masks, masks that cover nearly all of the image.
"""

import os
import pathlib

import joblib
import numpy as np
import pandas as pd

import progress
import settings
import storage
import worker_pool
from data import (
    checks,
    conversion,
    dataset_summary,
    file_names,
    grouping,
    image_mask_pairs,
    input_files,
    intensities,
    mask_labels,
    preloaded_dataset,
    test_set,
)
from data.image_mask_pairs import KINDS, Pair

# The columns of `left out.csv`.
_EXCLUDED = ["case", "image_file", "reason"]


def create_preloaded_dataset(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `preloaded dataset`: the checked pairs without specks, split into a train set and a test set.

    DatasetError as in the module's docstring; UserError if the system ends a process that reads the files.
    """
    options = settings.load(workspace.root)
    if workspace.predictions.exists():
        print("The predictions of the current preloaded dataset will be removed with it.")
    found = image_mask_pairs.find(workspace.original_dataset)
    try:
        rows, excluded = _write(found, workspace.preloaded_dataset, options)
    except storage.DatasetError:
        _print_skipped(found.skipped)
        raise
    _print_skipped(found.skipped)
    for line in dataset_summary.lines(rows, excluded, options):
        print(line)


def _raise(faults: list[str]) -> None:
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


def _write(
    found: image_mask_pairs.PairsFound, folder: pathlib.Path, options: settings.Settings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Writes the preloaded dataset; returns the tables of its cases and of the excluded images."""
    groups, name_faults = grouping.groups(found.pairs, options)
    name_faults += test_set.name_faults(found.pairs, options)
    if name_faults:  # Reading takes minutes; these faults are known from the names.
        _raise(found.faults + name_faults)
    with storage.atomic_folder(folder) as draft:
        outcomes = _convert_all(found.pairs, draft, options)
        converted = list(zip(found.pairs, outcomes, strict=True))
        faults = found.faults + [fault for outcome in outcomes for fault in outcome.faults]
        labels = {conversion.source(pair.mask): outcome.labels for pair, outcome in converted}
        matched = {label for outcome in outcomes for label in outcome.matched}
        faults += mask_labels.faults(labels, options.wanted_labels, matched)
        if options.GROUP_CASES_BY is None:
            groups = grouping.by_patient({pair.case: outcome.patient for pair, outcome in converted})
        rows = pd.DataFrame([row | {"group": groups[pair.case]} for pair, outcome in converted for row in outcome.rows])
        excluded = pd.DataFrame([row for outcome in outcomes for row in outcome.excluded], columns=_EXCLUDED)
        _raise(faults + _repeated_names(converted) + _duplicates(rows))
        _raise(
            _no_cases(rows, excluded)
            or grouping.split_faults(rows["group"].tolist(), options, rows["image_file"].nunique())
        )
        volumes = [pair.case for pair, outcome in converted for _ in outcome.rows]
        in_test = test_set.choose(rows, volumes, excluded, options)
        _check_data(outcomes, rows, draft, options)
        _move_test_cases(rows, in_test, draft)
        _raise(_nothing_to_learn(rows, options))
        rows.to_csv(draft / "cases.csv", index=False)
        excluded.to_csv(draft / "left out.csv", index=False)
        preloaded_dataset.write_grids(draft, [outcome.grid for outcome in outcomes if outcome.grid])
        preloaded_dataset.write_facts(draft, _facts(len(rows), options))
    _print_skipped(input_files.grouped(warning for outcome in outcomes for warning in outcome.warnings))
    if empty := sum(outcome.empty_slices for outcome in outcomes):
        slices = f"{empty} slice{'s' * (empty > 1)}"
        print(f"Skipped {slices} without foreground. INCLUDE_EMPTY_SLICES = True includes them.")
    return rows, excluded


def _check_data(
    outcomes: list[conversion.Outcome], rows: pd.DataFrame, draft: pathlib.Path, options: settings.Settings
) -> None:
    """Writes what the checks find, and prints warnings. DatasetError for what is certainly wrong."""
    features = {case: each for outcome in outcomes for case, each in outcome.features.items()}
    groups = dict(zip(rows["case"], rows["group"], strict=True))
    window = intensities.window(options, intensities.are_in_hu(rows))
    grouped = len(set(groups.values())) < len(groups)
    nearest = checks.nearest(features)
    findings = checks.findings(features, groups if grouped else None, window, nearest)
    _raise([finding.message for finding in findings if finding.certain])
    checks.write(draft, draft / "train set", features, findings, nearest)
    for finding in findings:
        print(f"Warning: {finding.message} See 'preloaded dataset/checks'.")


def _facts(cases: int, options: settings.Settings) -> preloaded_dataset.DatasetFacts:
    return preloaded_dataset.DatasetFacts(
        cases=cases,
        image_size=options.IMAGE_SIZE,
        test_share=options.TEST_SHARE,
        test_cases=options.TEST_CASES,
        group_cases_by=options.GROUP_CASES_BY,
        seed=options.SEED,
        mask_speck_px=options.MASK_SPECK_PX,
    )


def _convert_all(pairs: list[Pair], draft: pathlib.Path, options: settings.Settings) -> list[conversion.Outcome]:
    for split in ("train set", "test set"):
        for kind in ("images", "masks"):
            (draft / split / kind).mkdir(parents=True)
    jobs = (joblib.delayed(conversion.convert)(pair, draft / "train set", options) for pair in pairs)
    with worker_pool.outcomes(jobs) as outcomes:
        return list(progress.Bar(outcomes, total=len(pairs), desc="Reading", unit=" pairs"))


def _repeated_names(converted: list[tuple[Pair, conversion.Outcome]]) -> list[str]:
    """A fault for each slice of a volume that has the name of another case. Names of files were compared before."""
    first: dict[str, tuple[Pair, str]] = {}
    faults = []
    for pair, outcome in converted:
        for row in outcome.rows:
            other, name = first.setdefault(file_names.comparable(row["case"]), (pair, row["case"]))
            if other is not pair and (pair.case, other.case) != (row["case"], name):
                clash = f"its case name, {row['case']}, is also that of {conversion.source(other.image)}"
                faults.append(f"{conversion.source(pair.image)}: {clash}. Rename one of them.")
    return faults


def _duplicates(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return []
    names = _slices(rows)
    first = names.groupby(rows["image_sha256"]).transform("first")
    return [
        f"{copy}: the same image as {first[index]}. Remove one of the two."
        for index, copy in names[first != names].items()
    ]


def _slices(rows: pd.DataFrame) -> pd.Series:
    """The image file of each case; for slices of a volume, which share it, with the case's name."""
    shared = rows["image_file"].duplicated(keep=False)
    return rows["image_file"].where(~shared, rows["image_file"] + " (" + rows["case"] + ")")


def _no_cases(rows: pd.DataFrame, excluded: pd.DataFrame) -> list[str]:
    if len(rows):
        return []
    if excluded.empty:
        return ["All masks are empty: there is nothing to learn. Check the export of the masks."]
    first = excluded.iloc[0]
    example = f"{first.image_file}: {first.reason}"
    fix = "Set FIT_IMAGES = True or IMAGE_SIZE in config.py, or resize them."
    return [f"All {len(excluded)} images have another size: {example}. {fix}"]


def _move_test_cases(rows: pd.DataFrame, in_test: np.ndarray, draft: pathlib.Path) -> None:
    rows.loc[in_test, "split"] = "test"
    for case in rows["case"][in_test]:
        for kind in KINDS:
            os.rename(draft / "train set" / kind / f"{case}.npy", draft / "test set" / kind / f"{case}.npy")


def _nothing_to_learn(rows: pd.DataFrame, options: settings.Settings) -> list[str]:
    train = rows[rows["split"] == "train"]
    if train["mask_px"].any():
        return []
    if train["specks_removed_px"].any():
        fix = "All components of some of them were removed as specks. Lower MASK_SPECK_PX in config.py."
    elif rows["mask_px"].any():
        split = "SEED" if options.TEST_CASES is None else "TEST_CASES"
        fix = f"Add cases with a mask that is not empty, or change {split} in config.py."
    else:
        fix = "Check the export of the masks: 1 inside the structure, 0 outside."
    return [f"All {len(train)} train masks are empty: a network can't learn from them. {fix}"]


def _print_skipped(lines: list[str]) -> None:
    for line in dataset_summary.first(lines):
        print(f"Warning: {line}")
