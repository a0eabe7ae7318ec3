"""Lungs and diaphragm: what lies between the wall and the organs of the abdomen at T12 and T11."""

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.chest_wall import Wall, cavity_of
from data.phantoms.torso import Torso, interpolated


def paint_cavity(canvas: Canvas, torso: Torso, wall: Wall, rng: np.random.Generator) -> None:
    """Paints lungs, diaphragm and abdominal fat, and sets the depth inside the abdominal cavity.

    The diaphragm is muscle, but not in the mask: readers and TotalSegmentator leave it out.
    """
    inside = cavity_of(canvas, torso, wall)
    recess = _recess(canvas, torso, wall, rng)
    abdomen = inside - recess
    canvas.paint(inside, FAT + 4 * canvas.grain)
    _paint_lungs(canvas, np.minimum(inside + 0.3, -abdomen), recess, rng)
    thickness = np.float32(rng.uniform(1.2, 3.0)) * wall.chest
    diaphragm = np.minimum(np.minimum(abdomen + 0.3, thickness - abdomen), wall.beyond)
    canvas.paint(diaphragm, torso.muscle_hu + rng.normal(0, 5))
    canvas.cavity = abdomen - thickness


def _recess(canvas: Canvas, torso: Torso, wall: Wall, rng: np.random.Generator) -> np.ndarray:
    """Thickness of the lungs between wall and diaphragm, in mm: largest behind, none at the front and at the spine."""
    x = np.abs(canvas.x - np.float32(torso.spine[0])) / torso.stature
    profile = np.interp(wall.angle, (0.16, 0.3, 0.55, 0.8, 1.0), (0, 0.32, 0.42, 1.0, 1.0)).astype(np.float32)
    profile = profile * np.clip((x - 17) / 22, 0, 1)
    waves = 1 + np.float32(0.25) * canvas.texture(rng, 90)
    depths = [interpolated(torso.level + torso.breath + rng.normal(0, 0.2), 0, 0, 0, -3, 8, 30) for _ in range(2)]
    depth = np.where(canvas.x < 0, np.float32(depths[0]), np.float32(depths[1]))
    # With a shallow recess the lungs are seen behind only.
    return np.maximum(depth * waves * profile - 5 * (1 - profile), 0)


def _paint_lungs(canvas: Canvas, depth: np.ndarray, recess: np.ndarray, rng: np.random.Generator) -> None:
    aerated, strands = rng.uniform(-870, -760), canvas.texture(rng, 7)
    # Behind, lungs of a patient on the back are denser; now and then fluid lies there.
    dependent = rng.uniform(0, 120) * np.clip(canvas.y / 90, 0, 1)
    vessels = 500 * np.clip(strands - 1.7, 0, 1)
    lung = aerated + 25 * canvas.grain + dependent + vessels
    seen = np.minimum(depth, recess - 1.0)
    canvas.paint(seen, lung)
    if rng.random() < 0.12:  # pleural effusion
        surface = canvas.y - np.float32(rng.uniform(25, 70))
        canvas.paint(np.minimum(seen, surface), rng.uniform(0, 20))
