"""Flags out-of-distribution images by their intensities and mask sizes: a network also predicts images unlike its own.

Images, (height, width), are scaled as in the network: differences that its scaling removes are ignored.
"""

from collections.abc import Iterable

import numpy as np

from provenance import QUANTILES, TrainSetStatistics

# Quantiles that describe an image's intensities; the outermost 1 %, such as a few pixels of metal, are ignored.
_QUANTILES = np.linspace(0.01, 0.99, QUANTILES)

# An image may be this many times as far from the mean train image as the farthest train image; likewise mask sizes.
_MARGIN = 2.0


def train_set_statistics(images: Iterable[np.ndarray], mask_fractions: Iterable[float]) -> TrainSetStatistics:
    """Statistics of all train images and of the fraction of each image that its mask covers, rounded."""
    quantiles = np.array([np.quantile(image, _QUANTILES) for image in images])
    mean = quantiles.mean(axis=0)
    fractions = list(mask_fractions)
    return TrainSetStatistics(
        quantiles=[round(float(value), 5) for value in mean],
        max_distance=round(float(_distances(quantiles, mean).max()), 5),
        mask_fractions=(round(float(min(fractions)), 6), round(float(max(fractions)), 6)),
    )


def ood_reasons(image: np.ndarray, mask: np.ndarray, statistics: TrainSetStatistics) -> list[str]:
    """The differences from the train set with these `statistics`, such as "intensities" or "mask larger than any"."""
    mean = np.array(statistics.quantiles)
    # For a single train image all distances are 0: then 1 % of the value range is the limit.
    limit = _MARGIN * max(statistics.max_distance, 0.01 * np.ptp(mean))
    smallest, largest = statistics.mask_fractions
    tests = {
        "intensities": _distances(np.quantile(image, _QUANTILES)[None], mean)[0] > limit,
        "mask smaller than any": mask.mean() < smallest / _MARGIN,
        "mask larger than any": mask.mean() > largest * _MARGIN,
    }
    return [reason for reason, is_different in tests.items() if is_different]


def _distances(quantiles: np.ndarray, mean: np.ndarray) -> np.ndarray:
    # The area between two quantile functions: the earth mover's distance.
    return np.abs(quantiles - mean).mean(axis=1)
