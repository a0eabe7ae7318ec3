"""Quality estimates of a prediction: predicted Dice and out-of-distribution reasons."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from data import mask_folder, out_of_distribution
from masks.calibration import Calibration
from networks import ensemble
from provenance import TrainSetStatistics

# Predictions below this predicted Dice are listed for review, if it is not calibrated.
MIN_PREDICTED_DICE = 0.9
# Maximum number of cases listed in the terminal; the table holds all.
_MAX_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Quality:
    """How far to trust a predicted mask.

    predicted_dice: the expected Dice, 0 to 1, if the model is calibrated. Without calibration, and if the mask is
        empty, the mean Dice between the predictions that were averaged, which ranks masks and tends to be too high. NaN
        for a single prediction, and of a calibrated model if all predictions are empty.
    predicted_dice_low, predicted_dice_high: the ends of the interval that holds the true Dice of nine in ten images
        like those of the train set; NaN if the model is not calibrated, and if the mask is empty.
    ood_reasons: how the image or its mask differs from all of the train set's; () if it does not.
    """

    predicted_dice: float
    predicted_dice_low: float
    predicted_dice_high: float
    ood_reasons: tuple[str, ...]

    @property
    def columns(self) -> dict[str, float | str]:
        """The columns of a quality table; those of the interval only if the model is calibrated."""
        interval = {name: getattr(self, name) for name in ("predicted_dice_low", "predicted_dice_high")}
        shown = interval if np.isfinite(self.predicted_dice_low) else {}
        return {"predicted_dice": self.predicted_dice, **shown, "ood_reasons": ", ".join(self.ood_reasons)}


def predict_with_quality(
    model: ensemble.Ensemble, image: np.ndarray, logits: np.ndarray, statistics: list[TrainSetStatistics]
) -> tuple[np.ndarray, Quality]:
    """The mask of one raw image, uint8 0 and 1 (size, size), and its quality.

    `image`: (size, size). `logits`: each ensemble member's, (members, size, size). `statistics`: those of the train
    sets, one per model.
    """
    mask = model.mask(logits)
    scaled = model.scaled(image)
    reasons = {reason for each in statistics for reason in out_of_distribution.ood_reasons(scaled, mask, each)}
    agreement = ensemble.agreement(logits)
    values = (agreement, np.nan, np.nan)
    if model.calibration and mask.any():
        values = model.calibration.estimate(agreement)
    elif model.calibration and agreement == 1:
        # Empty predictions agree whatever they miss: nothing is known of their Dice.
        values = (np.nan, np.nan, np.nan)
    expected, low, high = (round(value, 4) for value in values)
    return mask, Quality(expected, low, high, tuple(sorted(reasons)))


def review_list(table: pd.DataFrame, calibration: Calibration | None) -> str:
    """The predictions to review, lowest predicted Dice first; "" if there are none.

    `table`: predicted_dice and ood_reasons, indexed by the name of the case or image. `calibration`: the model's.
    """
    limit = calibration.review_below if calibration else MIN_PREDICTED_DICE
    doubtful = table[(table["predicted_dice"] < limit) | (table["ood_reasons"] != "")]
    doubtful = doubtful.sort_values("predicted_dice")
    if doubtful.empty:
        return ""
    lines = [f"  {name}: {'; '.join(remarks(row))}" for name, row in doubtful.head(_MAX_LISTED).iterrows()]
    if len(doubtful) > _MAX_LISTED:
        lines.append(f"  and {len(doubtful) - _MAX_LISTED} more, see {mask_folder.QUALITY_TABLE}")
    return "\n".join([f" Review {'this one' if len(doubtful) == 1 else f'these {len(doubtful)}'} first:", *lines])


def remarks(row: Mapping[str, Any]) -> list[str]:
    """The quality estimates of one row in words; a missing one is left out."""
    texts = [_predicted_dice(row)] if np.isfinite(row["predicted_dice"]) else []
    return texts + ([f"out-of-distribution: {row['ood_reasons']}"] if row["ood_reasons"] else [])


def _predicted_dice(row: Mapping[str, Any]) -> str:
    text = f"predicted Dice {row['predicted_dice']:.2f}"
    if not np.isfinite(row.get("predicted_dice_low", np.nan)):
        return f"{text} (not calibrated)"
    return f"{text} ({row['predicted_dice_low']:.2f} to {row['predicted_dice_high']:.2f})"
