"""A data set of small targets: real CT slices with one blob of 20 to 80 px each, as lymph nodes and lesions look.

    python benchmarks/small_targets.py SLICES.npz WORKSPACE      # writes WORKSPACE/original dataset and config.py

SLICES.npz holds `images`, CT slices in HU, int16 (n, 512, 512), in their order along the body, such as ts_muscle112.
60 of them, evenly spaced, get a blob: an ellipse with the area of its mask, 35 to 80 HU brighter than the soft tissue
around it, whose texture stays, with an edge blurred by 0.8 px. Bones, vessels and bowel contrast are as bright: the
brightness alone does not find it. Blocks of six neighbouring slices are groups, so that test slices (12 of 60) are not
neighbours of train slices. Step 1 and the trainings follow with `accuracy.py`, which measures this data set, too.
"""

import argparse
import pathlib

import numpy as np
import scipy.ndimage

COUNT, BLOCK = 60, 6
AREAS_PX, CONTRASTS_HU, ASPECTS, EDGE_PX = (20, 80), (35, 80), (1.0, 1.6), 0.8

# Soft tissue: its mean within MARGIN_PX, and nothing there that is air or bone.
TISSUE_HU, TISSUE_RANGE_HU, MARGIN_PX = (0, 90), (-60, 160), 9

CONFIG = """GROUP_CASES_BY = r"(block\\d+)"
MASK_SPECK_PX = 0
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slices", type=pathlib.Path)
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    images = np.load(arguments.slices)["images"]
    chosen = images[np.linspace(0, len(images) - 1, COUNT).round().astype(int)]
    folders = [arguments.workspace / "original dataset" / "ct" / kind for kind in ("images", "masks")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(arguments.seed)
    for number, image in enumerate(chosen):
        for folder, values in zip(folders, with_blob(image, rng), strict=True):
            np.save(folder / f"block{number // BLOCK}_slice{number % BLOCK}.npy", values)
    (arguments.workspace / "config.py").write_text(CONFIG, encoding="utf-8")


def with_blob(image, rng):
    """The slice with a blob, int16, and the blob's mask, uint8 0 and 1: both (height, width)."""
    places = np.argwhere(soft_tissue(image))
    if not len(places):
        raise ValueError(f"no soft tissue of {2 * MARGIN_PX + 1} px a side in this slice")
    mask = ellipse(
        image.shape, rng.choice(places), rng.uniform(*AREAS_PX), rng.uniform(*ASPECTS), rng.uniform(0, np.pi)
    )
    edge = scipy.ndimage.gaussian_filter(mask.astype(float), EDGE_PX)
    return (image + rng.uniform(*CONTRASTS_HU) * edge).round().astype(np.int16), mask


def soft_tissue(image):
    """Where only soft tissue is within MARGIN_PX: bool (height, width)."""
    size = 2 * MARGIN_PX + 1
    smooth = scipy.ndimage.uniform_filter(image.astype(float), 3)
    mean = scipy.ndimage.uniform_filter(image.astype(float), size)
    low, high = (extreme(smooth, size) for extreme in (scipy.ndimage.minimum_filter, scipy.ndimage.maximum_filter))
    return (mean > TISSUE_HU[0]) & (mean < TISSUE_HU[1]) & (low > TISSUE_RANGE_HU[0]) & (high < TISSUE_RANGE_HU[1])


def ellipse(shape, centre, area, aspect, angle):
    """The mask of an ellipse of `area` px, whose axes have the ratio `aspect`: uint8 (height, width)."""
    y, x = np.indices(shape)
    along = (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
    across = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
    return (along**2 / aspect + across**2 * aspect <= area / np.pi).astype(np.uint8)


if __name__ == "__main__":
    main()
