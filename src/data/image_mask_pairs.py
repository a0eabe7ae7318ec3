"""Finds the pairs of image and mask in an original dataset, by their names."""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Iterable, Iterator

from data import file_names, input_files


@dataclasses.dataclass(frozen=True)
class Pair:
    """The files of one case."""

    case: str
    image: pathlib.Path
    mask: pathlib.Path


@dataclasses.dataclass(frozen=True)
class PairsFound:
    """All pairs of an original dataset, one message per fault, and one per kind of skipped file."""

    pairs: list[Pair] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)


# The folders that are read in each subdirectory.
KINDS = ("images", "masks")


def find(root: pathlib.Path) -> PairsFound:
    """The pairs below the original dataset `root`, which need not exist. Opens no file."""
    paths, faults = input_files.list_folder(root)
    found = PairsFound(faults=faults)
    loose = []
    for path in paths:
        if fault := input_files.broken_link(path):
            found.faults.append(f"{file_names.printable(path)}: {fault}")
        elif path.is_dir():
            _find_in_subdirectory(path, found)
        elif input_files.is_meant_as_image(path):
            place = f"{root.name}/<subdirectory>/images or /masks"
            found.faults.append(f"{file_names.printable(path)}: in the wrong folder. Move it to {place}.")
        elif path.name != "README.md":
            loose.append(path)
    reason = "only files in <subdirectory>/images and /masks are read"
    found.skipped.extend(input_files.counted(root, loose, reason))
    if not found.pairs and not found.faults:
        place = f"{root.name}/<subdirectory>/images, their masks, with the same names, in .../masks"
        found.faults.append(f"{root}: no images found. They belong in {place}.")
    found.faults.extend(_repeated_names(found.pairs))
    return found


def find_external(folder: pathlib.Path) -> PairsFound:
    """The pairs of one external test set: those of its folders images and masks, or of its subdirectories.

    Opens no file.
    """
    if not any(map(_is_kind, input_files.list_folder(folder)[0])):
        return find(folder)
    found = PairsFound()
    _find_in_subdirectory(folder, found)
    return found


def _find_in_subdirectory(folder: pathlib.Path, found: PairsFound) -> None:
    """Adds the pairs, faults and skipped files of a subdirectory."""
    paths, faults = input_files.list_folder(folder)
    if fault := _misplaced(folder) or file_names.name_fault(folder.name, len("__x.npy")):
        faults = [f"{file_names.printable(folder)}: {fault}"]
    if faults:
        found.faults.extend(faults)
        return
    prefix = len(os.fsencode(f"{folder.name}__"))
    images, masks = (input_files.find(folder / kind, prefix) for kind in KINDS)
    faults, skipped = _other_entries(folder, [path for path in paths if not _is_kind(path)])
    found.skipped.extend(images.skipped + masks.skipped + skipped)
    faults += images.faults + masks.faults
    if images.files and masks.files:
        faults += _unpaired(images, masks)
    elif not faults:
        empty = [kind for kind, each in zip(KINDS, (images, masks), strict=True) if not each.files]
        where = "its folders images and masks" if len(empty) == 2 else f"its folder {empty[0]}"
        faults.append(f"{folder}: no image files in {where}. Put the data there, or move the folder elsewhere.")
    found.faults.extend(faults)
    stems = sorted(images.files.keys() & masks.files.keys())
    found.pairs.extend(Pair(f"{folder.name}__{stem}", images.files[stem], masks.files[stem]) for stem in stems)


def _misplaced(folder: pathlib.Path) -> str:
    """The message about a folder `images` or `masks` directly in the original dataset; "" for other folders."""
    if _is_kind(folder) and input_files.find(folder).files:
        fix = f"Create a folder, such as {folder.parent.name}/series 1, and move the folders images and masks there."
        return f"its files lie one level too high. {fix}"
    return ""


def _is_kind(path: pathlib.Path) -> bool:
    return file_names.comparable(path.name) in KINDS


def _other_entries(folder: pathlib.Path, others: list[pathlib.Path]) -> tuple[list[str], list[str]]:
    """The faults and skipped files among the entries beside images and masks in a subdirectory."""
    deep = [path for path in others if path.is_dir() and any(map(_is_kind, input_files.list_folder(path)[0]))]
    fix = f"Move the folder up, beside {folder.name}."
    faults = [f"{file_names.printable(path)}: its images lie one level too deep. {fix}" for path in deep]
    reason = "only the folders images and masks are read"
    skipped = input_files.counted(folder, [path for path in others if not path.is_dir()], reason)
    folders = [path for path in others if path.is_dir() and path not in deep]
    unread = [path for path in folders if any(map(input_files.is_meant_as_image, path.rglob("*")))]
    skipped += [f"{file_names.printable(path)}: a folder of image files, skipped: {reason}." for path in unread]
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
            fix = "Add a mask of the same name to the folder masks, or remove the image."
            yield f"{image}: image without mask.{_similar(stem, masks.files)} {fix}"
    reported |= set(map(file_names.comparable, images.files))
    fix = "Add an image of the same name to the folder images, or remove the mask."
    for stem, mask in masks.files.items():
        if file_names.comparable(stem) not in reported:
            yield f"{mask}: mask without image. {fix}"


def _similar(stem: str, others: Iterable[str]) -> str:
    """Asks whether the file of another name is meant, such as the mask x_mask of the image x."""
    names = [other for other in others if stem in other] or difflib.get_close_matches(stem, others, 1, 0.8)
    return f" Is it {names[0]}? Then give both the same name." if len(names) == 1 else ""


def _repeated_names(pairs: list[Pair]) -> list[str]:
    # The file systems of Windows and macOS do not distinguish such names.
    first: dict[str, Pair] = {}
    faults = []
    for pair in pairs:
        other = first.setdefault(file_names.comparable(pair.case), pair)
        if other is not pair:
            same = other.case == pair.case
            clash = f"is also that of {other.image}." if same else file_names.alike(pair.case, other.case)
            faults.append(f"{pair.image}: its case name, {pair.case}, {clash} Rename one of them.")
    return faults
