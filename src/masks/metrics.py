"""Segmentation metrics of a predicted mask against the true one. Masks are (height, width), of 0 and 1 or bool.

Distances are between pixel centres, in px, or in mm if the pixel spacing is given; pixels need not be square. Values
for empty masks:

    true      predicted   dice, jaccard,   precision   recall   distances   area difference
                          surface_dice                                      in px    in %
    empty     empty       1                1           1        0           0        0
    empty     non-empty   0                0           0        infinite    itself   infinite
    non-empty empty       0                0           0        infinite    itself   −100

Precision of an empty prediction and recall of an empty true mask are undefined. By convention they are 0 for a miss,
which must not look like a success, and 1 for two empty masks, which agree. No metric is ever NaN.
"""

import functools

import numpy as np
import scipy.spatial

from masks import nearest

Point = tuple[int, int]

# Default tolerance of the surface Dice, in px: about the distance between two careful readers' outlines of one muscle.
TOLERANCE_PX = 2.0


class Comparison:
    """The metrics of a pair of masks. Borders and distances are computed once, when first needed.

    `pixel`: height and width of a pixel in the unit of the distances. ValueError for anything but two masks of the same
    shape.
    """

    def __init__(
        self, true_mask: np.ndarray, predicted_mask: np.ndarray, pixel: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        true, predicted = (_checked(mask) for mask in (true_mask, predicted_mask))
        if true.shape != predicted.shape:
            raise ValueError(
                f"Expected two masks of the same shape (height, width), got {true.shape} and {predicted.shape}."
            )
        self._pixel = np.array(pixel)
        # Cropping changes no metric: beyond the bounding box there is no mask, just as beyond the edge of the image.
        self._corner, box = _bounding_box(true | predicted)
        self.true, self.predicted = true[box], predicted[box]
        self.true_px, self.predicted_px = int(np.count_nonzero(self.true)), int(np.count_nonzero(self.predicted))
        self.common_px = int(np.count_nonzero(self.true & self.predicted))

    def dice(self) -> float:
        """Twice the intersection over the sum of both areas (Dice 1945, Ecology 26)."""
        return _ratio(2 * self.common_px, self.true_px + self.predicted_px)

    def jaccard(self) -> float:
        """Intersection over union, IoU (Jaccard 1912, New Phytologist 11)."""
        return _ratio(self.common_px, self.true_px + self.predicted_px - self.common_px)

    def precision(self) -> float:
        """The intersection over the predicted area, also called positive predictive value."""
        return _ratio(self.common_px, self.predicted_px, undefined=self.true_px == 0)

    def recall(self) -> float:
        """The intersection over the true area, also called sensitivity."""
        return _ratio(self.common_px, self.true_px, undefined=self.predicted_px == 0)

    def hausdorff_px(self) -> float:
        """The Hausdorff distance of the borders: the largest distance from a border pixel to the other mask's border.

        Defined on the same pixels as HD95, ASSD and surface Dice, as in MONAI, MedPy and surface-distance. A border
        pixel has a 4-neighbour outside of its mask or of the image.
        """
        if self._one_is_empty:
            return self._distance_of_empty()
        return max(float(distances.max()) for distances in self._border_distances)

    def hausdorff_pair(self) -> tuple[Point, Point] | None:
        """The two pixels, (row, column), whose distance is `hausdorff_px`; the first lies in the true mask.

        None if a mask is empty.
        """
        if self._one_is_empty:
            return None
        true, predicted = self._border_points
        from_true, from_predicted = self._border_distances
        if from_true.max() >= from_predicted.max():
            start = true[np.argmax(from_true)]
            return self._in_image(start), self._in_image(self._nearest_point(predicted, start))
        start = predicted[np.argmax(from_predicted)]
        return self._in_image(self._nearest_point(true, start)), self._in_image(start)

    def hausdorff_all_pixels_px(self) -> float:
        """The largest distance from a pixel of either mask to the nearest pixel of the other, as in scikit-image.

        It ignores borders inside of the other mask: a filled gap between two muscles is not a distance.
        """
        if self._one_is_empty:
            return self._distance_of_empty()
        # Starts are all pixels outside of the other mask, not only the border: the centre of a disc is farthest from a
        # ring around it. The nearest pixel of the other mask does lie on its border.
        true_tree, predicted_tree = self._trees
        return max(
            nearest.max_distance(self.true & ~self.predicted, predicted_tree, self._pixel),
            nearest.max_distance(self.predicted & ~self.true, true_tree, self._pixel),
        )

    def hausdorff95_px(self) -> float:
        """The larger of the two 95th percentiles of the distances from one mask's border to the other's.

        Metrics Reloaded: Maier-Hein et al. 2024, Nature Methods 21.
        """
        if self._one_is_empty:
            return self._distance_of_empty()
        return max(float(np.percentile(distances, 95)) for distances in self._border_distances)

    def assd_px(self) -> float:
        """The average symmetric surface distance: the mean distance from all border pixels to the other border."""
        return (
            self._distance_of_empty() if self._one_is_empty else float(np.mean(np.concatenate(self._border_distances)))
        )

    def surface_dice(self, tolerance_px: float = TOLERANCE_PX) -> float:
        """The share of all border pixels within the tolerance of the other mask's border.

        Nikolov et al. 2021, JMIR 23, where borders are lines between pixels.
        """
        if self._one_is_empty:
            return float(self.true_px == self.predicted_px)
        # Relaxed by 1e-9: 2.4 mm at 0.8 mm per px are 3 px, but 2.9999999999999996 in floating point.
        return float(np.mean(np.concatenate(self._border_distances) <= tolerance_px * (1 + 1e-9)))

    def area_difference_px(self) -> int:
        """Predicted − true area, in px."""
        return self.predicted_px - self.true_px

    def area_difference_percent(self) -> float:
        """Predicted − true area, in percent of the true area."""
        difference = self.area_difference_px()
        return 100.0 * difference / self.true_px if self.true_px else (float("inf") if difference else 0.0)

    @property
    def _one_is_empty(self) -> bool:
        return self.true_px == 0 or self.predicted_px == 0

    def _distance_of_empty(self) -> float:
        return float("inf") if self.true_px or self.predicted_px else 0.0

    def _in_image(self, point: np.ndarray) -> Point:
        row, column = self._corner
        return int(point[0]) + row, int(point[1]) + column

    @functools.cached_property
    def _border_points(self) -> tuple[np.ndarray, np.ndarray]:
        return np.argwhere(nearest.border(self.true)), np.argwhere(nearest.border(self.predicted))

    @functools.cached_property
    def _trees(self) -> tuple[scipy.spatial.cKDTree, scipy.spatial.cKDTree]:
        true, predicted = self._border_points
        return nearest.tree(true * self._pixel), nearest.tree(predicted * self._pixel)

    @functools.cached_property
    def _border_distances(self) -> tuple[np.ndarray, np.ndarray]:
        """From each border pixel to the nearest one of the other mask: the true mask's, the predicted mask's."""
        (true, predicted), (true_tree, predicted_tree) = self._border_points, self._trees
        return predicted_tree.query(true * self._pixel)[0], true_tree.query(predicted * self._pixel)[0]

    def _nearest_point(self, points: np.ndarray, point: np.ndarray) -> np.ndarray:
        return points[np.argmin((((points - point) * self._pixel) ** 2).sum(axis=1))]


def compare(
    true_mask: np.ndarray,
    predicted_mask: np.ndarray,
    spacing_mm: tuple[float, float] | None = None,
    tolerance_mm: float | None = None,
) -> dict[str, float]:
    """All metrics by name. With `spacing_mm`, the distance of rows and of columns, also lengths in mm and areas in cm².

    The surface Dice's tolerance is `tolerance_mm` if that and the spacing are given, else TOLERANCE_PX.
    """
    pair = Comparison(true_mask, predicted_mask)
    # Distances in mm: of square pixels they are a multiple of those in px.
    row_mm, column_mm = pixel = spacing_mm or (1.0, 1.0)
    pair_mm, scale_mm = (pair, row_mm) if row_mm == column_mm else (Comparison(true_mask, predicted_mask, pixel), 1.0)
    tolerance = tolerance_mm / scale_mm if spacing_mm and tolerance_mm else None
    values = {name: getattr(pair, name)() for name in ("dice", "jaccard", "precision", "recall")}
    values["surface_dice"] = pair_mm.surface_dice(tolerance) if tolerance else pair.surface_dice()
    names = ("hausdorff", "hausdorff95", "assd", "hausdorff_all_pixels")
    lengths = {name: getattr(pair, f"{name}_px")() for name in names}
    areas = {"true": pair.true_px, "predicted": pair.predicted_px, "area_difference": pair.area_difference_px()}
    values |= {f"{name}_px": value for name, value in (lengths | areas).items()}
    values["area_difference_percent"] = pair.area_difference_percent()
    if spacing_mm:
        values |= {f"{name}_mm": getattr(pair_mm, f"{name}_px")() * scale_mm for name in names}
        values |= {f"{name}_cm2": value * row_mm * column_mm / 100 for name, value in areas.items()}
    return values


def dice(true_mask: np.ndarray, predicted_mask: np.ndarray) -> float:
    """The Dice coefficient only, as in `Comparison`."""
    return Comparison(true_mask, predicted_mask).dice()


def _checked(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"Expected a mask (height, width), got the shape {mask.shape}.")
    if mask.dtype == bool:
        return mask
    binary = mask.astype(bool)
    if not np.array_equal(binary, mask):
        raise ValueError(f"Expected a mask of 0 and 1, got the values {np.unique(mask)[:5].tolist()}.")
    return binary


def _bounding_box(mask: np.ndarray) -> tuple[Point, tuple[slice, slice]]:
    """The bounding box of a mask: its first (row, column), and its slices."""
    if not mask.any():
        return (0, 0), (slice(1), slice(1))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(rows[0]), int(columns[0])), (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))


def _ratio(numerator: int, denominator: int, undefined: bool = True) -> float:
    return numerator / denominator if denominator else float(undefined)
