"""Fine-tuning (START_FROM): a training that starts from the weights of a trained model instead of random ones."""

import pathlib
from collections.abc import Sequence

import pandas as pd
from tensorflow import keras

import settings
import storage
from data import preloaded_dataset
from networks import saved_model
from provenance import StartingModel, Training
from settings import Settings

# A finished training needs a moment to move its model to its folder.
_WAIT_SECONDS = 60.0

# The peak rate of a new training would undo much of what the weights know (see docs/accuracy.md).
LEARNING_RATE = 3e-4


def settings_for(options: Settings, in_hu: bool) -> Settings:
    """The settings in which the network, its window and the learning rate suit START_FROM; config.py has precedence.

    `in_hu`: whether the images are in Hounsfield units. SettingsError if config.py or the images need another network
    or window than the starting model's, or if there is no model.
    """
    folder = _folder(options)
    values = _read_training(folder).hyperparameters
    built_of = {name: getattr(values, name) for name in saved_model.BUILT_OF}
    adapted = options.with_defaults(learning_rate=LEARNING_RATE, **built_of)
    wanted = adapted.hyperparameters
    faults = [
        f'HYPERPARAMETERS["{name}"] is {getattr(wanted, name)}, but the model in START_FROM was trained with {value}. '
        f"Remove it from config.py, or start from another model."
        for name, value in built_of.items()
        if getattr(wanted, name) != value
    ]
    if built_of["clip_hu"] and not in_hu and "clip_hu" not in options.HYPERPARAMETERS:
        faults.append(
            f"START_FROM = {folder}: trained on CT images within {built_of['clip_hu']} HU, but the images of the train "
            "set are not in Hounsfield units. Start from a model of similar images, or set START_FROM = None."
        )
    if faults:
        raise settings.SettingsError("\n".join(f"config.py: {fault}" for fault in faults))
    return adapted


def check_no_leakage(options: Settings, held_out: pd.DataFrame, part: str) -> None:
    """DatasetError if the starting model was trained on a case of `held_out`, rows of cases.csv; `part` names them."""
    if options.START_FROM is None:
        return
    fix = "Start from another model, or set START_FROM = None."
    seen = _read_training(_folder(options)).seen_image_sha256
    preloaded_dataset.check_no_leakage(held_out, seen, fix, part, "the model in START_FROM")


def load(network: keras.Model, options: Settings) -> None:
    """Gives a new network the weights of the starting model."""
    folder = _folder(options)
    with storage.reading(folder, "train_final_model", _WAIT_SECONDS):
        network.set_weights(saved_model.read(folder).get_weights())


def record(options: Settings) -> StartingModel | None:
    """What a training's record says of the starting model; None without one."""
    if options.START_FROM is None:
        return None
    folder = _folder(options)
    return StartingModel(saved_model.fingerprint([folder]), len(_read_training(folder).seen_image_sha256))


def seen_image_sha256(options: Settings) -> Sequence[str]:
    """Of the images that the starting model was trained on; none without one."""
    return [] if options.START_FROM is None else _read_training(_folder(options)).seen_image_sha256


def _folder(options: Settings) -> pathlib.Path:
    return pathlib.Path(str(options.START_FROM))


def _read_training(folder: pathlib.Path) -> Training:
    try:
        return saved_model.read_training(folder)
    except storage.MissingResult as error:
        folds = " It holds a cross-validation: choose one of its folds." if any(folder.glob("fold *")) else ""
        fix = f"Set START_FROM in config.py to a folder that step 3 wrote.{folds}"
        raise settings.SettingsError(f"{folder}: there is no model. {fix}") from error
