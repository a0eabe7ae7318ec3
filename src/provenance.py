"""How a model came about, and the masks it predicted: records that the model's folder and the predictions' store.

The keys of their JSON files are the names of the fields.
"""

import contextlib
import dataclasses
import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

import settings
from settings import hyperparameters, rules
from settings.hyperparameters import Hyperparameters

# The number of quantiles that describe an image's intensities.
QUANTILES = 33

# The file of a model's folder with its `Training`.
TRAINING_FILE = "training.json"


def holds_model(folder: pathlib.Path) -> bool:
    """Whether a folder is that of a model or of a cross-validation."""
    return (folder / TRAINING_FILE).exists() or any(folder.glob(f"fold */{TRAINING_FILE}"))


@dataclasses.dataclass(frozen=True)
class TrainSetStatistics:
    """What new images are compared with (see `data.out_of_distribution`).

    quantiles: the mean train image's intensities, as the network scales them.
    max_distance: the largest distance of a train image from it.
    mask_fractions: the smallest and the largest fraction of an image that its mask covers.
    """

    quantiles: list[float]
    max_distance: float
    mask_fractions: tuple[float, float]

    def __post_init__(self) -> None:
        """ValueError unless there are QUANTILES quantiles."""
        if len(self.quantiles) != QUANTILES:
            raise ValueError(f"quantiles: must be {QUANTILES} numbers, found {len(self.quantiles)}")


@dataclasses.dataclass(frozen=True)
class StartingModel:
    """The model whose weights a training started from: its fingerprint, and how many images it was trained on."""

    id: str
    images: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """What a Methods section says of a training.

    encoder_weights: "imagenet", a file, or None for random weights.
    start: the model that was fine-tuned (START_FROM), or None.
    """

    images: int
    image_size: int
    batch_size: int
    epochs: int
    minutes: float
    peak_learning_rate: float
    precision: str
    encoder_weights: str | None
    start: StartingModel | None
    seed: int
    python: str
    tensorflow: str

    def __post_init__(self) -> None:
        """ValueError for an image size that no setting allows: the network of a shared model might be of any size."""
        rules.check(vars(self), {"image_size": settings.DECLARATIONS["IMAGE_SIZE"].rule})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(TrainingFacts):
    """The training of one model: training.json in its folder.

    chosen_defaults: the fingerprint of the train set and the defaults that follow from it, in words.
    packages: see `installed_packages`. Both are empty for models of earlier versions of this program.
    image_sha256, mask_sha256: those of the train set's files.
    earlier_image_sha256: of the images that the starting model was trained on, and its own starting model.
    """

    hyperparameters: Hyperparameters
    chosen_defaults: list[str]
    packages: dict[str, str]
    image_sha256: list[str]
    earlier_image_sha256: list[str]
    mask_sha256: list[str]
    train_set_statistics: TrainSetStatistics
    cleaning_is_harmless: bool

    @property
    def facts(self) -> TrainingFacts:
        """The part that provenances store."""
        return TrainingFacts(**{field.name: getattr(self, field.name) for field in dataclasses.fields(TrainingFacts)})

    @property
    def seen_image_sha256(self) -> list[str]:
        """Of all images that the weights depend on, sorted."""
        return sorted({*self.image_sha256, *self.earlier_image_sha256})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """The model, or the ensemble of fold models, that predicted a folder of masks: _model.json in that folder.

    id: fingerprint of the weights.
    models: number of models whose logits are averaged.
    test_time_flip: whether each also predicted the mirror image.
    postprocessed: whether small isolated components were removed.
    calibrated_on: number of cases that calibrated the predicted Dice; 0 if it is not calibrated.
    training: of the first model.
    image_sha256: of all images that any of the models was trained on.
    """

    id: str
    models: int
    test_time_flip: bool
    postprocessed: bool
    calibrated_on: int
    hyperparameters: Hyperparameters
    training: TrainingFacts
    image_sha256: list[str]


def installed_packages() -> dict[str, str]:
    """The versions of the packages on which the result of a training or a search depends, if they are installed."""
    installed = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    return installed


# tensorflow-addons is in requirements.txt only, tf-keras in requirements-new.txt only.
_PACKAGES = ("tensorflow", "keras", "tf-keras", "keras-tuner", "tensorflow-addons", "numpy")


def with_current_names(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """The values of a record's JSON file under their current names: those `renamed`, and those of hyperparameters.

    What earlier versions did not know, in training.json or in a provenance's `training`, has the value it had then.
    """
    current = {renamed.get(name, name): value for name, value in values.items()}
    facts = current["training"] if isinstance(current.get("training"), dict) else current
    facts.setdefault("start", None)
    if isinstance(current.get("hyperparameters"), dict):
        current["hyperparameters"] = hyperparameters.with_current_names(current["hyperparameters"])
    return current
