"""Finds copies of images, images that are nearly the same, and masks that serve several images."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data.checks import mask_fit
from data.checks.features import CaseFeatures
from data.checks.finding import Finding, examples
from data.checks.orientations import oriented

# Neighbouring slices of native CT reach 0.99972 at 64 px (ts_ct512). At 32 px copies are searched; it is faster.
_MIN_COPY_CORRELATION, _MIN_COARSE_CORRELATION, _COARSE_PX = 0.9998, 0.9995, 32
_MIN_NEIGHBOUR_CORRELATION, _MIN_NEIGHBOUR_SHARE = 0.98, 0.5
# Images of one data set that show different things correlate less.
_MAX_DIFFERENT_CORRELATION = 0.9
# Smaller masks, such as landmarks, may be equal by chance.
_MIN_MASK_PX = 50
# Rows of the correlation matrix that are in memory at a time.
_BLOCK = 256

# The most similar other image of each case, and the correlation with it.
Nearest = dict[str, tuple[str, float]]


def copies(features: Mapping[str, CaseFeatures], groups: Mapping[str, str] | None) -> Iterator[Finding]:
    """The findings about images that occur more than once: exact copies are certain.

    `groups`: the group of each case; None if cases are not grouped.
    """
    exact = _equal(features, "image_hash")
    apart = [cases for cases in exact if groups is not None and len({groups[case] for case in cases}) > 1]
    together = [cases for cases in exact if cases not in apart]
    for check, found, where in (
        ("copies of an image", together, ""),
        ("identical images in different groups", apart, ", but are in different groups"),
    ):
        problem = f"have the same image, possibly mirrored, rotated or with an offset{where}"
        yield from _merged(check, found, features, True, f"{problem}. Keep one image of each.")
    near = [pair for pair in _near_copies(features) if len({features[case].image_hash for case in pair}) > 1]
    text = f"have nearly the same image (correlation > {_MIN_COPY_CORRELATION}). Keep one of each, if they are copies."
    yield from _merged("nearly the same image", near, features, False, text)


def same_masks(features: Mapping[str, CaseFeatures]) -> Iterator[Finding]:
    """The findings about masks that occur more than once. Certain where the images are clearly different.

    Neighbouring slices may rightly have the same mask: nothing is found where the images are as alike as those.
    """
    # Copies of a whole case are a finding of their own.
    found = [cases for cases in _equal(features, "mask_hash") if len({features[case].image_hash for case in cases}) > 1]
    similarity = {cases: _min_correlation(features, cases) for cases in found}
    large = [cases for cases in found if features[cases[0]].mask_px >= _MIN_MASK_PX]
    different = [cases for cases in large if similarity[cases] < _MAX_DIFFERENT_CORRELATION]
    alike = [cases for cases in found if similarity[cases] > _MIN_NEIGHBOUR_CORRELATION]
    doubtful = [cases for cases in found if cases not in different + alike]
    text = "have the same mask as another image. Export the mask of each image."
    yield from _merged("same mask", different, features, True, text)
    yield from _merged(
        "same mask", doubtful, features, False, f"{text} It may be right: they are small, or the images similar."
    )


def _min_correlation(features: Mapping[str, CaseFeatures], cases: tuple[str, ...]) -> float:
    images = _thumbnails({case: features[case] for case in cases})
    return float((images[:1] @ images.T).min())


def _merged(
    check: str, found: Sequence[tuple[str, ...]], features: Mapping[str, CaseFeatures], certain: bool, text: str
) -> Iterator[Finding]:
    """One finding about several sets of cases, or none."""
    cases = tuple(dict.fromkeys(case for each in found for case in each))
    if cases:
        sets = "; ".join(" = ".join(each[:3]) + (" = ..." if len(each) > 3 else "") for each in found[:3])
        more = "; ..." if len(found) > 3 else ""
        yield Finding(
            check, cases, certain, f"{len(cases)} of {len(features)} cases {text} These are equal: {sets}{more}."
        )


def neighbours(
    features: Mapping[str, CaseFeatures], groups: Mapping[str, str] | None, found: Nearest
) -> Iterator[Finding]:
    """The hint to group the cases if most of them have a similar image, as neighbouring slices do.

    `found`: what `nearest` returned.
    """
    is_grouped = groups is not None and len(set(groups.values())) < len(features)
    if is_grouped or len(features) < 4:
        return
    similar = sorted(
        (case for case in found if found[case][1] > _MIN_NEIGHBOUR_CORRELATION), key=lambda case: -found[case][1]
    )
    if len(similar) > _MIN_NEIGHBOUR_SHARE * len(features):
        cases = tuple(similar)
        problem = f"{examples(cases, len(features))} have a very similar image, as neighbouring slices of a patient do."
        fix = "Set GROUP_CASES_BY in config.py, so that a patient's images are not in both train and test set."
        yield Finding("similar images without groups", cases, False, f"{problem} {fix}")


def nearest(features: Mapping[str, CaseFeatures]) -> Nearest:
    """The most similar other image of each case, and the correlation with it. Empty for less than two cases."""
    if len(features) < 2:
        return {}
    names, images = list(features), _thumbnails(features)
    result = {}
    for start in range(0, len(names), _BLOCK):
        block = images[start : start + _BLOCK] @ images.T
        block[np.arange(len(block)), start + np.arange(len(block))] = -2
        for row, best in enumerate(block.argmax(axis=1)):
            result[names[start + row]] = (names[best], float(block[row, best]))
    return result


def _equal(features: Mapping[str, CaseFeatures], field: str) -> list[tuple[str, ...]]:
    """The cases with the same value in this field, at least two each; constant images and empty values are ignored."""
    found = defaultdict(list)
    for case, each in features.items():
        if getattr(each, field) and not each.is_constant:
            found[getattr(each, field)].append(case)
    return [tuple(cases) for cases in found.values() if len(cases) > 1]


def _thumbnails(features: Mapping[str, CaseFeatures]) -> np.ndarray:
    """The thumbnails at half their size, normalized again: float32 (cases, pixels)."""
    images = np.array([mask_fit.reduced(each.thumbnail, _COARSE_PX).ravel() for each in features.values()], np.float32)
    return images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-6)


def _near_copies(features: Mapping[str, CaseFeatures]) -> list[tuple[str, str]]:
    """The pairs of cases whose images correlate too well in any orientation, each once."""
    names, images = list(features), _thumbnails(features)
    side = round(images.shape[1] ** 0.5)
    thumbnails = [each.thumbnail for each in features.values()]
    pixels = np.arange(side * side).reshape(side, side)
    found = set()
    for start in range(0, len(names), _BLOCK):
        for turned in oriented(pixels):
            block = images[start : start + _BLOCK, turned.ravel()] @ images.T
            first, second = np.nonzero(block > _MIN_COARSE_CORRELATION)
            found |= {tuple(sorted(pair)) for pair in zip((first + start).tolist(), second.tolist(), strict=True)}
    return [
        (names[first], names[second])
        for first, seconds in _partners(found).items()
        for second, correlation in zip(seconds, _correlations(thumbnails, first, seconds), strict=True)
        if correlation > _MIN_COPY_CORRELATION
    ]


def _partners(pairs: set[tuple[int, int]]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for first, second in sorted(pairs):
        if first != second:
            found[first].append(second)
    return found


def _correlations(thumbnails: list[np.ndarray], first: int, others: list[int]) -> list[float]:
    """The correlations of one image in its best orientation with others, at the full size of the thumbnails."""
    images = np.array([thumbnails[each].ravel() for each in others], np.float32)
    turned = np.array([each.ravel() for each in oriented(thumbnails[first])], np.float32)
    return (turned @ images.T).max(axis=0).tolist()
