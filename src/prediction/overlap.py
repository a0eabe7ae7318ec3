"""Overlaps reading and writing of images with the network's computation."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Threads read images and write results while the network computes. At most MAX_PENDING images wait in memory.
THREADS, MAX_PENDING = 2, 3


def submit_ahead(
    pool: concurrent.futures.Executor, task: Callable[..., Any], items: Iterable[tuple]
) -> Iterator[tuple[tuple, concurrent.futures.Future]]:
    """Each item and the future of `task(*item)`, in order. At most MAX_PENDING run ahead: memory stays flat."""
    pending: collections.deque[tuple[tuple, concurrent.futures.Future]] = collections.deque()
    for item in items:
        pending.append((item, pool.submit(task, *item)))
        if len(pending) > MAX_PENDING:
            yield pending.popleft()
    yield from pending
