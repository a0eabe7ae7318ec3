"""The nearest of a mask's pixels, exactly, from many places at once; and which of its pixels are border."""

import functools

import numpy as np
import scipy.ndimage
import scipy.spatial

Point = tuple[int, int]

# Where at most this share of the image's pixels are to be searched, a tree of them is the fastest way to the nearest; beyond, as in noise, one
# pass over the image is, whose time does not depend on what it holds. Found by `benchmarks/metrics.py`, as was the block's side in px.
TREE_SHARE = 1 / 16
_BLOCK = 8


class Nearest:
    """Finds the nearest of the pixels that a mask, (height, width), holds."""

    def __init__(self, ends: np.ndarray) -> None:
        self._ends = ends

    def distances(self, starts: np.ndarray) -> np.ndarray:
        """From each pixel of the mask `starts` to the nearest one, in px."""
        if self._few:
            return self._tree.query(np.argwhere(starts))[0]
        return scipy.ndimage.distance_transform_edt(~self._ends)[starts]

    def farthest(self, starts: np.ndarray) -> tuple[float, tuple[Point, Point]]:
        """The largest of these distances, and the two pixels it lies between."""
        if self._few:
            points = np.argwhere(self._promising(starts))
            distances, nearest = self._tree.query(points)
            number = int(np.argmax(distances))
            return float(distances[number]), (tuple(points[number]), tuple(self._tree.data[nearest[number]]))
        distances, nearest = scipy.ndimage.distance_transform_edt(~self._ends, return_indices=True)
        place = np.unravel_index(np.argmax(np.where(starts, distances, -1)), starts.shape)
        return float(distances[place]), (place, tuple(nearest[(slice(None), *place)]))

    def _promising(self, starts: np.ndarray) -> np.ndarray:
        """Those of `starts` among which the farthest is. From one place to the next the distance changes by no more than these lie apart, so that
        the distance from a block's middle bounds those from its pixels: blocks whose bound the farthest middle exceeds are left out.
        """
        height, width = starts.shape
        whole = np.pad(starts, ((0, -height % _BLOCK), (0, -width % _BLOCK)))
        blocks = whole.reshape(whole.shape[0] // _BLOCK, _BLOCK, whole.shape[1] // _BLOCK, _BLOCK).any(axis=(1, 3))
        distances = self._tree.query((np.argwhere(blocks) + 0.5) * _BLOCK - 0.5)[0]
        # Twice from a middle to a corner: so much the one may fall short, and the other exceed.
        blocks[blocks] = distances >= distances.max() - _BLOCK * np.sqrt(2)
        return starts & blocks.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)[:height, :width]

    @functools.cached_property
    def _few(self) -> bool:
        return np.count_nonzero(self._ends) <= TREE_SHARE * self._ends.size

    @functools.cached_property
    def _tree(self) -> scipy.spatial.cKDTree:
        return scipy.spatial.cKDTree(np.argwhere(self._ends), balanced_tree=False, compact_nodes=False)


def border(mask: np.ndarray) -> np.ndarray:
    """The pixels that have a neighbour above, below or beside them that is not in the mask; beyond the edge there is none."""
    around = np.pad(mask, 1)
    return mask & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])
