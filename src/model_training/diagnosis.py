"""Notices a training that will come to nothing, ends it, and says what was looked at and what is likely the reason."""

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras

import storage
from model_training.budget import REFERENCE_BATCH, Budget
from model_training.hyperparameters import Hyperparameters

# A look takes as long as the forward pass of some images: one in a hundred steps is not felt.
LOOK_EVERY_STEPS = 100

# A network that finds nothing at first may be on its way, where masks are small: it has this many steps, and this share of the budget.
PATIENCE_STEPS = 200
PATIENCE_SHARE = 0.15

# By how much, in standard deviations of all logits, those in the masks must exceed the others; networks that learn reach more than 1 by then.
LEAST_LIFT = 0.1

# Where masks cover more, to predict that all belongs to them is nearly right.
NEARLY_ALL = 0.9

# With Adam, higher rates are known to make the loss jump instead of fall.
HIGH_RATE = 5e-3


# A CT slice's own noise is a hundredth of what its values span.
MOST_NOISE = 0.1


class TrainingFailed(storage.PlainError):
    """A training that came to nothing. Its text says what was seen and checked, and what to change."""


class Watch(keras.callbacks.Callback):
    """Raises TrainingFailed where the loss is no number, or where the same is predicted for all pixels of `shown` and goes on being so.

    `shown` are (images, masks) of the train set, as the network is given them, with as large masks as there are.
    """

    def __init__(self, shown: tuple[tf.Tensor, tf.Tensor], hyperparameters: Hyperparameters, budget: Budget) -> None:
        super().__init__()
        self._shown, self._hyperparameters, self._budget = shown, hyperparameters, budget
        self._steps, self._noted, self._last_fault = 0, False, ""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Looks at what is to be learned from."""
        images, masks = (part.numpy() for part in self._shown)
        if _hopeless(images, masks, self._hyperparameters):
            self._fail("there is nothing to learn from")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss, and from time to time at the predictions."""
        self._steps += 1
        if not np.isfinite(logs["loss"]):
            self._fail(f"the loss is no finite number ({logs['loss']:g})")
        if self._steps % LOOK_EVERY_STEPS == 0:
            self._look()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Says so where a training that was too short to be stopped has come to nothing."""
        if self._steps < PATIENCE_STEPS and (fault := self._fault()):
            print(f"\nWarning: the training has ended, but {fault}. It may have been too short.\n{self._explanation()}", flush=True)

    def _fault(self) -> str:
        logits = [self.model(image[None], training=False).numpy() for image in self._shown[0]]
        return sameness(np.concatenate(logits), self._shown[1].numpy())

    def _look(self) -> None:
        fault = self._fault()
        if fault and self._last_fault and self._steps >= PATIENCE_STEPS and self._budget.share >= PATIENCE_SHARE:
            self._fail(fault)
        if fault and not self._noted:
            print(f"\nNote: after {self._steps} steps {fault}. If that stays so, the training will be stopped, with an explanation.", flush=True)
            self._noted = True
        self._last_fault = fault  # A single one, late in a training that went well, may pass.

    def _fail(self, fault: str) -> None:
        told = f"The training was stopped after {self._steps} steps" if self._steps else "The training was not begun"
        raise TrainingFailed(f"{told}: {fault}.\n{self._explanation()}")

    def _explanation(self) -> str:
        return explanation(*(part.numpy() for part in self._shown), self._hyperparameters)


def sameness(logits: np.ndarray, masks: np.ndarray) -> str:
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
    if masks.any() and not masks.all() and logits[masks > 0].mean() - logits[masks == 0].mean() < LEAST_LIFT * logits.std():
        return "what is predicted has nothing to do with the masks: their pixels get no higher values than those around them"
    return ""


def hint(hyperparameters: Hyperparameters, cases: pd.DataFrame) -> None:
    """Prints a note where the images' values do not look like what `clip_hu` is for, or `gaussian_noise` would drown them."""
    span = (cases["maximum"] - cases["minimum"]).median()
    if hyperparameters.gaussian_noise > MOST_NOISE * span:
        print(
            f"Note: gaussian_noise, {hyperparameters.gaussian_noise:g} in the images' own unit, is much for values that span {span:g}. Lower it in config.py: "
            "HYPERPARAMETERS, or EXPLORATION_SEARCH_SPACE."
        )
    # Every CT slice holds air, -1000 HU.
    if hyperparameters.clip_hu and cases["minimum"].median() > -200:
        print(
            f"Note: the images' values ({cases['minimum'].min():g} to {cases['maximum'].max():g}) do not look like Hounsfield units, but clip_hu "
            f"is {hyperparameters.clip_hu}. If they are not, set HYPERPARAMETERS = {{\"clip_hu\": None}} in config.py."
        )


def explanation(images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters) -> str:
    """What was checked on a batch, (cases, size, size, 1) each, a line each, and what is likely wrong with it, in plain words."""
    window = hyperparameters.clip_hu
    checks = [
        f"image values: {images.min():g} to {images.max():g}, median {np.median(images):g}" + (f"; the window clip_hu is {window}" if window else ""),
        f"mask values: {', '.join(f'{value:g}' for value in np.unique(masks)[:5])}; {masks.mean():.2%} of the pixels belong to a mask",
        f"empty masks: {(~masks.any((1, 2, 3))).sum()} of {len(masks)}",
        f"learning rate: {hyperparameters.learning_rate:g} at its highest, for batches of {REFERENCE_BATCH}; loss: {hyperparameters.loss}",
    ]
    text = "".join(f"  {check}\n" for check in checks)
    return f"Checked on {len(images)} images of the train set with the largest masks:\n{text}" + "\n".join(_reasons(images, masks, hyperparameters))


def _reasons(images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    likely = _hopeless(images, masks, hyperparameters) or _unlucky(masks, hyperparameters)
    if likely:
        return [f"Likely: {reason}" for reason in likely]
    return [
        "None of these is wrong in itself. Look at some cases, image and mask side by side: do they belong together? Then try, in config.py, "
        f'HYPERPARAMETERS = {{"learning_rate": {hyperparameters.learning_rate / 5:g}}}.'
    ]


def _hopeless(images: np.ndarray, masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """What no training can mend."""
    window = hyperparameters.clip_hu
    outside = _unseen(images, masks, window) if window else 0.0
    tests = [
        (not np.isfinite(images).all(), "the images hold values that are no finite numbers. Run step 1 again: it finds the file."),
        (not set(np.unique(masks)) <= {0, 1}, "the masks hold other values than 0 and 1. Run step 1 again: it finds the file."),
        (not masks.any(), "all masks are empty. Check how the masks were exported."),
        (np.ptp(images) == 0, "the images are constant: there is nothing to see. Check how they were exported."),
        (
            outside > 0.995,
            f"{outside:.1%} of the values lie outside the window, where all look the same. Set HYPERPARAMETERS = {{\"clip_hu\": ...}} in config.py "
            "to the window of what is to be seen, or to None for images that are no CT.",
        ),
    ]
    return [reason for found, reason in tests if found]


def _unseen(images: np.ndarray, masks: np.ndarray, window: tuple[float, float]) -> float:
    """The share of the values outside the window; 0 where ground or masks show something in it."""
    # Small bright spots on a dark ground are all outside but for themselves; and so are images of two values, the window's ends.
    clipped = np.clip(images, *window)
    flat = all(np.mean(part == np.median(clipped)) > 0.995 for part in (clipped, clipped[masks > 0]) if part.size)
    return np.mean((images <= window[0]) | (images >= window[1])) if flat else 0.0


def _unlucky(masks: np.ndarray, hyperparameters: Hyperparameters) -> list[str]:
    """What may make a training fail that could go well."""
    tests = [
        (hyperparameters.learning_rate > HIGH_RATE, 'the learning rate is too high. Try HYPERPARAMETERS = {"learning_rate": 1e-3} in config.py.'),
        (
            0 < masks.mean() < 0.002 and hyperparameters.loss == "binary_crossentropy",
            'the masks are so small that "all background" is nearly right. Try HYPERPARAMETERS = {"loss": "binary_crossentropy_dice"} in config.py.',
        ),
    ]
    return [reason for found, reason in tests if found]
