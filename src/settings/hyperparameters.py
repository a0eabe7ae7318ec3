"""The hyperparameters: each is declared once, with default, valid values, meaning and the range that step 2 searches.

Import them from `model_training`. They are declared here because config.py is validated before TensorFlow is loaded.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from settings import rules


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values of which a search takes one."""

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: multiples of `step` above `low`, or all; log-uniform with `log`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What is known of one hyperparameter."""

    default: Any
    rule: rules.Rule
    search: Choices | Range
    meaning: str


def _declare(default: Any, rule: rules.Rule, search: Choices | Range, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"declaration": Declaration(default, rule, search, meaning)})


# The default first: it trains many times faster from scratch. DeepLabV3+ starts from ImageNet weights.
ARCHITECTURES = ("unet", "deeplabv3_plus")
LOSSES = (
    "binary_crossentropy",
    "weighted_binary_crossentropy",
    "binary_crossentropy_dice",
    "small_target_crossentropy_dice",
)

# No image has larger values, and float32 holds far larger ones.
_FINITE = (-1e9, 1e9)


def _is_window(value: Any) -> bool:
    if value is None:
        return True
    low, high = value
    # The two ends must also differ in float32, in which images are computed.
    width = max(1e-6 * abs(low), 1e-6 * abs(high), 1e-12)
    return (
        isinstance(value, tuple | list) and all(rules.is_number(end, *_FINITE) for end in value) and high - low >= width
    )


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of one model; the defaults are the final model's. DECLARATIONS has their meanings."""

    architecture: str = _declare(
        "unet",
        rules.one_of(ARCHITECTURES),
        Choices(ARCHITECTURES),
        "The network: a U-Net, or DeepLabV3+ on a ResNet50 encoder (see ENCODER_WEIGHTS).",
    )
    filters: int = _declare(
        32,
        rules.whole(1, 256),
        # 0.5 and 1.5 times the default's width: 0.25 and 2 times its training time. The published U-Net has 64.
        Choices((16, 32, 48)),
        "Number of filters in the U-Net's first stage. More filters learn more and train more slowly.",
    )
    stem_patch_px: int = _declare(
        4,
        rules.one_of((1, 2, 4)),
        Choices((1, 2, 4)),
        "Pixel-unshuffle factor at the U-Net's input, in px: tiles of this side are folded into channels. 1 is the "
        "published U-Net; 2 trains about 5 times as fast, 4 about 25 times. Masks keep the full resolution.",
    )
    clip_hu: tuple[float, float] | None = _declare(
        (-200.0, 200.0),
        rules.Rule(_is_window, "None or a pair (low, high), such as (-200, 200), of numbers from -1e9 to 1e9"),
        # Per-image z-score, soft tissue, and muscle with its fat.
        Choices((None, (-200.0, 200.0), (-100.0, 150.0))),
        "CT window in HU: values outside are clipped, the window is scaled to -1..1. None is for images that are not "
        "CT: each image is normalised to mean 0 and standard deviation 1 (z-score).",
    )
    loss: str = _declare(
        "binary_crossentropy_dice",
        rules.one_of(LOSSES),
        # The last one is searched only where the masks are small (see `model_training.fingerprint`).
        Choices(LOSSES[:-1]),
        "Loss function. The default is the sum of cross-entropy and soft Dice loss. In small_target_crossentropy_dice "
        "a mask has at least 10 % of the cross-entropy's weight: the default where masks cover less than 0.2 % of the "
        "image.",
    )
    learning_rate: float = _declare(
        1e-3,
        rules.number(1e-10, 1, "a number between 0 and 1, such as 1e-3 (at least 1e-10)"),
        # Adam's usual rate lies in the middle. Trainings become unstable from about 5e-3 on.
        Range(1e-4, 3e-3, log=True),
        "Peak learning rate of Adam for a batch size of 2; it is scaled for other batch sizes. The schedule has 5 % "
        "linear warm-up, then cosine decay to 0.",
    )
    horizontal_flip: bool = _declare(
        True,
        rules.SWITCH,
        Choices((True, False)),
        "Augmentation: half of the images are mirrored left to right; the trained model then also predicts the mirror "
        "image (test-time augmentation). Set False where left and right differ, as for the liver.",
    )
    rotation_degrees: float = _declare(
        10.0,
        rules.number(0, 180, "an angle from 0 to 180"),
        # Patients lie straight within a few degrees; a scanner's table does not allow more than 20.
        Range(0.0, 20.0, step=5.0),
        "Augmentation: maximum rotation, in degrees, in either direction. 0: none.",
    )
    max_log_scale: float = _declare(
        0.2,
        rules.number(0, 1, "a number from 0 to 1, such as 0.2"),
        # Body size differs by about a fifth.
        Range(0.0, 0.3, step=0.1),
        "Augmentation: maximum absolute logarithm of the scaling factor (0.2: factors from 0.82 to 1.22). Stretching "
        "and shearing use half of it. 0: none.",
    )
    gamma: float = _declare(
        0.3,
        rules.number(0, 2, "a number from 0 to 2, such as 0.3"),
        # Contrast, where a contrast agent or a stain causes it, differs by more than HU do.
        Range(0.0, 0.6, step=0.3),
        "Augmentation: maximum absolute logarithm of the gamma exponent that changes the contrast within the window. "
        "0: none.",
    )
    noise_sd: float = _declare(
        0.0,
        rules.number(0, 1e6, "a number from 0 to 1000000, such as 10"),
        # A CT slice of 5 mm at the usual dose has noise of 10 to 20 HU itself.
        Range(0.0, 20.0, step=10.0),
        "Augmentation: standard deviation of added Gaussian noise, in the images' unit (HU). 0: none.",
    )
    augmentation_probability: float = _declare(
        0.25,
        rules.number(0, 1, "a number from 0 to 1, such as 0.25"),
        # From the default, for test images like the train set's, to 1, for different ones.
        Range(0.25, 1.0, step=0.25),
        "Probability of each augmentation (affine, gamma, noise), drawn independently per image. The other images "
        "stay unchanged, like those to be predicted: interpolation blurs.",
    )

    def __post_init__(self) -> None:
        """ValueError for an invalid value: a model's folder from someone else might ask for a network of any size."""
        rules.check(vars(self), {name: known.rule for name, known in DECLARATIONS.items()})


DECLARATIONS: Mapping[str, Declaration] = {
    field.name: field.metadata["declaration"] for field in dataclasses.fields(Hyperparameters)
}


# Names of earlier versions, in their model folders and configurations.
_RENAMED = {"patch_px": "stem_patch_px", "scale": "max_log_scale", "gaussian_noise": "noise_sd"}


def with_current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that an earlier version wrote, under their current names."""
    return {_RENAMED.get(name, name): value for name, value in values.items()}


def from_overrides(overrides: Mapping[str, Any]) -> Hyperparameters:
    """The defaults with the values of config.py's HYPERPARAMETERS. SettingsError lists all faults."""
    values: dict[str, Any] = rules.plain(dict(overrides))
    if faults := override_faults(values):
        raise rules.SettingsError("\n".join(f"config.py: {fault}" for fault in faults))
    pairs: dict[str, Any] = {name: tuple(value) for name, value in values.items() if type(value) is list}
    return Hyperparameters(**values | pairs)


def override_faults(values: Mapping[Any, Any]) -> list[str]:
    """One message per unknown name or invalid value in the setting HYPERPARAMETERS."""
    return [
        fault
        for name, value in values.items()
        for fault in _value_faults(f"HYPERPARAMETERS{_key(name)}", name, [value])
    ]


def search_space_faults(values: Mapping[Any, Any]) -> list[str]:
    """One message per unknown name or invalid value in the setting EXPLORATION_SEARCH_SPACE."""
    return [fault for name, value in values.items() for fault in _search_faults(name, value)]


def is_range(name: str, value: Any) -> bool:
    """Whether a value of EXPLORATION_SEARCH_SPACE is a range; a window `clip_hu` is a pair, but one value."""
    return isinstance(value, tuple) and name != "clip_hu"


def _search_faults(name: Any, value: Any) -> list[str]:
    place = f"EXPLORATION_SEARCH_SPACE{_key(name)}"
    known = DECLARATIONS.get(name) if isinstance(name, str) else None
    if known and is_range(name, value):
        if isinstance(known.search, Choices):
            return [f"{place} = {rules.shown(value)}: must be a list, such as {list(known.search.values)}."]
        if len(value) != 2 or not all(rules.is_number(end, *_FINITE) for end in value) or not value[0] < value[1]:
            return [f"{place} = {rules.shown(value)}: must be a pair (low, high) of numbers."]
    if isinstance(value, list) and not value:
        return [f"{place} = []: must not be empty. Leave it out to search the whole range."]
    values = list(value) if isinstance(value, list) or is_range(name, value) else [value]
    return _value_faults(place, name, values)


def _value_faults(place: str, name: Any, values: list[Any]) -> list[str]:
    if not isinstance(name, str) or name not in DECLARATIONS:
        setting, _, _ = place.partition("[")
        if isinstance(name, str) and name in _RENAMED:
            return [f"{setting}: {name} is now called {_RENAMED[name]}."]
        return [f"{setting}: {rules.unknown_name(name, DECLARATIONS)}"]
    rule = DECLARATIONS[name].rule
    return [rules.broken(place, value, rule) for value in values if not rule.accepts(value)]


def _key(name: Any) -> str:
    return f'["{name}"]' if isinstance(name, str) else f"[{rules.shown(name)}]"
