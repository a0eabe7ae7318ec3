"""Errors of image files."""

import contextlib
import pathlib
from collections.abc import Iterator

import storage


def fault(path: pathlib.Path, problem: str) -> storage.DatasetError:
    """The error for one file: the problem and the fix."""
    return storage.DatasetError([f"{path}: {problem}"])


def damaged(path: pathlib.Path, kind: str) -> storage.DatasetError:
    """The error for a file that its library cannot read."""
    return fault(path, f"can't be read as {kind}: damaged, incomplete or another format. Export or copy it again.")


def not_finite(path: pathlib.Path) -> storage.DatasetError:
    """The error for a file with NaN or infinite values."""
    return fault(path, "values that are not finite numbers (NaN or infinite). Replace them by the background's.")


@contextlib.contextmanager
def reading(path: pathlib.Path, kind: str) -> Iterator[None]:
    """Raises DatasetError for what a library raises in the block: for damaged files, that may be any error."""
    try:
        yield
    except (storage.DatasetError, MemoryError):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None)  # Of the operating system.
        if reason:
            fix = "Check that the file is whole and yours to read."
            raise fault(path, f"can't be read ({reason}). {fix}") from error
        raise damaged(path, kind) from error


def sizes(found: tuple[int, ...], image: tuple[int, ...]) -> str:
    """The problem of a mask with another number of pixels, (rows, columns), than its image."""
    return f"{_size(found)} pixels; its image has {_size(image)}. Export the mask on the image's own pixels."


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
