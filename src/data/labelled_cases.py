"""Converts all pairs of a dataset into checked cases: what step 1 and the external test sets have in common."""

import dataclasses
import pathlib
from collections.abc import Mapping

import joblib
import pandas as pd

import progress
import storage
import worker_pool
from data import (
    checks,
    conversion,
    file_names,
    grouping,
    image_mask_pairs,
    input_files,
    intensities,
    mask_labels,
    preloaded_dataset,
)
from data.image_mask_pairs import KINDS, Pair
from settings import Settings

# The columns of `left out.csv`.
_EXCLUDED = ["case", "image_file", "reason"]


@dataclasses.dataclass(frozen=True)
class LabelledCases:
    """All cases of a dataset.

    rows: cases.csv, with split "train" everywhere.
    volumes: the name of each row's file, which the slices of a volume share.
    excluded: `left out.csv`.
    features: of each case, for the data checks.
    grids: of the images that have cases.
    warnings: one line each.
    empty_slices: the number of slices that were skipped because their mask is empty.
    """

    rows: pd.DataFrame
    volumes: list[str]
    excluded: pd.DataFrame
    features: Mapping[str, checks.CaseFeatures]
    grids: list[preloaded_dataset.ImageGrid]
    warnings: list[str]
    empty_slices: int


def convert(found: image_mask_pairs.PairsFound, folder: pathlib.Path, options: Settings) -> LabelledCases:
    """Writes the images and masks of all pairs into `folder`/images and `folder`/masks. DatasetError lists all faults.

    An image that is not IMAGE_SIZE x IMAGE_SIZE is excluded, unless FIT_IMAGES is set.
    """
    groups, rule_faults = grouping.groups(found.pairs, options)
    if rule_faults:  # Reading takes minutes; these faults are known from the names.
        raise_faults(found.faults + rule_faults)
    outcomes = _convert_all(found.pairs, folder, options)
    converted = list(zip(found.pairs, outcomes, strict=True))
    if options.GROUP_CASES_BY is None:
        groups = grouping.by_patient({pair.case: outcome.patient for pair, outcome in converted})
    rows = pd.DataFrame([row | {"group": groups[pair.case]} for pair, outcome in converted for row in outcome.rows])
    excluded = pd.DataFrame([row for outcome in outcomes for row in outcome.excluded], columns=_EXCLUDED)
    faults = found.faults + [fault for outcome in outcomes for fault in outcome.faults]
    raise_faults(faults + _label_faults(converted, options) + _repeated_names(converted) + _duplicates(rows))
    raise_faults(_no_cases(rows, excluded))
    return LabelledCases(
        rows=rows,
        volumes=[pair.case for pair, outcome in converted for _ in outcome.rows],
        excluded=excluded,
        features={case: each for outcome in outcomes for case, each in outcome.features.items()},
        grids=[outcome.grid for outcome in outcomes if outcome.grid],
        warnings=input_files.grouped(warning for outcome in outcomes for warning in outcome.warnings),
        empty_slices=sum(outcome.empty_slices for outcome in outcomes),
    )


def check(
    cases: LabelledCases, folder: pathlib.Path, data: pathlib.Path, options: Settings
) -> dict[checks.Finding, bytes]:
    """Writes what the data checks find into `folder`; returns the findings, each with its picture, a JPEG file.

    `data`: the folder that `convert` wrote into. DatasetError for what is certainly wrong.
    """
    groups = dict(zip(cases.rows["case"], cases.rows["group"], strict=True))
    window = intensities.window(options, intensities.are_in_hu(cases.rows))
    grouped = len(set(groups.values())) < len(groups)
    nearest = checks.nearest(cases.features)
    findings = checks.findings(cases.features, groups if grouped else None, window, nearest)
    raise_faults([finding.message for finding in findings if finding.certain])
    return checks.write(folder, data, cases.features, findings, nearest)


def raise_faults(faults: list[str]) -> None:
    """DatasetError if there are faults; equal ones are listed once."""
    if faults:
        raise storage.DatasetError(input_files.grouped(faults))


def _convert_all(pairs: list[Pair], folder: pathlib.Path, options: Settings) -> list[conversion.Outcome]:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    jobs = (joblib.delayed(conversion.convert)(pair, folder, options) for pair in pairs)
    with worker_pool.outcomes(jobs) as outcomes:
        return list(progress.Bar(outcomes, total=len(pairs), desc="Reading", unit=" pairs"))


def _label_faults(converted: list[tuple[Pair, conversion.Outcome]], options: Settings) -> list[str]:
    labels = {conversion.source(pair.mask): outcome.labels for pair, outcome in converted}
    matched = {label for _, outcome in converted for label in outcome.matched}
    return mask_labels.faults(labels, options.wanted_labels, matched)


def _repeated_names(converted: list[tuple[Pair, conversion.Outcome]]) -> list[str]:
    """A fault for each slice of a volume that has the name of another case. Names of files were compared before."""
    first: dict[str, tuple[Pair, str]] = {}
    faults = []
    for pair, outcome in converted:
        for row in outcome.rows:
            other, name = first.setdefault(file_names.comparable(row["case"]), (pair, row["case"]))
            if other is not pair and (pair.case, other.case) != (row["case"], name):
                clash = f"its case name, {row['case']}, is also that of {conversion.source(other.image)}"
                faults.append(f"{conversion.source(pair.image)}: {clash}. Rename one of them.")
    return faults


def _duplicates(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return []
    names = image_names(rows)
    first = names.groupby(rows["image_sha256"]).transform("first")
    return [
        f"{copy}: the same image as {first[index]}. Remove one of the two."
        for index, copy in names[first != names].items()
    ]


def image_names(rows: pd.DataFrame) -> pd.Series:
    """The image file of each case; for slices of a volume, which share it, with the case's name."""
    shared = rows["image_file"].duplicated(keep=False)
    return rows["image_file"].where(~shared, rows["image_file"] + " (" + rows["case"] + ")")


def _no_cases(rows: pd.DataFrame, excluded: pd.DataFrame) -> list[str]:
    if len(rows):
        return []
    if excluded.empty:
        return ["All masks are empty: there is nothing to learn. Check the export of the masks."]
    first = excluded.iloc[0]
    example = f"{first.image_file}: {first.reason}"
    fix = "Set FIT_IMAGES = True in config.py, resize them, or train with another IMAGE_SIZE."
    return [f"All {len(excluded)} images have another size: {example}. {fix}"]
