"""What the processor can do, beside what TensorFlow knows of it."""

import functools
import pathlib


@functools.cache
def instructions() -> frozenset[str]:
    """The names of its instruction sets, as Linux writes them, such as "avx2"; none where nobody tells (macOS, Windows)."""
    told = pathlib.Path("/proc/cpuinfo")
    return frozenset(told.read_text(encoding="utf-8").split()) if told.exists() else frozenset()
