"""How well a predicted mask agrees with the true one. Masks are (height, width), of 0 and 1 or bool; distances are in pixels.

Where masks are empty:

    true      predicted   dice, jaccard   precision   recall   distances
    empty     empty       1               1           1        0
    empty     filled      0               0           0        infinite
    filled    empty       0               0           0        infinite

Precision (of an empty prediction) and recall (of an empty true mask) are undefined there but for convention: a miss must not look like a
success, and two empty masks agree.
"""
import numpy as np
import scipy.ndimage
import scipy.spatial

Point = tuple[int, int]


def dice(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """Twice the common pixels over the sum of both masks' pixels (Dice 1945, Ecology 26). Two empty masks agree: 1."""
    true, predicted = _checked(true_mask, predicted_mask)
    return _share(2 * (true & predicted).sum(), true.sum() + predicted.sum())


def jaccard(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The common pixels over the pixels of either mask, also called IoU. Two empty masks agree: 1."""
    true, predicted = _checked(true_mask, predicted_mask)
    return _share((true & predicted).sum(), (true | predicted).sum())


def precision(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The common pixels over those of the prediction. 0 for an empty prediction of a filled mask, 1 where both are empty."""
    true, predicted = _checked(true_mask, predicted_mask)
    return _share((true & predicted).sum(), predicted.sum(), agree=not true.any())


def recall(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The common pixels over those of the true mask. 0 for a filled prediction of an empty mask, 1 where both are empty."""
    true, predicted = _checked(true_mask, predicted_mask)
    return _share((true & predicted).sum(), true.sum(), agree=not predicted.any())


def hausdorff_px(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The largest distance from a pixel of either mask to the nearest pixel of the other: scikit-image's definition, and value.

    0 where both masks are empty, infinite where one is.
    """
    true, predicted = _checked(true_mask, predicted_mask)
    return _by_emptiness(true, predicted) if _one_is_empty(true, predicted) else _farthest(true, predicted)[0]


def hausdorff_pair(true_mask: np.ndarray, predicted_mask: np.ndarray) -> tuple[Point, Point] | None:
    """The two pixels, (row, column) each, whose distance is the Hausdorff distance; None where a mask is empty."""
    true, predicted = _checked(true_mask, predicted_mask)
    return None if _one_is_empty(true, predicted) else _farthest(true, predicted)[1]


def hausdorff95_px(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The larger of the two 95th percentiles of the distances from one mask's border pixels to the nearest border pixel of the other.

    So MONAI and Metrics Reloaded (Maier-Hein et al. 2024, Nature Methods 21) define it. A mask's pixels at the edge of the image are
    border pixels. 0 where both masks are empty, infinite where one is.
    """
    true, predicted = _checked(true_mask, predicted_mask)
    if _one_is_empty(true, predicted):
        return _by_emptiness(true, predicted)
    borders = [np.argwhere(mask & ~scipy.ndimage.binary_erosion(mask)) for mask in (true, predicted)]
    return max(float(np.percentile(_nearest(start, end)[0], 95)) for start, end in (borders, borders[::-1]))


def compare(true_mask: np.ndarray, predicted_mask: np.ndarray) -> dict[str, float]:
    """All of the above by name, and the masks' pixels: dice, jaccard, precision, recall, hausdorff_px, hausdorff95_px, true_px, predicted_px."""
    values = {measure.__name__: measure(true_mask, predicted_mask) for measure in (dice, jaccard, precision, recall, hausdorff_px, hausdorff95_px)}
    return values | {"true_px": int(np.sum(true_mask)), "predicted_px": int(np.sum(predicted_mask))}


def _checked(*masks: np.ndarray) -> tuple[np.ndarray, ...]:
    if masks[0].shape != masks[1].shape or masks[0].ndim != 2:
        raise ValueError(f"wanted two masks of one shape (height, width), found {masks[0].shape} and {masks[1].shape}")
    for mask in masks:
        if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
            raise ValueError(f"wanted a mask of 0 and 1, found values {np.unique(mask)[:5].tolist()}")
    return tuple(mask.astype(bool) for mask in masks)


def _share(part: int, total: int, agree: bool = True) -> float:
    if total == 0:
        return float(agree)
    return float(part / total)


def _one_is_empty(true: np.ndarray, predicted: np.ndarray) -> bool:
    return not (true.any() and predicted.any())


def _by_emptiness(true: np.ndarray, predicted: np.ndarray) -> float:
    return float("inf") if true.any() or predicted.any() else 0.0


def _farthest(true: np.ndarray, predicted: np.ndarray) -> tuple[float, tuple[Point, Point]]:
    # From every pixel outside of the other mask, not from the border alone: the middle of a disc may be farther from a ring around it.
    # The nearest pixel of the other mask does lie on its border.
    found = (0.0, (_first(true & predicted), _first(true & predicted))) if (true & predicted).any() else (-1.0, None)
    for start, end, turned in ((true & ~predicted, predicted, False), (predicted & ~true, true, True)):
        if start.any():
            starts, ends = np.argwhere(start), np.argwhere(end & ~scipy.ndimage.binary_erosion(end, border_value=1))
            distances, nearest = _nearest(starts, ends)
            farthest = int(np.argmax(distances))
            pair = tuple(tuple(map(int, point)) for point in (starts[farthest], ends[nearest[farthest]]))
            found = max(found, (float(distances[farthest]), pair[::-1] if turned else pair), key=lambda item: item[0])
    return found


def _first(mask: np.ndarray) -> Point:
    return tuple(map(int, np.argwhere(mask)[0]))


def _nearest(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return scipy.spatial.cKDTree(ends).query(starts)
