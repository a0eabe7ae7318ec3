"""Runs calls in processes on all cores.

They end with this process, even if it is killed; Ctrl-C reaches only this one.
"""

import concurrent.futures.process
import contextlib
import multiprocessing.resource_tracker
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import joblib
import joblib.externals.loky.backend.resource_tracker

import storage


@contextlib.contextmanager
def outcomes(jobs: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """Yields the results of `joblib.delayed` calls, in their order.

    Raises the exception of a call, and UserError if the system ended a process. Unfinished calls are cancelled at the
    end of the block.
    """
    try:
        with contextlib.ExitStack() as stack:
            with _interrupts_deferred():
                workers = joblib.Parallel(-1, return_as="generator", initializer=_begin_worker, initargs=(os.getpid(),))
                results = workers(jobs)
                stack.callback(_close, results)
            yield results
    except concurrent.futures.process.BrokenProcessPool as error:
        raise storage.UserError(_WORKER_ENDED) from error


def _close(outcomes: Generator) -> None:
    # A call that is cancelled while the pool's thread hands it to a worker is an error in that thread, without effect.
    threading.excepthook = _ignore_cancelled_calls
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # If it is stopped early, joblib advises the programmer.
        outcomes.close()


def _ignore_cancelled_calls(error: threading.ExceptHookArgs) -> None:
    if error.thread is None or error.thread.name != "ExecutorManagerThread" or error.exc_type is not KeyError:
        threading.__excepthook__(error)


_WORKER_ENDED = (
    "The system ended one of the processes that read the data, most likely because memory ran out. "
    "Close other programs and run the step again."
)


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    # Ctrl-C reaches all processes of a terminal. Workers that are just starting would print tracebacks, and so would
    # those whose start is interrupted here. In this block Ctrl-C is noted, and takes effect at its end; the processes
    # that the block starts never get it: this one ends them. Windows has no such masks.
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    for tracker in (multiprocessing.resource_tracker, joblib.externals.loky.backend.resource_tracker):
        tracker.ensure_running()  # Started later, these would allow interrupts again.
    noted: list[int] = []
    # A library's thread may get it all the same, and passes it on to this handler.
    handler = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if noted:
            signal.raise_signal(signal.SIGINT)


def _begin_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    # A parent that is killed can't end its workers; they then get another parent. On Windows they don't: there they end
    # when they have been idle for 5 minutes.
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


_POLL_SECONDS = 0.2
