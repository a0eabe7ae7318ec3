"""Groups cases by the setting GROUP_CASES_BY, such as by patient; a group is never split."""

import re
from collections.abc import Mapping

from data import input_files, splitting
from data.image_mask_pairs import Pair
from settings import Settings


def groups(pairs: list[Pair], options: Settings) -> tuple[dict[str, str], list[str]]:
    """The group of each case by GROUP_CASES_BY, and the faults of that setting."""
    rule = options.GROUP_CASES_BY
    if rule in (None, "case"):
        return {pair.case: pair.case for pair in pairs}, []
    if rule == "subdirectory":
        groups = {pair.case: pair.image.parts[-3] for pair in pairs}
    else:
        groups = {pair.case: _matched(re.search(rule, pair.case)) for pair in pairs}
    if missed := [case for case, group in groups.items() if not group]:
        return groups, [_rule_fault(rule, missed, len(groups))]
    return groups, []


def by_patient(patients: Mapping[str, str | None]) -> dict[str, str]:
    """The group of each file by its patient: "patient 1", "patient 2" ..., or its own name where that is unknown.

    No identifier is stored: even its hash can be guessed back.
    """
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(filter(None, patients.values())), 1)}
    return {case: f"patient {numbers[patient]}" if patient else case for case, patient in patients.items()}


def _matched(match: re.Match[str] | None) -> str:
    # Of several capturing groups, such as those of "(this)|(that)", the first that matched.
    return next(filter(None, match.groups() or [match.group()]), "") if match else ""


def _rule_fault(rule: str, missed: list[str], cases: int) -> str:
    examples = ", ".join(missed[: input_files.MAX_LISTED])
    more = f" and {len(missed) - input_files.MAX_LISTED} more" if len(missed) > input_files.MAX_LISTED else ""
    ignoring_case = sum(bool(_matched(re.search(rule, case, re.IGNORECASE))) for case in missed)
    hint = f" {ignoring_case} of these match if it begins with (?i), which ignores upper and lower case."
    fix = "Change it in config.py." + (hint if ignoring_case else "")
    return f"GROUP_CASES_BY = r'{rule}' finds nothing in {len(missed)} of {cases} case names: {examples}{more}. {fix}"


def split_faults(groups: list[str], options: Settings, files: int = 1) -> list[str]:
    """A message if no train and test set can be made of cases in these `groups`, which come from so many `files`."""
    if files > 1 and set(groups) == {"patient 1"}:
        fix = 'If they are of several patients, set GROUP_CASES_BY to "subdirectory", a regular expression, or "case".'
        return [f"All {len(groups)} cases have the same patient in their DICOM headers. {fix}"]
    try:
        splitting.split(groups, options.TEST_SHARE, options.SEED)
    except ValueError as error:
        fix = "Add data, or change GROUP_CASES_BY or IMAGE_SIZE in config.py."
        return [f"No train and test set can be made: {error}. {fix}"]
    return []
