"""How well a predicted mask agrees with the true one. Masks are (height, width), of 0 and 1 or bool.

Distances are between the centres of pixels, in px, or in mm where a pixel's side is given. Where masks are empty:

    true      predicted   dice, jaccard,   precision   recall   distances   area difference
                          surface_dice                                      in px    in %
    empty     empty       1                1           1        0           0        0
    empty     filled      0                0           0        infinite    itself   infinite
    filled    empty       0                0           0        infinite    itself   -100

Precision (of an empty prediction) and recall (of an empty true mask) are undefined there but for convention: a miss must not look like a
success, and two empty masks agree. Nothing is ever NaN.
"""

import functools

import numpy as np

from masks import nearest

Point = tuple[int, int]

# The tolerance of the surface Dice where none is given, in px: about how far two careful readers' outlines of one muscle lie apart.
TOLERANCE_PX = 2.0


class Comparison:
    """Two masks, whose borders and distances are computed once and serve all metrics. ValueError for what is no pair of masks."""

    def __init__(self, true_mask: np.ndarray, predicted_mask: np.ndarray) -> None:
        true, predicted = (_checked(mask) for mask in (true_mask, predicted_mask))
        if true.shape != predicted.shape:
            raise ValueError(f"wanted two masks of one shape (height, width), found {true.shape} and {predicted.shape}")
        # What lies around both masks is nothing to any metric: beyond the cut there is as little as beyond the edge of the image.
        self._corner, cut = _box(true | predicted)
        self.true, self.predicted = true[cut], predicted[cut]
        self.true_px, self.predicted_px = int(np.count_nonzero(self.true)), int(np.count_nonzero(self.predicted))
        self.common_px = int(np.count_nonzero(self.true & self.predicted))

    def dice(self) -> float:
        """Twice the common pixels over the sum of both masks' pixels (Dice 1945, Ecology 26)."""
        return _share(2 * self.common_px, self.true_px + self.predicted_px)

    def jaccard(self) -> float:
        """The common pixels over the pixels of either mask (Jaccard 1912, New Phytologist 11), also called IoU."""
        return _share(self.common_px, self.true_px + self.predicted_px - self.common_px)

    def precision(self) -> float:
        """The common pixels over those of the prediction."""
        return _share(self.common_px, self.predicted_px, agree=self.true_px == 0)

    def recall(self) -> float:
        """The common pixels over those of the true mask, also called sensitivity."""
        return _share(self.common_px, self.true_px, agree=self.predicted_px == 0)

    def hausdorff_px(self) -> float:
        """The largest distance from a pixel of either mask to the nearest pixel of the other: scikit-image's definition, and value."""
        return self._without_distances() if self._one_is_empty else self._farthest[0]

    def hausdorff_pair(self) -> tuple[Point, Point] | None:
        """The two pixels, (row, column) each, the first in the true mask, whose distance is the Hausdorff distance; None where a mask is empty."""
        if self._one_is_empty:
            return None
        return tuple(
            tuple(int(place + start) for place, start in zip(point, self._corner, strict=True))
            for point in self._farthest[1]
        )

    def hausdorff95_px(self) -> float:
        """The larger of the two 95th percentiles of the distances from one mask's border to the other's (Metrics Reloaded: Maier-Hein et al. 2024,
        Nature Methods 21). A border pixel is one with a neighbour above, below or beside it that is not in the mask, or not in the image.
        """
        if self._one_is_empty:
            return self._without_distances()
        return max(float(np.percentile(distances, 95)) for distances in self._border_distances)

    def assd_px(self) -> float:
        """The average symmetric surface distance: the mean of the distances from all border pixels of either mask to the other's border."""
        return (
            self._without_distances() if self._one_is_empty else float(np.mean(np.concatenate(self._border_distances)))
        )

    def surface_dice(self, tolerance_px: float = TOLERANCE_PX) -> float:
        """The share of all border pixels that lie within the tolerance of the other mask's border (Nikolov et al. 2021, JMIR 23, whose borders are
        lines between pixels).
        """
        if self._one_is_empty:
            return float(self.true_px == self.predicted_px)
        # A little more: 2.4 mm at 0.8 mm per px are 3 px, but for the computer 2.9999999999999996.
        return float(np.mean(np.concatenate(self._border_distances) <= tolerance_px * (1 + 1e-9)))

    def area_difference_px(self) -> int:
        """The prediction's pixels less the true mask's."""
        return self.predicted_px - self.true_px

    def area_difference_percent(self) -> float:
        """The prediction's pixels less the true mask's, in percent of the true mask's."""
        difference = self.area_difference_px()
        return 100.0 * difference / self.true_px if self.true_px else (float("inf") if difference else 0.0)

    @property
    def _one_is_empty(self) -> bool:
        return self.true_px == 0 or self.predicted_px == 0

    def _without_distances(self) -> float:
        return float("inf") if self.true_px or self.predicted_px else 0.0

    @functools.cached_property
    def _borders(self) -> tuple[np.ndarray, np.ndarray]:
        return nearest.border(self.true), nearest.border(self.predicted)

    @functools.cached_property
    def _nearest(self) -> tuple[nearest.Nearest, nearest.Nearest]:
        true, predicted = self._borders
        return nearest.Nearest(true), nearest.Nearest(predicted)

    @functools.cached_property
    def _border_distances(self) -> tuple[np.ndarray, np.ndarray]:
        (true, predicted), (to_true, to_predicted) = self._borders, self._nearest
        return to_predicted.distances(true), to_true.distances(predicted)

    @functools.cached_property
    def _farthest(self) -> tuple[float, tuple[Point, Point]]:
        # From every pixel outside of the other mask, not from the border alone: the middle of a disc may be farther from a ring around it.
        # The nearest pixel of the other mask does lie on its border.
        to_true, to_predicted = self._nearest
        found = []
        for start, search, turned in (
            (self.true & ~self.predicted, to_predicted, False),
            (self.predicted & ~self.true, to_true, True),
        ):
            if start.any():
                distance, pair = search.farthest(start)
                found.append((distance, pair[::-1] if turned else pair))
        if found:
            return max(found, key=lambda item: item[0])
        point = _first(self.true)  # The masks are the same.
        return 0.0, (point, point)


def compare(
    true_mask: np.ndarray,
    predicted_mask: np.ndarray,
    spacing_mm: float | None = None,
    tolerance_mm: float | None = None,
) -> dict[str, float]:
    """All metrics by name. With the side of a pixel, `spacing_mm`, lengths are told in mm, and areas in cm2, too.

    The surface Dice's tolerance is TOLERANCE_PX, or `tolerance_mm` where that and the spacing are given.
    """
    pair = Comparison(true_mask, predicted_mask)
    tolerance_px = tolerance_mm / spacing_mm if tolerance_mm and spacing_mm else TOLERANCE_PX
    values = {name: getattr(pair, name)() for name in ("dice", "jaccard", "precision", "recall")}
    values["surface_dice"] = pair.surface_dice(tolerance_px)
    lengths = {name: getattr(pair, f"{name}_px")() for name in ("hausdorff", "hausdorff95", "assd")}
    areas = {"true": pair.true_px, "predicted": pair.predicted_px, "area_difference": pair.area_difference_px()}
    values |= {f"{name}_px": value for name, value in (lengths | areas).items()}
    values["area_difference_percent"] = pair.area_difference_percent()
    if spacing_mm:
        values |= {f"{name}_mm": value * spacing_mm for name, value in lengths.items()}
        values |= {f"{name}_cm2": value * spacing_mm**2 / 100 for name, value in areas.items()}
    return values


def dice(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The Dice coefficient alone, as `Comparison` defines it."""
    return Comparison(true_mask, predicted_mask).dice()


def _checked(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"wanted a mask (height, width), found the shape {mask.shape}")
    if mask.dtype == bool:
        return mask
    found = mask.astype(bool)
    if not np.array_equal(found, mask):
        raise ValueError(f"wanted a mask of 0 and 1, found values {np.unique(mask)[:5].tolist()}")
    return found


def _box(mask: np.ndarray) -> tuple[Point, tuple[slice, slice]]:
    """The smallest box around a mask: its corner (row, column), and the cut."""
    ends = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] if mask.any() else np.array([0, 0]) for axis in (1, 0)]
    return (int(ends[0][0]), int(ends[1][0])), tuple(slice(first, last + 1) for first, last in ends)


def _first(mask: np.ndarray) -> Point:
    return tuple(np.argwhere(mask)[0])


def _share(part: int, total: int, agree: bool = True) -> float:
    return part / total if total else float(agree)
