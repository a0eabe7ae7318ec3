"""Atomic writes: a result is a draft that is synchronized to the disk and then renamed.

The draft lies beside the result's folder. A mount point (a container's volume, a mounted disk) can't be renamed: there
the draft lies inside, and its entries are moved one by one; `recover` completes this after a crash.
"""

import concurrent.futures
import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator

from storage.errors import InUse, UserError
from storage.locks import beside, locked

# Inside a mount point: a complete draft is staged; its entries are placed when the previous ones are moved away.
_DRAFT, _STAGED, _PLACING, _FORMER = ".draft", ".staged", ".placing", ".former"
_NOT_CONTENT = {_DRAFT, _STAGED, _PLACING, _FORMER, ".lock", "lost+found"}
_SYNC_THREADS = 8


@contextlib.contextmanager
def atomic_folder(target: pathlib.Path, wait_seconds: float = 0.0) -> Iterator[pathlib.Path]:
    """Yields an empty draft folder, which replaces the folder `target` when the block ends without an error.

    Holds an exclusive lock on `target`: InUse if another program holds one, after `wait_seconds`. If the block raises,
    `target` stays unchanged and the draft is deleted; after a crash the next call, or the next `require`, cleans up.
    Follows a symbolic link. OSError or UserError, before the block runs, if `target` can't be replaced.
    """
    target = follow(target)
    with locked(target, wait_seconds=wait_seconds):
        recover(target)
        inside = _must_stay(target)
        if inside:
            shutil.rmtree(target / _FORMER, ignore_errors=True)  # Left by a kill after the exchange was complete.
        draft = target / _DRAFT if inside else beside(target, "draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            _synchronize(draft)
            _exchange_contents(target) if inside else _exchange(target, draft)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def atomic_write(file: pathlib.Path, content: str | bytes) -> None:
    """Writes a file atomically: no reader and no crash leaves a part of it."""
    draft = beside(file, "draft")
    try:
        with draft.open("wb") as opened:
            opened.write(content if isinstance(content, bytes) else content.encode())
            opened.flush()
            _fsync(opened.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _synchronize_folder(file.parent)


def follow(path: pathlib.Path) -> pathlib.Path:
    """The target of a symbolic link, else `path` itself. UserError if the target can't be reached."""
    if not path.is_symlink():
        return path
    real = pathlib.Path(os.path.realpath(path))
    if real.is_symlink() or not real.parent.is_dir():
        destination = os.readlink(path)
        raise UserError(
            f"{path}: a symbolic link to {destination}, which can't be reached. Connect that disk, or correct the link."
        )
    return real


def recover(target: pathlib.Path) -> None:
    """Completes or undoes a replacement of `target` that a crash interrupted, and deletes its remains."""
    former = beside(target, "former")
    if former.exists() and not target.exists():
        with locked(
            target, wait_seconds=_RECOVERY_WAIT_SECONDS
        ):  # Without the lock, a running program may be at this point.
            if former.exists() and not target.exists():
                former.rename(target)
    if former.exists():
        # It may be the only copy: of a program that is between its two renames and holds the lock.
        with contextlib.suppress(InUse), locked(target):
            if target.exists():
                shutil.rmtree(former, ignore_errors=True)
    if _is_half_placed(target):
        with locked(target, wait_seconds=_RECOVERY_WAIT_SECONDS):
            if _is_half_placed(target):
                _place(target)


def check_replaceable(target: pathlib.Path) -> None:
    """OSError or UserError if `atomic_folder` can't replace `target`: for a step that works for hours before it writes.

    A lock of another program is not an error: it will be released.
    """
    target = follow(target)
    with contextlib.suppress(InUse), locked(target):
        _must_stay(target)


def remove(folder: pathlib.Path) -> None:
    """Deletes a folder if it exists; only its contents if it is a mount point."""
    if not _must_stay(folder):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return
    for entry in content(folder):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def content(folder: pathlib.Path) -> list[pathlib.Path]:
    """The entries of a folder, without those of this module and of the file system of a mounted disk."""
    return [entry for entry in folder.iterdir() if entry.name not in _NOT_CONTENT]


def move(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder; if it is a mount point, moves its contents into the new folder `target`."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in _CAN_NOT_BE_RENAMED:
            raise
        target.mkdir()
        for entry in content(folder):
            shutil.move(entry, target / entry.name)


_RECOVERY_WAIT_SECONDS = 10.0

# The errors of renaming a mount point, or a folder of a container's image.
_CAN_NOT_BE_RENAMED = (errno.EBUSY, errno.EXDEV)


def _must_stay(target: pathlib.Path) -> bool:
    """Whether `target` exists and can't be renamed. It tries: a bind mount on the same disk has no other sign."""
    if not target.exists():
        return False
    if not target.is_dir():
        raise UserError(f"{target}: a file, where the results' folder must be. Move or rename it.")
    if os.path.ismount(target):
        return True
    former = beside(target, "former")
    try:
        target.rename(former)
    except OSError as error:
        if error.errno in _CAN_NOT_BE_RENAMED:
            return True
        raise
    former.rename(target)
    return False


def _exchange(target: pathlib.Path, draft: pathlib.Path) -> None:
    # The previous result is moved aside before it is deleted: a crash between these lines loses nothing.
    former = beside(target, "former")
    if target.exists():
        target.rename(former)
    try:
        draft.rename(target)
    except BaseException:
        if former.exists() and not target.exists():
            former.rename(target)
        raise
    _synchronize_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


def _exchange_contents(target: pathlib.Path) -> None:
    (target / _DRAFT).rename(target / _STAGED)
    try:
        _place(target)
    except BaseException:
        _undo(target)
        raise


def _is_half_placed(target: pathlib.Path) -> bool:
    return (target / _STAGED).exists() or (target / _PLACING).exists()


def _place(target: pathlib.Path) -> None:
    staged, placing, former = target / _STAGED, target / _PLACING, target / _FORMER
    if staged.exists():
        former.mkdir(exist_ok=True)
        for entry in content(target):
            entry.rename(former / entry.name)
        staged.rename(placing)
    for entry in list(placing.iterdir()):
        entry.rename(target / entry.name)
    placing.rmdir()
    _synchronize_folder(target)
    shutil.rmtree(former, ignore_errors=True)


def _undo(target: pathlib.Path) -> None:
    # Only before the first new entry is placed. Later, and after a kill in this loop, `recover` completes the exchange.
    if (target / _STAGED).exists():
        for entry in list((target / _FORMER).iterdir()) if (target / _FORMER).exists() else []:
            entry.rename(target / entry.name)
        (target / _STAGED).rename(target / _DRAFT)


def _synchronize(folder: pathlib.Path) -> None:
    # A rename may reach the disk before the content: after a power failure the files would be empty.
    paths = [folder, *folder.rglob("*")]
    with concurrent.futures.ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(_synchronize_file, [path for path in paths if path.is_file()]))
        list(pool.map(_synchronize_folder, [path for path in paths if path.is_dir()]))


def _synchronize_file(file: pathlib.Path) -> None:
    descriptor = os.open(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _synchronize_folder(folder: pathlib.Path) -> None:
    if os.name != "nt":  # Windows can't open folders.
        _synchronize_file(folder)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # Some file systems do not support it.
            raise
