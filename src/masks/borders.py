"""The border pixels of a mask."""

import numpy as np


def border(mask: np.ndarray) -> np.ndarray:
    """The mask's pixels with a 4-neighbour outside the mask or outside the image: (height, width) bool, as `mask`."""
    padded = np.pad(mask, 1)
    return mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])
