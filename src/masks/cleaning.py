"""Takes out of a mask what is too small or too far off to be meant. Areas are 8-connected: pixels that touch at a corner belong together."""

from collections.abc import Iterable

import numpy as np
import scipy.ndimage
import scipy.sparse

from masks import nearest

# Found by trying on muscle masks: the large muscles, left and right, differ in size by less than that.
MAIN_SHARE = 0.1
# A fragment of a muscle is rarely further than this from the rest of it; a stray area, in bowel or bone, usually is.
MAX_DISTANCE_PX = 10
# What is smaller, even if near, is noise along an edge.
MAX_SPECK_PX = 50

# Cleaning may change such a share of the true masks and still be called harmless: a slip of the pen, now and then.
HARMLESS_SHARE = 0.02

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def remove_specks(mask: np.ndarray, max_px: int) -> np.ndarray:
    """The mask, (height, width) of 0 and 1, without its areas of at most `max_px` pixels: a new array, uint8."""
    labels, _ = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    large = np.bincount(labels.ravel()) > max_px
    return mask.astype(np.uint8) if large[1:].all() else _keep(labels, large)


def clean(mask: np.ndarray) -> np.ndarray:
    """The mask, (height, width) of 0 and 1, without small and isolated areas: a new array, uint8.

    The largest area, and all at least MAIN_SHARE of its size, are main. An area within MAX_DISTANCE_PX of an accepted one, from pixel to
    pixel, is accepted in turn; the rest goes. Then areas of at most MAX_SPECK_PX go. An empty mask stays empty.
    """
    labels, count = scipy.ndimage.label(mask, _EIGHT_NEIGHBOURS)
    if count == 0:
        return np.zeros(labels.shape, np.uint8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # The background is no area, however large.
    clusters = _clusters(labels, count)
    accepted = np.unique(clusters[sizes >= MAIN_SHARE * sizes.max()])
    return _keep(labels, np.isin(clusters, accepted) & (sizes > MAX_SPECK_PX))


def is_harmless(true_masks: Iterable[np.ndarray]) -> bool:
    """Whether `clean` leaves true masks as they are, but for at most HARMLESS_SHARE of them, and empties none. Only then are a prediction's
    small and isolated areas errors, and not what it should find. Masks are counted, not pixels: a small one is as much a case as a large one.
    """
    sizes = np.array([(np.count_nonzero(mask), np.count_nonzero(clean(mask))) for mask in true_masks]).reshape(-1, 2)
    before, after = sizes.T
    return bool(np.sum(after < before) <= HARMLESS_SHARE * len(sizes) and (after[before > 0] > 0).all())


def _keep(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    wanted[0] = False
    return wanted[labels].astype(np.uint8)


def _clusters(labels: np.ndarray, count: int) -> np.ndarray:
    # Which cluster each label belongs to; areas within the distance of one another form a cluster. Each border pixel looks at what lies
    # at every offset within the distance: the cost goes with the number of border pixels, not with the square of the number of areas.
    if count == 1:
        return np.arange(2)
    border = nearest.border(labels > 0)
    padded = np.pad(labels, MAX_DISTANCE_PX).ravel()
    width = labels.shape[1] + 2 * MAX_DISTANCE_PX
    rows, columns = np.nonzero(border)
    places = (rows + MAX_DISTANCE_PX) * width + columns + MAX_DISTANCE_PX
    own = padded[places]
    neighbours = [padded[places + offset] for offset in _offsets(width)]
    pairs = [(own[near], other[near]) for other in neighbours if (near := (other != own) & (other > 0)).any()]
    first, second = (np.concatenate([pair[side] for pair in pairs]) if pairs else np.zeros(0, int) for side in (0, 1))
    graph = scipy.sparse.coo_matrix((np.ones(len(first), bool), (first, second)), shape=(count + 1, count + 1))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _offsets(width: int) -> list[int]:
    # Half of the disc: the other half would find each pair a second time, from the other side.
    reach = range(-MAX_DISTANCE_PX, MAX_DISTANCE_PX + 1)
    return [
        row * width + column
        for row in reach
        for column in reach
        if (row, column) > (0, 0) and row**2 + column**2 <= MAX_DISTANCE_PX**2
    ]
