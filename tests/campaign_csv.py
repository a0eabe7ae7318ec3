"""Compares the CSV reader with the strict reference on many mutated texts; exits with 1 if any differs.

    .venv/bin/python tests/campaign_csv.py [count] [seed]

100,000 texts take about a minute, so pytest does not collect it.
"""

import pathlib
import random
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]

from test_csv_array import disagreement, mutated, reference


def main(count: int = 100_000, seed: int = 0) -> int:
    """Compares `count` texts, prints a summary with the first ten that differ, and returns the number that differ."""
    start = time.perf_counter()
    contents = {mutated(random.Random(f"{seed} {number}")) for number in range(count)}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "case.csv"
        # Sorted: the order of a set differs between runs.
        differing = [text for content in sorted(contents) if (text := disagreement(path, content))]
    readable = sum(reference(content) is not None for content in contents)
    print(f"{count} mutated texts (seed {seed}): {len(contents)} distinct, {readable} of them tables of numbers, "
          f"{len(differing)} read differently, {time.perf_counter() - start:.0f} s")  # fmt: skip
    print(*differing[:10], sep="\n")
    return len(differing)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
