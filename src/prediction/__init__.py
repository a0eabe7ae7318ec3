"""Steps 4 and 6: the trained model's masks of the test set and of new images, with an estimate of how good each one is.

Where the network was trained on mirror images too, it predicts each image both ways; where PREDICT_WITH_FOLDS is set, the models of the
cross-validation predict together. How much the members' masks agree is reported as the predicted Dice (see `networks.ensemble`).
"""

import collections
import concurrent.futures
import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import tqdm

import settings
import storage
from data import file_names, input_files, mask_folder, pipeline, preloaded_dataset
from networks import ensemble, saved_model
from prediction import new_image, quality
from settings import Settings

# Beside the masks in `new predictions`, named as that of the test set.
TABLE = mask_folder.QUALITY_TABLE

_RESERVED = "this name is kept for the table of the predictions. Rename the file."

# Images are read and results written while the network works; so many wait for one another at most.
_THREADS, _AHEAD = 2, 3
_MODEL_WAIT_SECONDS = 60.0


def predict_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask for each test case into `preloaded dataset/test set/predictions`: the model's.

    Beside them a table of each case's predicted Dice, and what about it is unlike the train set. MissingResult where step 1 or 3 has not
    run; DatasetError where the model has seen a test image in training, or another size; InUse where another program replaces what is read.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = preloaded_dataset.read_cases(workspace, "test")
        folders = _models(workspace, options)
        with _reading_models(workspace, folders):
            for folder in folders:
                _check_fit(cases, saved_model.read_training(folder))
            model, known = ensemble.read(folders, options.CLEAN_PREDICTIONS), _known(folders)
            maker = _maker(folders, model)
        names = cases["case"].tolist()
        batches = pipeline.images(workspace.test_set, names, model.image_size).batch(options.PREDICTION_BATCH_SIZE)
        with storage.atomic_folder(workspace.predictions) as draft:
            table = pd.DataFrame(_predict_cases(names, batches, model, known, draft))
            mask_folder.write_quality_table(draft, table)
            mask_folder.write_provenance(draft, maker)
    print(f"Predicted {len(cases)} test cases{_cleaned(model)}.{quality.doubts(table.set_index('case'))}")


def predict_new_images(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask and an overlay picture for each `new images/<name>.csv` into `new predictions`, and a table of what is to be known of each.

    Images may have any size: they are padded to a square, resized to the model's and the mask back. A file that can't be predicted does not
    stop the others: once these are written, DatasetError names it. MissingResult where step 3 has not run.
    """
    options = settings.load(workspace.root)
    found = input_files.find(workspace.new_images)
    faults = [
        *found.faults,
        *(f"{file_names.printable(file)}: {_RESERVED}" for file in found.files.values() if _is_reserved(file)),
    ]
    files = [file for file in found.files.values() if not _is_reserved(file)]
    if not files:
        raise storage.DatasetError(
            [
                *faults,
                *found.skipped,
                f"{workspace.new_images}: no CSV files found. Put the images to predict there, <name>.csv each.",
            ]
        )
    folders = _models(workspace, options)
    with _reading_models(workspace, folders):
        model, known = ensemble.read(folders, options.CLEAN_PREDICTIONS), _known(folders)
    total = len(files) + len(faults)
    with storage.atomic_folder(workspace.new_predictions) as draft:
        rows = _predict_files(files, model, known, draft, faults)
        if not rows:
            raise storage.DatasetError(input_files.grouped(faults))
        table = pd.DataFrame(rows)
        table.to_csv(draft / TABLE, index=False)
    print(
        f"Predicted {len(rows)} of {total} images{_cleaned(model)}, to '{workspace.new_predictions.name}'.{quality.doubts(table.set_index('image'))}"
    )
    for line in found.skipped:
        print(line)
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


def _models(workspace: storage.Workspace, options: Settings) -> list[pathlib.Path]:
    if not options.PREDICT_WITH_FOLDS:
        return [workspace.model]
    *folders, beyond = workspace.fold_models(options.CROSS_VALIDATION_FOLDS + 1)
    if beyond.exists():
        raise storage.DatasetError(
            [
                f"{beyond}: one fold more than CROSS_VALIDATION_FOLDS in config.py, {options.CROSS_VALIDATION_FOLDS}. Change that back."
            ]
        )
    return folders


def _reading_models(
    workspace: storage.Workspace, folders: list[pathlib.Path]
) -> contextlib.AbstractContextManager[None]:
    # For as long as they are read into memory; a training that has just ended needs a moment to put its model there.
    whole, step = (
        (workspace.model, "train_final_model")
        if folders == [workspace.model]
        else (workspace.cross_validation, "cross_validate_train_set")
    )
    return storage.reading(whole, step, wait_seconds=_MODEL_WAIT_SECONDS)


def _maker(folders: list[pathlib.Path], model: ensemble.Ensemble) -> dict[str, Any]:
    trainings = [saved_model.read_training(folder) for folder in folders]
    told = (
        "python",
        "tensorflow",
        "image_size",
        "batch_size",
        "precision",
        "seed",
        "epochs",
        "minutes",
        "peak_learning_rate",
        "encoder_weights",
    )
    return {
        "id": saved_model.fingerprint(folders),
        "models": len(folders),
        "test_time_flip": model.test_time_flip,
        "cleaned": model.postprocess,
        "hyperparameters": saved_model.read_hyperparameters(folders[0]),
        "training": {name: trainings[0].get(name) for name in told} | {"images": len(trainings[0]["image_sha256"])},
        "image_sha256": sorted({image for training in trainings for image in training["image_sha256"]}),
    }


def _cleaned(model: ensemble.Ensemble) -> str:
    return ", small and isolated areas taken out" if model.postprocess else ""


def _known(folders: list[pathlib.Path]) -> list[dict]:
    return [saved_model.read_training(folder)["known"] for folder in folders]


def _check_fit(cases: pd.DataFrame, training: dict) -> None:
    sizes = set(cases["height"])
    if sizes != {training["image_size"]}:
        raise storage.DatasetError(
            [
                f"The model was trained on images of {training['image_size']} px, the dataset's have {sizes.pop()} px. Train the model again."
            ]
        )
    preloaded_dataset.check_no_leakage(cases, training["image_sha256"])


def _predict_cases(
    names: list[str], batches: Iterable[Any], model: ensemble.Ensemble, known: list[dict], folder: pathlib.Path
) -> list[dict]:
    """Writes the mask of each test case, and returns their rows of the table. The network works on a batch while others are read and written."""

    def predicted() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images in batches.prefetch(1):
            yield from zip(images.numpy()[..., 0], model.logits(images).swapaxes(0, 1), strict=True)

    def write(case: str, image: np.ndarray, logits: np.ndarray) -> dict:
        mask, judged = quality.predict_with_quality(model, image, logits, known)
        preloaded_dataset.write(folder, case, mask)
        return {"case": case, **judged}

    with _bar(len(names), "cases") as bar, concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        written = _ahead(pool, write, ((case, *pair) for case, pair in zip(names, predicted(), strict=True)))
        return [row.result() for _, row in _counted(written, bar)]


def _predict_files(
    files: list[pathlib.Path], model: ensemble.Ensemble, known: list[dict], folder: pathlib.Path, faults: list[str]
) -> list[dict]:
    """Writes the results of each new image, and returns their rows of the table; what is wrong with the others is added to `faults`."""

    def predicted(reads: Iterable[tuple[tuple, concurrent.futures.Future]]) -> Iterator[tuple]:
        for (file,), read in reads:
            with _kept_apart(file, faults):
                image, resized = read.result()
                yield file, image, resized, model.logits(resized[None, ..., None])[:, 0]

    def write(file: pathlib.Path, *arrays: np.ndarray) -> dict:
        return new_image.write(file, *arrays, model, known, folder)

    rows = []
    with _bar(len(files), "images") as bar, concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        reads = _counted(_ahead(pool, lambda file: new_image.read(file, model), ((file,) for file in files)), bar)
        for (file, *_), written in _ahead(pool, write, predicted(reads)):
            with _kept_apart(file, faults):
                rows.append(written.result())
    return rows


def _ahead(
    pool: concurrent.futures.Executor, task: Callable, items: Iterable[tuple]
) -> Iterator[tuple[tuple, concurrent.futures.Future]]:
    """Each item and the future of `task(*item)`, in order. A few are begun before they are asked for, no more: the memory stays flat."""
    begun = collections.deque()
    for item in items:
        begun.append((item, pool.submit(task, *item)))
        if len(begun) > _AHEAD:
            yield begun.popleft()
    yield from begun


def _counted(pairs: Iterable[tuple], bar: tqdm.tqdm) -> Iterator[tuple]:
    for pair in pairs:
        yield pair
        bar.update()


def _bar(total: int, unit: str) -> tqdm.tqdm:
    return tqdm.tqdm(total=total, desc="Predicting", unit=f" {unit}", disable=None)


@contextlib.contextmanager
def _kept_apart(file: pathlib.Path, faults: list[str]) -> Iterator[None]:
    """Adds to `faults` what concerns this file alone."""
    try:
        yield
    except storage.DatasetError as error:
        faults += error.faults
    except ensemble.ImageOutOfRange as error:
        faults.append(f"{file_names.printable(file)}: {error}")
    except MemoryError as error:
        faults.append(
            f"{file_names.printable(file)}: the memory of this machine is too small for it ({error}). Close other programs, or crop the image."
        )
    except OSError as error:
        if storage.is_disk_full(error):
            raise
        faults.append(f"{file_names.printable(file)}: {storage.describe(error) or error}")


def _is_reserved(file: pathlib.Path) -> bool:
    return file_names.comparable(file.name) == TABLE
