"""Masks of a dataset's cases in a folder: the model's, another program's or a second reader's, in all formats.

A case's mask is `<case>.<ending>`, else a slice of `<subdirectory>__<name>.<ending>`, the mask of its volume or series.
Masks are brought onto the image by the places of both in space, as in step 1, and fitted to the size of the case.
"""

import contextlib
import dataclasses
import pathlib
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

import progress
import storage
from data import file_names, formats, mask_folder, mask_labels, resizing
from data.preloaded_dataset import ImageGrid

Wanted = tuple[int | str, ...] | None
Shape = tuple[int, int]

_KINDS_WITH_PLACE = ("dicom", "nifti", "nrrd", "metaimage")


@dataclasses.dataclass(frozen=True)
class CaseMasks:
    """The masks of cases, compressed to a few kB each.

    shapes: (height, width) of each case in the preloaded dataset. note: a sentence about MASK_LABELS; "" for none.
    """

    shapes: Mapping[str, Shape]
    packed: Mapping[str, bytes]
    note: str = ""

    def read(self, case: str) -> np.ndarray:
        """The mask of a case, uint8 0 and 1, (height, width)."""
        height, width = self.shapes[case]
        bits = np.frombuffer(zlib.decompress(self.packed[case]), np.uint8)
        return np.unpackbits(bits, count=height * width).reshape(height, width)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A case of the dataset: the slice `index` of an image. shape: in the preloaded dataset."""

    name: str
    shape: Shape
    image: ImageGrid
    index: int

    def alone(self) -> "_Case":
        """The same slice as an image of its own."""
        if len(self.image.slices) == 1:
            return self
        return _Case(self.name, self.shape, ImageGrid(self.name, ("",), self.image.grid.only(self.index)), 0)


@dataclasses.dataclass(frozen=True)
class _FileMasks:
    """The packed masks of the cases in a file: of the selected labels, and of all labels.

    They differ only in files with one label, 1 or 255, that was not selected.
    """

    labels: tuple[str, ...]
    matched: frozenset[int | str]
    selected: Mapping[str, bytes]
    whole: Mapping[str, bytes]


def read(folder: pathlib.Path, cases: pd.DataFrame, images: Sequence[ImageGrid], wanted: Wanted) -> CaseMasks:
    """The masks of `cases`, rows of cases.csv, in `folder`. Each file is read once.

    images: the grids of the cases' images; datasets of earlier versions have none. wanted: the labels that MASK_LABELS
    selects. They are not applied to a folder whose masks hold nothing but 1, or 255. DatasetError that lists all
    missing, repeated and invalid masks.
    """
    try:
        return _read(folder, cases, images, wanted)
    except storage.DatasetError as error:
        if not mask_folder.has_provenance(folder):
            raise
        fix = "If these are the model's predictions, repeat step 4."
        raise storage.DatasetError([f"{fault} {fix}" for fault in error.faults]) from error


def _read(folder: pathlib.Path, cases: pd.DataFrame, images: Sequence[ImageGrid], wanted: Wanted) -> CaseMasks:
    files = _located(folder, cases, images)
    found: dict[str, _FileMasks] = {}
    faults = []
    for file, held in progress.Bar(files.items(), total=len(files), desc="Reading masks", unit=" files"):
        try:
            found[file.name] = _read_file(file, held, wanted)
        except storage.DatasetError as error:
            faults += error.faults
    _raise(faults)
    packed, note = _chosen(folder, found, wanted)
    return CaseMasks({case.name: case.shape for held in files.values() for case in held}, packed, note)


def _chosen(folder: pathlib.Path, found: Mapping[str, _FileMasks], wanted: Wanted) -> tuple[dict[str, bytes], str]:
    """The packed masks by case, and the note. DatasetError for labels that do not tell which structure is meant."""
    labels = {name: each.labels for name, each in found.items()}
    matched = {label for each in found.values() for label in each.matched}
    is_binary = mask_labels.are_binary(labels)
    if not is_binary and not matched:  # A prediction may lack some of several wanted labels.
        _raise([f"{folder}: {text}" for text in mask_labels.faults(labels, wanted, matched)])
    chosen = [each.whole if is_binary else each.selected for each in found.values()]
    is_unselected = is_binary and wanted is not None and not matched and any(labels.values())
    note = f"The masks in '{folder}' hold one label. MASK_LABELS is not applied to them." if is_unselected else ""
    return {case: mask for masks in chosen for case, mask in masks.items()}, note


def _raise(faults: list[str]) -> None:
    if faults:
        raise storage.DatasetError(faults)


def _located(folder: pathlib.Path, cases: pd.DataFrame, images: Sequence[ImageGrid]) -> dict[pathlib.Path, list[_Case]]:
    """The files that hold the masks, with the cases that each one holds. DatasetError if a case has none or several."""
    available = _by_name(folder)
    names = {each.name for each in images}
    found: dict[pathlib.Path, list[_Case]] = {}
    faults = []
    for case in _cases(cases, images):
        own = _own_files(case, available, names)
        files = own or available.get(file_names.comparable(case.image.name), [])
        if len(files) == 1:
            found.setdefault(files[0], []).append(case.alone() if own else case)
        elif files:
            faults.append(f"{files[0]}: {files[1].name} exists, too. Remove one of them.")
        else:
            faults.append(_missing(folder, case, available, has_grids=bool(images)))
    _raise(faults)
    return found


def _own_files(case: _Case, available: Mapping[str, list[pathlib.Path]], names: Collection[str]) -> list[pathlib.Path]:
    found = available.get(file_names.comparable(case.name), [])
    if case.name == case.image.name or case.name not in names:
        return found
    # Another image has this name: volumes are masks of that one.
    return [file for file in found if formats.kind(file) not in _KINDS_WITH_PLACE]


def _by_name(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    found: dict[str, list[pathlib.Path]] = {}
    for path in sorted(folder.iterdir()):
        if formats.is_readable(path):
            found.setdefault(file_names.comparable(formats.stem(path)), []).append(path)
    return found


def _cases(cases: pd.DataFrame, images: Sequence[ImageGrid]) -> Iterator[_Case]:
    slices = {name: (each, index) for each in images for index, name in enumerate(each.cases)}
    for name, height, width in cases[["case", "height", "width"]].itertuples(index=False):
        unplaced = ImageGrid(name, ("",), formats.Grid((formats.Block((width, height, 1)),), placed=False))
        yield _Case(name, (height, width), *slices.get(name, (unplaced, 0)))


def _missing(folder: pathlib.Path, case: _Case, available: Collection[str], has_grids: bool) -> str:
    names = dict.fromkeys((case.name, case.image.name))
    text = f"{folder}: no mask of the case {case.name}. Add {' or '.join(f'{name}.png' for name in names)}"
    volume = case.name.rpartition("_")[0]
    if not has_grids and file_names.comparable(volume) in available:
        return f"{folder}: {volume} is the mask of a volume, but an earlier version made the dataset. Repeat step 1."
    return f"{text}, .npy, .csv, .nii.gz or another format."


def _read_file(file: pathlib.Path, cases: Sequence[_Case], wanted: Wanted) -> _FileMasks:
    mask = _read_mask(file, cases[0], wanted)
    labels = tuple(label for label, count in mask.labels.items() if count)
    selected = whole = _packed(mask, cases)
    if wanted and labels and not mask.matched and mask_labels.are_binary({file.name: labels}):
        whole = _packed(_read_mask(file, cases[0], None), cases)
    return _FileMasks(labels, mask.matched, selected, whole)


def _read_mask(file: pathlib.Path, case: _Case, wanted: Wanted) -> formats.Mask:
    image = case.image.blank()
    if image.slices[0].shape != case.shape and formats.kind(file) not in _KINDS_WITH_PLACE:
        # A resized image: predicted from the preloaded dataset, the mask has its size, else that of the image file.
        with contextlib.suppress(storage.DatasetError):
            return formats.read_mask(file, formats.Image((np.zeros(case.shape, np.uint8),)), wanted)
    return formats.read_mask(file, image, wanted)


def _packed(mask: formats.Mask, cases: Sequence[_Case]) -> dict[str, bytes]:
    fitted = {case.name: _fitted(mask.slices[case.index], case.shape) for case in cases}
    return {name: zlib.compress(np.packbits(values).tobytes(), level=1) for name, values in fitted.items()}


def _fitted(mask: np.ndarray, shape: Shape) -> np.ndarray:
    return mask if mask.shape == shape else resizing.fit_mask(mask, shape[0])
