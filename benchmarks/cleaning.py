"""Cleaning a muscle mask of 512 x 512 with 30 stray blobs against a KD-tree between every two areas, and salt noise.

Both ways give the same mask, which is checked. python benchmarks/cleaning.py
"""

import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import scipy.spatial
import skimage.draw
import skimage.measure

from data import phantoms
from masks import cleaning

ROUNDS = 11


def pairwise(mask):
    """The same rule, with the distance between every two areas."""
    labels = skimage.measure.label(mask, connectivity=2)
    areas = [region.coords for region in skimage.measure.regionprops(labels)]
    trees = [scipy.spatial.cKDTree(area) for area in areas]
    near = {
        (a, b)
        for a, tree in enumerate(trees)
        for b, area in enumerate(areas)
        if a != b and tree.query(area)[0].min() <= cleaning.MAX_DISTANCE_PX
    }
    accepted = {a for a, area in enumerate(areas) if len(area) >= cleaning.MAIN_SHARE * max(map(len, areas))}
    while grown := {b for a, b in near if a in accepted} - accepted:
        accepted |= grown
    return np.isin(labels, [a + 1 for a in accepted if len(areas[a]) > cleaning.MAX_SPECK_PX]).astype(np.uint8)


def median_seconds(way, mask, rounds=ROUNDS):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = way(mask)
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


rng = np.random.default_rng(0)
_, muscle = phantoms.draw(0)
blobs = muscle.copy()
for _ in range(30):
    blobs[skimage.draw.disk(rng.integers(8, 504, 2), rng.integers(2, 7), shape=blobs.shape)] = 1

own, cleaned = median_seconds(cleaning.clean, blobs)
other, reference = median_seconds(pairwise, blobs, 3)
np.testing.assert_array_equal(cleaned, reference)
print(f"{'':34}{'ours':>10}{'every two areas':>18}{'ratio':>8}   seconds, medians of {ROUNDS} and 3 rounds")
print(f"{'30 stray blobs':34}{own:10.4f}{other:18.4f}{other / own:8.1f}")
for share in (0.02, 0.1, 0.3):
    noisy = muscle | (rng.random(muscle.shape) < share)
    areas = skimage.measure.label(noisy, connectivity=2).max()
    print(f"{f'{share:.0%} salt noise, {areas} areas':34}{median_seconds(cleaning.clean, noisy)[0]:10.4f}")
