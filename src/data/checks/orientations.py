"""The eight orientations of a square array: mirrored, rotated and transposed."""

from collections.abc import Callable

import numpy as np

# What was done to a mask that fits its image only in this orientation. The first one is the array itself.
ORIENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "unchanged": lambda array: array,
    "mirrored left to right": lambda array: array[:, ::-1],
    "mirrored top to bottom": lambda array: array[::-1],
    "rotated by 180 degrees": lambda array: array[::-1, ::-1],
    "transposed": lambda array: array.T,
    "rotated by 90 degrees counterclockwise": lambda array: array.T[::-1],
    "rotated by 90 degrees clockwise": lambda array: array.T[:, ::-1],
    "transposed and rotated by 180 degrees": lambda array: array.T[::-1, ::-1],
}

# What undoes each of them.
FIXES = {
    "mirrored left to right": "Mirror these masks left to right",
    "mirrored top to bottom": "Mirror these masks top to bottom",
    "rotated by 180 degrees": "Rotate these masks by 180 degrees",
    "transposed": "Transpose these masks (exchange rows and columns)",
    "rotated by 90 degrees counterclockwise": "Rotate these masks by 90 degrees clockwise",
    "rotated by 90 degrees clockwise": "Rotate these masks by 90 degrees counterclockwise",
    "transposed and rotated by 180 degrees": "Transpose these masks and rotate them by 180 degrees",
}


def oriented(array: np.ndarray) -> list[np.ndarray]:
    """The array, (side, side), in all eight orientations, in the order of ORIENTATIONS: views of the same memory."""
    return [orient(array) for orient in ORIENTATIONS.values()]
