"""Which calibration of the predicted Dice holds for the final model: that of a cross-validation with the same training.

Step 7 writes `cross-validation/calibration.json`, from masks of models that were not trained on the case. Steps 3 and 7
copy it into the folder of the final model if that was trained with the same hyperparameters on the same data.
"""

import dataclasses
import pathlib

from masks.calibration import Calibration
from networks import saved_model
from provenance import Training

# Trainings of the same length in epochs or in images agree within this factor: a time limit is not exact.
_MAX_RATIO = 1.5


@dataclasses.dataclass(frozen=True)
class FoldCalibration:
    """The calibration by a finished cross-validation and the trainings of its folds."""

    calibration: Calibration
    folds: tuple[Training, ...]

    def for_training(self, training: Training) -> Calibration | None:
        """The calibration if it holds for a model of this `training`; otherwise None."""
        same_data = all(
            {digest for fold in self.folds for digest in getattr(fold, name)} == set(getattr(training, name))
            for name in ("image_sha256", "mask_sha256")
        )
        return self.calibration if same_data and all(_are_alike(fold, training) for fold in self.folds) else None


def read(cross_validation: pathlib.Path) -> FoldCalibration | None:
    """That of the folder `cross_validation`; None if there is none. DamagedFile if a file was damaged or edited."""
    calibration = saved_model.read_calibration(cross_validation)
    if calibration is None:
        return None
    folders = sorted(cross_validation.glob("fold *"))
    return FoldCalibration(calibration, tuple(map(saved_model.read_training, folders)))


def _are_alike(fold: Training, training: Training) -> bool:
    # With a number of epochs a fold sees fewer images; with a time limit, as many in more epochs.
    same_epochs = _are_near(fold.epochs, training.epochs)
    return _recipe(fold) == _recipe(training) and (
        same_epochs or _are_near(fold.epochs * fold.images, training.epochs * training.images)
    )


def _are_near(one: int, other: int) -> bool:
    return max(one, other) <= _MAX_RATIO * min(one, other)


def _recipe(training: Training) -> tuple:
    values = dataclasses.asdict(training.hyperparameters)
    return values, training.batch_size, training.image_size, training.start, training.encoder_weights
