"""Finds masks that were mirrored, rotated, transposed or exchanged: they fit their image worse than they should.

The thresholds, and how often they find what, are in `benchmarks/data_checks.py`. Nothing is reported where masks and
intensities are unrelated.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy.special

from data.checks import mask_fit
from data.checks.features import CaseFeatures
from data.checks.finding import Finding, examples
from data.checks.orientations import FIXES, ORIENTATIONS

_NAMES = tuple(ORIENTATIONS)

# A fit is better than another by at least this, and by at least this share of the data set's median fit.
_MIN_MARGIN, _MIN_MARGIN_SHARE = 0.05, 0.5
# As many cases in one wrong orientation would occur by chance with this probability.
_MAX_CHANCE = 0.001
# The number of such cases in correct data, beyond what the spread of the fits explains.
_EXPECTED_BY_CHANCE = 0.04

# A mask of another image: fits below this share of the median, and as many robust standard deviations below it.
_MAX_SHARE_OF_MEDIAN, _MIN_DEVIATIONS, _MIN_MEDIAN_FIT = 0.5, 4.0, 0.1
# The mask of another case fits an image at least so well, and better than its own and any third one by these factors.
_MIN_OTHER_FIT, _MIN_RATIO_TO_OWN, _MIN_RATIO_TO_THIRD = 0.25, 2.0, 1.5
# The largest fit of many masks is high by chance where the band around their outline has fewer pixels.
_MIN_BAND_PX = 200
# At most so many images are compared with all masks: a second for 1,000 cases.
_MAX_COMPARED = 200
# Masks that are in memory at a time.
_BLOCK = 128


def geometry(features: Mapping[str, CaseFeatures]) -> Iterator[Finding]:
    """The findings about masks in a wrong orientation, and about masks of other images. None of them is certain."""
    measured = {case: each for case, each in features.items() if np.isfinite(each.fits).all()}
    wrong: set[str] = set()
    for finding in _misoriented(measured):
        wrong.update(finding.cases)
        yield finding
    yield from _exchanged({case: each for case, each in measured.items() if case not in wrong})


def _misoriented(features: Mapping[str, CaseFeatures]) -> list[Finding]:
    if not features:
        return []
    names, fits = np.array(list(features)), np.stack([each.fits for each in features.values()])
    usual = fits.mean(axis=0).argmax()
    margin = max(_MIN_MARGIN, _MIN_MARGIN_SHARE * float(np.median(fits[:, usual])))
    flagged = [
        (fits.argmax(axis=1) == number) & (fits[:, number] - fits[:, 0] > margin) for number in range(len(_NAMES))
    ]
    found = [
        number for number in range(1, len(_NAMES)) if _is_beyond_chance(fits, number, usual, flagged[number], margin)
    ]
    if usual in found:
        found = [usual]
    findings = []
    for number in found:
        gains = np.where(flagged[number], fits[:, number] - fits[:, 0], -np.inf)
        cases = tuple(names[np.argsort(-gains, kind="stable")[: flagged[number].sum()]].tolist())
        findings.append(_orientation_finding(_NAMES[number], cases, len(names), number == usual))
    return findings


def _is_beyond_chance(fits: np.ndarray, number: int, usual: int, flagged: np.ndarray, margin: float) -> bool:
    """Whether more cases are flagged than the spread of the fits explains.

    The expected number is estimated from pairs of cases: how often one's fit in a third orientation exceeds another's
    in the usual orientation by the margin. A Poisson distribution around it gives the probability.
    """
    others = [each for each in range(len(_NAMES)) if each not in (number, usual)]
    rest = fits if flagged.mean() >= 0.5 else fits[~flagged]
    share = np.searchsorted(np.sort(rest[:, usual]), rest[:, others] - margin).mean() / len(rest)
    expected = share * len(fits) + _EXPECTED_BY_CHANCE
    return bool(flagged.any() and scipy.special.pdtrc(flagged.sum() - 1, expected) < _MAX_CHANCE)


def _orientation_finding(orientation: str, cases: tuple[str, ...], total: int, is_usual: bool) -> Finding:
    which = "All masks are probably" if is_usual else "Some masks are probably"
    problem = (
        f"{which} {orientation}: in {examples(cases, total)} they fit their images much better when this is undone."
    )
    fix = f"Compare the pictures. {FIXES[orientation]}, or correct the axes in their conversion."
    return Finding("orientation of masks", cases, False, f"{problem} {fix}")


def _exchanged(features: Mapping[str, CaseFeatures]) -> Iterator[Finding]:
    if len(features) < 3:
        return
    owners = _better_owners(features)
    if owners:
        example = next(f"the mask of {owner} fits the image of {case}" for case, owner in owners.items())
        problem = f"The masks of {examples(tuple(owners), len(features))} probably belong to other images: {example}."
        fix = "Compare the pictures, and pair the files again: a list may have been sorted differently, or shifted."
        yield Finding("mask of another image", tuple(owners), False, f"{problem} {fix}")
    cases = tuple(case for case in _outliers(features) if case not in owners)
    if cases:
        problem = f"The masks of {examples(cases, len(features))} fit their images far worse than the other masks do."
        fix = "Compare the pictures: a mask may belong to another image, or be shifted or scaled."
        yield Finding("mask of another image", cases, False, f"{problem} {fix}")


def _outliers(features: Mapping[str, CaseFeatures]) -> list[str]:
    names, fits = list(features), np.array([each.fits[0] for each in features.values()])
    median = np.median(fits)
    deviation = max(1.4826 * np.median(np.abs(fits - median)), 0.01)
    limit = min(_MAX_SHARE_OF_MEDIAN * median, median - _MIN_DEVIATIONS * deviation)
    worst_first = np.argsort(fits, kind="stable")
    return [names[number] for number in worst_first if median > _MIN_MEDIAN_FIT and fits[number] < limit]


def _better_owners(features: Mapping[str, CaseFeatures]) -> dict[str, str]:
    """The cases whose image is fitted by the mask of one other case much better than by its own mask and by any third.

    Worst first. The other case's own image must fit that mask badly, too: else the two images are merely alike. An
    exchange concerns two cases at least.
    """
    names, own = list(features), np.array([each.fits[0] for each in features.values()])
    compared = np.argsort(own, kind="stable")[:_MAX_COMPARED]
    all_fits = _fits_of_all_masks([features[names[number]] for number in compared], list(features.values()))
    found = {}
    for number, fits in zip(compared, all_fits, strict=True):
        here, fits[number] = fits[number], -1
        third, best = np.argsort(fits)[-2:]
        limit = fits[best] / _MIN_RATIO_TO_OWN
        is_clear = fits[best] > max(_MIN_OTHER_FIT, _MIN_RATIO_TO_THIRD * fits[third])
        if is_clear and max(here, own[number], own[best], _thumbnail_fit(features[names[best]])) < limit:
            found[names[number]] = names[best]
    return found if len(found) > 1 else {}


def _thumbnail_fit(case: CaseFeatures) -> float:
    return float(_fits_of_all_masks([case], [case])[0, 0])


def _fits_of_all_masks(images: Sequence[CaseFeatures], masks: Sequence[CaseFeatures]) -> np.ndarray:
    """The fit of each mask to each image, from thumbnails: (images, masks); -1 for small masks."""
    fits = np.empty((len(images), len(masks)))
    for start in range(0, len(masks), _BLOCK):
        sides = _sides([each.thumbnail_mask for each in masks[start : start + _BLOCK]])
        for row, image in enumerate(images):
            fits[row, start : start + _BLOCK] = _fits(image.thumbnail_ranks, sides)
    return fits


def _sides(masks: list[np.ndarray]) -> np.ndarray:
    """The band of each mask outside and inside its outline, float32 (pixels, 2 * masks): first all of the outside."""
    within = [mask_fit.grown(~mask, 2) & mask for mask in masks]
    beyond = [mask_fit.grown(mask, 2) & ~mask for mask in masks]
    return np.stack([each.ravel() for each in beyond + within], axis=1).astype(np.float32)


def _fits(ranks: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The fit of masks to one image, (masks,); -1 for small masks. A matrix product counts the pixels."""
    is_rank = (ranks.ravel() == np.arange(mask_fit.RANKS)[:, None]).astype(np.float32)
    counts = (is_rank @ sides).astype(np.float64)
    fits = mask_fit.fits_from_counts(*np.split(counts, 2, axis=1))
    return np.where(counts.sum(axis=0).reshape(2, -1).sum(axis=0) < _MIN_BAND_PX, -1, np.nan_to_num(fits, nan=-1))
