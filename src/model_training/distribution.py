"""The devices of a training: one device, the GPUs of one machine, or several machines.

Several machines find each other with TensorFlow's environment variable TF_CONFIG, the same program running on each:
    {"cluster": {"worker": ["node1:12345", "node2:12345"]}, "task": {"type": "worker", "index": 0}}
All train one network: each computes its part of every batch, and they average the gradients of each step. The first
one, the chief, writes the results; the files of the others are discarded. All need the workspace in a shared folder.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

import storage

Result = TypeVar("Result")

OTHERS_ENDED = (
    "Another worker of this training has ended, or can't be reached: its output says why. Start all of them again: the "
    "training resumes after its last epoch."
)
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)


@functools.cache
def strategy() -> tf.distribute.Strategy:
    """TensorFlow's strategy for this program; with several machines it must be called before any computation."""
    if count() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def count() -> int:
    """The number of programs that train together: 1 without TF_CONFIG. UserError if it is malformed."""
    cluster, _, _ = _tf_config()
    return max(1, sum(map(len, cluster.values())))


def is_chief() -> bool:
    """Whether this program writes the results. UserError if TF_CONFIG is malformed."""
    cluster, kind, index = _tf_config()
    return count() == 1 or kind == "chief" or ("chief" not in cluster and index == 0)


def chief_first(task: Callable[[], Result]) -> Result:
    """Calls `task` on the chief, then on the other workers. Returns its result."""
    results = [task()] if is_chief() else []
    if count() > 1:
        with report_lost_workers():
            # The sum is complete when all workers have reached this line.
            strategy().reduce(tf.distribute.ReduceOp.SUM, strategy().run(lambda: tf.constant(1.0)), axis=None)
    return results[0] if results else task()


@contextlib.contextmanager
def chief_or_scratch_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields `folder` on the chief, a temporary one on the others: all must write, as values are gathered from all."""
    if is_chief():
        yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield pathlib.Path(scratch)


@contextlib.contextmanager
def report_lost_workers() -> Iterator[None]:
    """Turns TensorFlow's errors about lost connections between workers into a UserError."""
    try:
        yield
    except _LOST as error:
        if count() == 1:
            raise
        # With the first line of TensorFlow's text: this worker itself may have failed.
        raise storage.UserError(f"{OTHERS_ENDED}\n({storage.first_line(error)})") from error


def check(batch_size: int, minutes: float | None) -> None:
    """UserError if several workers can't train together with these settings."""
    parts = strategy().num_replicas_in_sync
    if batch_size % parts:
        devices = f"{parts} {'workers' if count() > 1 else 'GPUs'}"
        raise storage.UserError(
            f"TRAINING_BATCH_SIZE = {batch_size} can't be divided among {devices}. "
            f"Set a multiple of {parts} in config.py, or use fewer: CUDA_VISIBLE_DEVICES=0 shows one GPU."
        )
    if count() > 1 and minutes is not None:
        raise storage.UserError(
            "The clocks of several workers differ: their training is limited by epochs only. "
            "Set TRAINING_TIME_LIMIT_MINUTES = None in config.py."
        )


_TF_CONFIG_EXAMPLE = '{"cluster": {"worker": ["node1:29417", "node2:29417"]}, "task": {"type": "worker", "index": 0}}'


def _tf_config() -> tuple[dict[str, list[str]], str, int]:
    """The addresses of each kind of worker, and this program's own kind and index;

    ({}, "", 0) where it trains alone.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        os.environ.pop("TF_CONFIG", None)  # TensorFlow and Keras read it too, and fail where it is empty.
        return {}, "", 0
    try:
        return _validated(json.loads(text))
    except (ValueError, RecursionError) as error:  # JSON's own errors are ValueErrors, too.
        raise storage.UserError(
            f"The environment variable TF_CONFIG is malformed: {error}. Set it as in TF_CONFIG='{_TF_CONFIG_EXAMPLE}' "
            "(see cluster/README.md), or unset it to train on this machine alone."
        ) from error


def _validated(config: Any) -> tuple[dict[str, list[str]], str, int]:
    if not isinstance(config, dict):
        raise ValueError(f"it holds {type(config).__name__}, not a JSON object {{...}}")
    cluster, task = config.get("cluster", {}), config.get("task", {})
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ValueError('"cluster" and "task" must be JSON objects {...}')
    if not cluster:
        return {}, "", 0
    _check_addresses(cluster)
    kind, index = task.get("type"), str(task.get("index"))
    if not isinstance(kind, str) or kind not in cluster:
        raise ValueError(f'"task" needs a "type", one of those in "cluster": {", ".join(cluster)}')
    if not index.isdecimal() or int(index) >= len(cluster[kind]):
        raise ValueError(f'"task" needs an "index" from 0 to {len(cluster[kind]) - 1}, one per address of "{kind}"')
    return cluster, kind, int(index)


def _check_addresses(cluster: dict[str, Any]) -> None:
    if not set(cluster) <= {"chief", "worker"}:
        raise ValueError(f'"cluster" may hold "chief" and "worker" only, but holds {", ".join(cluster)}')
    if not all(isinstance(addresses, list) and addresses for addresses in cluster.values()):
        raise ValueError('in "cluster" each kind of worker must have a list of addresses')
    addresses = [address for kind in cluster.values() for address in kind]
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not re.fullmatch(r"[^\s/]+", host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
            raise ValueError(f"{address!r} is no address with a port, such as node1:29417")
    if len(set(addresses)) < len(addresses):
        raise ValueError('"cluster" holds the same address twice')
    if len(cluster.get("chief", [])) > 1:
        raise ValueError('"cluster" may hold one "chief" only')
