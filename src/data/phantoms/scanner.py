"""How a scanner and what lies in it change the image: arms, metal, reconstruction kernel, coarse voxels, noise."""

import numpy as np
import scipy.ndimage

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.torso import Torso


def paint_arms(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints arms beside the body in some patients. Their muscles are not in the mask: it holds those of the trunk."""
    for side in (-1, 1):
        radius = rng.uniform(34, 46) * torso.stature
        centre = (side * (torso.half_width + torso.fat[1] + radius + rng.uniform(2, 14)), rng.uniform(-40, 40))
        fat, bones, hu = rng.uniform(0.1, 0.35) * radius, rng.integers(1, 3), torso.muscle_hu + rng.normal(0, 4)
        places = rng.uniform(-0.3, 0.3, (2, 2)) * radius + np.array([[-0.2, 0.0], [0.25, 0.1]]) * radius * (bones - 1)
        if torso.arms:
            arm = canvas.ellipse(centre, (radius * rng.uniform(0.8, 1.0), radius))
            canvas.paint(arm, 15.0)
            canvas.paint(arm - 2, FAT + 4 * canvas.grain)
            canvas.paint(arm - fat, hu + 4 * canvas.grain - 60 * np.clip(canvas.grain - 1.2, 0, 1))
            for x, y in places[:bones]:
                bone = canvas.ellipse((centre[0] + x, centre[1] + y), (10, 9) if bones == 1 else (7, 6))
                canvas.paint(bone, 1100.0)
                canvas.paint(bone - 3.5, 20.0)


def paint_metal(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints a screw or clip with its streaks in a few patients."""
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(10, 70)
    centre = (torso.spine[0] + reach * np.cos(angle), torso.spine[1] + reach * np.sin(angle) - 20)
    radii, degrees, strength = (rng.uniform(2, 4), rng.uniform(3, 16)), rng.uniform(0, 180), rng.uniform(40, 170)
    waves = [(rng.integers(3, 24), rng.uniform(0, 2 * np.pi)) for _ in range(8)]
    if torso.metal:
        x, y = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
        around, distance = np.arctan2(y, x), np.hypot(x, y)
        streaks = sum(np.sin(number * around + phase) for number, phase in waves) / 2
        canvas.hu += np.float32(strength) * streaks * np.exp(-distance / 45) * (distance > 3)
        canvas.paint(canvas.ellipse(centre, radii, degrees), 3000.0)


def scan(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The image of a scanner, int16 in HU, and its mask, uint8 0 and 1.

    The image is blurred or sharpened, with correlated noise. Some are resampled from coarse voxels; so is their mask:
    the reader of a volume outlines its voxels, not the pixels of a slice that was enlarged later.
    """
    pixel = canvas.pixel_mm
    image = scipy.ndimage.gaussian_filter(canvas.hu, max(torso.blur_mm, 0.35 * pixel) / pixel, truncate=3)
    if torso.sharpening:
        soft = scipy.ndimage.gaussian_filter(image, 1.2 / pixel, truncate=3)
        image += np.float32(0.6 * torso.sharpening) * (image - soft)
    grain = rng.standard_normal(image.shape, np.float32)
    grain = scipy.ndimage.gaussian_filter(grain, rng.uniform(0.6, 0.95), truncate=3)
    image += grain * np.float32(torso.noise_hu * np.sqrt(canvas.size / 512) / grain.std())
    order, smooth, step = int(rng.random() < 0.5), rng.uniform(0.3, 0.5), torso.voxel_mm / pixel
    if step <= 1:
        return _in_range(image), canvas.mask()
    muscle = _resampled(canvas.muscle, step, smooth, order)
    return _in_range(_resampled(image, step, smooth, order)), (muscle >= 0.5).astype(np.uint8)


def _in_range(image: np.ndarray) -> np.ndarray:
    return np.clip(image.round(), -1024, 3071).astype(np.int16)


def _resampled(values: np.ndarray, step: float, smooth: float, order: int) -> np.ndarray:
    """Values per pixel as if from voxels of `step` pixels. `smooth`: the blur before, a fraction of `step`.

    `order`: 0 repeats the nearest voxel, 1 interpolates between voxels.
    """
    blurred = scipy.ndimage.gaussian_filter(values, smooth * step, truncate=3)
    voxels = np.arange(0, values.shape[0] - 1, step)
    coarse = scipy.ndimage.map_coordinates(blurred, np.meshgrid(voxels, voxels, indexing="ij"), order=1)
    places = np.minimum(np.arange(values.shape[0]) / step, voxels.size - 1)
    result: np.ndarray = scipy.ndimage.map_coordinates(coarse, np.meshgrid(places, places, indexing="ij"), order=order)
    return result
