"""Post-processing of masks: removes small and isolated connected components (8-connected)."""

from collections.abc import Iterable

import numpy as np
import scipy.ndimage
import scipy.sparse

from masks import borders

# From muscle masks: the large muscles, left and right, differ in size by less than this factor.
MAIN_SHARE = 0.1
# A fragment of a muscle is rarely farther than this from the rest; a false component in bowel or bone usually is.
MAX_DISTANCE_PX = 10
# Smaller components, even nearby ones, are noise along an edge.
MAX_SPECK_PX = 50

# Post-processing is harmless if it alters at most this proportion of the reference masks: rare annotation artefacts.
HARMLESS_SHARE = 0.02

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def remove_specks(mask: np.ndarray, max_px: int) -> np.ndarray:
    """The mask, (height, width) of 0 and 1, without components of at most `max_px` pixels: a new array, uint8."""
    labels, _ = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    large = np.bincount(labels.ravel()) > max_px
    return mask.astype(np.uint8) if large[1:].all() else _keep(labels, large)


def clean(mask: np.ndarray) -> np.ndarray:
    """The mask, (height, width) of 0 and 1, without small isolated components: a new array, uint8.

    Keeps components of at least MAIN_SHARE of the largest one, and every component within MAX_DISTANCE_PX of a kept one
    (transitively, between pixels). Then drops components of at most MAX_SPECK_PX. An empty mask stays empty.
    """
    labels, count = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    if count == 0:
        return np.zeros(labels.shape, np.uint8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # The background is not a component.
    clusters = _clusters(labels, count)
    accepted = np.unique(clusters[sizes >= MAIN_SHARE * sizes.max()])
    return _keep(labels, np.isin(clusters, accepted) & (sizes > MAX_SPECK_PX))


def is_harmless(true_masks: Iterable[np.ndarray]) -> bool:
    """Whether `clean` alters at most HARMLESS_SHARE of the reference masks and empties none.

    Only then are small isolated components of a prediction errors. It counts masks, not pixels: small masks count
    fully.
    """
    sizes = np.array([(np.count_nonzero(mask), np.count_nonzero(clean(mask))) for mask in true_masks]).reshape(-1, 2)
    before, after = sizes.T
    return bool(np.sum(after < before) <= HARMLESS_SHARE * len(sizes) and (after[before > 0] > 0).all())


def _keep(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    kept[0] = False
    return kept[labels].astype(np.uint8)


def _clusters(labels: np.ndarray, count: int) -> np.ndarray:
    # The cluster of each label: components within the distance of one another form a cluster. Each border pixel is
    # compared with every offset within the distance: the cost is linear in border pixels, not quadratic in components.
    if count == 1:
        return np.arange(2)
    border = borders.border(labels > 0)
    padded = np.pad(labels, MAX_DISTANCE_PX).ravel()
    width = labels.shape[1] + 2 * MAX_DISTANCE_PX
    rows, columns = np.nonzero(border)
    places = (rows + MAX_DISTANCE_PX) * width + columns + MAX_DISTANCE_PX
    labels_here = padded[places]
    neighbours = [padded[places + offset] for offset in _offsets(width)]
    pairs = [
        (labels_here[near], other[near]) for other in neighbours if (near := (other != labels_here) & (other > 0)).any()
    ]
    first, second = (np.concatenate([pair[side] for pair in pairs]) if pairs else np.zeros(0, int) for side in (0, 1))
    graph = scipy.sparse.coo_matrix((np.ones(len(first), bool), (first, second)), shape=(count + 1, count + 1))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _offsets(width: int) -> list[int]:
    # Half of the disc: the other half would find each pair again, from the other side.
    reach = range(-MAX_DISTANCE_PX, MAX_DISTANCE_PX + 1)
    return [
        row * width + column
        for row in reach
        for column in reach
        if (row, column) > (0, 0) and row**2 + column**2 <= MAX_DISTANCE_PX**2
    ]
