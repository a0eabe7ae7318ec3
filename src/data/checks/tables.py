"""The table and the selection of cases that present the findings."""

from collections.abc import Mapping, Sequence

import pandas as pd

from data.checks import copies
from data.checks.features import CaseFeatures
from data.checks.finding import Finding
from data.checks.orientations import ORIENTATIONS

# The number of cases of a finding that have a picture.
MAX_PICTURED = 3


def table(features: Mapping[str, CaseFeatures], findings: Sequence[Finding], nearest: copies.Nearest) -> pd.DataFrame:
    """The rows of checks.csv, one per case: the values that were checked, and the names of its findings."""
    names: dict[str, list[str]] = {case: [] for case in features}
    for finding in findings:
        for case in finding.cases:
            names[case] += [finding.check] if finding.check not in names[case] else []
    rows = [_row(case, each, nearest.get(case, ("", float("nan")))) for case, each in features.items()]
    return pd.DataFrame(rows).assign(findings=["; ".join(names[case]) for case in features])


def _row(case: str, features: CaseFeatures, nearest: tuple[str, float]) -> dict[str, object]:
    best = "" if not features.fits.max() > 0 else list(ORIENTATIONS)[int(features.fits.argmax())]
    return {
        "case": case,
        "mask_px": features.mask_px,
        "mask_fit": round(float(features.fits[0]), 4),
        "best_orientation": best,
        "best_orientation_fit": round(float(features.fits.max()), 4),
        "median_within_mask": features.median_within_mask,
        "outline_share": round(features.outline_share, 4),
        "outline_share_nearby": round(features.outline_share_nearby, 4),
        "outside_share": round(features.outside_share, 4),
        "window_visibility": round(features.window_visibility, 4),
        "nearest_image": nearest[0],
        "nearest_correlation": round(nearest[1], 5),
    }


def worst(findings: Sequence[Finding], count: int = MAX_PICTURED) -> list[tuple[Finding, tuple[str, ...]]]:
    """Each finding with the cases to show as pictures: its first `count` cases, the most striking ones."""
    return [(finding, finding.cases[:count]) for finding in findings]
