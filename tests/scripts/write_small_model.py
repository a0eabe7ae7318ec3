"""Writes a small U-Net, its input and its logits into a new folder of tests/models: write_small_model.py FOLDER.

The weights are random: they test that a model moves from one version of TensorFlow to another, not what it learned.
"""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "src"), str(TESTS)]
import numpy as np
import pandas as pd

import conftest  # Before TensorFlow, because it sets environment variables.
import networks
from networks import saved_model

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
network = networks.build("unet", 32, 1, 4, (-200.0, 200.0))
random = np.random.default_rng(1)
# Multiples of 1/64 need less space in a compressed file.
network.set_weights([random.integers(1, 32, weights.shape) / 64 for weights in network.get_weights()])
record = conftest.training({"filters": 1, "clip_hu": (-200.0, 200.0)}, image_size=32)
saved_model.write(folder, network, record, pd.DataFrame({"loss": [1.0]}))
image = random.integers(-300, 300, (1, 32, 32, 1)).astype(np.float32)
np.savez_compressed(folder / "prediction.npz", image=image, logits=network(image).numpy())
