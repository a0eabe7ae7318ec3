"""Converts one pair of files, an image and its mask, into cases of the preloaded dataset; in step 1's workers."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import storage
from data import checks, csv_array, file_names, formats, intensities, preloaded_dataset, resizing
from data.image_mask_pairs import Pair
from masks import cleaning
from settings import Settings


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of one pair.

    rows, excluded: rows of cases.csv and of `left out.csv`.
    faults: one line each; then there are no rows.
    labels: the labels that the mask has on the image.
    matched: those of MASK_LABELS that the mask file has.
    patient: identifies the patient within this run; it is stored nowhere.
    empty_slices: the number of slices that were skipped because their mask is empty.
    features: of each case, for the checks of all cases.
    grid: None without rows.
    """

    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    excluded: list[dict[str, str]] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    labels: tuple[str, ...] = ()
    matched: frozenset[int | str] = frozenset()
    patient: str | None = None
    warnings: tuple[str, ...] = ()
    empty_slices: int = 0
    features: Mapping[str, checks.CaseFeatures] = dataclasses.field(default_factory=dict)
    grid: preloaded_dataset.ImageGrid | None = None


def convert(pair: Pair, folder: pathlib.Path, options: Settings) -> Outcome:
    """Writes the cases of a pair below `folder`. The result is small, whatever the size of the images."""
    try:
        return _convert(pair, folder, options)
    except storage.DatasetError as error:
        return Outcome(faults=error.faults)
    except MemoryError:
        fix = "Close other programs, or give a smaller file."
        return Outcome(faults=[f"{pair.image}: this machine's memory is too small to read it, or its mask. {fix}"])


def _convert(pair: Pair, folder: pathlib.Path, options: Settings) -> Outcome:
    image = formats.read_image(pair.image)
    _check_shape(pair.image, image.slices[0], options)
    mask = _read_mask(pair.mask, image, options)
    is_volume = len(image.slices) > 1
    rows, excluded, empty, features = [], [], 0, {}
    for name, pixels, pixel_mask in zip(image.names, image.slices, mask.slices, strict=True):
        if is_volume and not pixel_mask.any() and not options.INCLUDE_EMPTY_SLICES:
            empty += 1
            continue
        case = formats.slice_name(pair.case, name)
        if reason := _wrong_size(pixels, options):
            excluded.append({"case": case, "image_file": source(pair.image), "reason": reason})
            continue
        if pixel_mask.any() and np.array_equal(pixels, pixel_mask):
            raise storage.DatasetError([f"{pair.mask}: identical to its image. Put the mask there instead."])
        clip_hu = intensities.window(options, intensities.is_in_hu(image.modality, float(pixels.min())))
        resized_by = max(pixels.shape) / options.IMAGE_SIZE
        pixels, pixel_mask = _fitted(pixels, pixel_mask, clip_hu is not None, options.IMAGE_SIZE)
        if pixel_mask.any() or np.ptp(pixels) > 0:  # Not the empty slices at the end of a volume.
            features[case] = checks.describe(pixels, pixel_mask, clip_hu)
        row = {"case": case, **_sources(pair), **_write_case(case, folder, pixels, pixel_mask, options)}
        rows.append(row | _physical(image, resized_by))
    name = file_names.printable(source(pair.image))
    warnings = tuple(f"{name}: {text.removeprefix(f'{pair.image}: ')}" for text in image.warnings)
    found = tuple(label for label, count in mask.labels.items() if count)
    return Outcome(
        rows=rows,
        excluded=excluded,
        labels=found,
        matched=mask.matched,
        patient=image.patient,
        warnings=warnings,
        empty_slices=empty,
        features=features,
        grid=preloaded_dataset.ImageGrid(pair.case, image.names, formats.grid_of(image)) if rows else None,
    )


def _read_mask(path: pathlib.Path, image: formats.Image, options: Settings) -> formats.Mask:
    try:
        return formats.read_mask(path, image, options.wanted_labels)
    except storage.DatasetError:
        if path.suffix.lower() == ".csv":
            _check_shape(path, csv_array.read(path), options)
        raise


def source(path: pathlib.Path) -> str:
    """The path of a file within the original dataset."""
    return "/".join(path.parts[-3:])


def _check_shape(path: pathlib.Path, pixels: np.ndarray, options: Settings) -> None:
    if path.suffix.lower() == ".csv" and (explanation := csv_array.explain_shape(pixels, options.IMAGE_SIZE)):
        raise storage.DatasetError([f"{path}: {explanation}"])
    resizing.check_side(path, pixels)


def _wrong_size(pixels: np.ndarray, options: Settings) -> str:
    size = options.IMAGE_SIZE
    if options.FIT_IMAGES or pixels.shape == (size, size):
        return ""
    return f"{pixels.shape[0]} x {pixels.shape[1]} px, expected {size} x {size}"


def _fitted(pixels: np.ndarray, mask: np.ndarray, has_window: bool, size: int) -> tuple[np.ndarray, np.ndarray]:
    if pixels.shape == (size, size):
        return pixels, mask
    return resizing.fit(pixels, size, symmetric=not has_window), resizing.fit_mask(mask, size)


def _sources(pair: Pair) -> dict[str, str]:
    # The split and the group are decided when all cases are known.
    return {
        "split": "train",
        "group": pair.case,
        "image_file": source(pair.image),
        "mask_file": source(pair.mask),
    }


def _write_case(
    case: str, folder: pathlib.Path, pixels: np.ndarray, mask: np.ndarray, options: Settings
) -> dict[str, Any]:
    image = preloaded_dataset.smallest_lossless(pixels)
    cleaned = cleaning.remove_specks(mask, options.MASK_SPECK_PX) if options.MASK_SPECK_PX else mask
    image_hash, mask_hash = (
        preloaded_dataset.write(folder / kind, case, array) for kind, array in (("images", image), ("masks", cleaned))
    )
    return {
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


def _physical(image: formats.Image, resized_by: float) -> dict[str, Any]:
    row_mm, column_mm = image.spacing_mm or (float("nan"), float("nan"))
    return {
        "row_mm": round(row_mm * resized_by, 6),
        "column_mm": round(column_mm * resized_by, 6),
        "resized_by": resized_by,
        "modality": image.modality or "",
    }
