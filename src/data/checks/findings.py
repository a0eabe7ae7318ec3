"""Findings about all cases of a data set, from their features."""

from collections.abc import Iterator, Mapping

import numpy as np

from data.checks import copies
from data.checks.features import CaseFeatures
from data.checks.finding import Finding, examples
from data.checks.geometry import geometry

# A burned-in outline: the same value on or beside nearly all of the outline, and rare a few pixels from it.
_MIN_OUTLINE_SHARE, _MAX_NEARBY_SHARE = 0.95, 0.1
# An image that was cut by its mask: the same value outside, but for few pixels of lossy compression.
_MIN_OUTSIDE_SHARE = 0.999
# The offset of CT values that were stored without their rescale intercept, -1024 or -1000 HU.
_INTERCEPT_GAP_HU = (800, 1300)
# The whole image must be higher then, not only the values within the mask, which may lie elsewhere.
_MIN_IMAGE_GAP_HU = 500
_MIN_VISIBILITY = 0.2


def findings(
    features: Mapping[str, CaseFeatures],
    groups: Mapping[str, str] | None = None,
    clip_hu: tuple[float, float] | None = None,
    nearest: copies.Nearest | None = None,
) -> list[Finding]:
    """All findings, certain ones first.

    `features`: of each case, in the order of the cases. `groups`: the group of each case; None if they are not grouped.
    `clip_hu`: the window that was given to `describe`; None if the images are not CT. `nearest`: what the function of
    this name returned; None computes it.
    """
    if not features:
        return []
    nearest = copies.nearest(features) if nearest is None else nearest
    found = [*_single_cases(features), *copies.same_masks(features)]
    # The masks of these cases have no fit worth comparing.
    wrong = {case for finding in found if finding.certain for case in finding.cases}
    usable = {case: each for case, each in features.items() if case not in wrong}
    found += [*copies.copies(features, groups), *geometry(usable), *copies.neighbours(features, groups, nearest)]
    if clip_hu is not None:
        found += [*_missing_intercept(usable), *_hiding_window(usable, clip_hu)]
    return sorted(found, key=lambda finding: not finding.certain)


def _single_cases(features: Mapping[str, CaseFeatures]) -> Iterator[Finding]:
    """What is certain from a single case."""
    tests = {
        "constant image": (
            lambda each: each.is_constant,
            "have the same value in all pixels of the image. Export these images again.",
        ),
        "image is its mask": (
            lambda each: each.is_mask,
            "have their mask as image, with other values. Put the image there instead.",
        ),
        "outline burned in": (
            _has_burned_in_outline,
            "have the outline of the mask drawn into the image. "
            "Export the image without annotations: otherwise the network learns to find the line.",
        ),
        "image cut by its mask": (
            lambda each: each.outside_share >= _MIN_OUTSIDE_SHARE and not (each.is_mask or each.is_constant),
            "have the same value everywhere outside the mask. Export the whole image, not the segmented part.",
        ),
    }
    for check, (test, text) in tests.items():
        if cases := tuple(case for case, each in features.items() if test(each)):
            yield Finding(check, cases, True, f"{examples(cases, len(features))} {text}")


def _has_burned_in_outline(features: CaseFeatures) -> bool:
    is_drawn = features.outline_share >= _MIN_OUTLINE_SHARE and features.outline_share_nearby <= _MAX_NEARBY_SHARE
    return is_drawn and not (features.is_mask or features.is_constant)


def _missing_intercept(features: Mapping[str, CaseFeatures]) -> Iterator[Finding]:
    """Whether the medians within the masks form two clusters that lie an intercept apart. Full masks have no within."""
    medians = {case: each.median_within_mask for case, each in features.items() if each.mask_hash}
    ordered = sorted(medians, key=lambda case: -medians[case])
    gaps = -np.diff([medians[case] for case in ordered])
    if len(ordered) < 4 or not _INTERCEPT_GAP_HU[0] <= gaps.max() <= _INTERCEPT_GAP_HU[1]:
        return
    low = np.array([features[case].low_quantile for case in ordered])
    count = int(gaps.argmax()) + 1
    if np.median(low[:count]) - np.median(low[count:]) < _MIN_IMAGE_GAP_HU:
        return
    cases = tuple(ordered[:count])
    problem = f"The intensities within the masks of {examples(cases, len(features))} are {gaps.max():.0f} higher"
    fix = "Their rescale intercept may be missing: add it (often -1024), so that all values are Hounsfield units."
    yield Finding("missing intercept", cases, False, f"{problem} than those of the other cases. {fix}")


def _hiding_window(features: Mapping[str, CaseFeatures], clip_hu: tuple[float, float]) -> Iterator[Finding]:
    visible = {case: each.window_visibility for case, each in features.items()}
    measured = [case for case in visible if np.isfinite(visible[case])]
    cases = tuple(sorted((case for case in measured if visible[case] < _MIN_VISIBILITY), key=visible.__getitem__))
    if cases and len(cases) > 0.5 * len(measured):
        problem = f"The window clip_hu = {clip_hu} hides the outline of the masks in {examples(cases, len(features))}."
        fix = (
            'Set HYPERPARAMETERS = {"clip_hu": ...} in config.py to the window of the structure, or to None if not CT.'
        )
        yield Finding("window hides the outline", cases, False, f"{problem} {fix}")
