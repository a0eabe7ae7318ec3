"""The nearest of a mask's pixels, exactly, from many places at once; and which of its pixels are border."""
import functools

import numpy as np
import scipy.ndimage
import scipy.spatial

Point = tuple[int, int]

# Up to so many points a tree of them is the fastest way to the nearest; beyond, as in noise, one pass over the image is, whose time does not
# depend on what it holds. Found by `benchmarks/metrics.py`.
TREE_POINTS = 4000


class Nearest:
    """Finds the nearest of the pixels that a mask, (height, width), holds."""

    def __init__(self, ends: np.ndarray) -> None:
        self._ends = ends

    def distances(self, starts: np.ndarray) -> np.ndarray:
        """From each pixel of the mask `starts` to the nearest one, in px."""
        if self._few(starts):
            return self._tree.query(np.argwhere(starts))[0]
        return scipy.ndimage.distance_transform_edt(~self._ends)[starts]

    def farthest(self, starts: np.ndarray) -> tuple[float, tuple[Point, Point]]:
        """The largest of these distances, and the two pixels it lies between."""
        if self._few(starts):
            points = np.argwhere(starts)
            distances, nearest = self._tree.query(points)
            number = int(np.argmax(distances))
            return float(distances[number]), (tuple(points[number]), tuple(self._tree.data[nearest[number]]))
        distances, nearest = scipy.ndimage.distance_transform_edt(~self._ends, return_indices=True)
        place = np.unravel_index(np.argmax(np.where(starts, distances, -1)), starts.shape)
        return float(distances[place]), (place, tuple(nearest[(slice(None), *place)]))

    def _few(self, starts: np.ndarray) -> bool:
        return max(np.count_nonzero(starts), np.count_nonzero(self._ends)) <= TREE_POINTS

    @functools.cached_property
    def _tree(self) -> scipy.spatial.cKDTree:
        return scipy.spatial.cKDTree(np.argwhere(self._ends), balanced_tree=False, compact_nodes=False)


def border(mask: np.ndarray) -> np.ndarray:
    """The pixels that have a neighbour above, below or beside them that is not in the mask; beyond the edge there is none."""
    around = np.pad(mask, 1)
    return mask & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])
