"""Errors whose text is written for users, and plain messages for errors of the operating system."""

import errno
import os


class UserError(Exception):
    """An error that the user can correct. main.py prints its text without a traceback."""


class DatasetError(UserError):
    """Faults in the user's files. The text has one line per fault: file, problem, fix."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple:
        # Pickling on the way from another process uses the arguments, not the text.
        return type(self), (self.faults,)


class MissingResult(UserError):
    """A step was started before the step whose result it reads."""


class DamagedFile(UserError):
    """A file of this project was damaged or edited. The text names file, fault, and what to delete or repeat."""


class InUse(UserError):
    """Another program writes to a folder, or reads a result that would be replaced."""


class DiskFull(UserError):
    """A disk, or the user's quota on it, is full."""

    def __init__(self, text: str = "") -> None:
        fix = "Free some space and run the step again; finished work is kept."
        super().__init__(text or f"The disk is full, or your quota is exhausted. {fix}")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of Python or TensorFlow means that a disk, or the user's quota on it, is full."""
    texts = ("no space left", "quota exceeded")
    return getattr(error, "errno", None) in _FULL or any(text in str(error).lower() for text in texts)


def describe(error: BaseException) -> str | None:
    """A plain message for an error of the operating system, or of TensorFlow about a file; None for other errors."""
    if is_disk_full(error):
        place = getattr(error, "filename", None)
        return f"{place}: {DiskFull()}" if place else str(DiskFull())
    if isinstance(error, MemoryError):
        fix = "Close other programs, or use smaller images or batches."
        return f"The memory of this machine is too small for this step ({error}). {fix}"
    if isinstance(error, OSError) and error.filename is not None and error.errno in _FIXES:
        number = errno.EBUSY if getattr(error, "winerror", None) in _SHARING_VIOLATIONS else error.errno
        return f"{os.fsdecode(error.filename)}: {error.strerror}. {_FIXES[number]}"
    if type(error).__module__.startswith("tensorflow") and type(error).__name__ in _TENSORFLOW:
        return f"{first_line(error)}. {_TENSORFLOW[type(error).__name__]}"
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT)
# Windows' numbers for a file that another program has open; Python maps both to EACCES.
_SHARING_VIOLATIONS = (32, 33)

_RIGHTS = "Check that your account may read and write there."
_ELSEWHERE = "Check that the disk is connected and that nothing else moved or deleted this."
_FIXES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "The disk is read-only. Copy the project's folder to a disk that you can write to.",
    errno.ENOENT: _ELSEWHERE,
    errno.ENOTDIR: "A file is where a folder must be. Move or rename it.",
    errno.EISDIR: "A folder is where a file must be. Move or rename it.",
    errno.EIO: "The disk reports a fault. Check it, and copy your data elsewhere.",
    errno.ESTALE: _ELSEWHERE,
    errno.ENXIO: _ELSEWHERE,
    errno.ENAMETOOLONG: "The path is too long. Shorten the file's name, or move the project to a shorter path.",
    errno.EBUSY: "Another program uses it. Close that program and run the step again.",
    errno.EMFILE: "Too many files are open. Raise the limit with `ulimit -n 4096` and run the step again.",
    errno.ENOTEMPTY: "Another program wrote there meanwhile. Close it and run the step again.",
    errno.ELOOP: "Its symbolic links lead in a circle. Remove or correct the link.",
    errno.EFBIG: "The disk's format does not allow such a large file. Use another disk.",
}
# TensorFlow has its own error classes for files, such as a checkpoint that can't be written.
_TENSORFLOW = {
    "PermissionDeniedError": _RIGHTS,
    "NotFoundError": _ELSEWHERE,
    "FailedPreconditionError": _ELSEWHERE,
    "DataLossError": _ELSEWHERE,
}


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class if the text is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
