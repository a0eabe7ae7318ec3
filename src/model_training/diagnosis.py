"""Stops a training that learns nothing, and reports the checks and the likely causes."""

import json

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import storage
from data import intensities
from model_training.budget import REFERENCE_BATCH, Budget
from model_training.fingerprint import SMALL_FRACTION
from settings.hyperparameters import Hyperparameters

# A check costs a forward pass of a few images: negligible every 100 steps.
CHECK_EVERY_STEPS = 100

# With small masks a network may find nothing at first: it has this many steps, and this fraction of the budget.
PATIENCE_STEPS = 200
PATIENCE_SHARE = 0.15
# The fraction for small targets: a training of 150 s found nothing in its first 50 s and 10 of 12 targets after 100 s.
PATIENCE_SHARE_SMALL = 0.5

# The minimum mean difference of logits inside and outside the masks, in standard deviations of all logits; networks
# that learn exceed 1 by then.
MIN_LOGIT_GAP = 0.1

# Where masks cover more of the image, predicting foreground everywhere is nearly right.
NEARLY_ALL = 0.9

# With Adam, the loss becomes unstable at higher rates, and hardly changes at lower ones.
HIGH_RATE, LOW_RATE = 5e-3, 1e-5

# A lower learning rate than this is never recommended: it only trains more slowly.
LOWEST_ADVISED_RATE = 1e-4

# The noise of a CT slice is 1 % of its value range.
MAX_NOISE_SHARE = 0.1


class TrainingFailed(storage.UserError):
    """A training learned nothing. The text has the finding, the checks and what to change."""


class CollapseMonitor(keras.callbacks.Callback):
    """Raises TrainingFailed if the loss is not finite, or if two consecutive checks find degenerate predictions.

    `shown` are (images, masks) of the train set with the largest masks, as the network gets them. In a trial of a
    search (`is_trial`) messages have one line and no advice: the search chooses them. `small_targets` have more time.
    """

    def __init__(
        self,
        shown: tuple[tf.Tensor, tf.Tensor],
        hyperparameters: Hyperparameters,
        budget: Budget,
        is_trial: bool = False,
        small_targets: bool = False,
    ) -> None:
        super().__init__()
        self._patience_share = PATIENCE_SHARE_SMALL if small_targets else PATIENCE_SHARE
        self._shown, self._hyperparameters, self._budget, self._is_trial = shown, hyperparameters, budget, is_trial
        self._steps, self._warned, self._last_fault = 0, False, ""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks the images and masks before the first step."""
        images, masks = (part.numpy() for part in self._shown)
        if _data_problems(images, masks, self._hyperparameters):
            self._fail("there is nothing to learn from")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Checks the loss, and the predictions every CHECK_EVERY_STEPS steps."""
        self._steps += 1
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            self._fail(f"the loss is not finite ({loss:g})")
        if self._steps % CHECK_EVERY_STEPS == 0:
            self._check()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Prints a warning if a training that was too short to be stopped has learned nothing."""
        if self._steps >= PATIENCE_STEPS or not (fault := self._fault()):
            return
        if self._is_trial:
            epochs = self._budget.epochs
            print(f"  Found nothing in {epochs} epoch{'s' if epochs != 1 else ''}: {fault}.", flush=True)
        else:
            print(f"\nWarning: the training has ended, but {fault}.\n{self._explanation(self._steps)}", flush=True)

    def _fault(self) -> str:
        logits = [self.model(image[None], training=False).numpy() for image in self._shown[0]]
        return degenerate_prediction(np.concatenate(logits), self._shown[1].numpy())

    def _check(self) -> None:
        fault = self._fault()
        is_late = self._steps >= PATIENCE_STEPS and self._budget.fraction_done >= self._patience_share
        if fault and self._last_fault and is_late:
            self._fail(fault)
        if fault and not self._warned:
            print(f"\nNote: after {self._steps} steps {fault}. If this persists, training will be stopped.", flush=True)
            self._warned = True
        self._last_fault = fault  # One degenerate prediction late in a good training may be temporary.

    def _fail(self, fault: str) -> None:
        state = f"stopped after {self._steps} steps" if self._steps else "not started"
        advice = "" if self._is_trial else f"\n{self._explanation()}"
        raise TrainingFailed(f"The training was {state}: {fault}.{advice}")

    def _explanation(self, short_steps: int | None = None) -> str:
        images, masks = (part.numpy() for part in self._shown)
        return explanation(images, masks, self._hyperparameters, short_steps)


def degenerate_prediction(logits: np.ndarray, masks: np.ndarray) -> str:
    """How predicted logits, (cases, size, size, 1), are degenerate: not finite, constant, Dice 0 or chance; "" if not.

    "" also if the masks themselves are (nearly) empty or full.
    """
    if not np.isfinite(logits).all():
        return "the predictions are not finite"
    if np.ptp(logits) == 0:
        return "every pixel gets the same prediction, whatever the image"
    if (logits < 0).all() and masks.any():
        return "every pixel is predicted to be background: the Dice coefficient is 0"
    if (logits >= 0).all() and masks.mean() < NEARLY_ALL:
        return "every pixel is predicted to belong to the mask"
    if masks.any() and not (logits >= 0)[masks > 0].any():
        return "no pixel of any mask is found: the Dice coefficient is 0"
    both = masks.any() and not masks.all()
    if both and logits[masks > 0].mean() - logits[masks == 0].mean() < MIN_LOGIT_GAP * logits.std():
        return "the prediction is unrelated to the masks: their pixels do not get higher values than the others"
    return ""


def warn_about_intensities(hyperparameters: Hyperparameters, cases: pd.DataFrame) -> None:
    """Prints a note if intensities do not look like HU but `clip_hu` is set, or if `noise_sd` is too strong."""
    span = (cases["maximum"] - cases["minimum"]).median()
    if hyperparameters.noise_sd > MAX_NOISE_SHARE * span:
        print(
            f"Note: noise_sd = {hyperparameters.noise_sd:g} is strong for images with a value range of "
            f"{span:g}. Lower it in HYPERPARAMETERS, or EXPLORATION_SEARCH_SPACE, in config.py."
        )
    if hyperparameters.clip_hu and cases["minimum"].median() > intensities.MAX_AIR_HU:
        print(
            f"Note: the intensities ({cases['minimum'].min():g} to {cases['maximum'].max():g}) do not look like "
            f"Hounsfield units, but clip_hu is {hyperparameters.clip_hu}. If the images are not CT, set "
            'HYPERPARAMETERS = {"clip_hu": None} in config.py.'
        )


def explanation(
    images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters, short_steps: int | None = None
) -> str:
    """The checks of images and masks, (cases, size, size, 1) each, and the likely causes, one line each.

    `short_steps`: the number of steps of a training that ended before it could be judged.
    """
    values, window = hyperparameters, hyperparameters.clip_hu
    span = f"{images.min():g} to {images.max():g}, median {np.median(images):g}"
    mask_values = ", ".join(f"{value:g}" for value in np.unique(masks)[:5])
    checks = [
        f"image values: {span}" + (f"; the window clip_hu is {window}" if window else ""),
        f"mask values: {mask_values}; {_percent(np.mean(masks > 0))} of the pixels belong to a mask",
        f"empty masks: {(~masks.any((1, 2, 3))).sum()} of {len(masks)}",
        f"peak learning rate: {values.learning_rate:g} for a batch size of {REFERENCE_BATCH}; loss: {values.loss}",
    ]
    heading = f"Checked on {len(images)} images of the train set with the largest masks:"
    return "\n".join([heading, *(f"  {check}" for check in checks), *_reasons(images, masks, values, short_steps)])


def _percent(share: np.floating | float) -> str:
    return f"{100 * share:.2g} %"


def _reasons(
    images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters, short_steps: int | None
) -> list[str]:
    too_short = [] if short_steps is None else [f"the training was too short, {short_steps} steps. {_LONGER}"]
    likely = _data_problems(images, masks, hyperparameters) or too_short + _hyperparameter_problems(
        masks, hyperparameters
    )
    if likely:
        return [f"Likely: {reason}" for reason in likely]
    rate = max(hyperparameters.learning_rate / 5, LOWEST_ADVISED_RATE)
    lower = f'Then try HYPERPARAMETERS = {{"learning_rate": {rate:.3g}}} in config.py.'
    return [
        "All of these are plausible. Compare images and masks of some cases: do they belong together?",
        lower if rate < hyperparameters.learning_rate else f"Then train longer. {_LONGER}",
    ]


_LONGER = "Raise TRAINING_EPOCHS or TRAINING_TIME_LIMIT_MINUTES in config.py."


def _data_problems(images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """Problems of the images or masks that no training can solve."""
    window = hyperparameters.clip_hu
    outside = _share_outside_window(images, masks, window) if window else 0.0
    tests = [
        (
            not np.isfinite(images).all(),
            "the images have values that are not finite. Run step 1 again: it finds the file.",
        ),
        (
            not set(np.unique(masks)) <= {0, 1},
            "the masks have values other than 0 and 1. Run step 1 again: it finds the file.",
        ),
        (not masks.any(), "all masks are empty. Check how the masks were exported."),
        (np.ptp(images) == 0, "the images are constant. Check how they were exported."),
        (
            outside > 0.995,
            f"{outside:.1%} of the values are outside the window clip_hu, where all look the same. Set "
            'HYPERPARAMETERS = {"clip_hu": ...} in config.py to the window of the structure, or to None if not CT.',
        ),
    ]
    return [reason for applies, reason in tests if applies]


def _share_outside_window(images: np.ndarray, masks: np.ndarray, window: tuple[float, float]) -> float:
    """The fraction of the values outside the window; 0 if background or masks vary within it."""
    # Not a fault: small bright spots on a dark background, and images of two values, the ends of the window.
    clipped = np.clip(images, *window)
    flat = all(np.mean(part == np.median(clipped)) > 0.995 for part in (clipped, clipped[masks > 0]) if part.size)
    return float(np.mean((images <= window[0]) | (images >= window[1]))) if flat else 0.0


def _hyperparameter_problems(masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """Hyperparameters that may make a training fail."""
    rate, largest = hyperparameters.learning_rate, (masks > 0).sum((1, 2, 3)).max()
    change = 'Try HYPERPARAMETERS = {"learning_rate": 1e-3} in config.py.'
    tests = [
        (rate > HIGH_RATE, f"the learning rate is too high. {change}"),
        (rate < LOW_RATE, f"the learning rate is too low. {change}"),
        (
            0 < np.mean(masks > 0) < SMALL_FRACTION,
            f'the masks are so small that "all background" is nearly right: at most {largest} px, '
            f"{_percent(largest / masks[0].size)} of the pixels. {_for_small_masks(hyperparameters)}",
        ),
    ]
    return [reason for applies, reason in tests if applies]


def _for_small_masks(hyperparameters: Hyperparameters) -> str:
    changes: dict[str, str | int] = {}
    if hyperparameters.loss != "small_target_crossentropy_dice":
        changes["loss"] = "small_target_crossentropy_dice"
    if hyperparameters.architecture == "unet" and hyperparameters.stem_patch_px > 1:
        changes["stem_patch_px"] = hyperparameters.stem_patch_px // 2
    return f"Try HYPERPARAMETERS = {json.dumps(changes)} in config.py, or train longer." if changes else _LONGER
