"""Step 6: masks and overlays of new images of any size and format, and the quality table."""

import concurrent.futures
import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

import about
import progress
import settings
import storage
from data import file_names, formats, input_files, mask_folder
from masks import drawing, overlay
from networks import ensemble
from prediction import models, overlap, quality, slices
from prediction.measured import Measures
from prediction.slices import Slice

# The quality table has the same name as the test set's.
TABLE = mask_folder.QUALITY_TABLE
OVERLAYS = "overlays"


def predict_new_images(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes the mask of each file or DICOM series in `new images`, an overlay and a row of the table per slice.

    A mask has the format and the geometry of its image; that of DICOM is NIfTI, and DICOM SEG with WRITE_DICOM_SEG.
    Images may have any size: they are padded to a square and resized to the model's size, their masks are resized back.
    A file that can't be predicted does not stop the others: DatasetError lists it after these are written.
    MissingResult if step 3 has not run.
    """
    options = settings.load(workspace.root)
    measures = Measures.from_settings(options)
    files, faults, skipped = _find(workspace.new_images)
    total = len(files) + len(faults)
    with models.reading(workspace, options) as folders:
        predictor = models.read(folders, options)
    identity = formats.Algorithm(about.NAME, about.VERSION, predictor.provenance.id)
    algorithm = identity if options.WRITE_DICOM_SEG else None
    with storage.atomic_folder(workspace.new_predictions) as draft:
        (draft / OVERLAYS).mkdir()
        predicted = _predict_files(files, predictor, _Output(draft, algorithm, measures), faults)
        if not predicted:
            raise storage.DatasetError(input_files.grouped(faults))
        table = pd.DataFrame([row for rows in predicted.values() for row in rows])
        table.to_csv(draft / TABLE, index=False)
    text = f"Predicted {len(predicted)} of {total} images{_slices(len(table), len(predicted))}"
    text += ", post-processed" if predictor.model.postprocess else ""
    review = quality.review_list(table.set_index("image"), predictor.model.calibration)
    notes = [*skipped, *filter(None, [measures.spacing_note(table)])]
    print(f"{text}, saved in '{workspace.new_predictions.name}'.{review}", *notes, sep="\n")
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


def _slices(count: int, files: int) -> str:
    return f" ({count} slices)" if count > files else ""


def _find(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[str], list[str]]:
    """The files to predict, a line per fault, and a line per kind of skipped file."""
    inputs = input_files.find(folder)
    reserved = [file for file in inputs.files.values() if file_names.comparable(file.name) == TABLE]
    fault = "this name is reserved for the quality table. Rename the file."
    faults = [*inputs.faults, *(f"{file_names.printable(file)}: {fault}" for file in reserved)]
    files = [file for file in inputs.files.values() if file not in reserved]
    if not files:
        missing = f"{folder}: no images found. Put the images to predict there: {formats.known_formats()}."
        raise storage.DatasetError([*faults, *inputs.skipped, missing])
    return files, faults, inputs.skipped


@dataclasses.dataclass(frozen=True)
class _Output:
    """The folder for the results, and what the table measures.

    algorithm: is written into DICOM SEG; None for no such files.
    """

    folder: pathlib.Path
    algorithm: formats.Algorithm | None
    measures: Measures


def _predict_files(
    files: list[pathlib.Path],
    predictor: models.Predictor,
    output: _Output,
    faults: list[str],
) -> dict[pathlib.Path, list[dict[str, Any]]]:
    """Writes the results of each new image and returns its rows of the table, in the order of `files`.

    Appends to `faults` the files that fail, and those without DICOM SEG.
    """
    model = predictor.model
    failures: dict[pathlib.Path, list[str]] = {}
    names: dict[str, pathlib.Path] = {}  # Of the slices, each with its file.

    def predicted(reads: Iterable[tuple[tuple, concurrent.futures.Future]]) -> Iterator[tuple]:
        for (file,), read in reads:
            with _collect_fault(file, failures):
                parts = read.result()
                _claim_names(parts, names)
                for each in parts:
                    yield each, slices.predict_logits(each, model)

    def write(each: Slice, logits: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        mask, estimates = slices.mask_and_quality(each, logits, model, predictor.statistics)
        if len(each.image.slices) == 1:
            faults.extend(_write_mask(output, each, [mask]))
        measured = output.measures.measure(each, mask)
        row = _write_overlay(output.folder / OVERLAYS, each, mask, measured, estimates)
        return mask, row | output.measures.columns(each, measured) | estimates.columns

    rows: dict[pathlib.Path, list[dict[str, Any]]] = {}
    patients: dict[pathlib.Path, str | None] = {}
    masks: list[np.ndarray] = []  # Of the slices of the current volume.
    with concurrent.futures.ThreadPoolExecutor(overlap.THREADS) as pool:
        reads = overlap.submit_ahead(pool, lambda file: slices.read(file, model), ((file,) for file in files))
        bar = progress.Bar(reads, total=len(files), desc="Predicting", unit=" images")
        for (each, _), result in overlap.submit_ahead(pool, write, predicted(bar)):
            masks = masks if each.index else []
            with _collect_fault(each.file, failures):
                mask, row = result.result()
                rows.setdefault(each.file, []).append(row)
                patients[each.file] = each.image.patient
                masks.append(mask)
                if 1 < len(each.image.slices) == len(masks):
                    faults.extend(_write_mask(output, each, masks))
    for file in failures:
        rows.pop(file, None)
        _remove(output.folder, file, [name for name, owner in names.items() if owner == file])
    faults += [fault for texts in failures.values() for fault in texts]
    groups = output.measures.groups({file: patients[file] for file in rows})
    return {
        file: [{"image": row["image"], "group": groups[file], **row} for row in file_rows]
        for file, file_rows in rows.items()
    }


def _write_mask(output: _Output, each: Slice, masks: list[np.ndarray]) -> list[str]:
    """Writes the masks of all slices of the file to which a slice belongs. Returns why it has no DICOM SEG, if so."""
    kind, path = formats.kind(each.file), output.folder / formats.stem(each.file)
    if kind is None:
        raise ValueError(f"{each.file}: read as an image, but its format is unknown")
    formats.write_mask(path, masks, each.image, kind)
    if output.algorithm is None or kind != "dicom":
        return []
    try:
        formats.write_dicom_seg(path, masks, each.file, output.algorithm)
    except storage.DatasetError as error:
        return error.faults
    return []


def _claim_names(parts: list[Slice], names: dict[str, pathlib.Path]) -> None:
    """Adds the names of a file's slices to `names`. DatasetError if one is that of another file's."""
    for each in parts:
        if other := names.get(file_names.comparable(each.name)):
            text = f"its slice would be named {each.name}, as that of {file_names.printable(other.name)}"
            raise storage.DatasetError([f"{file_names.printable(each.file)}: {text}. Rename one of them."])
    names |= {file_names.comparable(each.name): each.file for each in parts}


def _remove(folder: pathlib.Path, file: pathlib.Path, names: list[str]) -> None:
    """Removes what was written of a file that failed: its mask, and the overlays of the slices with these `names`."""
    for picture in (folder / OVERLAYS).iterdir():
        if file_names.comparable(picture.stem) in names:
            picture.unlink()
    for written in folder.iterdir():
        if names and written.is_file() and formats.stem(written) == formats.stem(file):
            written.unlink()


@contextlib.contextmanager
def _collect_fault(file: pathlib.Path, failures: dict[pathlib.Path, list[str]]) -> Iterator[None]:
    """Adds an error that concerns only this file to `failures`."""
    try:
        yield
    except storage.DatasetError as error:
        failures[file] = error.faults
    except ensemble.ImageOutOfRange as error:
        failures[file] = [f"{file_names.printable(file)}: {error}"]
    except MemoryError as error:
        fix = "Close other programs, or crop the image."
        text = f"too large for this machine's memory ({error}). {fix}"
        failures[file] = [f"{file_names.printable(file)}: {text}"]
    except OSError as error:
        if storage.is_disk_full(error):
            raise
        failures[file] = [f"{file_names.printable(file)}: {storage.describe(error) or error}"]


def _write_overlay(
    folder: pathlib.Path, each: Slice, mask: np.ndarray, measured: Mapping[str, float], estimates: quality.Quality
) -> dict[str, Any]:
    """Writes the overlay of a slice and returns the first columns of its row of the table."""
    spacing_mm = each.image.spacing_mm
    lines = each.name, "; ".join(_caption(measured, mask.size, spacing_mm is not None, estimates))
    grey_range = drawing.CT_RANGE if "mean_hu" in measured else None
    picture = overlay.draw(each.pixels, mask, lines, grey_range, spacing_mm)
    (folder / f"{each.name}.png").write_bytes(overlay.to_png(picture))
    size = {"height": mask.shape[0], "width": mask.shape[1]}
    share = round(mask.mean(), 6)
    return {"image": each.name, **size, "mask_px": int(mask.sum()), "mask_share": share}


def _caption(measured: Mapping[str, float], image_px: int, in_cm2: bool, estimates: quality.Quality) -> Iterator[str]:
    """What the caption of an overlay says about the mask; `measured` as `Measures.measure` returns it."""
    area = f"{measured['px']:,.0f} px, {100 * measured['px'] / image_px:.1f} % of the image"
    yield f"area {measured['cm2']:.2f} cm² ({area})" if in_cm2 else f"area {area}"
    mean = measured.get("mean_hu", measured.get("mean_value", math.nan))
    if math.isfinite(mean):
        yield f"mean {mean:.1f} HU".replace("-", "−") if "mean_hu" in measured else f"mean value {mean:.4g}"
    if "mean_hu" in measured:
        yield drawing.window_text(drawing.CT_RANGE)
    yield from quality.remarks(estimates.columns)
