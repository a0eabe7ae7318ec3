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
from collections.abc import Mapping

import numpy as np
import pandas as pd

import settings
import storage
from data import (
    checks,
    dataset_report,
    dataset_summary,
    grouping,
    image_mask_pairs,
    intensities,
    labelled_cases,
    preloaded_dataset,
    test_set,
)
from data.image_mask_pairs import KINDS, Pair


def create_preloaded_dataset(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `preloaded dataset`: the checked pairs without specks, split into a train set and a test set.

    DatasetError as in the module's docstring; UserError if the system ends a process that reads the files.
    """
    options = settings.load(workspace.root)
    if workspace.predictions.exists():
        print("The predictions of the current preloaded dataset will be removed with it.")
    found = image_mask_pairs.find(workspace.original_dataset)
    try:
        cases = _write(found, workspace.preloaded_dataset, options)
    except storage.DatasetError:
        _print_skipped(found.skipped)
        raise
    _print_skipped(cases.warnings)
    if cases.empty_slices:
        print(dataset_summary.empty_slices(cases.empty_slices))
    _print_skipped(found.skipped)
    for line in dataset_summary.lines(cases.rows, cases.excluded, options):
        print(line)
    print(f"Data report: {workspace.preloaded_dataset.name}/{dataset_report.FILE}")


def _write(
    found: image_mask_pairs.PairsFound, folder: pathlib.Path, options: settings.Settings
) -> labelled_cases.LabelledCases:
    """Writes the preloaded dataset and returns its cases, with their split."""
    if name_faults := _name_faults(found.pairs, options):
        labelled_cases.raise_faults(found.faults + name_faults)
    with storage.atomic_folder(folder) as draft:
        train_set = draft / "train set"
        cases = labelled_cases.convert(found, train_set, options)
        rows = cases.rows
        labelled_cases.raise_faults(
            grouping.split_faults(rows["group"].tolist(), options, rows["image_file"].nunique())
        )
        in_test = test_set.choose(rows, cases.volumes, cases.excluded, options)
        findings = labelled_cases.check(cases, draft, train_set, options)
        for finding in findings:
            print(f"Warning: {finding.message} See 'preloaded dataset/checks'.")
        _move_test_cases(rows, in_test, draft)
        labelled_cases.raise_faults(_nothing_to_learn(rows, options))
        rows.to_csv(draft / "cases.csv", index=False)
        cases.excluded.to_csv(draft / "left out.csv", index=False)
        preloaded_dataset.write_grids(draft, cases.grids)
        preloaded_dataset.write_facts(draft, preloaded_dataset.facts(len(rows), options))
        dataset_report.write(draft, _prepared(found, cases, findings, options))
    return cases


def _name_faults(pairs: list[Pair], options: settings.Settings) -> list[str]:
    """The faults that are known from the names: reading takes minutes."""
    groups, faults = grouping.groups(pairs, options)
    if pairs and not faults and options.GROUP_CASES_BY not in (None, "case"):
        faults = grouping.split_faults(list(groups.values()), options)
    return faults + test_set.name_faults(pairs, options)


def _prepared(
    found: image_mask_pairs.PairsFound,
    cases: labelled_cases.LabelledCases,
    findings: Mapping[checks.Finding, bytes],
    options: settings.Settings,
) -> dataset_report.Preparation:
    return dataset_report.Preparation(
        cases=cases.rows,
        excluded=cases.excluded,
        files=len(found.pairs),
        empty_slices=cases.empty_slices,
        findings=findings,
        window=intensities.window(options, intensities.are_in_hu(cases.rows)),
        seed=options.SEED,
    )


def _move_test_cases(rows: pd.DataFrame, in_test: np.ndarray, draft: pathlib.Path) -> None:
    rows.loc[in_test, "split"] = "test"
    for kind in KINDS:
        (draft / "test set" / kind).mkdir(parents=True)
        for case in rows["case"][in_test]:
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
