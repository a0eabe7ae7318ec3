"""Locks on folders: one program writes, or several programs read."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import IO

from storage.errors import InUse

# A finished training needs a moment to move its model to its folder, and waits as long for those who read the former.
MODEL_WAIT_SECONDS = 60.0

_POLL_SECONDS = 0.1
# A reader that ends holds an exclusive lock for the moment in which it deletes the lock file.
_RELEASE_SECONDS = 0.5

# The folders on which this program holds an exclusive lock.
_owned: set[pathlib.Path] = set()


@contextlib.contextmanager
def locked(folder: pathlib.Path, shared: bool = False, wait_seconds: float = 0.0) -> Iterator[None]:
    """Holds a lock on `folder` while the block runs: exclusive for a program that writes, `shared` for one that reads.

    InUse if another program holds a conflicting lock, after `wait_seconds`. The system releases the lock of a killed
    program. The lock file lies beside the folder, or inside a mount point; it is deleted after use, except on Windows.
    Without a lock the block runs where the file system has none (some network disks) and where a reader may not create
    the file. A program may acquire a lock again inside the block of its exclusive one.
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
    import portalocker  # Here, so that main.py can report a Python without packages.

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
            return None  # This file system does not support locks.
        else:
            if _is_current(held, file):
                return held
            held.close()  # The last holder deleted the file after it was opened here and before it was locked.


def _is_current(held: IO, file: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _release(held: IO) -> None:
    import portalocker

    # Other readers may hold it, and Windows can't delete an open file.
    with contextlib.suppress(portalocker.LockException, OSError):
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
    """A hidden path beside `target`, on the same disk: for its lock, its draft or its previous version."""
    return target.with_name(f".{target.name}.{role}")
