"""Steps 4 and 6: masks that the trained model draws, for the test set and for new images, with a guess of how good each one is.

Where the network was trained on mirror images too, it predicts each image both ways; where PREDICT_WITH_FOLDS is set, the models of the
cross-validation predict together. How much the members' masks agree is told as each mask's predicted Dice (see `networks.ensemble`).
"""
import math
import pathlib
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import skimage.transform
import tqdm

import settings
import storage
from data import csv_array, familiarity, mask_folder, preloaded_dataset
from masks import drawing
from networks import ensemble, saved_model

# Beside the masks in `new predictions`, named as that of the test set.
TABLE = mask_folder.JUDGEMENTS

# Masks below this predicted Dice are named as those to look at.
DOUBTFUL = 0.9
# So many are named in the terminal; the table holds all.
_TOLD = 10


def predict_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask for each test case into `preloaded dataset/test set/predictions`: the model's.

    Beside them a table of each case's predicted Dice, and what about it is unlike the train set. MissingResult where step 1 or 3 has not
    run; DatasetError where the model has seen a test image in training, or another size.
    """
    options = settings.load(workspace.root)
    cases = preloaded_dataset.read_cases(workspace, "test")
    folders = _models(workspace, options)
    for folder in folders:
        _check_fit(cases, saved_model.read_training(folder))
    model, known = ensemble.read(folders, options.CLEAN_PREDICTIONS), _known(folders)
    batches = preloaded_dataset.images(workspace.test_set, cases["case"].tolist(), model.image_size).batch(options.PREDICTION_BATCH_SIZE)
    names, rows = iter(cases["case"]), []
    with storage.replacing(workspace.predictions) as draft:
        with tqdm.tqdm(total=len(cases), desc="Predicting", unit=" cases", disable=None) as bar:
            for images in batches.prefetch(1):
                for image, logits in zip(images.numpy(), model.logits(images).swapaxes(0, 1), strict=True):
                    mask, judged = _judge(model, image[..., 0], logits, known)
                    case = next(names)
                    preloaded_dataset.write(draft, case, mask)
                    rows.append({"case": case, **judged})
                    bar.update()
        table = pd.DataFrame(rows)
        mask_folder.write_judgements(draft, table)
        mask_folder.write_maker(draft, _maker(folders, model))
    print(f"Predicted {len(cases)} test cases{_cleaned(model)}.{_doubts(table.set_index('case'))}")


def predict_new_images(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask and an overlay picture for each `new images/<name>.csv` into `new predictions`, and a table of what is to be known of each.

    Images may have any size: they are padded to a square, resized to the model's and the mask back. A file that can't be read does not
    stop the others: once these are written, DatasetError names it. MissingResult where step 3 has not run.
    """
    options = settings.load(workspace.root)
    files, faults = csv_array.find(workspace.new_images)
    if not files:
        raise storage.DatasetError([f"{workspace.new_images}: no CSV files found. Put the images to predict there, <name>.csv each."])
    folders = _models(workspace, options)
    model, known = ensemble.read(folders, options.CLEAN_PREDICTIONS), _known(folders)
    rows = []
    with storage.replacing(workspace.new_predictions) as draft:
        for file in tqdm.tqdm(files.values(), desc="Predicting", unit=" images", disable=None):
            try:
                rows.append(_predict_file(file, model, known, draft))
            except storage.DatasetError as error:
                faults += error.faults
        if not rows:
            raise storage.DatasetError(faults)
        table = pd.DataFrame(rows)
        table.to_csv(draft / TABLE, index=False)
    print(f"Predicted {len(rows)} of {len(files)} images{_cleaned(model)}, to '{workspace.new_predictions.name}'.{_doubts(table.set_index('image'))}")
    if faults:
        raise storage.DatasetError(faults)


def _models(workspace: storage.Workspace, options: types.SimpleNamespace) -> list[pathlib.Path]:
    if not options.PREDICT_WITH_FOLDS:
        return [workspace.model]
    *folders, beyond = workspace.fold_models(options.CROSS_VALIDATION_FOLDS + 1)
    if beyond.exists():
        raise storage.DatasetError([f"{beyond}: one fold more than CROSS_VALIDATION_FOLDS in config.py, {options.CROSS_VALIDATION_FOLDS}. Change that back."])
    return folders


def _maker(folders: list[pathlib.Path], model: ensemble.Ensemble) -> dict[str, Any]:
    trainings = [saved_model.read_training(folder) for folder in folders]
    told = ("python", "tensorflow", "image_size", "batch_size", "precision", "seed", "epochs", "minutes", "peak_learning_rate", "encoder_weights")
    return {
        "id": saved_model.fingerprint(folders),
        "models": len(folders),
        "mirrored": model.mirrored,
        "cleaned": model.cleaned,
        "hyperparameters": saved_model.read_hyperparameters(folders[0]),
        "training": {name: trainings[0].get(name) for name in told} | {"images": len(trainings[0]["image_sha256"])},
        "image_sha256": sorted({image for training in trainings for image in training["image_sha256"]}),
    }


def _cleaned(model: ensemble.Ensemble) -> str:
    return ", small and isolated areas taken out" if model.cleaned else ""


def _known(folders: list[pathlib.Path]) -> list[dict]:
    return [saved_model.read_training(folder)["known"] for folder in folders]


def _check_fit(cases: pd.DataFrame, training: dict) -> None:
    sizes = set(cases["height"])
    if sizes != {training["image_size"]}:
        raise storage.DatasetError(
            [f"The model was trained on images of {training['image_size']} px, the dataset's have {sizes.pop()} px. Train the model anew."]
        )
    preloaded_dataset.refuse_seen(cases, training["image_sha256"])


def _judge(model: ensemble.Ensemble, image: np.ndarray, logits: np.ndarray, known: list[dict]) -> tuple[np.ndarray, dict]:
    """The mask of one image, (size, size), from its members' logits; and what is to be said of it."""
    mask = model.mask(logits)
    scaled = model.scaled(image)
    strange = {reason for each in known for reason in familiarity.strangeness(scaled, mask, each)}
    return mask, {"predicted_dice": round(ensemble.predicted_dice(logits), 4), "unlike_train_set": ", ".join(sorted(strange))}


def _predict_file(file: pathlib.Path, model: ensemble.Ensemble, known: list[dict], folder: pathlib.Path) -> dict:
    if file.name == TABLE:
        raise storage.DatasetError([f"{file}: this name is kept for the table of the predictions. Rename the file."])
    image = csv_array.read(file)
    mask, judged = _predict_image(model, image, known)
    csv_array.write(folder / file.name, mask)
    share = mask.mean()
    caption = f"{file.stem}: {mask.sum()} px, {share:.1%} of the image" + "".join(f"; {text}" for text in _said(judged))
    (folder / f"{file.stem}.png").write_bytes(drawing.to_png(drawing.overlay(image, mask, caption)))
    sizes = {"height": image.shape[0], "width": image.shape[1], "mask_px": int(mask.sum()), "mask_share": round(share, 6)}
    return {"image": file.stem, **sizes, **judged}


def _predict_image(model: ensemble.Ensemble, image: np.ndarray, known: list[dict]) -> tuple[np.ndarray, dict]:
    """The mask, uint8 0 and 1, of one raw image, both (height, width), of any size; and what is to be said of it."""
    size, side = model.image_size, max(image.shape)
    square = _padded(image.astype(np.float32), side, mirrored=model.standardised)
    resized = skimage.transform.resize(square, (size, size), order=1, anti_aliasing=side > size, preserve_range=True).astype(np.float32)
    logits = model.logits(resized[None, ..., None])[:, 0]
    rows, columns = (math.ceil(extent * size / side) for extent in image.shape)
    logits[:, rows:] = logits[:, :, columns:] = -1.0  # What was put beside the image is in no mask.
    mask, judged = _judge(model, resized, logits, known)
    if image.shape != (size, size):
        judged["unlike_train_set"] = ", ".join(filter(None, [judged["unlike_train_set"], "image size"]))
    back = skimage.transform.resize(mask.astype(np.float32), (side, side), order=1, anti_aliasing=False)
    return (back[: image.shape[0], : image.shape[1]] >= 0.5).astype(np.uint8), judged


def _padded(image: np.ndarray, side: int, mirrored: bool) -> np.ndarray:
    # Below and to the right: stretching the image would change the anatomy's proportions. With air; but where the network scales each image
    # by its own mean and standard deviation, with the image's mirror images, which leave these as they are: five electron micrographs of 512 px,
    # cut to 512 x 256, got a Dice of 0.953 with these, 0.896 with their least value beside them, 0.954 uncut.
    missing = [(0, side - extent) for extent in image.shape]
    return np.pad(image, missing, mode="symmetric") if mirrored else np.pad(image, missing, constant_values=image.min())


def _doubts(table: pd.DataFrame) -> str:
    """The masks to look at, the most doubtful first, of a table of predicted_dice and unlike_train_set by name."""
    doubtful = table[(table["predicted_dice"] < DOUBTFUL) | (table["unlike_train_set"] != "")].sort_values("predicted_dice")
    if doubtful.empty:
        return ""
    lines = [f"  {name}: {'; '.join(_said(row))}" for name, row in doubtful.head(_TOLD).iterrows()]
    more = [f"  and {len(doubtful) - _TOLD} more, in {TABLE}"] if len(doubtful) > _TOLD else []
    return "\n".join([f" Look at {'this one' if len(doubtful) == 1 else f'these {len(doubtful)}'} first:", *lines, *more])


def _said(row: Mapping[str, Any]) -> list[str]:
    guess = [f"predicted Dice {row['predicted_dice']:.2f}"] if np.isfinite(row["predicted_dice"]) else []
    return guess + ([f"unlike the train set: {row['unlike_train_set']}"] if row["unlike_train_set"] else [])
