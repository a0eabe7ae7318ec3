"""What the checks keep of a case: small values, so that memory stays flat. Runs in the process that reads the files."""

import dataclasses
import hashlib

import numpy as np

from data.checks import mask_fit
from data.checks.orientations import oriented

# Geometry is judged at about this size: outlines are a few pixels wide, and the cost is the same for all images.
_FIT_PX = 128
_THUMBNAIL_PX = 64


@dataclasses.dataclass(frozen=True, eq=False)
class CaseFeatures:
    """The features of one case; about 16 kB for images of 512 x 512.

    fits: how well the mask fits the image in each orientation, float32 (8,), see `mask_fit`; NaN without an outline
    median_within_mask: the image's median within the mask, in its own units; NaN for an empty mask
    low_quantile: the 5 % quantile of the image, in its own units
    image_hash: equal for images that differ by an offset, mirroring or rotation only
    mask_hash: equal for equal masks; "" for an empty or full mask
    outline_share: the share of the outline that has the same value, on it or beside it
    outline_share_nearby: the share of that value at 3 to 6 px from the outline, on the side where it is higher
    outside_share: the share of one value outside the mask; 0 if it is common within the mask, too
    window_visibility: the fit after clipping, divided by the fit before; NaN without a window or a visible outline
    thumbnail: float16 (64, 64) or a little larger, mean 0 and length 1; all 0 for a constant image
    thumbnail_ranks, thumbnail_mask: uint8 and bool, of the same shape
    """

    mask_px: int
    fits: np.ndarray
    median_within_mask: float
    low_quantile: float
    image_hash: str
    mask_hash: str
    is_constant: bool
    is_mask: bool
    outline_share: float
    outline_share_nearby: float
    outside_share: float
    window_visibility: float
    thumbnail: np.ndarray
    thumbnail_ranks: np.ndarray
    thumbnail_mask: np.ndarray


def describe(image: np.ndarray, mask: np.ndarray, clip_hu: tuple[float, float] | None = None) -> CaseFeatures:
    """The features of an image, any real dtype, and its mask of 0 and 1, both (side, side).

    `clip_hu`: the window that the network will apply. ValueError if the arrays are not square or differ in shape.
    """
    if image.shape != mask.shape or image.ndim != 2 or image.shape[0] != image.shape[1]:
        raise ValueError(f"image and mask must be square and of the same shape, found {image.shape}, {mask.shape}")
    mask = mask.astype(bool)
    small, small_mask = mask_fit.reduced(image, _FIT_PX), mask_fit.reduced(mask, _FIT_PX) >= 0.5
    ranks = mask_fit.ranks(small)
    fits = mask_fit.orientation_fits(ranks, small_mask)
    outline_share, nearby = _outline_shares(image, mask)
    thumbnail = mask_fit.reduced(small, _THUMBNAIL_PX)
    minimum, maximum = image.min(), image.max()
    return CaseFeatures(
        mask_px=int(np.count_nonzero(mask)),
        fits=fits,
        median_within_mask=_median_within(small, small_mask) if small_mask.any() else _median_within(image, mask),
        low_quantile=float(np.partition(small, small.size // 20, axis=None)[small.size // 20]),
        image_hash=_image_hash(image, minimum),
        mask_hash=hashlib.sha256(np.packbits(mask).tobytes()).hexdigest() if mask.any() and not mask.all() else "",
        is_constant=bool(minimum == maximum),
        is_mask=_is_mask(image, mask, minimum, maximum),
        outline_share=outline_share,
        outline_share_nearby=nearby,
        outside_share=_outside_share(image, mask),
        window_visibility=_window_visibility(small, small_mask, float(fits[0]), clip_hu),
        thumbnail=_normalized(thumbnail),
        thumbnail_ranks=mask_fit.ranks(thumbnail),
        thumbnail_mask=mask_fit.reduced(small_mask, _THUMBNAIL_PX) >= 0.5,
    )


def _median_within(image: np.ndarray, mask: np.ndarray) -> float:
    values = image[mask]
    return float(np.median(values)) if values.size else float("nan")


def _normalized(thumbnail: np.ndarray) -> np.ndarray:
    centred = thumbnail - thumbnail.mean(dtype=np.float64)
    length = np.linalg.norm(centred)
    return (centred / length if length > 0 else np.zeros_like(centred)).astype(np.float16)


def _image_hash(image: np.ndarray, minimum: np.number) -> str:
    """The SHA-256 of image - minimum in the orientation that comes first."""
    # Differences of integers of 16 bits fit uint16, whatever the offset and the dtype. Adding 0 turns -0.0 into 0.0.
    is_small = np.issubdtype(image.dtype, np.integer) and image.dtype.itemsize <= 2
    values = (image.astype(np.int32) - minimum).astype(np.uint16) if is_small else image - minimum + image.dtype.type(0)
    half = image.shape[0] // 2
    sums = [part.sum(dtype=np.float64) for rows in (values[:half], values[-half:]) for part in _halves(rows, half)]
    # The sums of the quadrants order the orientations; only for equal ones are all candidates hashed.
    keys = [tuple(each.ravel()) for each in oriented(np.reshape(sums, (2, 2)))]
    first = min(keys)
    candidates = [each for each, key in zip(oriented(values), keys, strict=True) if key == first]
    return min(hashlib.sha256(each.tobytes()).hexdigest() for each in candidates)


def _halves(rows: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    return rows[:, :half], rows[:, -half:]


def _is_mask(image: np.ndarray, mask: np.ndarray, minimum: np.number, maximum: np.number) -> bool:
    """Whether the image is its mask, with any two values."""
    bright = image == maximum
    differing = np.count_nonzero(bright != mask)
    if minimum == maximum or differing not in (0, mask.size):
        return False
    return bool((bright | (image == minimum)).all())


# A few pixels in the corners may well be equal.
_MIN_OUTSIDE = 0.05


def _outside_share(image: np.ndarray, mask: np.ndarray) -> float:
    outside_px = mask.size - np.count_nonzero(mask)
    if outside_px < _MIN_OUTSIDE * mask.size or outside_px == mask.size:
        return 0.0
    outside = image[~mask]
    equal = image == outside[outside_px // 2]
    inside_px = np.count_nonzero(equal & mask)
    is_cut = inside_px < 0.5 * (mask.size - outside_px)
    return (np.count_nonzero(equal) - inside_px) / outside_px if is_cut else 0.0


_MIN_RING_PX = 20


def _outline_shares(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """The share of the outline's most frequent value on and beside the outline, and the value's share nearby."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0, 0.0
    window = tuple(slice(max(each[0] - 7, 0), each[-1] + 8) for each in (rows, columns))
    image, inside, outside = image[window], mask[window], ~mask[window]
    inside_1, outside_1 = mask_fit.grown(inside, 1), mask_fit.grown(outside, 1)
    inner = inside & outside_1
    values, counts = np.unique(image[inside_1 & outside_1], return_counts=True)
    if not inner.any() or counts.max() < 0.3 * counts.sum():
        return 0.0, 0.0
    equal = image == values[counts.argmax()]
    nearby = max(_share_in_ring(equal, *sides) for sides in ((inside, inside_1), (outside, outside_1)))
    return float(mask_fit.grown(equal, 1)[inner].mean()), nearby


def _share_in_ring(equal: np.ndarray, mask: np.ndarray, grown_by_1: np.ndarray) -> float:
    """The share of equal values at 3 to 6 px from a mask; 1 if the ring is too small to tell a line from an area."""
    grown_by_2 = mask_fit.grown(grown_by_1, 2, done_px=1)
    ring = mask_fit.grown(grown_by_2, 6, done_px=2) & ~grown_by_2
    return float(equal[ring].mean()) if np.count_nonzero(ring) >= _MIN_RING_PX else 1.0


# With a lower fit the outline is hardly visible before clipping.
_MIN_VISIBLE_FIT = 0.05


def _window_visibility(
    image: np.ndarray, mask: np.ndarray, fit_before: float, clip_hu: tuple[float, float] | None
) -> float:
    if clip_hu is None or not fit_before >= _MIN_VISIBLE_FIT:
        return float("nan")
    pixels = np.flatnonzero(mask_fit.band(mask, 3))
    clipped = mask_fit.ranks(np.clip(image, *clip_hu))
    return mask_fit.fit(clipped.ravel()[pixels], mask.ravel()[pixels]) / fit_before
