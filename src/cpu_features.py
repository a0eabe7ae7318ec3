"""The instruction sets of the CPU."""

import functools
import pathlib


@functools.cache
def instructions() -> frozenset[str]:
    """The names of the instruction sets as Linux lists them, such as "avx2"; empty on macOS and Windows."""
    file = pathlib.Path("/proc/cpuinfo")
    return frozenset(file.read_text(encoding="utf-8").split()) if file.exists() else frozenset()
