"""The original dataset: your CSV files, what they must look like, and how they become the preloaded dataset (step 1).

    original dataset/
      <subdirectory>/          one or more, named as you like: a hospital, a patient, a series
        images/<name>.csv      one file per image
        masks/<name>.csv       its mask, under the same name

Each CSV file is one 2-D array: a line of text per row of pixels, values with commas between them, points as decimal marks, no header, no
row names, UTF-8. Images and masks are IMAGE_SIZE x IMAGE_SIZE (config.py; 512 x 512). An image's values are any finite numbers, such as
Hounsfield units; a mask's are 0 and 1. Files whose name does not end with .csv, and hidden ones, are passed over.

A pair of another size is left out: it is named in a warning and in `preloaded dataset/left out.csv`. Anything else that is wrong stops
the step, with one DatasetError that lists all faults in all files, and the former preloaded dataset stays as it was: an image without
mask, a mask without image, a file that can't be read as such an array, other values in a mask, a mask identical to its image, the same
image under two names, the same case name twice. Empty masks and masks that cover nearly all of the image are allowed, with a warning.
"""
import dataclasses
import os
import pathlib
import re
import types
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tqdm

import settings
import storage
from data import csv_array, mask_folder, preloaded_dataset, splitting
from masks import cleaning

# A mask that covers more is rarely meant: often the two values were swapped.
NEARLY_ALL = 0.9

# The settings that make the dataset what it is.
_MADE_BY = ("IMAGE_SIZE", "TEST_SHARE", "GROUP_CASES_BY", "SEED", "MASK_SPECK_PX")


def create_preloaded_dataset(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `preloaded dataset` from `original dataset`: checked, cleaned of specks, split into a train set and a test set.

    Raises DatasetError as the module's docstring says.
    """
    options = settings.load(workspace.root)
    pairs, faults = _find_pairs(workspace.original_dataset)
    with storage.replacing(workspace.preloaded_dataset) as draft:
        outcomes = _convert_all(pairs, draft, options)
        faults += [fault for outcome in outcomes for fault in outcome.get("faults", [])]
        rows = pd.DataFrame([outcome["row"] for outcome in outcomes if "row" in outcome])
        faults += _duplicates(rows) + _assign_groups(rows, options.GROUP_CASES_BY)
        left_out = pd.DataFrame([outcome["left out"] for outcome in outcomes if "left out" in outcome], columns=["case", "image_file", "reason"])
        if not faults:
            faults += _all_left_out(rows, left_out) or _split(rows, options, draft)
        if faults:
            raise storage.DatasetError(faults)
        rows.to_csv(draft / "cases.csv", index=False)
        left_out.to_csv(draft / "left out.csv", index=False)
        preloaded_dataset.write_facts(draft, {"cases": len(rows)} | {name: getattr(options, name) for name in _MADE_BY})
    _tell(rows, left_out, options)


@dataclasses.dataclass(frozen=True)
class _Pair:
    case: str
    image: pathlib.Path
    mask: pathlib.Path


def _find_pairs(root: pathlib.Path) -> tuple[list[_Pair], list[str]]:
    pairs: list[_Pair] = []
    faults = []
    for folder in sorted(root.glob("[!.]*")):
        if folder.is_dir():
            (images, twice), (masks, twice_too) = (csv_array.find(folder / kind) for kind in ("images", "masks"))
            faults += twice + twice_too + _unpaired(folder, images, masks)
            pairs += [_Pair(f"{folder.name}__{stem}", images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())]
        elif csv_array.is_csv(folder):
            faults.append(f"{folder}: not where it belongs. Move it to {root.name}/<subdirectory>/images or /masks.")
    if not pairs and not faults:
        faults.append(f"{root}: no images found. They belong in {root.name}/<subdirectory>/images/<name>.csv, their masks in .../masks/<name>.csv.")
    return pairs, faults + _repeated_names(pairs)


def _unpaired(folder: pathlib.Path, images: dict[str, pathlib.Path], masks: dict[str, pathlib.Path]) -> list[str]:
    if not images and not masks:
        if any(folder.glob("*/images")):
            return [f"{folder}: its subdirectories lie one level too deep. Move them up, beside it."]
        return [f"{folder}: no CSV files in its folders images and masks. Put the data there, or move the folder elsewhere."]
    faults = [f"{images[stem]}: image without mask. Add {folder / 'masks' / stem}.csv, or remove the image." for stem in images.keys() - masks.keys()]
    faults += [f"{masks[stem]}: mask without image. Add {folder / 'images' / stem}.csv, or remove the mask." for stem in masks.keys() - images.keys()]
    return sorted(faults)


def _repeated_names(pairs: list[_Pair]) -> list[str]:
    first: dict[str, _Pair] = {}
    # Without regard to capitals, as the disks of Windows and macOS see it.
    repeated = [(pair, first[pair.case.casefold()]) for pair in pairs if first.setdefault(pair.case.casefold(), pair) is not pair]
    return [f"{pair.image}: its case name, {pair.case}, is also that of {other.image}. Rename one of them." for pair, other in repeated]


def _convert_all(pairs: list[_Pair], draft: pathlib.Path, options: types.SimpleNamespace) -> list[dict[str, Any]]:
    for split in ("train set", "test set"):
        for kind in ("images", "masks"):
            (draft / split / kind).mkdir(parents=True)
    jobs = (joblib.delayed(_convert)(pair, draft / "train set", options.IMAGE_SIZE, options.MASK_SPECK_PX) for pair in pairs)
    outcomes = joblib.Parallel(n_jobs=-1, return_as="generator")(jobs)
    return list(tqdm.tqdm(outcomes, total=len(pairs), desc="Reading", unit=" pairs", disable=None))


def _convert(pair: _Pair, folder: pathlib.Path, image_size: int, speck_px: int) -> dict[str, Any]:
    # Runs in a worker process. What it gives back is small, whatever the images' size: that keeps the memory flat.
    arrays, faults = [], []
    for path in (pair.image, pair.mask):
        try:
            arrays.append(csv_array.read(path))
        except storage.DatasetError as error:
            faults += error.faults
    if faults:
        return {"faults": faults}
    image, mask = arrays
    if mask.shape == (image_size, image_size) and image.shape == (image_size, 2 * image_size):
        return {"faults": [f"{pair.image}: twice as many columns as its mask: decimal commas. Save it with points as decimal marks."]}
    if {image.shape, mask.shape} != {(image_size, image_size)}:
        return {"left out": {"case": pair.case, "image_file": _source(pair.image), "reason": _wrong_size(image, mask, image_size)}}
    if _mask_fault(image, mask):
        return {"faults": [f"{pair.mask}: {_mask_fault(image, mask)}"]}
    return {"row": _write_case(pair, folder, preloaded_dataset.smallest_lossless(image), mask.astype(np.uint8), speck_px)}


def _source(path: pathlib.Path) -> str:
    return "/".join(path.parts[-3:])


def _wrong_size(image: np.ndarray, mask: np.ndarray, image_size: int) -> str:
    return f"image {image.shape[0]} x {image.shape[1]}, mask {mask.shape[0]} x {mask.shape[1]}, wanted {image_size} x {image_size}"


def _mask_fault(image: np.ndarray, mask: np.ndarray) -> str:
    if np.array_equal(image, mask):
        return "identical to its image. Put the mask there instead."
    return mask_folder.fault(mask)


def _write_case(pair: _Pair, folder: pathlib.Path, image: np.ndarray, mask: np.ndarray, speck_px: int) -> dict[str, Any]:
    cleaned = cleaning.remove_specks(mask, speck_px) if speck_px else mask
    image_hash, mask_hash = (preloaded_dataset.write(folder / kind, pair.case, array) for kind, array in (("images", image), ("masks", cleaned)))
    return {
        "case": pair.case, "split": "train", "group": pair.case,
        "image_file": _source(pair.image), "mask_file": _source(pair.mask), "image_sha256": image_hash, "mask_sha256": mask_hash,
        "height": image.shape[0], "width": image.shape[1], "dtype": image.dtype.name, "minimum": image.min(), "maximum": image.max(),
        "mask_px": int(cleaned.sum()), "specks_removed_px": int(mask.sum()) - int(cleaned.sum()),
    }  # fmt: skip


def _duplicates(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return []
    first = rows.groupby("image_sha256")["image_file"].transform("first")
    copies = rows[first != rows["image_file"]]
    return [f"{copy}: the same image as {first[index]}. Remove one of the two." for index, copy in copies["image_file"].items()]


def _assign_groups(rows: pd.DataFrame, rule: str | None) -> list[str]:
    if rows.empty or rule is None:
        return []
    if rule == "subdirectory":
        rows["group"] = [source.split("/")[0] for source in rows["image_file"]]
        return []
    found = [re.search(rule, case) for case in rows["case"]]
    # Of several groups in the expression, such as those of "this|that", the first that took part.
    rows["group"] = [next(filter(None, match.groups() or [match.group()]), "") if match else "" for match in found]
    return [f"{case}: GROUP_CASES_BY finds nothing in this case name. Change it in config.py." for case in rows["case"][rows["group"] == ""]]


def _all_left_out(rows: pd.DataFrame, left_out: pd.DataFrame) -> list[str]:
    if len(rows) or left_out.empty:
        return []
    first = left_out.iloc[0]
    return [f"All {len(left_out)} pairs have another size: {first.image_file}: {first.reason}. Resize them, or set IMAGE_SIZE in config.py."]


def _split(rows: pd.DataFrame, options: types.SimpleNamespace, draft: pathlib.Path) -> list[str]:
    try:
        in_test = splitting.split(rows["group"].tolist(), options.TEST_SHARE, options.SEED)
    except ValueError as error:
        return [f"No train and test set can be made: {error}. Add data, or change GROUP_CASES_BY or IMAGE_SIZE in config.py."]
    rows.loc[in_test, "split"] = "test"
    for case in rows["case"][in_test]:
        for kind in ("images", "masks"):
            os.rename(draft / "train set" / kind / f"{case}.npy", draft / "test set" / kind / f"{case}.npy")
    return []


def _tell(rows: pd.DataFrame, left_out: pd.DataFrame, options: types.SimpleNamespace) -> None:
    for text in _warnings(rows, left_out):
        print(text)
    specks = rows[rows["specks_removed_px"] > 0]
    if len(specks):
        print(f"Took specks of at most {options.MASK_SPECK_PX} px out of {len(specks)} masks, {specks['specks_removed_px'].sum()} px in all.")
    groups = "" if options.GROUP_CASES_BY is None else f", {rows['group'].nunique()} groups, none of them on both sides"
    print(f"Preloaded dataset: {(rows['split'] == 'train').sum()} cases to train on, {(rows['split'] == 'test').sum()} to test on{groups}.")


def _warnings(rows: pd.DataFrame, left_out: pd.DataFrame) -> Iterator[str]:
    for entry in left_out.itertuples():
        yield f"Warning: {entry.image_file} left out: {entry.reason}."
    for case in rows["case"][rows["mask_px"] == 0]:
        yield f"Warning: {case}: the mask is empty."
    for case in rows["case"][rows["mask_px"] > NEARLY_ALL * rows["height"] * rows["width"]]:
        yield f"Warning: {case}: the mask covers more than {NEARLY_ALL:.0%} of the image. Were 0 and 1 swapped?"
