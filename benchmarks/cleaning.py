"""Post-processing a 512 x 512 muscle mask with 30 stray blobs, against a KD-tree between every two components.

Prints seconds and the ratio. Masks with salt noise are timed too, without baseline. The script checks that both methods
give the same mask.
python benchmarks/cleaning.py
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
    """The same rule, with the distance between every two components."""
    labels = skimage.measure.label(mask, connectivity=2)
    components = [region.coords for region in skimage.measure.regionprops(labels)]
    trees = [scipy.spatial.cKDTree(component) for component in components]
    near = {
        (a, b)
        for a, tree in enumerate(trees)
        for b, component in enumerate(components)
        if a != b and tree.query(component)[0].min() <= cleaning.MAX_DISTANCE_PX
    }
    min_px = cleaning.MAIN_SHARE * max(map(len, components))
    kept = {a for a, component in enumerate(components) if len(component) >= min_px}
    while grown := {b for a, b in near if a in kept} - kept:
        kept |= grown
    return np.isin(labels, [a + 1 for a in kept if len(components[a]) > cleaning.MAX_SPECK_PX]).astype(np.uint8)


def median_seconds(method, mask, rounds=ROUNDS):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = method(mask)
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


rng = np.random.default_rng(0)
_, muscle = phantoms.draw(0)
blobs = muscle.copy()
for _ in range(30):
    blobs[skimage.draw.disk(rng.integers(8, 504, 2), rng.integers(2, 7), shape=blobs.shape)] = 1

seconds, cleaned = median_seconds(cleaning.clean, blobs)
baseline_seconds, reference = median_seconds(pairwise, blobs, 3)
np.testing.assert_array_equal(cleaned, reference)
print(f"{'':34}{'ours':>10}{'every two components':>22}{'ratio':>8}   seconds, medians of {ROUNDS} and 3 rounds")
print(f"{'30 stray blobs':34}{seconds:10.4f}{baseline_seconds:22.4f}{baseline_seconds / seconds:8.1f}")
for share in (0.02, 0.1, 0.3):
    noisy = muscle | (rng.random(muscle.shape) < share)
    count = skimage.measure.label(noisy, connectivity=2).max()
    print(f"{f'{share:.0%} salt noise, {count} components':34}{median_seconds(cleaning.clean, noisy)[0]:10.4f}")
