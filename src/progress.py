"""Progress bars in the terminal."""

import contextlib
from collections.abc import Iterable
from typing import Any

import tqdm


class Bar(tqdm.tqdm):
    """A progress bar over `iterable`, after a second of work; hidden where the output is not a terminal."""

    def __init__(self, iterable: Iterable[Any] | None = None, **options: Any) -> None:
        super().__init__(iterable, **{"disable": None, "delay": 1} | options)

    def __del__(self) -> None:
        # Ctrl-C within the constructor leaves an incomplete bar; Python would print the error of its deletion.
        with contextlib.suppress(AttributeError):
            super().__del__()
