"""Work that grows in place and can be resumed after an interruption: a training, a search, a cross-validation."""

import contextlib
import datetime
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import settings
import storage


class ResumeMismatch(storage.UserError):
    """A folder that grows in place was started with other settings or data."""


@contextlib.contextmanager
def exclusive_lock(folder: pathlib.Path, writes: bool = True) -> Iterator[None]:
    """Keeps other programs out of the folder while the block runs (`storage.locked`).

    Without effect for a worker that only reads what its chief writes (`writes` False).
    """
    with storage.locked(folder) if writes else contextlib.nullcontext():
        yield


def start_or_resume(folder: pathlib.Path, facts: dict[str, Any], restart: bool = False) -> str:
    """Creates the folder of resumable work, or checks that it was started with the same `facts` (in facts.json).

    If it was started with others: ResumeMismatch with the differences; or, if `restart`, the folder is renamed after
    the time, and new work starts. Returns the new name of the previous folder, or "".
    """
    if set("*?[") & set(str(folder)):
        raise storage.UserError(
            f"{folder}: TensorFlow takes * ? and [ in a path for a pattern, and would not find its files. "
            "Rename the folder."
        )
    file = folder / "facts.json"
    wanted = json.loads(json.dumps(facts))
    former = storage.read_json(file, _FIX.format(folder.name)) if file.exists() else None
    renamed = ""
    if former not in (None, wanted) and restart:
        renamed = f"{folder.name} until {datetime.datetime.now():%Y-%m-%d %H.%M.%S}"
        storage.move(folder, folder.with_name(renamed))
        former = None
    if former is None and folder.is_dir() and any(not entry.name.startswith(".") for entry in storage.content(folder)):
        raise ResumeMismatch(
            f"'{folder.name}' ({folder}) has files, but no facts.json that describes them. "
            "Move or delete that folder to start again."
        )
    if former is None:
        with storage.atomic_folder(folder) as draft:
            (draft / file.name).write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    elif former != wanted:
        raise _mismatch(folder, former, wanted)
    return renamed


def join(folder: pathlib.Path, facts: dict[str, Any]) -> None:
    """Checks, for a worker, that the chief has started the work in `folder` with the same `facts`. Writes nothing.

    ResumeMismatch if it was started with others; UserError if no facts.json appears within a minute.
    """
    wanted, deadline = json.loads(json.dumps(facts)), time.monotonic() + _VISIBLE_SECONDS
    while (current := read_facts(folder)) != wanted:
        if time.monotonic() > deadline:  # Until then it may be an earlier state of the folder.
            raise _mismatch(folder, current, wanted)
        time.sleep(_POLL_SECONDS)


def read_facts(folder: pathlib.Path) -> dict[str, Any]:
    """The facts of the work that the chief has started. UserError if no facts.json appears within a minute."""
    file, deadline = folder / "facts.json", time.monotonic() + _VISIBLE_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise storage.UserError(
                f"{file}: missing, though the chief has written it. All workers must share this folder."
            )
        time.sleep(_POLL_SECONDS)
    return storage.read_json(file, _FIX.format(folder.name))


# Network file systems show changes of another machine after up to a minute (NFS: acdirmax).
_VISIBLE_SECONDS, _POLL_SECONDS = 70.0, 0.5
_FIX = "Move or delete the folder '{}' to start again."


def _mismatch(folder: pathlib.Path, former: dict[str, Any], wanted: dict[str, Any]) -> ResumeMismatch:
    fix = "Change that back"
    if former.get("packages") != wanted.get("packages"):
        fix += " (with the Python environment in which it was started)"
    return ResumeMismatch(
        f"'{folder.name}' ({folder}) was started with different settings or data: {_differences(former, wanted)}. "
        f"{fix} to resume, or move or delete the folder to start again."
    )


def _differences(former: dict[str, Any], wanted: dict[str, Any], within: str = "") -> str:
    texts = []
    for name in sorted(former.keys() | wanted.keys()):
        before, now, setting = (
            former.get(name),
            wanted.get(name),
            f'{within}["{name}"]' if within else _SETTINGS.get(name, name),
        )
        if name == "packages" and before != now:
            texts.append(f"the installed packages (was {_listed(before, now)}, is {_listed(now, before)})")
        elif isinstance(before, dict) and isinstance(now, dict):
            texts += [_differences(before, now, setting)] if before != now else []
        elif before != now:
            texts.append(_difference(name, setting, before, now))
    return ", ".join(dict.fromkeys(texts))


def _listed(packages: dict[str, str] | None, others: dict[str, str] | None) -> str:
    """The packages that are not the same in `others`."""
    texts = [f"{name} {version}" for name, version in (packages or {}).items() if version != (others or {}).get(name)]
    return " and ".join(texts) or ("without these" if packages else "unknown")


def _difference(name: str, setting: str, before: Any, now: Any) -> str:
    if isinstance(before, list) and len(str(before)) > 100:
        return "the data set"
    if name == "precision":
        return f"precision: {before}, now {now} (set {setting} = {before != 'float32'})"
    return f"{setting} (was {before}, is {now})"


# The setting of each fact.
_SETTINGS = {settings.fact_name(name): name for name in settings.DECLARATIONS} | {
    "precision": "MIXED_PRECISION",
    "search space": "EXPLORATION_SEARCH_SPACE",
}
