"""Post-processing: removes small and isolated connected components. Diagonal neighbours touch (8-connectivity)."""

from collections.abc import Iterable

import numpy as np
import scipy.ndimage
import scipy.sparse

from masks import nearest

# Tuned on muscle masks: the sizes of the large muscles, left and right, differ by a smaller factor.
MAIN_SHARE = 0.1
# A muscle's fragments rarely lie further than this from the rest of it; false positives in bowel or bone usually do.
MAX_DISTANCE_PX = 10
# Smaller components are noise along an edge, even near a main component.
MAX_SPECK_PX = 50

# Post-processing is harmless if it alters at most this share of the reference masks: annotation artefacts occur.
MAX_ALTERED_SHARE = 0.02

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def remove_specks(mask: np.ndarray, max_px: int) -> np.ndarray:
    """Removes connected components of at most `max_px` pixels from a mask, (height, width) of 0 and 1.

    Returns a new uint8 array.
    """
    labels, _ = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    large = np.bincount(labels.ravel()) > max_px
    return mask.astype(np.uint8) if large[1:].all() else _keep(labels, large)


def clean(mask: np.ndarray) -> np.ndarray:
    """Removes small and isolated connected components from a mask, (height, width) of 0 and 1.

    Keeps the largest component and all of at least MAIN_SHARE of its size, and whatever lies within MAX_DISTANCE_PX of
    a kept one, from pixel to pixel (transitively). Then drops components of at most MAX_SPECK_PX. An empty mask stays
    empty. Returns a new uint8 array.
    """
    labels, count = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    if count == 0:
        return np.zeros(labels.shape, np.uint8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # The background is not a component, even if it is the most frequent label.
    clusters = _clusters(labels, count)
    kept = np.unique(clusters[sizes >= MAIN_SHARE * sizes.max()])
    return _keep(labels, np.isin(clusters, kept) & (sizes > MAX_SPECK_PX))


def is_harmless(true_masks: Iterable[np.ndarray]) -> bool:
    """Whether `clean` alters at most MAX_ALTERED_SHARE of the reference masks and empties none.

    Only then are small and isolated components of a prediction errors and not part of the target. Masks are counted,
    not pixels: a small mask is as much a case as a large one.
    """
    sizes = np.array([(np.count_nonzero(mask), np.count_nonzero(clean(mask))) for mask in true_masks]).reshape(-1, 2)
    before, after = sizes.T
    return bool(np.sum(after < before) <= MAX_ALTERED_SHARE * len(sizes) and (after[before > 0] > 0).all())


def _keep(labels: np.ndarray, kept_labels: np.ndarray) -> np.ndarray:
    kept_labels[0] = False
    return kept_labels[labels].astype(np.uint8)


def _clusters(labels: np.ndarray, count: int) -> np.ndarray:
    """The cluster number of each label. Components within MAX_DISTANCE_PX of each other form a cluster.

    Looks up the label at every offset within the distance of every border pixel: the cost grows with the number of
    border pixels, not with the square of the number of components.
    """
    if count == 1:
        return np.arange(2)
    border = nearest.border(labels > 0)
    padded = np.pad(labels, MAX_DISTANCE_PX).ravel()
    width = labels.shape[1] + 2 * MAX_DISTANCE_PX
    rows, columns = np.nonzero(border)
    indices = (rows + MAX_DISTANCE_PX) * width + columns + MAX_DISTANCE_PX
    border_labels = padded[indices]
    neighbour_labels = [padded[indices + offset] for offset in _offsets(width)]
    pairs = [
        (border_labels[near], neighbours[near])
        for neighbours in neighbour_labels
        if (near := (neighbours != border_labels) & (neighbours > 0)).any()
    ]
    first, second = (np.concatenate([pair[side] for pair in pairs]) if pairs else np.zeros(0, int) for side in (0, 1))
    graph = scipy.sparse.coo_matrix((np.ones(len(first), bool), (first, second)), shape=(count + 1, count + 1))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _offsets(width: int) -> list[int]:
    # Half of the disc: the other half would find each pair again, from the opposite side.
    reach = range(-MAX_DISTANCE_PX, MAX_DISTANCE_PX + 1)
    return [
        row * width + column
        for row in reach
        for column in reach
        if (row, column) > (0, 0) and row**2 + column**2 <= MAX_DISTANCE_PX**2
    ]
