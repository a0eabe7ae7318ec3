"""Locks on folders: one program writes, or several read."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import IO

import portalocker

from storage.errors import InUse

_POLL_SECONDS = 0.1
# A reader that ends holds an exclusive lock for the moment in which it deletes the file.
_RELEASE_SECONDS = 0.5

# The folders on which this program holds an exclusive lock.
_owned: set[pathlib.Path] = set()


@contextlib.contextmanager
def locked(folder: pathlib.Path, shared: bool = False, wait_seconds: float = 0.0) -> Iterator[None]:
    """Holds a lock on `folder` while the block runs: an exclusive one for a program that writes, a `shared` one for one that reads.

    Raises InUse where another program holds a lock that excludes this one, after `wait_seconds`. The lock of a killed program is released
    by the system. The lock is a file beside the folder, or in it where the folder is a mount point; it is deleted after use, except on Windows. Where the
    file system has no locks (some network disks), and where a reader may not create the file, the block runs without a lock. Within a block
    that holds the exclusive lock, the same program may ask for it again.
    """
    if folder in _owned:
        yield
        return
    wait_seconds = max(wait_seconds, _RELEASE_SECONDS if shared else 0.0)
    held = _acquire(folder, shared, time.monotonic() + wait_seconds)
    owned = set() if shared else {folder}
    _owned.update(owned)
    try:
        yield
    finally:
        _owned.difference_update(owned)
        if held is not None:
            _release(held)


def _acquire(folder: pathlib.Path, shared: bool, deadline: float) -> IO | None:
    file = folder / ".lock" if os.path.ismount(folder) else beside(folder, "lock")
    flags = (portalocker.LOCK_SH if shared else portalocker.LOCK_EX) | portalocker.LOCK_NB
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            held = file.open("a+")
        except OSError:
            if shared:
                return None
            raise
        try:
            portalocker.lock(held, flags)
        except portalocker.AlreadyLocked as error:
            held.close()
            if time.monotonic() >= deadline:
                raise InUse(_in_use(folder, shared)) from error
            time.sleep(_POLL_SECONDS)
        except portalocker.LockException:
            held.close()
            return None  # This file system has no locks.
        else:
            if _is_current(held, file):
                return held
            held.close()  # Its last holder deleted it between our opening and locking it.


def _is_current(held: IO, file: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _release(held: IO) -> None:
    with contextlib.suppress(
        portalocker.LockException, OSError
    ):  # Other readers hold it; Windows deletes no open file.
        portalocker.lock(held, portalocker.LOCK_EX | portalocker.LOCK_NB)
        os.unlink(held.name)
    held.close()


def _in_use(folder: pathlib.Path, shared: bool) -> str:
    what = "changes" if shared else "works in"
    return (
        f"Another program {what} '{folder.name}' ({folder}). Wait until it ends, or stop it. "
        "To run two at once, give one of them a copy of the project's folder."
    )


def beside(target: pathlib.Path, role: str) -> pathlib.Path:
    """A hidden path beside `target`, and so on the same disk, for its lock, its draft or its former state."""
    return target.with_name(f".{target.name}.{role}")
