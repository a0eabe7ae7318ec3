"""How well a mask's outline follows the intensities of an image.

The fit is the mutual information between intensity rank and mask in a narrow band around the outline, divided by the
mask's entropy there: 0 without any relation, 1 if the intensity determines the mask. It assumes nothing about
modality, contrast or which side is brighter (Viola and Wells, Int. J. Comput. Vis. 24, 137, 1997, align images by it).
"""

import numpy as np

from data.checks.orientations import oriented

RANKS = 16
# A fit from fewer pixels is noise.
_MIN_BAND_PX = 20


def reduced(array: np.ndarray, side_px: int) -> np.ndarray:
    """Means of square blocks, float32 (side, side), with a side of at least `side_px` if the array has that many."""
    step = max(1, array.shape[0] // side_px)
    side = array.shape[0] // step
    total = np.zeros((side, side), np.float32)
    for row in range(step):
        for column in range(step):
            total += array[row : side * step : step, column : side * step : step]
    return total / step**2


def ranks(image: np.ndarray) -> np.ndarray:
    """The intensity rank of each pixel, uint8 from 0 to RANKS - 1: equally frequent, except that equal values share."""
    ordered = np.sort(image, axis=None)
    limits = ordered[ordered.size * np.arange(1, RANKS) // RANKS]
    return np.searchsorted(limits, image.ravel()).astype(np.uint8).reshape(image.shape)


def grown(mask: np.ndarray, by_px: int, done_px: int = 0) -> np.ndarray:
    """A boolean mask dilated by a square of half-width `by_px`; `done_px`: it was already dilated by as much."""
    while done_px < by_px:
        step = min(by_px - done_px, done_px + 1)  # A larger step would leave gaps at the edge of the image.
        for axis in (0, 1):
            source, target = np.moveaxis(mask, axis, 0), np.moveaxis(mask.copy(), axis, 0)
            target[step:] |= source[:-step]
            target[:-step] |= source[step:]
            mask = np.moveaxis(target, 0, axis)
        done_px += step
    return mask


def band(mask: np.ndarray, width_px: int) -> np.ndarray:
    """The pixels within `width_px` of the outline of a boolean mask, on both sides."""
    return grown(mask, width_px) & grown(~mask, width_px)


def orientation_fits(rank: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The fit of a boolean mask to `ranks` of the image in each orientation, float32 (8,).

    The highest one names what was done to the mask. NaN without an outline.
    """
    pixels = np.flatnonzero(band(mask, 3))
    inside = mask.ravel()[pixels]
    return np.array([fit(each.ravel()[pixels], inside) for each in oriented(rank)], np.float32)


def fit(rank: np.ndarray, inside: np.ndarray) -> float:
    """The fit from the pixels of a band, (pixels,) each. NaN if there are too few."""
    counts = np.bincount(rank + RANKS * inside.astype(np.int64), minlength=2 * RANKS).reshape(2, RANKS, 1)
    return float(fits_from_counts(*counts.astype(np.float64))[0])


def fits_from_counts(outside: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The fits of several masks, (masks,), from the pixels of each rank in the band, (RANKS, masks) each."""
    pixels = (outside + inside).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = np.stack([outside, inside]) / pixels
        of_rank, of_side = joint.sum(axis=0), joint.sum(axis=1)
        information = np.nansum(joint * np.log(joint / (of_rank * of_side[:, None])), axis=(0, 1))
        # The expected information of unrelated values (Miller, 1955).
        bias = ((of_rank > 0).sum(axis=0) - 1) / (2 * pixels)
        result = (information - bias) / -(of_side * np.log(of_side)).sum(axis=0)
    return np.where((pixels >= _MIN_BAND_PX) & (of_side > 0).all(axis=0), result, np.nan)
