"""Step 6: masks and overlays of new images of any size, and the quality table."""

import concurrent.futures
import contextlib
import math
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import skimage.transform

import progress
import settings
import storage
from data import csv_array, file_names, input_files, mask_folder, preloaded_dataset
from masks import drawing
from networks import ensemble
from prediction import models, overlap, quality
from provenance import TrainSetStatistics

# The quality table has the same name as the test set's.
TABLE = mask_folder.QUALITY_TABLE

# Padded to a square, a larger image would exceed the memory of most machines.
MAX_SIDE_PX = 8192


def predict_new_images(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask, an overlay and a row of the quality table for each `new images/<name>.csv`.

    Images may have any size: they are padded to a square and resized to the model's size, their masks are resized
    back. A file that can't be predicted does not stop the others: DatasetError lists it after these are written.
    MissingResult if step 3 has not run.
    """
    options = settings.load(workspace.root)
    files, faults, skipped = _find(workspace.new_images)
    total = len(files) + len(faults)
    with models.reading(workspace, options) as folders:
        model, statistics = ensemble.read(folders, options.CLEAN_PREDICTIONS), models.statistics(folders)
    with storage.atomic_folder(workspace.new_predictions) as draft:
        rows = _predict_files(files, model, statistics, draft, faults)
        if not rows:
            raise storage.DatasetError(input_files.grouped(faults))
        table = pd.DataFrame(rows)
        table.to_csv(draft / TABLE, index=False)
    predicted = f"Predicted {len(rows)} of {total} images{', post-processed' if model.postprocess else ''}"
    review = quality.review_list(table.set_index("image"))
    print(f"{predicted}, saved in '{workspace.new_predictions.name}'.{review}", *skipped, sep="\n")
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


def _find(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[str], list[str]]:
    """The files to predict, a line per fault, and a line per kind of skipped file."""
    inputs = input_files.find(folder)
    reserved = [file for file in inputs.files.values() if file_names.comparable(file.name) == TABLE]
    fault = "this name is reserved for the quality table. Rename the file."
    faults = [*inputs.faults, *(f"{file_names.printable(file)}: {fault}" for file in reserved)]
    files = [file for file in inputs.files.values() if file not in reserved]
    if not files:
        missing = f"{folder}: no CSV files found. Put each image to predict there as <name>.csv."
        raise storage.DatasetError([*faults, *inputs.skipped, missing])
    return files, faults, inputs.skipped


def _predict_files(
    files: list[pathlib.Path],
    model: ensemble.Ensemble,
    statistics: list[TrainSetStatistics],
    folder: pathlib.Path,
    faults: list[str],
) -> list[dict[str, Any]]:
    """Writes the results of each new image and returns the rows of the table. Appends files that fail to `faults`."""

    def predicted(reads: Iterable[tuple[tuple, concurrent.futures.Future]]) -> Iterator[tuple]:
        for (file,), read in reads:
            with _collect_fault(file, faults):
                image, resized = read.result()
                yield file, image, resized, model.logits(resized[None, ..., None])[:, 0]

    def write(file: pathlib.Path, image: np.ndarray, resized: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
        mask, estimates = _predict(image, resized, logits, model, statistics)
        return _write(folder, file, image, mask, estimates)

    rows = []
    with concurrent.futures.ThreadPoolExecutor(overlap.THREADS) as pool:
        reads = overlap.submit_ahead(pool, lambda file: _read(file, model), ((file,) for file in files))
        bar = progress.Bar(reads, total=len(files), desc="Predicting", unit=" images")
        for (file, *_), row in overlap.submit_ahead(pool, write, predicted(bar)):
            with _collect_fault(file, faults):
                rows.append(row.result())
    return rows


@contextlib.contextmanager
def _collect_fault(file: pathlib.Path, faults: list[str]) -> Iterator[None]:
    """Appends an error that concerns only this file to `faults`."""
    try:
        yield
    except storage.DatasetError as error:
        faults += error.faults
    except ensemble.ImageOutOfRange as error:
        faults.append(f"{file_names.printable(file)}: {error}")
    except MemoryError as error:
        fix = "Close other programs, or crop the image."
        faults.append(f"{file_names.printable(file)}: too large for this machine's memory ({error}). {fix}")
    except OSError as error:
        if storage.is_disk_full(error):
            raise
        faults.append(f"{file_names.printable(file)}: {storage.describe(error) or error}")


def _read(file: pathlib.Path, model: ensemble.Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """The raw image, (height, width), and the network's input, float32 (size, size).

    DatasetError if the file can't be read or its shape can't be predicted.
    """
    # The smallest lossless dtype: several images wait in memory, each with up to 64 million pixels.
    image = preloaded_dataset.smallest_lossless(csv_array.read(file))
    size, side = model.image_size, max(image.shape)
    shape = f"{file_names.printable(file)}: {image.shape[0]} x {image.shape[1]}"
    if fault := csv_array.explain_shape(image, size):
        raise storage.DatasetError([f"{shape}: {fault}"])
    if side > MAX_SIDE_PX:
        fix = "Crop or downsample the image."
        raise storage.DatasetError([f"{shape} px; the maximum is {MAX_SIDE_PX} px a side. {fix}"])
    if image.shape == (size, size):
        return image, image.astype(np.float32)
    square = _pad(image.astype(np.float32), side, symmetric=model.normalizes_per_image)
    resized = skimage.transform.resize(square, (size, size), order=1, anti_aliasing=side > size, preserve_range=True)
    return image, resized.astype(np.float32)


def _pad(image: np.ndarray, side: int, symmetric: bool) -> np.ndarray:
    # Below and to the right: stretching would change the anatomy's proportions. CT is padded with the minimum (air).
    # Networks that scale each image by its own mean and SD get symmetric padding, which preserves these: five electron
    # micrographs of 512 px, cut to 512 x 256, got a Dice of 0.953 with it, 0.896 with their minimum, 0.954 uncut.
    padding = [(0, side - extent) for extent in image.shape]
    if symmetric:
        return np.pad(image, padding, mode="symmetric")
    return np.pad(image, padding, constant_values=image.min())


def _predict(
    image: np.ndarray,
    resized: np.ndarray,
    logits: np.ndarray,
    model: ensemble.Ensemble,
    statistics: list[TrainSetStatistics],
) -> tuple[np.ndarray, dict]:
    """The mask of a raw image, uint8 0 and 1 (height, width), and its quality estimates."""
    size, side = model.image_size, max(image.shape)
    rows, columns = (math.ceil(extent * size / side) for extent in image.shape)
    logits[:, rows:] = logits[:, :, columns:] = -1.0  # No mask in the padding.
    mask, estimates = quality.predict_with_quality(model, resized, logits, statistics)
    if image.shape == (size, size):
        return mask, estimates
    estimates["ood_reasons"] = ", ".join(filter(None, [estimates["ood_reasons"], "image size"]))
    enlarged = skimage.transform.resize(mask.astype(np.float32), (side, side), order=1, anti_aliasing=False)
    return (enlarged[: image.shape[0], : image.shape[1]] >= 0.5).astype(np.uint8), estimates


def _write(
    folder: pathlib.Path, file: pathlib.Path, image: np.ndarray, mask: np.ndarray, estimates: dict[str, Any]
) -> dict[str, Any]:
    """Writes mask and overlay of an image and returns its row of the table. If writing fails, neither file remains."""
    results = folder / file.name, folder / f"{file.stem}.png"
    share = mask.mean()
    caption = "; ".join([f"{file.stem}: {mask.sum()} px, {share:.1%} of the image", *quality.remarks(estimates)])
    try:
        csv_array.write(results[0], mask)
        results[1].write_bytes(drawing.to_png(drawing.overlay(image, mask, caption)))
    except BaseException:
        for result in results:
            result.unlink(missing_ok=True)
        raise
    size = {"height": image.shape[0], "width": image.shape[1]}
    return {"image": file.stem, **size, "mask_px": int(mask.sum()), "mask_share": round(share, 6), **estimates}
