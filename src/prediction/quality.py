"""What is said of a prediction: the Dice coefficient that it is expected to have, and what about the image is unlike the train set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from data import mask_folder, out_of_distribution
from networks import ensemble

# Masks below this predicted Dice are named as those to look at.
DOUBTFUL = 0.9
# So many are named in the terminal; the table holds all.
_TOLD = 10


def predict_with_quality(
    model: ensemble.Ensemble, image: np.ndarray, logits: np.ndarray, known: list[dict]
) -> tuple[np.ndarray, dict]:
    """The mask of one image, uint8 0 and 1 (size, size), from its members' logits, (members, size, size); and the columns predicted_dice and
    ood_reasons of the table. `known` are the train sets' statistics.
    """
    mask = model.mask(logits)
    scaled = model.scaled(image)
    strange = {reason for each in known for reason in out_of_distribution.ood_reasons(scaled, mask, each)}
    return mask, {
        "predicted_dice": round(ensemble.predicted_dice(logits), 4),
        "ood_reasons": ", ".join(sorted(strange)),
    }


def doubts(table: pd.DataFrame) -> str:
    """The masks to look at, the most doubtful first, of a table of predicted_dice and ood_reasons by name."""
    doubtful = table[(table["predicted_dice"] < DOUBTFUL) | (table["ood_reasons"] != "")].sort_values("predicted_dice")
    if doubtful.empty:
        return ""
    lines = [f"  {name}: {'; '.join(said(row))}" for name, row in doubtful.head(_TOLD).iterrows()]
    more = [f"  and {len(doubtful) - _TOLD} more, in {mask_folder.QUALITY_TABLE}"] if len(doubtful) > _TOLD else []
    return "\n".join(
        [f" Look at {'this one' if len(doubtful) == 1 else f'these {len(doubtful)}'} first:", *lines, *more]
    )


def said(row: Mapping[str, Any]) -> list[str]:
    """The same for one row, in words."""
    guess = [f"predicted Dice {row['predicted_dice']:.2f}"] if np.isfinite(row["predicted_dice"]) else []
    return guess + ([f"unlike the train set: {row['ood_reasons']}"] if row["ood_reasons"] else [])
