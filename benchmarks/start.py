"""How long `python src/main.py` takes to list the steps, against importing TensorFlow. python benchmarks/start.py"""

import pathlib
import statistics
import subprocess
import sys
import time

ROUNDS = 5
MAIN = pathlib.Path(__file__).resolve().parents[1] / "src" / "main.py"


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


rounds = [
    [seconds([sys.executable, str(MAIN)]), seconds([sys.executable, "-c", "import tensorflow"])] for _ in range(ROUNDS)
]
own, other = map(statistics.median, zip(*rounds, strict=True))
print(
    f"listing the steps {own:.2f} s, importing TensorFlow {other:.2f} s, ratio {other / own:.0f}   "
    f"medians of {ROUNDS} rounds"
)
