"""How long a start takes, and its parts. python benchmarks/start.py; .venv-new/bin/python measures the new packages.

First the list of the steps, against importing TensorFlow. Then the parts of a training's start in a new process: its
imports, building and compiling the default U-Net, and its first step, which builds the graph, against the second one;
and importing the search, which imports Keras Tuner. Medians of all rounds; the first round may read from the disk.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

ROUNDS = 5
SOURCE = pathlib.Path(__file__).resolve().parents[1] / "src"

PARTS = """if True:
    import json, sys, time
    seconds, start = {}, time.perf_counter()

    def note(part):
        global start
        seconds[part] = time.perf_counter() - start
        start = time.perf_counter()

    import command_line
    import environment_variables
    command_line.disable_malloc_trim()
    with environment_variables.quiet_import():
        import tensorflow as tf
        note("import TensorFlow")
        import model_training
        from model_training import fitting
        note("import the training")
    import pandas as pd
    from settings import Settings
    from settings.hyperparameters import Hyperparameters
    options = Settings(ENCODER_WEIGHTS=None, MIXED_PRECISION=False)
    network = fitting.compiled_network(Hyperparameters(), pd.DataFrame({"mask_px": [4000.0]}), options)
    note("build and compile")
    size = options.IMAGE_SIZE
    batch = tf.random.normal((2, size, size, 1)), tf.zeros((2, size, size, 1), tf.uint8)
    step, batches = network.make_train_function(), iter(tf.data.Dataset.from_tensors(batch).repeat())
    for part in ("first step", "second step"):
        step(batches)
        note(part)
    with environment_variables.quiet_import():
        from model_exploration import exploration
    note("import the search")
    print(json.dumps(seconds))
"""


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def parts():
    return json.loads(subprocess.check_output([sys.executable, "-c", PARTS], cwd=SOURCE).splitlines()[-1])


rounds = [
    [seconds([sys.executable, str(SOURCE / "main.py")]), seconds([sys.executable, "-c", "import tensorflow"])]
    for _ in range(ROUNDS)
]
own, other = map(statistics.median, zip(*rounds, strict=True))
print(
    f"listing the steps {own:.2f} s, importing TensorFlow {other:.2f} s, ratio {other / own:.0f}   "
    f"medians of {ROUNDS} rounds"
)
measured = [parts() for _ in range(ROUNDS)]
for part in measured[0]:
    print(f"{part:<20}{statistics.median(each[part] for each in measured):6.2f} s")
