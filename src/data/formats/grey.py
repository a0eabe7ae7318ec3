"""Grey values of images that are stored in colour."""

import pathlib

import numpy as np

from data.formats import faults

# In 34 ultrasound images stored as RGB, channels differ by at most 40: a tint of the device's screen, or rounding of
# JPEG. Stained tissue, skin, and flow in Doppler images differ by more.
_MAX_DIFFERENCE = 64

# Luma by ITU-R BT.601, as Pillow converts to grey.
_WEIGHTS = np.array([0.299, 0.587, 0.114])


def to_grey(path: pathlib.Path, channels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey values from (..., 3) red, green and blue, in the same dtype, and warnings.

    Equal channels are the grey values. Nearly equal ones of 8 bits are converted, with a warning. DatasetError for
    colour images.
    """
    if (channels == channels[..., :1]).all():
        return channels[..., 0], ()
    difference = int(np.ptp(channels.astype(np.int64), axis=-1).max())
    if channels.dtype != np.uint8 or difference > _MAX_DIFFERENCE:
        raise faults.fault(path, "a colour image. Save it in grey.")
    luma = np.rint(channels @ _WEIGHTS).astype(np.uint8)
    return luma, (f"{path}: nearly grey, with colour channels that differ a little. It is used in grey.",)
