"""Is a new image like those a network was trained on? Compares intensities and sizes: a network answers to what it has never seen, too.

Images come as the network sees them, (height, width), scaled: what its own scaling makes alike, such as another contrast, is alike.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

# The distribution of an image's values, by so many of its quantiles; the outermost hundredths, a few pixels of metal, do not count.
_SHARES = np.linspace(0.01, 0.99, 33)

# How much farther from the train images' mean an image may be than the farthest of these; their masks' sizes likewise.
_MARGIN = 2.0


def train_set_statistics(images: Iterable[np.ndarray], mask_shares: Iterable[float]) -> dict[str, Any]:
    """What to compare new images with, in JSON's types: from all train images, and the share of the image that each train mask covers."""
    quantiles = np.array([np.quantile(image, _SHARES) for image in images])
    mean = quantiles.mean(axis=0)
    shares = list(mask_shares)
    return {
        "quantiles": [round(float(value), 5) for value in mean],
        "farthest": round(float(_distances(quantiles, mean).max()), 5),
        "mask_shares": [round(float(min(shares)), 6), round(float(max(shares)), 6)],
    }


def ood_reasons(image: np.ndarray, mask: np.ndarray, known: dict[str, Any]) -> list[str]:
    """What is unlike the images that `describe` made `known` of, such as "intensities" and "mask larger than any"."""
    mean = np.array(known["quantiles"])
    # A train set of one image, or of copies, has no distances of its own: then a hundredth of the values' range counts.
    limit = _MARGIN * max(known["farthest"], 0.01 * np.ptp(mean))
    smallest, largest = known["mask_shares"]
    tests = {
        "intensities": _distances(np.quantile(image, _SHARES)[None], mean)[0] > limit,
        "mask smaller than any": mask.mean() < smallest / _MARGIN,
        "mask larger than any": mask.mean() > largest * _MARGIN,
    }
    return [reason for reason, found in tests.items() if found]


def _distances(quantiles: np.ndarray, mean: np.ndarray) -> np.ndarray:
    # The area between two distributions' quantile functions: the earth mover's distance.
    return np.abs(quantiles - mean).mean(axis=1)
