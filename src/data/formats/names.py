"""Which files hold an image or a mask, by their names or, for DICOM, by their content."""

import os
import pathlib
import types
from collections.abc import Mapping

# Kind of format per ending, in lower case. Of two endings that fit, the longer one counts.
ENDINGS: Mapping[str, str] = types.MappingProxyType(
    {
        ".csv": "csv",
        ".npy": "npy",
        ".png": "picture",
        ".tif": "picture",
        ".tiff": "picture",
        ".bmp": "picture",
        ".jpg": "jpeg",
        ".jpeg": "jpeg",
        ".dcm": "dicom",
        ".seg.dcm": "dicom",
        ".nii": "nifti",
        ".nii.gz": "nifti",
        ".nrrd": "nrrd",
        ".nhdr": "nrrd",
        ".seg.nrrd": "nrrd",
        ".mha": "metaimage",
        ".mhd": "metaimage",
        ".tag": "tag",
    }
)

# What scanners' disks and operating systems add to folders of images.
_IGNORED = {"dicomdir", "thumbs.db", "desktop.ini"}


def known_formats() -> str:
    """The formats that are read, for messages."""
    return f"{', '.join(sorted(ENDINGS))}, DICOM files of any name, and folders of DICOM series"


def stem(path: pathlib.Path) -> str:
    """The name of an image or mask: the file's without its ending, the folder's, or the whole name if it has none."""
    ending = _ending(path.name)
    return path.name[: len(path.name) - len(ending)] if ending and not path.is_dir() else path.name


def kind(path: pathlib.Path) -> str | None:
    """The kind of format as in ENDINGS; None for other files. DICOM needs no ending, a series of it is a folder."""
    if is_ignored(path):
        return None
    if path.is_dir():
        return "dicom" if any(is_dicom(file) for file in path.iterdir() if not is_ignored(file)) else None
    ending = _ending(path.name)
    if ending:
        return ENDINGS[ending]
    return "dicom" if is_dicom(path) else None


def is_readable(path: pathlib.Path) -> bool:
    """Whether `path` is an image or a mask: a file with a known ending, a DICOM file, or a folder of DICOM files."""
    return kind(path) is not None


def is_ignored(path: pathlib.Path) -> bool:
    """Whether the file is one that scanners or operating systems add: DICOMDIR, Thumbs.db, hidden files."""
    return path.name.startswith(".") or path.name.casefold() in _IGNORED


def is_dicom(path: pathlib.Path) -> bool:
    """Whether it is a file with DICOM's mark behind the preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # A folder, or a file that may not be read.
        return os.path.splitext(path.name)[1].lower() == ".dcm" and path.is_file()


def _ending(name: str) -> str:
    return max((ending for ending in ENDINGS if name.lower().endswith(ending)), key=len, default="")
