"""The original dataset: your CSV files, what they must look like, and how they become the preloaded dataset (step 1).

    original dataset/
      <subdirectory>/          one or more, named as you like: a hospital, a patient, a series
        images/<name>.csv      one file per image
        masks/<name>.csv       its mask, under the same name

Each CSV file is one 2-D array: a line of text per row of pixels, values with commas between them, points as decimal
marks, no header, no row names, UTF-8. Images and masks are IMAGE_SIZE x IMAGE_SIZE (config.py; 512 x 512). An image's
values are any finite numbers, such as Hounsfield units; a mask's are 0 and 1. A case is named `<subdirectory>__<name>`;
with the ending ".npy" this may have 251 bytes.

A pair of another size is left out: it is named in a warning and in `preloaded dataset/left out.csv`. Anything else that
is wrong stops the step, and the former preloaded dataset stays as it was. One DatasetError lists all faults in all
files; equal ones once, with their count and the first ten files:
  - an image without mask, a mask without image, a mask identical to its image, the same image under two names;
  - a file that can't be read as such an array, other values in a mask, another size for which there is an explanation,
    such as a header, row names or colours;
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
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tqdm

import settings
import storage
import worker_pool
from data import csv_array, file_names, input_files, mask_folder, preloaded_dataset, splitting
from masks import cleaning

# A mask that covers more is rarely meant: often the two values were swapped.
NEARLY_ALL = 0.9

# The settings that make the dataset what it is.
_MADE_BY = ("IMAGE_SIZE", "TEST_SHARE", "GROUP_CASES_BY", "SEED", "MASK_SPECK_PX")

# The columns of `left out.csv`.
_LEFT_OUT = ["case", "image_file", "reason"]


def create_preloaded_dataset(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `preloaded dataset` from `original dataset`: checked, cleaned of specks, split into a train set and a test set.

    Raises DatasetError as the module's docstring says; UserError if the system ends a process that reads the files.
    """
    options = settings.load(workspace.root)
    found = _find_pairs(workspace.original_dataset)
    try:
        rows, left_out = _write(found, workspace.preloaded_dataset, options)
    except storage.DatasetError:
        _tell_skipped(found.skipped)
        raise
    _tell_skipped(found.skipped)
    _tell(rows, left_out, options)


def _raise(faults: list[str]) -> None:
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


@dataclasses.dataclass(frozen=True)
class _Pair:
    case: str
    image: pathlib.Path
    mask: pathlib.Path


@dataclasses.dataclass(frozen=True)
class _Input:
    pairs: list[_Pair] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)


# The folders that are read in each subdirectory.
_KINDS = ("images", "masks")


def _find_pairs(root: pathlib.Path) -> _Input:
    paths, faults = input_files.list_folder(root)
    found = _Input(faults=faults)
    loose = []
    for path in paths:
        if fault := input_files.broken_link(path):
            found.faults.append(f"{file_names.printable(path)}: {fault}")
        elif path.is_dir():
            _find_in(path, found)
        elif ".csv" in path.name.lower():
            place = f"{root.name}/<subdirectory>/images or /masks"
            found.faults.append(f"{file_names.printable(path)}: not where it belongs. Move it to {place}.")
        elif path.name != "README.md":
            loose.append(path)
    reason = "only CSV files in <subdirectory>/images and /masks are read"
    found.skipped.extend(input_files.counted(root, loose, reason))
    if not found.pairs and not found.faults:
        place = f"{root.name}/<subdirectory>/images/<name>.csv, their masks in .../masks/<name>.csv"
        found.faults.append(f"{root}: no images found. They belong in {place}.")
    found.faults.extend(_repeated_names(found.pairs))
    return found


def _find_in(folder: pathlib.Path, found: _Input) -> None:
    """Adds what lies in a subdirectory to what was found."""
    paths, faults = input_files.list_folder(folder)
    if fault := _misplaced(folder) or file_names.name_fault(folder.name, len("__x.npy")):
        faults = [f"{file_names.printable(folder)}: {fault}"]
    if faults:
        found.faults.extend(faults)
        return
    prefix = len(os.fsencode(f"{folder.name}__"))
    images, masks = (input_files.find(folder / kind, prefix) for kind in _KINDS)
    faults, skipped = _beside(folder, [path for path in paths if not _is_kind(path)])
    found.skipped.extend(images.skipped + masks.skipped + skipped)
    faults += images.faults + masks.faults
    if images.files and masks.files:
        faults += _unpaired(images, masks)
    elif not faults:
        empty = [kind for kind, each in zip(_KINDS, (images, masks), strict=True) if not each.files]
        where = "its folders images and masks" if len(empty) == 2 else f"its folder {empty[0]}"
        faults.append(f"{folder}: no CSV files in {where}. Put the data there, or move the folder elsewhere.")
    found.faults.extend(faults)
    stems = sorted(images.files.keys() & masks.files.keys())
    found.pairs.extend(_Pair(f"{folder.name}__{stem}", images.files[stem], masks.files[stem]) for stem in stems)


def _misplaced(folder: pathlib.Path) -> str:
    """What to say of a folder `images` or `masks` that lies directly in the original dataset; "" of others."""
    if _is_kind(folder) and input_files.find(folder).files:
        fix = f"Create a folder, such as {folder.parent.name}/series 1, and move the folders images and masks there."
        return f"its CSV files lie one level too high. {fix}"
    return ""


def _is_kind(path: pathlib.Path) -> bool:
    return file_names.comparable(path.name) in _KINDS


def _beside(folder: pathlib.Path, others: list[pathlib.Path]) -> tuple[list[str], list[str]]:
    """Faults and skipped files of what lies in a subdirectory beside its folders images and masks: `others`."""
    deep = [path for path in others if path.is_dir() and any(map(_is_kind, input_files.list_folder(path)[0]))]
    fix = f"Move the folder up, beside {folder.name}."
    faults = [f"{file_names.printable(path)}: its images lie one level too deep. {fix}" for path in deep]
    reason = "only the folders images and masks are read"
    skipped = input_files.counted(folder, [path for path in others if not path.is_dir()], reason)
    folders = [path for path in others if path.is_dir() and path not in deep]
    unread = [path for path in folders if any(path.rglob("*.[cC][sS][vV]"))]
    skipped += [f"{file_names.printable(path)}: a folder of CSV files, skipped: {reason}." for path in unread]
    return faults, skipped


def _unpaired(images: input_files.Found, masks: input_files.Found) -> Iterator[str]:
    reported = images.unusable | masks.unusable
    names = {file_names.comparable(stem): path for stem, path in masks.files.items()}
    for stem, image in images.files.items():
        name = file_names.comparable(stem)
        if name in reported or stem in masks.files:
            continue
        if name in names:
            difference = file_names.alike(names[name].name, image.name)
            yield f"{image}: the name of its mask {difference} Give both the same name."
        else:
            yield f"{image}: image without mask. Add a mask of the same name to the folder masks, or remove the image."
    reported |= set(map(file_names.comparable, images.files))
    fix = "Add an image of the same name to the folder images, or remove the mask."
    for stem, mask in masks.files.items():
        if file_names.comparable(stem) not in reported:
            yield f"{mask}: mask without image. {fix}"


def _repeated_names(pairs: list[_Pair]) -> list[str]:
    # The disks of Windows and macOS do not tell such names apart.
    first: dict[str, _Pair] = {}
    faults = []
    for pair in pairs:
        other = first.setdefault(file_names.comparable(pair.case), pair)
        if other is not pair:
            same = other.case == pair.case
            clash = f"is also that of {other.image}." if same else file_names.alike(pair.case, other.case)
            faults.append(f"{pair.image}: its case name, {pair.case}, {clash} Rename one of them.")
    return faults


def _groups(pairs: list[_Pair], options: types.SimpleNamespace) -> tuple[dict[str, str], list[str]]:
    """The group of each case, by GROUP_CASES_BY; and what is wrong with that setting."""
    rule = options.GROUP_CASES_BY
    if rule is None:
        return {pair.case: pair.case for pair in pairs}, []
    if rule == "subdirectory":
        groups = {pair.case: pair.image.parts[-3] for pair in pairs}
    else:
        groups = {pair.case: _matched(re.search(rule, pair.case)) for pair in pairs}
    if missed := [case for case, group in groups.items() if not group]:
        return groups, [_rule_fault(rule, missed, len(groups))]
    return groups, _split_fault(list(groups.values()), options) if pairs else []


def _matched(match: re.Match[str] | None) -> str:
    # Of several groups in the expression, such as those of "this|that", the first that took part.
    return next(filter(None, match.groups() or [match.group()]), "") if match else ""


def _rule_fault(rule: str, missed: list[str], cases: int) -> str:
    examples = ", ".join(missed[: input_files.MAX_LISTED])
    more = f" and {len(missed) - input_files.MAX_LISTED} more" if len(missed) > input_files.MAX_LISTED else ""
    ignoring_case = sum(bool(_matched(re.search(rule, case, re.IGNORECASE))) for case in missed)
    hint = f" {ignoring_case} of these match if it begins with (?i), which ignores upper and lower case."
    fix = "Change it in config.py." + (hint if ignoring_case else "")
    return f"GROUP_CASES_BY = r'{rule}' finds nothing in {len(missed)} of {cases} case names: {examples}{more}. {fix}"


def _split_fault(groups: list[str], options: types.SimpleNamespace) -> list[str]:
    try:
        splitting.split(groups, options.TEST_SHARE, options.SEED)
    except ValueError as error:
        fix = "Add data, or change GROUP_CASES_BY or IMAGE_SIZE in config.py."
        return [f"No train and test set can be made: {error}. {fix}"]
    return []


def _write(found: _Input, folder: pathlib.Path, options: types.SimpleNamespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Writes the preloaded dataset and returns the tables of its cases and of the pairs that were left out."""
    groups, group_faults = _groups(found.pairs, options)
    if group_faults:  # Reading takes minutes, and the names suffice to tell these.
        _raise(found.faults + group_faults)
    with storage.atomic_folder(folder) as draft:
        outcomes = _convert_all(found.pairs, draft, options)
        faults = found.faults + [fault for outcome in outcomes for fault in outcome.get("faults", [])]
        rows = pd.DataFrame([outcome["row"] for outcome in outcomes if "row" in outcome])
        left_out = pd.DataFrame([each["left out"] for each in outcomes if "left out" in each], columns=_LEFT_OUT)
        _raise(faults + _duplicates(rows))
        rows["group"] = rows["case"].map(groups) if len(rows) else []
        _raise(_all_left_out(rows, left_out) or _split_fault(rows["group"].tolist(), options))
        _split(rows, options, draft)
        _raise(_nothing_to_learn(rows))
        rows.to_csv(draft / "cases.csv", index=False)
        left_out.to_csv(draft / "left out.csv", index=False)
        preloaded_dataset.write_facts(draft, {"cases": len(rows)} | {name: getattr(options, name) for name in _MADE_BY})
    return rows, left_out


def _convert_all(pairs: list[_Pair], draft: pathlib.Path, options: types.SimpleNamespace) -> list[dict[str, Any]]:
    for split in ("train set", "test set"):
        for kind in ("images", "masks"):
            (draft / split / kind).mkdir(parents=True)
    jobs = (
        joblib.delayed(_convert)(pair, draft / "train set", options.IMAGE_SIZE, options.MASK_SPECK_PX) for pair in pairs
    )
    with worker_pool.outcomes(jobs) as outcomes:
        return list(tqdm.tqdm(outcomes, total=len(pairs), desc="Reading", unit=" pairs", disable=None))


def _convert(pair: _Pair, folder: pathlib.Path, image_size: int, speck_px: int) -> dict[str, Any]:
    # Runs in a worker process. What it gives back is small, whatever the images' size: that keeps the memory flat.
    try:
        return _convert_pair(pair, folder, image_size, speck_px)
    except MemoryError:
        fix = "Close other programs, or give a smaller file."
        return {"faults": [f"{pair.image}: this machine's memory is too small to read it, or its mask. {fix}"]}


def _convert_pair(pair: _Pair, folder: pathlib.Path, image_size: int, speck_px: int) -> dict[str, Any]:
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
        return {"faults": faults}
    image, mask = arrays
    if {image.shape, mask.shape} != {(image_size, image_size)}:
        return {
            "left out": {
                "case": pair.case,
                "image_file": _source(pair.image),
                "reason": _wrong_size(image, mask, image_size),
            }
        }
    if _mask_fault(image, mask):
        return {"faults": [f"{pair.mask}: {_mask_fault(image, mask)}"]}
    return {
        "row": _write_case(pair, folder, preloaded_dataset.smallest_lossless(image), mask.astype(np.uint8), speck_px)
    }


def _source(path: pathlib.Path) -> str:
    return "/".join(path.parts[-3:])


def _wrong_size(image: np.ndarray, mask: np.ndarray, image_size: int) -> str:
    return f"image {image.shape[0]} x {image.shape[1]}, mask {mask.shape[0]} x {mask.shape[1]}, wanted {image_size} x {image_size}"


def _mask_fault(image: np.ndarray, mask: np.ndarray) -> str:
    if np.array_equal(image, mask):
        return "identical to its image. Put the mask there instead."
    return mask_folder.fault(mask)


def _write_case(
    pair: _Pair, folder: pathlib.Path, image: np.ndarray, mask: np.ndarray, speck_px: int
) -> dict[str, Any]:
    cleaned = cleaning.remove_specks(mask, speck_px) if speck_px else mask
    image_hash, mask_hash = (
        preloaded_dataset.write(folder / kind, pair.case, array)
        for kind, array in (("images", image), ("masks", cleaned))
    )
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
    return [
        f"{copy}: the same image as {first[index]}. Remove one of the two."
        for index, copy in copies["image_file"].items()
    ]


def _all_left_out(rows: pd.DataFrame, left_out: pd.DataFrame) -> list[str]:
    if len(rows) or left_out.empty:
        return []
    first = left_out.iloc[0]
    return [
        f"All {len(left_out)} pairs have another size: {first.image_file}: {first.reason}. Resize them, or set IMAGE_SIZE in config.py."
    ]


def _split(rows: pd.DataFrame, options: types.SimpleNamespace, draft: pathlib.Path) -> None:
    in_test = splitting.split(rows["group"].tolist(), options.TEST_SHARE, options.SEED)
    rows.loc[in_test, "split"] = "test"
    for case in rows["case"][in_test]:
        for kind in _KINDS:
            os.rename(draft / "train set" / kind / f"{case}.npy", draft / "test set" / kind / f"{case}.npy")


def _nothing_to_learn(rows: pd.DataFrame) -> list[str]:
    train = rows[rows["split"] == "train"]
    if train["mask_px"].any():
        return []
    if train["specks_removed_px"].any():
        fix = "Step 1 removed all that some of them held as specks. Lower MASK_SPECK_PX in config.py."
    elif rows["mask_px"].any():
        fix = "Add cases with a mask that is not empty, or change SEED in config.py."
    else:
        fix = "Check the export of the masks: 1 inside the structure, 0 outside."
    return [f"All {len(train)} train masks are empty: a network can't learn from them. {fix}"]


def _tell_skipped(lines: list[str]) -> None:
    for line in _first(lines):
        print(f"Warning: {line}")


def _tell(rows: pd.DataFrame, left_out: pd.DataFrame, options: types.SimpleNamespace) -> None:
    for text in _warnings(rows, left_out, options.MASK_SPECK_PX):
        print(f"Warning: {text}")
    specks = rows[rows["specks_removed_px"] > 0]
    if len(specks):
        print(
            f"Took specks of at most {options.MASK_SPECK_PX} px out of {len(specks)} masks, {specks['specks_removed_px'].sum()} px in all."
        )
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    grouped = options.GROUP_CASES_BY is not None
    groups = [f" ({_count(each['group'].nunique(), 'group')})" if grouped else "" for each in (train, test)]
    apart = "; no group is in both" if grouped else ""
    print(f"Preloaded dataset: {len(train)} cases to train on{groups[0]}, {len(test)} to test on{groups[1]}{apart}.")


def _warnings(rows: pd.DataFrame, left_out: pd.DataFrame, speck_px: int) -> Iterator[str]:
    yield from _first([f"{entry.image_file} left out: {entry.reason}." for entry in left_out.itertuples()])
    empty = rows[rows["mask_px"] == 0]
    if len(empty) <= input_files.MAX_LISTED:
        yield from (f"{row.case}: {_why_empty(row.specks_removed_px, speck_px)}" for row in empty.itertuples())
    if len(empty):
        yield from _empty_per_split(rows, speck_px)
    full = rows["case"][rows["mask_px"] > NEARLY_ALL * rows["height"] * rows["width"]]
    swapped = f"the mask covers more than {NEARLY_ALL:.0%} of the image. Were 0 and 1 swapped?"
    yield from _first([f"{case}: {swapped}" for case in full])


def _first(lines: list[str]) -> Iterable[str]:
    more = len(lines) - input_files.MAX_LISTED
    return [*lines[: input_files.MAX_LISTED], f"... and {more} more of this kind."] if more > 0 else lines


def _why_empty(removed_px: int, speck_px: int) -> str:
    if not removed_px:
        return "the mask is empty."
    setting = f"MASK_SPECK_PX = {speck_px}"
    return f"the mask is now empty: its only components, {removed_px} px, were removed as specks ({setting})."


def _empty_per_split(rows: pd.DataFrame, speck_px: int) -> Iterator[str]:
    empty = {split: rows["mask_px"][rows["split"] == split] == 0 for split in ("train", "test")}
    parts = [f"{each.sum()} of {len(each)} {split} masks" for split, each in empty.items() if each.any()]
    verb = "is" if sum(each.sum() for each in empty.values()) == 1 else "are"
    emptied = ((rows["mask_px"] == 0) & (rows["specks_removed_px"] > 0)).sum()
    specks = f"; in {emptied} of them all components were removed as specks (MASK_SPECK_PX = {speck_px})"
    yield f"{' and '.join(parts)} {verb} empty{specks if emptied else ''}."
    if empty["test"].all():
        fix = "Change SEED or TEST_SHARE in config.py, or add cases."
        yield f"all test masks are empty: the evaluation can't tell whether the structure is found. {fix}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
