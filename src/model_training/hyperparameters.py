"""What changes the quality of a model: each hyperparameter with its default, its meaning and the range that step 2 searches."""
import dataclasses
import difflib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import settings
from networks import ARCHITECTURES
from networks.objectives import LOSSES

if TYPE_CHECKING:
    import keras_tuner


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """The values of one model. The defaults are the final model's where config.py says nothing else.

    architecture: "unet" or "deeplabv3_plus".
    filters: the width of the unet's first stage; more learn more, slower.
    patch_px: the unet's first stage sees patches of so many px a side: 1, 2 or 4, each about five times as fast as the one before.
    clip_hu: the window of values that is looked at, in the images' own unit (HU); None for images that are not CT: each is brought to mean
        0 and standard deviation 1 instead.
    loss: "binary_crossentropy", "weighted_binary_crossentropy" or "binary_crossentropy_dice".
    learning_rate: of the Adam optimizer, at its highest, for batches of 2; for others it is adapted (see `budget.peak_rate`).
    horizontal_flip: half of the images are mirrored, left for right.
    rotation_degrees: images are shown rotated by up to this angle, either way; 0 for none.
    scale: images are shown larger or smaller by up to this share, stretched and sheared by half as much; 0 for none.
    gamma: the contrast is changed by an exponent of up to exp(gamma) either way, within the window; 0 for none.
    gaussian_noise: standard deviation of the noise that is added to the images, in their own unit (HU); 0 for none.
    augmentation_probability: the share of the images that are rotated and scaled, and of those whose contrast is changed, and of those that
        get noise, each drawn for itself. The others are shown as they are, as those will be that are to be predicted: interpolation blurs.
    """

    architecture: str = "unet"
    filters: int = 32
    patch_px: int = 4
    clip_hu: tuple[float, float] | None = (-200.0, 200.0)
    loss: str = "binary_crossentropy_dice"
    learning_rate: float = 1e-3
    horizontal_flip: bool = True
    rotation_degrees: float = 10.0
    scale: float = 0.2
    gamma: float = 0.3
    gaussian_noise: float = 0.0
    augmentation_probability: float = 0.25


def declare(search: "keras_tuner.HyperParameters") -> Hyperparameters:
    """One trial's values, drawn by Keras Tuner's `search` from the ranges declared here. What is not declared keeps its default."""
    return Hyperparameters(
        # The default first: many times faster to train from nothing. The other one has ImageNet's weights to its advantage.
        architecture=search.Choice("architecture", list(ARCHITECTURES)),
        # Half and one and a half of the default's width: a quarter and twice its time. The published one has 64, on single pixels.
        filters=search.Choice("filters", [16, 32, 48], default=32),
        # All that there are.
        patch_px=search.Choice("patch_px", [1, 2, 4], default=4),
        # Each image by itself, soft tissue, and muscle with its fat.
        clip_hu=_window_called(search.Choice("clip_hu", ["none", "-200..200", "-100..150"], default="-200..200")),
        # All that there are; the default is the one that small masks need.
        loss=search.Choice("loss", list(LOSSES), default="binary_crossentropy_dice"),
        # Adam's usual rate in the middle; from 5e-3 on trainings are known to jump.
        learning_rate=search.Float("learning_rate", 1e-4, 3e-3, sampling="log", default=1e-3),
        # Where left is not right (the liver), it may harm.
        horizontal_flip=search.Boolean("horizontal_flip", default=True),
        # Patients lie straight within a few degrees; more than 20 no scanner's table allows.
        rotation_degrees=search.Float("rotation_degrees", 0.0, 20.0, step=5.0, default=10.0),
        # Bodies differ by about a fifth in size; the contrast, where it is the contrast agent's or the stain's, by more than HU do.
        scale=search.Float("scale", 0.0, _with_end(0.3), step=0.1, default=0.2),
        gamma=search.Float("gamma", 0.0, 0.6, step=0.3, default=0.3),
        # A CT slice of 5 mm at the usual dose has noise of 10 to 20 HU itself.
        gaussian_noise=search.Float("gaussian_noise", 0.0, 20.0, step=10.0, default=0.0),
        # From the default, which suits test images like the train set's, to all, for those that are not.
        augmentation_probability=search.Float("augmentation_probability", 0.25, 1.0, step=0.25, default=0.25),
    )


def search_space(own: dict[str, Any]) -> "keras_tuner.HyperParameters":
    """What step 2 searches: the ranges of `declare`, but for those that the setting EXPLORATION_SEARCH_SPACE, `own`, gives itself.

    A value fixes a hyperparameter, a list are the values to choose among, a pair (low, high) is a range of numbers; clip_hu's values are
    pairs themselves. SettingsError lists what is unknown or impossible, with what was meant.
    """
    import keras_tuner

    declare(whole := keras_tuner.HyperParameters())
    declared, own = {hp.name: hp for hp in whole.space}, settings.plain(own)
    faults = [settings.unknown_name(name, declared) for name in own if name not in declared]
    faults += [fault for name, wanted in own.items() if name in declared for fault in _range_faults(declared[name], wanted)]
    if faults:
        raise settings.SettingsError("\n".join(f"EXPLORATION_SEARCH_SPACE in config.py: {fault}" for fault in faults))
    space = keras_tuner.HyperParameters()
    for name, hp in declared.items():
        wanted = own.get(name, ...)
        if wanted is ...:
            space.merge([hp])
        elif _is_range(name, wanted):
            _add_range(space, hp, *map(float, wanted))
        else:
            _add_values(space, hp, wanted if isinstance(wanted, list) else [wanted])
    return space


def from_settings(overrides: dict[str, Any]) -> Hyperparameters:
    """The defaults with the values of config.py's HYPERPARAMETERS. SettingsError names what is unknown or impossible, and what was meant."""
    values = settings.plain(overrides)
    faults = [settings.unknown_name(name, _RULES) for name in values if name not in _RULES]
    faults += [_fault(name, value) for name, value in values.items() if name in _RULES and not _holds(name, value)]
    if faults:
        raise settings.SettingsError("\n".join(f"HYPERPARAMETERS in config.py: {fault}" for fault in faults))
    if isinstance(values.get("clip_hu"), list):
        values["clip_hu"] = tuple(values["clip_hu"])
    return Hyperparameters(**values)


def _fault(name: str, value: Any) -> str:
    near = difflib.get_close_matches(str(value), [*ARCHITECTURES, *LOSSES], n=1) if isinstance(value, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name}: {settings.shown(value)} is not {_RULES[name][1]}.{hint}"


def _range_faults(hp: "keras_tuner.engine.hyperparameters.HyperParameter", wanted: Any) -> list[str]:
    if _is_range(hp.name, wanted):
        if not hasattr(hp, "sampling"):
            fix = f"this one has single values: give a list of them, in brackets, such as {list(hp.values)}."
            return [f"{hp.name}: {settings.shown(wanted)} is a range, but {fix}"]
        if len(wanted) != 2 or not all(map(_number(*_FINITE), wanted)) or not wanted[0] < wanted[1]:
            return [f"{hp.name}: {settings.shown(wanted)} is not a pair (low, high) of numbers."]
    if isinstance(wanted, list) and not wanted:
        return [f"{hp.name}: the list is empty; leave it out to search the whole range."]
    values = wanted if isinstance(wanted, list) or _is_range(hp.name, wanted) else [wanted]
    return [_fault(hp.name, value) for value in values if not _holds(hp.name, value)]


def _is_range(name: str, wanted: Any) -> bool:
    return isinstance(wanted, tuple) and name != "clip_hu"


def _add_values(
    space: "keras_tuner.HyperParameters", hp: "keras_tuner.engine.hyperparameters.HyperParameter", wanted: list[Any]
) -> None:
    values = list(dict.fromkeys(_as_declared(hp, value) for value in wanted))
    if isinstance(values[0], bool) and len(values) == 2:
        space.merge([hp])
    elif len(values) > 1:
        space.Choice(hp.name, values)
    else:
        space.Fixed(hp.name, values[0])


def _add_range(space: "keras_tuner.HyperParameters", hp: "keras_tuner.engine.hyperparameters.HyperParameter", low: float, high: float) -> None:
    # A step that does not divide the range would leave out its end, or all but its beginning.
    divides = hp.step and abs((high - low) / hp.step - round((high - low) / hp.step)) < 1e-6
    space.Float(hp.name, low, _with_end(high) if divides else high, step=hp.step if divides else None, sampling=hp.sampling)


def _with_end(high: float) -> float:
    # Keras Tuner counts a range's steps by whole division, and 0.3 // 0.1 is 2.
    return high + 1e-9


def _as_declared(hp: "keras_tuner.engine.hyperparameters.HyperParameter", value: Any) -> Any:
    # Keras Tuner keeps texts, numbers and truth values, each kind for itself.
    if hp.name == "clip_hu":
        return f"{value[0]:.12g}..{value[1]:.12g}" if value else "none"
    return float(value) if hasattr(hp, "sampling") else value


def _window_called(name: str) -> tuple[float, float] | None:
    return None if name == "none" else tuple(map(float, name.split("..")))


def _holds(name: str, value: Any) -> bool:
    try:
        return bool(_RULES[name][0](value))
    except Exception:
        # So may any object fail that a user puts here.
        return False


def _window(value: Any) -> bool:
    if value is None:
        return True
    low, high = value
    # In 32 bits, in which images are computed, its ends must differ too.
    width = max(1e-6 * abs(low), 1e-6 * abs(high), 1e-12)
    return isinstance(value, (tuple, list)) and all(map(_number(*_FINITE), value)) and high - low >= width


def _number(low: float, high: float, kinds: type | tuple[type, ...] = (int, float)) -> Callable[[Any], bool]:
    return lambda value: settings.is_number(value, low, high, kinds)


def _one_of(names: Collection[str]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


# No image has larger values, and far from what 32 bits hold.
_FINITE = (-1e9, 1e9)

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "architecture": _one_of(ARCHITECTURES),
    "filters": (_number(1, 256, int), "a whole number from 1 to 256"),
    "patch_px": (lambda value: settings.is_number(value, 1, 4, int) and value != 3, "1, 2 or 4"),
    "clip_hu": (_window, "None or a pair (low, high), such as (-200, 200), of numbers from -1e9 to 1e9"),
    "loss": _one_of(LOSSES),
    "learning_rate": (_number(1e-10, 1), "a number between 0 and 1, such as 1e-3 (at least 1e-10)"),
    "horizontal_flip": (lambda value: isinstance(value, bool), "True or False"),
    "rotation_degrees": (_number(0, 180), "an angle from 0 to 180"),
    "scale": (_number(0, 1), "a number from 0 to 1, such as 0.2"),
    "gamma": (_number(0, 2), "a number from 0 to 2, such as 0.3"),
    "gaussian_noise": (_number(0, 1e6), "a number from 0 to 1000000, such as 10"),
    "augmentation_probability": (_number(0, 1), "a number from 0 to 1, such as 0.25"),
}
