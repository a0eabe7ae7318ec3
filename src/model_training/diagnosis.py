"""Stops a training that learns nothing, and reports what was checked and the likely cause."""

import json

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import storage
from model_training.budget import REFERENCE_BATCH, Budget
from model_training.hyperparameters import Hyperparameters

# A look takes as long as the forward pass of some images: one in a hundred steps is not felt.
CHECK_EVERY_STEPS = 100

# A network that finds nothing at first may be on its way, where masks are small: it has this many steps, and this share of the budget.
PATIENCE_STEPS = 200
PATIENCE_SHARE = 0.15

# By how much, in standard deviations of all logits, those in the masks must exceed the others; networks that learn reach more than 1 by then.
MIN_LOGIT_GAP = 0.1

# Where masks cover more, to predict that all belongs to them is nearly right.
NEARLY_ALL = 0.9

# With Adam, higher rates are known to make the loss jump instead of fall, and with lower ones hardly anything changes.
HIGH_RATE, LOW_RATE = 5e-3, 1e-5

# A lower learning rate than this is never recommended: it only trains more slowly.
LOWEST_ADVISED_RATE = 1e-4

# Where masks cover less, a network that predicts background everywhere is nearly right.
SMALL_SHARE = 0.002

# A CT slice's own noise is a hundredth of what its values span.
MAX_NOISE_SHARE = 0.1


class TrainingFailed(storage.UserError):
    """A training that learned nothing. Its text says what was found and checked, and what to change."""


class CollapseMonitor(keras.callbacks.Callback):
    """Raises TrainingFailed where the loss is not finite, or predictions for `shown` are degenerate in two checks running.

    `shown` are (images, masks) of the train set, as the network gets them, with the largest masks. In a trial of a
    search (`is_trial`) texts have one line and no advice: there the search chooses the hyperparameters.
    """

    def __init__(
        self,
        shown: tuple[tf.Tensor, tf.Tensor],
        hyperparameters: Hyperparameters,
        budget: Budget,
        is_trial: bool = False,
    ) -> None:
        super().__init__()
        self._shown, self._hyperparameters, self._budget, self._is_trial = shown, hyperparameters, budget, is_trial
        self._steps, self._noted, self._last_fault = 0, False, ""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Looks at what is to be learned from."""
        images, masks = (part.numpy() for part in self._shown)
        if _data_problems(images, masks, self._hyperparameters):
            self._fail("there is nothing to learn from")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss, and from time to time at the predictions."""
        self._steps += 1
        if not np.isfinite(logs["loss"]):
            self._fail(f"the loss is no finite number ({logs['loss']:g})")
        if self._steps % CHECK_EVERY_STEPS == 0:
            self._look()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Prints a warning where a training that was too short to be stopped has learned nothing."""
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

    def _look(self) -> None:
        fault = self._fault()
        if (
            fault
            and self._last_fault
            and self._steps >= PATIENCE_STEPS
            and self._budget.fraction_done >= PATIENCE_SHARE
        ):
            self._fail(fault)
        if fault and not self._noted:
            print(f"\nNote: after {self._steps} steps {fault}. If this persists, training will be stopped.", flush=True)
            self._noted = True
        self._last_fault = fault  # A single one, late in a training that went well, may pass.

    def _fail(self, fault: str) -> None:
        what = f"stopped after {self._steps} steps" if self._steps else "not begun"
        advice = "" if self._is_trial else f"\n{self._explanation()}"
        raise TrainingFailed(f"The training was {what}: {fault}.{advice}")

    def _explanation(self, short_steps: int | None = None) -> str:
        return explanation(*(part.numpy() for part in self._shown), self._hyperparameters, short_steps)


def degenerate_prediction(logits: np.ndarray, masks: np.ndarray) -> str:
    """What is suspicious about the predictions, both (cases, size, size, 1): no numbers, all alike, a Dice of 0 or by chance; "" where nothing is.

    Nothing is where the masks are as empty, or nearly as full, themselves.
    """
    if not np.isfinite(logits).all():
        return "the predictions are no finite numbers"
    if np.ptp(logits) == 0:
        return "every pixel gets the same prediction, whatever the image"
    if (logits < 0).all() and masks.any():
        return "every pixel is predicted to be background: the Dice coefficient is 0"
    if (logits >= 0).all() and masks.mean() < NEARLY_ALL:
        return "every pixel is predicted to belong to the mask"
    if masks.any() and not (logits >= 0)[masks > 0].any():
        return "no pixel of any mask is found: the Dice coefficient is 0"
    if (
        masks.any()
        and not masks.all()
        and logits[masks > 0].mean() - logits[masks == 0].mean() < MIN_LOGIT_GAP * logits.std()
    ):
        return "what is predicted has nothing to do with the masks: their pixels get no higher values than those around them"
    return ""


def warn_about_intensities(hyperparameters: Hyperparameters, cases: pd.DataFrame) -> None:
    """Prints a note where the images' values do not look like what `clip_hu` is for, or `gaussian_noise` would drown them."""
    span = (cases["maximum"] - cases["minimum"]).median()
    if hyperparameters.gaussian_noise > MAX_NOISE_SHARE * span:
        print(
            f"Note: gaussian_noise, {hyperparameters.gaussian_noise:g} in the images' own unit, is much for values that span {span:g}. Lower it in config.py: "
            "HYPERPARAMETERS, or EXPLORATION_SEARCH_SPACE."
        )
    # Every CT slice holds air, -1000 HU.
    if hyperparameters.clip_hu and cases["minimum"].median() > -200:
        print(
            f"Note: the images' values ({cases['minimum'].min():g} to {cases['maximum'].max():g}) do not look like Hounsfield units, but clip_hu "
            f'is {hyperparameters.clip_hu}. If they are not, set HYPERPARAMETERS = {{"clip_hu": None}} in config.py.'
        )


def explanation(
    images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters, short_steps: int | None = None
) -> str:
    """What was checked on a batch, (cases, size, size, 1) each, a line each, and the likely causes.

    `short_steps` is the number of steps where the training ended before it could be judged.
    """
    values, window = hyperparameters, hyperparameters.clip_hu
    span = f"{images.min():g} to {images.max():g}, median {np.median(images):g}"
    found = ", ".join(f"{value:g}" for value in np.unique(masks)[:5])
    checks = [
        f"image values: {span}" + (f"; the window clip_hu is {window}" if window else ""),
        f"mask values: {found}; {_percent(np.mean(masks > 0))} of the pixels belong to a mask",
        f"empty masks: {(~masks.any((1, 2, 3))).sum()} of {len(masks)}",
        f"learning rate: {values.learning_rate:g} at its highest, for batches of {REFERENCE_BATCH}; "
        f"loss: {values.loss}",
    ]
    heading = f"Checked on {len(images)} images of the train set with the largest masks:"
    return "\n".join([heading, *(f"  {check}" for check in checks), *_reasons(images, masks, values, short_steps)])


def _percent(share: float) -> str:
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
        "None of these is wrong in itself. Look at some cases, image and mask side by side: do they belong together?",
        lower if rate < hyperparameters.learning_rate else f"Then train longer. {_LONGER}",
    ]


_LONGER = "Raise TRAINING_EPOCHS or TRAINING_TIME_LIMIT_MINUTES in config.py."


def _data_problems(images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """What no training can mend."""
    window = hyperparameters.clip_hu
    outside = _share_outside_window(images, masks, window) if window else 0.0
    tests = [
        (
            not np.isfinite(images).all(),
            "the images hold values that are no finite numbers. Run step 1 again: it finds the file.",
        ),
        (
            not set(np.unique(masks)) <= {0, 1},
            "the masks hold other values than 0 and 1. Run step 1 again: it finds the file.",
        ),
        (not masks.any(), "all masks are empty. Check how the masks were exported."),
        (np.ptp(images) == 0, "the images are constant: there is nothing to see. Check how they were exported."),
        (
            outside > 0.995,
            f'{outside:.1%} of the values lie outside the window, where all look the same. Set HYPERPARAMETERS = {{"clip_hu": ...}} in config.py '
            "to the window of what is to be seen, or to None for images that are no CT.",
        ),
    ]
    return [reason for found, reason in tests if found]


def _share_outside_window(images: np.ndarray, masks: np.ndarray, window: tuple[float, float]) -> float:
    """The share of the values outside the window; 0 where ground or masks show something in it."""
    # Small bright spots on a dark ground are all outside but for themselves; and so are images of two values, the window's ends.
    clipped = np.clip(images, *window)
    flat = all(np.mean(part == np.median(clipped)) > 0.995 for part in (clipped, clipped[masks > 0]) if part.size)
    return np.mean((images <= window[0]) | (images >= window[1])) if flat else 0.0


def _hyperparameter_problems(masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """What may make a training fail that could go well."""
    rate, largest = hyperparameters.learning_rate, (masks > 0).sum((1, 2, 3)).max()
    change = 'Try HYPERPARAMETERS = {"learning_rate": 1e-3} in config.py.'
    tests = [
        (rate > HIGH_RATE, f"the learning rate is too high. {change}"),
        (rate < LOW_RATE, f"the learning rate is too low. {change}"),
        (
            0 < np.mean(masks > 0) < SMALL_SHARE,
            f'the masks are so small that "all background" is nearly right: at most {largest} px, '
            f"{_percent(largest / masks[0].size)} of the pixels. {_for_small_masks(hyperparameters)}",
        ),
    ]
    return [reason for found, reason in tests if found]


def _for_small_masks(hyperparameters: Hyperparameters) -> str:
    changes: dict[str, str | int] = {}
    if hyperparameters.loss != "weighted_binary_crossentropy":
        changes["loss"] = "weighted_binary_crossentropy"
    if hyperparameters.architecture == "unet" and hyperparameters.patch_px > 1:
        changes["patch_px"] = hyperparameters.patch_px // 2
    return f"Try HYPERPARAMETERS = {json.dumps(changes)} in config.py, or train longer." if changes else _LONGER
