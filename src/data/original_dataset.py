"""Step 1: reads the original dataset, the user's CSV files, and writes the preloaded dataset.

    original dataset/
      <subdirectory>/          one or more, with any names: a hospital, a patient, a series
        images/<name>.csv      one file per image
        masks/<name>.csv       its mask, under the same name

Each CSV file is one 2-D array: a line of text per row of pixels, values with commas between them, points as decimal
marks, no header, no row names, UTF-8. Images and masks are IMAGE_SIZE x IMAGE_SIZE (config.py; 512 x 512). An image's
values are any finite numbers, such as Hounsfield units; a mask's are 0 and 1. A case is named `<subdirectory>__<name>`;
with the ending ".npy" it may have 251 bytes.

A pair of another size is excluded: a warning and `preloaded dataset/left out.csv` list it. Any other fault stops the
step, and the previous preloaded dataset is kept. One DatasetError lists the faults of all files, equal ones once, with
their number and the first ten files:
  - an image without mask, a mask without image, a mask identical to its image, the same image under two names;
  - a file that can't be read as such an array, other values in a mask, a shape with a known cause, such as
    a header, row names or colours;
  - files that were meant as data and can't be read: broken symbolic links, placeholders of a cloud, compressed files,
    CSV files in the wrong folder (see `data.input_files`);
  - names that differ only in upper and lower case or in Unicode normalization, and names that no result can have;
  - a GROUP_CASES_BY that does not fit the case names: this is checked before any file is read;
  - train masks that are all empty.

Warnings, not faults: files that are not CSV files, empty masks, masks that cover nearly all of the image.
"""

import dataclasses
import os
import pathlib
from typing import Any

import joblib
import numpy as np
import pandas as pd

import progress
import settings
import storage
import worker_pool
from data import (
    csv_array,
    dataset_summary,
    grouping,
    image_mask_pairs,
    input_files,
    mask_folder,
    preloaded_dataset,
    splitting,
)
from data.image_mask_pairs import KINDS, Pair
from masks import cleaning

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
    """Writes the preloaded dataset; returns the tables of its cases and of the excluded pairs."""
    groups, group_faults = grouping.groups(found.pairs, options)
    if group_faults:  # Reading takes minutes; these faults are known from the names.
        _raise(found.faults + group_faults)
    with storage.atomic_folder(folder) as draft:
        outcomes = _convert_all(found.pairs, draft, options)
        faults = found.faults + [fault for outcome in outcomes for fault in outcome.faults]
        rows = pd.DataFrame([outcome.row for outcome in outcomes if outcome.row])
        excluded = pd.DataFrame([outcome.excluded for outcome in outcomes if outcome.excluded], columns=_EXCLUDED)
        _raise(faults + _duplicates(rows))
        rows["group"] = rows["case"].map(groups) if len(rows) else []
        _raise(_all_excluded(rows, excluded) or grouping.split_faults(rows["group"].tolist(), options))
        _split(rows, options, draft)
        _raise(_nothing_to_learn(rows))
        rows.to_csv(draft / "cases.csv", index=False)
        excluded.to_csv(draft / "left out.csv", index=False)
        preloaded_dataset.write_facts(draft, _facts(len(rows), options))
    return rows, excluded


def _facts(cases: int, options: settings.Settings) -> preloaded_dataset.DatasetFacts:
    return preloaded_dataset.DatasetFacts(
        cases=cases,
        image_size=options.IMAGE_SIZE,
        test_share=options.TEST_SHARE,
        group_cases_by=options.GROUP_CASES_BY,
        seed=options.SEED,
        mask_speck_px=options.MASK_SPECK_PX,
    )


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """The result of one pair: a row of cases.csv, a row of `left out.csv`, or faults."""

    row: dict[str, Any] | None = None
    excluded: dict[str, str] | None = None
    faults: list[str] = dataclasses.field(default_factory=list)


def _convert_all(pairs: list[Pair], draft: pathlib.Path, options: settings.Settings) -> list[_Outcome]:
    for split in ("train set", "test set"):
        for kind in ("images", "masks"):
            (draft / split / kind).mkdir(parents=True)
    jobs = (
        joblib.delayed(_convert)(pair, draft / "train set", options.IMAGE_SIZE, options.MASK_SPECK_PX) for pair in pairs
    )
    with worker_pool.outcomes(jobs) as outcomes:
        return list(progress.Bar(outcomes, total=len(pairs), desc="Reading", unit=" pairs"))


def _convert(pair: Pair, folder: pathlib.Path, image_size: int, speck_px: int) -> _Outcome:
    # Runs in a worker process. Its result is small, whatever the size of the images: memory stays flat.
    try:
        return _convert_pair(pair, folder, image_size, speck_px)
    except MemoryError:
        fix = "Close other programs, or give a smaller file."
        return _Outcome(faults=[f"{pair.image}: this machine's memory is too small to read it, or its mask. {fix}"])


def _convert_pair(pair: Pair, folder: pathlib.Path, image_size: int, speck_px: int) -> _Outcome:
    arrays, faults = [], []
    for path in (pair.image, pair.mask):
        try:
            arrays.append(csv_array.read(path))
        except storage.DatasetError as error:
            faults += error.faults
        else:
            explanation = csv_array.explain_shape(arrays[-1], image_size)
            faults += [f"{path}: {explanation}"] if explanation else []
    if faults:
        return _Outcome(faults=faults)
    image, mask = arrays
    if {image.shape, mask.shape} != {(image_size, image_size)}:
        reason = _wrong_size(image, mask, image_size)
        return _Outcome(excluded={"case": pair.case, "image_file": _source(pair.image), "reason": reason})
    if fault := _mask_fault(image, mask):
        return _Outcome(faults=[f"{pair.mask}: {fault}"])
    image, mask = preloaded_dataset.smallest_lossless(image), mask.astype(np.uint8)
    return _Outcome(row=_write_case(pair, folder, image, mask, speck_px))


def _source(path: pathlib.Path) -> str:
    return "/".join(path.parts[-3:])


def _wrong_size(image: np.ndarray, mask: np.ndarray, image_size: int) -> str:
    sizes = f"image {image.shape[0]} x {image.shape[1]}, mask {mask.shape[0]} x {mask.shape[1]}"
    return f"{sizes}, expected {image_size} x {image_size}"


def _mask_fault(image: np.ndarray, mask: np.ndarray) -> str:
    if np.array_equal(image, mask):
        return "identical to its image. Put the mask there instead."
    return mask_folder.fault(mask)


def _write_case(pair: Pair, folder: pathlib.Path, image: np.ndarray, mask: np.ndarray, speck_px: int) -> dict[str, Any]:
    cleaned = cleaning.remove_specks(mask, speck_px) if speck_px else mask
    image_hash, mask_hash = (
        preloaded_dataset.write(folder / kind, pair.case, array)
        for kind, array in (("images", image), ("masks", cleaned))
    )
    return {
        "case": pair.case,
        "split": "train",
        "group": pair.case,
        "image_file": _source(pair.image),
        "mask_file": _source(pair.mask),
        "image_sha256": image_hash,
        "mask_sha256": mask_hash,
        "height": image.shape[0],
        "width": image.shape[1],
        "dtype": image.dtype.name,
        "minimum": image.min(),
        "maximum": image.max(),
        "mask_px": int(cleaned.sum()),
        "specks_removed_px": int(mask.sum()) - int(cleaned.sum()),
    }


def _duplicates(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return []
    first = rows.groupby("image_sha256")["image_file"].transform("first")
    copies = rows[first != rows["image_file"]]
    return [
        f"{copy}: the same image as {first[index]}. Remove one of the two."
        for index, copy in copies["image_file"].items()
    ]


def _all_excluded(rows: pd.DataFrame, excluded: pd.DataFrame) -> list[str]:
    if len(rows) or excluded.empty:
        return []
    first = excluded.iloc[0]
    example = f"{first.image_file}: {first.reason}"
    return [f"All {len(excluded)} pairs have another size: {example}. Resize them, or set IMAGE_SIZE in config.py."]


def _split(rows: pd.DataFrame, options: settings.Settings, draft: pathlib.Path) -> None:
    in_test = splitting.split(rows["group"].tolist(), options.TEST_SHARE, options.SEED)
    rows.loc[in_test, "split"] = "test"
    for case in rows["case"][in_test]:
        for kind in KINDS:
            os.rename(draft / "train set" / kind / f"{case}.npy", draft / "test set" / kind / f"{case}.npy")


def _nothing_to_learn(rows: pd.DataFrame) -> list[str]:
    train = rows[rows["split"] == "train"]
    if train["mask_px"].any():
        return []
    if train["specks_removed_px"].any():
        fix = "All components of some of them were removed as specks. Lower MASK_SPECK_PX in config.py."
    elif rows["mask_px"].any():
        fix = "Add cases with a mask that is not empty, or change SEED in config.py."
    else:
        fix = "Check the export of the masks: 1 inside the structure, 0 outside."
    return [f"All {len(train)} train masks are empty: a network can't learn from them. {fix}"]


def _print_skipped(lines: list[str]) -> None:
    for line in dataset_summary.first(lines):
        print(f"Warning: {line}")
