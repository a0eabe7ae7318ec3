"""The labels in the masks of a dataset: one structure, or those that MASK_LABELS selects."""

from collections.abc import Collection, Mapping

# A mask of 0 and 1 may stand beside one of 0 and 255.
_FULL = {"1", "255"}
_MAX_LISTED = 10


def are_binary(found: Mapping[str, Collection[str]]) -> bool:
    """Whether the masks hold nothing but 1, or nothing but 255. `found`: the labels in each mask file."""
    return set().union(*found.values()) <= _FULL and all(len(labels) < 2 for labels in found.values())


def faults(
    found: Mapping[str, Collection[str]], wanted: tuple[int | str, ...] | None, matched: Collection[int | str]
) -> list[str]:
    """A message if masks hold several labels and none are `wanted`, or if a wanted label is in no mask.

    `found`: the labels in each mask file. `matched`: the wanted labels that any file has.
    """
    files: dict[str, list[str]] = {}
    for file, labels in found.items():
        for label in labels:
            files.setdefault(label, []).append(file)
    if wanted is None:
        return [_several(files)] if len(files) > 1 and not are_binary(found) else []
    missing = [str(label) for label in wanted if label not in matched]
    if not missing or not files:
        return []
    return [f"MASK_LABELS: no mask holds {', '.join(missing)}. Found: {_listed(files)}. Change it in config.py."]


def _several(files: Mapping[str, list[str]]) -> str:
    if all(label.isdigit() or not _is_number(label) for label in files):
        example = min(files, key=_order)
        shown = example if example.isdigit() else f'"{example}"'
        fix = f"Set MASK_LABELS in config.py to those of the structure, such as MASK_LABELS = {shown}."
    else:
        fix = "Export the masks as 1 inside and 0 outside, without interpolation."
    return f"Masks hold several labels: {_listed(files)}. {fix}"


def _listed(files: Mapping[str, list[str]]) -> str:
    labels = sorted(files, key=_order)
    texts = [f"{label} ({_counted(files[label])})" for label in labels[:_MAX_LISTED]]
    more = [f"and {len(labels) - _MAX_LISTED} more"] if len(labels) > _MAX_LISTED else []
    return ", ".join(texts + more)


def _counted(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{len(files)} masks, such as {files[0]}"


def _order(label: str) -> tuple[bool, float, str]:
    return (not _is_number(label), float(label) if _is_number(label) else 0.0, label)


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True
