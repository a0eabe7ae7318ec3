"""Steps 4 and 6: masks that the final model draws, for the test set and for new images."""
import pathlib

import numpy as np
import pandas as pd
import skimage.transform
import tqdm
from tensorflow import keras

import networks
import settings
import storage
from data import csv_array, preloaded_dataset
from masks import cleaning, drawing
from networks import saved_model

# Beside the masks in `new predictions`; a leading underscore puts it on top of the list.
TABLE = "_table.csv"


def predict_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask for each test case into `preloaded dataset/test set/predictions`: the model's, cleaned (see `masks.cleaning`).

    MissingResult where step 1 or 3 has not run; DatasetError where the model has seen a test image in training, or another size.
    """
    options = settings.load(workspace.root)
    cases = preloaded_dataset.read_cases(workspace, "test")
    network = saved_model.read(workspace.model)
    _check_fit(cases, saved_model.read_training(workspace.model))
    image_size = network.input_shape[1]
    batches = preloaded_dataset.images(workspace.test_set, cases["case"].tolist(), image_size).batch(options.PREDICTION_BATCH_SIZE)
    names = iter(cases["case"])
    with storage.replacing(workspace.predictions) as draft, tqdm.tqdm(total=len(cases), desc="Predicting", unit=" cases", disable=None) as bar:
        for images in batches.prefetch(1):
            for mask in networks.predict_masks(network, images):
                preloaded_dataset.write(draft, next(names), cleaning.clean(mask))
                bar.update()
    print(f"Predicted {len(cases)} test cases.")


def predict_new_images(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes a mask and an overlay picture for each `new images/<name>.csv` into `new predictions`, and a table of the masks' sizes.

    Images may have any size: they are padded to a square, resized to the model's and the mask back. A file that can't be read does not
    stop the others: once these are written, DatasetError names it. MissingResult where step 3 has not run.
    """
    settings.load(workspace.root)
    files = sorted(path for path in workspace.new_images.glob("*.csv") if not path.name.startswith("."))
    if not files:
        raise storage.DatasetError([f"{workspace.new_images}: no CSV files found. Put the images to predict there, <name>.csv each."])
    network = saved_model.read(workspace.model)
    rows, faults = [], []
    with storage.replacing(workspace.new_predictions) as draft:
        for file in tqdm.tqdm(files, desc="Predicting", unit=" images", disable=None):
            try:
                rows.append(_predict_file(file, network, draft))
            except storage.DatasetError as error:
                faults += error.faults
        if not rows:
            raise storage.DatasetError(faults)
        pd.DataFrame(rows).to_csv(draft / TABLE, index=False)
    print(f"Predicted {len(rows)} of {len(files)} images, to '{workspace.new_predictions.name}'.")
    if faults:
        raise storage.DatasetError(faults)


def _check_fit(cases: pd.DataFrame, training: dict) -> None:
    sizes = set(cases["height"])
    if sizes != {training["image_size"]}:
        raise storage.DatasetError(
            [f"The model was trained on images of {training['image_size']} px, the dataset's have {sizes.pop()} px. Train the model anew."]
        )
    seen = cases["case"][cases["image_sha256"].isin(training["image_sha256"])]
    if len(seen):
        raise storage.DatasetError(
            [f"{case}: in the test set, but the model was trained on it. Train the model anew on the present train set." for case in seen]
        )


def _predict_file(file: pathlib.Path, network: keras.Model, folder: pathlib.Path) -> dict:
    if file.name == TABLE:
        raise storage.DatasetError([f"{file}: this name is kept for the table of the predictions. Rename the file."])
    image = csv_array.read(file)
    mask = _predict_image(network, image)
    csv_array.write(folder / file.name, mask)
    share = mask.mean()
    caption = f"{file.stem}: {mask.sum()} px, {share:.1%} of the image"
    (folder / f"{file.stem}.png").write_bytes(drawing.to_png(drawing.overlay(image, mask, caption)))
    return {"image": file.stem, "height": image.shape[0], "width": image.shape[1], "mask_px": int(mask.sum()), "mask_share": round(share, 6)}


def _predict_image(network: keras.Model, image: np.ndarray) -> np.ndarray:
    """The cleaned mask, uint8 0 and 1, of one raw image; both (height, width), of any size."""
    size, side = network.input_shape[1], max(image.shape)
    # Padded below and to the right, with air: stretching it would change the anatomy's proportions.
    square = np.full((side, side), image.min(), np.float32)
    square[: image.shape[0], : image.shape[1]] = image
    resized = skimage.transform.resize(square, (size, size), order=1, anti_aliasing=side > size, preserve_range=True)
    mask = cleaning.clean(networks.predict_masks(network, resized.astype(np.float32)[None, ..., None])[0])
    back = skimage.transform.resize(mask.astype(np.float32), (side, side), order=1, anti_aliasing=False)
    return (back[: image.shape[0], : image.shape[1]] >= 0.5).astype(np.uint8)
