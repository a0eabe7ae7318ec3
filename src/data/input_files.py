"""Finds a user's image files in a folder, reports those that can't be used, and counts the files that are skipped."""

import collections
import dataclasses
import os
import pathlib
import re
import stat
from collections.abc import Iterable

from data import file_names, formats

# The maximum number of equal faults that are listed.
MAX_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Found:
    """A folder's image files and DICOM series by stem, sorted; a line per fault; one per kind of skipped file."""

    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    # The stems, as `file_names.comparable` gives them, of files that are reported in `faults`.
    unusable: frozenset[str] = frozenset()


def find(folder: pathlib.Path, prefix_bytes: int = 0) -> Found:
    """The files and DICOM series directly in `folder` that `data.formats` reads; the folder need not exist.

    Opens only files without a known ending, which may be DICOM.
    `faults`: what was clearly meant as data and can't be used, such as a broken link, a compressed file, or a name that
    differs from another only in upper and lower case. `skipped`: other files that could be data, counted by ending.
    Files that operating systems add are ignored. `prefix_bytes`: what the results' names have in front of the file's.
    """
    paths, faults = list_folder(folder)
    files, others, skipped, unusable = [], [], [], set()
    for path in paths:
        if fault := _fault(path, prefix_bytes):
            faults.append(f"{file_names.printable(path)}: {fault}")
            unusable.add(file_names.comparable(_stem(path)))
        elif _is_image(path):
            files.append(path)
        elif fault := broken_link(path):
            skipped.append(f"{file_names.printable(path)}: {fault}")
        elif not path.is_dir() and not _belongs_to_header(path, paths):
            others.append(path)
    first, repeated = _by_name(files)
    faults += repeated
    unusable.update(file_names.comparable(formats.stem(path)) for path in set(files).difference(first))
    skipped += counted(folder, others, "not a format that is read")
    return Found({formats.stem(path): path for path in first}, faults, skipped, frozenset(unusable))


def list_folder(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[str]]:
    """What is in `folder`, sorted, without the files that operating systems add; and the fault if it can't be listed.

    A folder that does not exist is empty. It is a fault if one beside it differs only in upper and lower case.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        return [], _not_listed(folder, error)
    # Sorted: the order in which a disk lists its files differs between machines.
    return [folder / name for name in sorted(names) if not _is_litter(name)], []


def broken_link(path: pathlib.Path) -> str:
    """The target of a broken symbolic link, and the fix; "" for anything else."""
    if not path.is_symlink() or os.path.exists(path):
        return ""
    target = os.readlink(path)
    if ".git/annex/" in target.replace("\\", "/"):
        return "a git-annex link; its content is not on this machine. Fetch it with `datalad get` or `git annex get`."
    fix = "Connect that disk, correct the link, or remove it."
    return f"a symbolic link to {file_names.printable(target)}, which can't be reached. {fix}"


def is_meant_as_image(path: pathlib.Path) -> bool:
    """Whether the name contains the ending of a format that is read, such as x.csv or x.csv.gz."""
    return not path.is_dir() and _contains_ending(path.name)


def grouped(faults: Iterable[str]) -> list[str]:
    """The faults, "<file>: <text>", equal texts only once, with their count and the first MAX_LISTED files.

    Of texts that differ only in numbers, quoted words or names of files, the first MAX_LISTED and the number of others.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for fault in faults:
        file, separator, text = fault.partition(": ")
        kind = kinds.setdefault(
            re.sub(r"'[^']*'|\S+\.(csv|png|tiff?|bmp|npy|dcm|nii|gz|nrrd|mha)\b|\d+", "#", text or fault), {}
        )
        kind.setdefault(text if separator else fault, []).append(file if separator else "")
    return [line for texts in kinds.values() for line in _shortened(texts)]


def counted(folder: pathlib.Path, skipped: Iterable[pathlib.Path], reason: str) -> list[str]:
    """A line for each file name ending of the `skipped` files in `folder`: how many there are, and why."""
    lines = []
    for ending, count in sorted(collections.Counter(map(_ending, skipped)).items()):
        files = f"file{'s' * (count > 1)}"
        kind = f"{ending} {files}" if ending else f"{files} without ending"
        lines.append(f"{file_names.printable(folder)}: {count} {kind} skipped: {reason}.")
    return lines


def _fault(path: pathlib.Path, prefix_bytes: int) -> str:
    if not _has_ending(path.name) and not _is_image(path):
        return _disguised(path) or _too_deep(path)
    if fault := file_names.name_fault(formats.stem(path), prefix_bytes + len(".npy")):
        return fault
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return broken_link(path) or f"can't be read ({error.strerror}). Check that its disk is connected."
    if stat.S_ISDIR(mode):
        return "" if _is_image(path) else "a folder. Rename it, and move files out of it, beside it."
    if not stat.S_ISREG(mode):
        return "not a regular file. Remove it."
    return "" if os.access(path, os.R_OK) else "can't be read. Check that your account may read it."


# The meaning of <name>.csv.<ending>, and of other formats.
_DISGUISES = {
    "gz zip bz2 xz zst lz4 z 7z rar tar tgz": "compressed. Unpack it.",
    "icloud dropbox onedrive gsheet cloud nextcloud owncloud": "a placeholder of a file in a cloud. Download the file.",
    "part partial crdownload download opdownload": "an incomplete download. Complete it, or remove it.",
    "lnk url webloc symlink": "only a shortcut. Put the file itself here.",
    "txt": "its name ends in .txt, which Windows may hide. Remove .txt from the name.",
}


def _belongs_to_header(path: pathlib.Path, paths: list[pathlib.Path]) -> bool:
    """Whether it holds the voxels of a header file beside it, such as a.raw of a.mhd."""
    endings = (".mhd", ".nhdr")
    return any(other.suffix.lower() in endings and path.name.startswith(other.stem) for other in paths)


def _contains_ending(name: str) -> bool:
    return any(ending in name.lower() for ending in formats.ENDINGS)


def _has_ending(name: str) -> bool:
    return name.lower().endswith(tuple(formats.ENDINGS)) and not name.startswith(".")


def _is_image(path: pathlib.Path) -> bool:
    return (_has_ending(path.name) and not path.is_dir()) or formats.is_readable(path)


def _disguised(path: pathlib.Path) -> str:
    """What a file is that is meant as an image file but has another name, and the fix; "" for other files."""
    name = path.name.lower()
    if name in formats.ENDINGS:
        return f"no name in front of {name}. Rename it."
    base, _, ending = name.rpartition(".")
    if not base.endswith(tuple(formats.ENDINGS)) or base in formats.ENDINGS:
        return ""
    return next((text for endings, text in _DISGUISES.items() if ending in endings.split()), "")


def _stem(path: pathlib.Path) -> str:
    if _is_image(path):
        return formats.stem(path)
    name = re.sub(r"(?i)^\.(?=.*icloud$)", "", path.name)  # iCloud puts a dot in front.
    return formats.stem(path.with_name(re.sub(r"\.\w+$", "", name) or name))


def _too_deep(folder: pathlib.Path) -> str:
    """The message about image files in a subfolder, at any depth; "" if there are none."""
    if folder.name.startswith(".") or not folder.is_dir():
        return ""
    unreadable: list[OSError] = []
    walk = os.walk(folder, onerror=unreadable.append)
    count = sum(_is_image(pathlib.Path(place, name)) for place, _, names in walk for name in names)
    if unreadable and not count:
        return f"a subfolder that can't be opened ({unreadable[0].strerror}). Move it elsewhere."
    files = f"{count} image file{'s' * (count > 1)}"
    return f"{files} in a subfolder, where they are not read. Move them up, beside it." if count else ""


def _by_name(files: list[pathlib.Path]) -> tuple[list[pathlib.Path], list[str]]:
    """The files with distinct `file_names.comparable` names, sorted, and a fault for each other file."""
    first: dict[str, pathlib.Path] = {}
    faults = []
    for path in reversed(files):  # Of a.CSV and a.csv the latter is kept.
        other = first.setdefault(file_names.comparable(formats.stem(path)), path)
        if other is not path:
            same = file_names.comparable(path.name) == file_names.comparable(other.name)
            twice = f"{file_names.printable(other.name)} exists, too."
            clash = file_names.alike(path.name, other.name) if same else twice
            faults.append(f"{file_names.printable(path)}: {clash} Rename or remove one of them.")
    return sorted(first.values()), faults


def _not_listed(folder: pathlib.Path, error: OSError) -> list[str]:
    if fault := broken_link(folder):
        return [f"{file_names.printable(folder)}: {fault}"]
    if isinstance(error, FileNotFoundError):
        near = [
            path
            for path in sorted(folder.parent.glob("*"))
            if file_names.comparable(path.name) == file_names.comparable(folder.name)
        ]
        return [
            f"{file_names.printable(path)}: {file_names.alike(path.name, folder.name)} Rename it to {folder.name}."
            for path in near
        ]
    if isinstance(error, NotADirectoryError):
        return [f"{file_names.printable(folder)}: not a folder. Rename it, and put the files in a folder of this name."]
    cause = "your account may read it" if isinstance(error, PermissionError) else "its disk is connected"
    return [f"{file_names.printable(folder)}: can't be opened ({error.strerror}). Check that {cause}."]


# What macOS, Windows, Linux and network disks add.
_LITTER = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r", "$recycle.bin", "system volume information",
    "@eadir", "#recycle", "lost+found", "dicomdir",
}  # fmt: skip


def _is_litter(name: str) -> bool:
    # Other hidden files could be data only as <name>.csv or as what stands for it.
    if name.startswith("."):
        return name.startswith(("._", ".~")) or not _contains_ending(name)
    return name.lower() in _LITTER or name.startswith("~$")


def _ending(path: pathlib.Path) -> str:
    # As it is reported: ".dcm", ".nii.gz", "" for none.
    if path.name.startswith("."):
        return "hidden"
    found = re.search(r"((\.[A-Za-z]\w{0,9})?\.(gz|bz2|xz|zip)|\.[^.\s]{1,12})$", path.name, re.IGNORECASE)
    return file_names.printable(found.group().lower()) if found else ""


def _shortened(texts: dict[str, list[str]]) -> list[str]:
    more = sum(map(len, list(texts.values())[MAX_LISTED:]))
    lines = [_line(text, files) for text, files in list(texts.items())[:MAX_LISTED]]
    return [*lines, f"  ... and {more} more of this kind"] if more else lines


def _line(text: str, files: list[str]) -> str:
    if len(files) == 1:
        return f"{files[0]}: {text}" if files[0] else text
    more = [f"  ... and {len(files) - MAX_LISTED} more"] if len(files) > MAX_LISTED else []
    return "\n".join([f"{len(files)} times: {text}", *(f"  {file}" for file in files[:MAX_LISTED] if file), *more])
