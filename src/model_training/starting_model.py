"""Fine-tuning (START_FROM): a training that starts from the weights of a trained model instead of random ones."""

import dataclasses
import pathlib

import pandas as pd
from tensorflow import keras

import settings
import storage
from data import preloaded_dataset
from networks import saved_model
from provenance import StartingModel, Training
from settings import Settings

# A third of the default: the peak rate of a new training would undo part of what the weights know.
LEARNING_RATE = 3e-4


@dataclasses.dataclass(frozen=True)
class Start:
    """The starting model of a training: its record, and the SHA-256 of all images that its weights depend on."""

    record: StartingModel
    seen_image_sha256: list[str]


def settings_for(options: Settings, in_hu: bool) -> Settings:
    """The settings in which the network, its window and the learning rate suit START_FROM; config.py has precedence.

    `in_hu`: whether the images are in Hounsfield units. SettingsError if config.py or the images need another network,
    window or image size than the starting model's, or if there is no model.
    """
    training = _read_training(options)
    built_of = {name: getattr(training.hyperparameters, name) for name in saved_model.BUILT_OF}
    adapted = options.with_defaults(learning_rate=LEARNING_RATE, **built_of)
    wanted = adapted.hyperparameters
    faults = [
        f'HYPERPARAMETERS["{name}"] is {getattr(wanted, name)}, but the model in START_FROM was trained with {value}. '
        "Remove it from config.py, or start from another model."
        for name, value in built_of.items()
        if getattr(wanted, name) != value
    ]
    if options.IMAGE_SIZE != training.image_size:
        # Images of another size have other hashes: those that the model was trained on would not be recognized.
        fix = f"Set IMAGE_SIZE = {training.image_size} and run step 1 again, or start from another model."
        faults.append(f"IMAGE_SIZE is {options.IMAGE_SIZE}, the model in START_FROM has {training.image_size}. {fix}")
    faults += _window_fault(options, built_of["clip_hu"], in_hu)
    if faults:
        raise settings.SettingsError("\n".join(f"config.py: {fault}" for fault in faults))
    return adapted


def _window_fault(options: Settings, window: tuple[float, float] | None, in_hu: bool) -> list[str]:
    # Step 1 pads images that are not square according to config.py's window, or to whether they are in HU.
    if "clip_hu" in options.HYPERPARAMETERS or (window is not None) == in_hu:
        return []
    trained = "normalized images (clip_hu None)" if window is None else f"CT images within {window} HU"
    images = "in Hounsfield units" if in_hu else "not in Hounsfield units"
    fix = (
        f'Start from a model of similar images, or set HYPERPARAMETERS = {{"clip_hu": {window}}} and run step 1 again.'
    )
    return [f"START_FROM: that model was trained on {trained}, but the images of the train set are {images}. {fix}"]


def check_no_leakage(options: Settings, held_out: pd.DataFrame, part: str) -> None:
    """DatasetError if the starting model was trained on a case of `held_out`, rows of cases.csv; `part` names them."""
    if start := read(options):
        fix = "Start from another model, or set START_FROM = None."
        model = "the model in START_FROM"
        preloaded_dataset.check_no_leakage(held_out, start.seen_image_sha256, fix, part, model)


def read(options: Settings) -> Start | None:
    """What a training needs to know of the starting model; None without START_FROM."""
    if options.START_FROM is None:
        return None
    seen = _read_training(options).seen_image_sha256
    return Start(StartingModel(saved_model.fingerprint([_folder(options)]), len(seen)), seen)


def was_finished(unfinished: pathlib.Path, target: pathlib.Path, options: Settings) -> bool:
    """Whether the model in `target`, which is to be continued, is the result of the training in `unfinished`.

    It then was killed after its model was in place, before its own folder was removed: both have the same history.
    """
    if options.START_FROM is None or storage.follow(_folder(options)) != storage.follow(target):
        return False
    histories = [folder / "history.csv" for folder in (unfinished, target)]
    return all(file.exists() for file in histories) and len({file.read_bytes() for file in histories}) == 1


def load(network: keras.Model, options: Settings) -> None:
    """Gives a new network the weights of the starting model."""
    folder = _folder(options)
    with storage.reading(folder, "train_final_model", storage.MODEL_WAIT_SECONDS):
        network.set_weights(saved_model.read(folder).get_weights())


def _folder(options: Settings) -> pathlib.Path:
    return pathlib.Path(str(options.START_FROM))


def _read_training(options: Settings) -> Training:
    folder = _folder(options)
    try:
        return saved_model.read_training(folder)
    except storage.MissingResult as error:
        folds = " It holds a cross-validation: choose one of its folds." if any(folder.glob("fold *")) else ""
        fix = f'Set START_FROM in config.py to a folder that step 3 wrote, or to "phantoms".{folds}'
        raise settings.SettingsError(f"{folder}: there is no model. {fix}") from error
