"""Which calibration of the predicted Dice holds for the final model: that of a cross-validation with the same training.

Step 7 writes `cross-validation/calibration.json`, from masks of models that were not trained on the case. Steps 3 and 7
copy it into the folder of the final model if that was trained with the same hyperparameters on the same images.
"""

import dataclasses
import pathlib

from masks.calibration import Calibration
from networks import saved_model
from provenance import Training


def for_training(cross_validation: pathlib.Path, training: Training) -> Calibration | None:
    """The calibration of the folder `cross_validation` if it holds for a model of this `training`; otherwise None."""
    calibration = saved_model.read_calibration(cross_validation)
    if calibration is None:
        return None
    folds = [saved_model.read_training(file.parent) for file in cross_validation.glob("fold */weights.weights.h5")]
    images = {image for fold in folds for image in fold.image_sha256}
    same = images == set(training.image_sha256) and all(_are_alike(fold, training) for fold in folds)
    return calibration if same else None


def _are_alike(fold: Training, training: Training) -> bool:
    # Equal epochs, or equal minutes: a fold has fewer images.
    return _recipe(fold) == _recipe(training) and 1 / 2 < fold.epochs / training.epochs < 2


def _recipe(training: Training) -> tuple:
    values = dataclasses.asdict(training.hyperparameters)
    return values, training.batch_size, training.image_size, training.start, training.encoder_weights
