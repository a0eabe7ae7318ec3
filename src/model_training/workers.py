"""On what a training runs: one device, the GPUs of one machine, or several machines. The one place that decides it.

Several machines are told of each other by TensorFlow's own environment variable, TF_CONFIG, the same program running on each:
    {"cluster": {"worker": ["node1:12345", "node2:12345"]}, "task": {"type": "worker", "index": 0}}
All of them train one network: each works through its share of every batch, and they agree on each step's mean gradient. The first one, the
chief, writes what is kept; what the others write is thrown away. They all need to see the workspace, which lies in a folder they share.
"""
import contextlib
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import tensorflow as tf

import storage

OTHERS_ENDED = (
    "Another worker of this training has ended, or can't be reached any more: its own output says why. Start all of them again: the training "
    "goes on from its last epoch."
)
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError, tf.errors.DeadlineExceededError)


@functools.cache
def strategy() -> tf.distribute.Strategy:
    """TensorFlow's strategy for this program; asked for before anything is computed, where there are several machines."""
    if count() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def count() -> int:
    """How many programs train together; 1 where TF_CONFIG tells of none."""
    cluster = _resolver().cluster_spec().as_dict()
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this program writes what is kept."""
    return count() == 1 or _resolver().task_type == "chief" or ("chief" not in _resolver().cluster_spec().as_dict() and _resolver().task_id == 0)


def chief_first(task: Callable[[], None]) -> None:
    """Calls `task` on the chief, and when it is done there, on the others."""
    if is_chief():
        task()
    if count() > 1:
        with lost_workers_told():
            # Nobody gets a sum before all have given their share.
            strategy().reduce(tf.distribute.ReduceOp.SUM, strategy().run(lambda: tf.constant(1.0)), axis=None)
    if not is_chief():
        task()


@contextlib.contextmanager
def kept_by_chief(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields `folder` on the chief, an empty one that is thrown away on the others: all must write, for a network's values are gathered from all."""
    if is_chief():
        yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield pathlib.Path(scratch)


@contextlib.contextmanager
def lost_workers_told() -> Iterator[None]:
    """Turns TensorFlow's errors about lost connections into a PlainError, where there are several workers."""
    try:
        yield
    except _LOST as error:
        if count() == 1:
            raise
        # The first line is TensorFlow's: it may be this worker itself that has failed.
        raise storage.PlainError(f"{OTHERS_ENDED}\n({(str(error).strip() or type(error).__name__).splitlines()[0]})") from error


def check(batch_size: int, minutes: float | None) -> None:
    """PlainError where several workers can't train by these settings together."""
    parts = strategy().num_replicas_in_sync
    if batch_size % parts:
        raise storage.PlainError(
            f"TRAINING_BATCH_SIZE = {batch_size} can't be divided among {parts} {'workers' if count() > 1 else 'GPUs'}. Set a multiple of {parts} in "
            "config.py, or let fewer of them take part: the environment variable CUDA_VISIBLE_DEVICES=0 shows one GPU."
        )
    if count() > 1 and minutes is not None:
        raise storage.PlainError("Several workers end together only by epochs: their clocks differ. Set TRAINING_TIME_LIMIT_MINUTES = None in config.py.")


def _resolver() -> tf.distribute.cluster_resolver.TFConfigClusterResolver:
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()
