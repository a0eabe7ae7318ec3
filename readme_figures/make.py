"""Writes the figures of README and docs from the demo's results.

make demo, then .venv/bin/python readme_figures/make.py
"""

import pathlib
import shutil
import sys

import matplotlib.image
import pandas as pd

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import demo
from data import phantoms
from masks import drawing

# The case with the median Dice of those with a picture.
table = pd.read_csv(demo.WORKSPACE.results / "metrics.csv").sort_values("dice")
drawn = [case for case in table["case"] if (demo.WORKSPACE.images / f"{case}.png").exists()]
shutil.copy(demo.WORKSPACE.images / f"{drawn[len(drawn) // 2]}.png", HERE / "predicted_and_true_mask_comparison.png")
shutil.copy(demo.WORKSPACE.results / "distributions.png", HERE / "distributions.png")

images, masks = zip(*(phantoms.draw(seed, 256) for seed in range(3)), strict=True)
matplotlib.image.imsave(HERE / "phantoms.png", drawing.panel(images, masks, masks))
