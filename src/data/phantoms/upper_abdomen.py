"""The organs of the abdominal cavity at every level: bowel, liver, gallbladder, spleen and stomach."""

import numpy as np

from data.phantoms import abdomen
from data.phantoms.canvas import FAT, Canvas
from data.phantoms.retroperitoneum import fat_around_kidneys
from data.phantoms.torso import Torso, interpolated

# Ellipses at L4, L3, L2, L1, T12 and T11: centre and radii as fractions of the trunk's half width and front.
_Ellipse = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]
_RIGHT_LOBE: _Ellipse = (
    (-0.95, -0.84, -0.74, -0.62, -0.55, -0.48),
    (-0.2, -0.2, -0.1, -0.05, 0.0, 0.0),
    (0, 0.16, 0.28, 0.46, 0.56, 0.62),
    (0, 0.40, 0.66, 0.85, 0.98, 1.0),
)
_LEFT_LOBE: _Ellipse = (
    (-0.3, -0.3, -0.3, -0.18, -0.02, 0.06),
    (-0.7, -0.7, -0.65, -0.58, -0.48, -0.42),
    (0, 0, 0.12, 0.42, 0.52, 0.56),
    (0, 0, 0.15, 0.30, 0.42, 0.48),
)
_SPLEEN: _Ellipse = (
    (0.9, 0.9, 0.88, 0.8, 0.72, 0.66),
    (0.1, 0.1, 0.1, 0.2, 0.28, 0.3),
    (0, 0, 0.10, 0.22, 0.32, 0.36),
    (0, 0, 0.25, 0.48, 0.56, 0.58),
)
_STOMACH: _Ellipse = (
    (0.1, 0.1, 0.1, 0.2, 0.38, 0.42),
    (-0.6, -0.6, -0.6, -0.52, -0.36, -0.2),
    (0, 0, 0.25, 0.36, 0.32, 0.33),
    (0, 0, 0.14, 0.26, 0.36, 0.42),
)


def _ellipse(canvas: Canvas, torso: Torso, shape: _Ellipse, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Depth of an organ at this level, in mm, clipped by the abdominal cavity; negative everywhere if it is absent."""
    x, y, width, height = (interpolated(torso.level + torso.organs, *values) for values in shape)
    scale = rng.uniform(0.86, 1.14, 2)
    move = rng.normal(0, 0.04, 2)
    radii = (torso.half_width * width * scale[0], torso.front * height * scale[1])
    if min(radii) < 4:
        return np.full_like(canvas.cavity, -100)
    centre = (torso.half_width * (x + move[0]), torso.front * (y + move[1]))
    return np.minimum(canvas.ellipse(centre, radii, degrees, power=2.3), canvas.cavity + 0.3)


def paint_bowel(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints mesenteric vessels, loops of small bowel and the colon with its flexures."""
    level = torso.level + torso.organs
    abdomen.paint_mesenteric_vessels(canvas, torso, round(interpolated(level, 25, 25, 20, 14, 4, 0)), rng)
    width = torso.half_width - torso.wall
    bent = canvas.window((0, 0), torso.half_width + 20)
    bent.bend(rng, 22, 1.8)
    for _ in range(round(rng.uniform(0.8, 1.2) * interpolated(level, 30, 27, 20, 9, 2, 0))):
        centre = (0.72 * width * rng.uniform(-1, 1), rng.uniform(-0.85 * torso.front, torso.spine[1] - 30))
        abdomen.paint_loop(bent, centre, rng.uniform(7, 14), rng, gas=0.12)
    _transverse_colon(bent, torso, width, rng)
    for side, highest in ((-1, 1.4), (1, 2.6)):  # the ascending colon and its flexure, and the descending one
        radius = rng.uniform(12, 23)
        if level < highest:
            centre = (side * (width - 1.15 * radius), rng.uniform(-25, 12))
            abdomen.paint_loop(bent, centre, radius, rng, gas=0.6)


def _transverse_colon(canvas: Canvas, torso: Torso, width: float, rng: np.random.Generator) -> None:
    hangs = rng.uniform(-0.8, 2.2)  # the level down to which it hangs
    for x in np.arange(-0.55, 0.6, rng.uniform(0.2, 0.35)):
        if hangs < torso.level < 2.3:
            centre = (x * width, -0.76 * torso.front + rng.uniform(0, 9))
            abdomen.paint_loop(canvas, centre, rng.uniform(11, 20), rng, gas=0.75)


def paint_flexure(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the left flexure of the colon, in front of the spleen; it reaches T11 in most patients."""
    for _ in range(rng.integers(1, 4)):
        centre = (rng.uniform(0.5, 0.86) * torso.half_width, -rng.uniform(0.1, 0.7) * torso.front)
        radius = rng.uniform(11, 22)
        if torso.level > 1.0 and torso.level + torso.organs < 4.1:
            near = canvas.window(centre, radius + 10)
            near.paint(near.ellipse((0, 0), (radius + 1, radius + 1)), FAT + 5)
            abdomen.paint_loop(canvas, centre, radius, rng, gas=0.7)


def paint_liver(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the liver with its veins and fissures, and the gallbladder below its right lobe."""
    fatty = rng.uniform(0, 45) if rng.random() < 0.3 else 0.0
    hu = rng.uniform(48, 64) - fatty + 1.5 * torso.phase.added
    liver = np.maximum(
        _ellipse(canvas, torso, _RIGHT_LOBE, rng.uniform(-12, 8), rng),
        _ellipse(canvas, torso, _LEFT_LOBE, rng.uniform(-12, 12), rng),
    )
    liver = np.minimum(liver, -fat_around_kidneys(canvas, torso, (44, 43, 42, 28, 9, 1), rng))
    canvas.paint(np.minimum(liver + 1, canvas.cavity - 1), FAT)
    canvas.paint(liver, hu + 3 * canvas.grain)
    for _ in range(rng.integers(3, 9)):
        centre = torso.half_width * rng.uniform(-0.7, 0.05), torso.front * rng.uniform(-0.4, 0.3)
        vein = canvas.window(centre, 26, rng.uniform(0, 180))
        inside = np.minimum(vein.ellipse((0, 0), (rng.uniform(4, 22), rng.uniform(1.5, 4.5))), vein.cavity - 14)
        if torso.level > 1.5:
            deep = np.minimum(inside, _part(liver, canvas, vein) - 6)
            vein.paint(deep, torso.phase.vein - 0.2 * fatty if rng.random() < 0.85 else FAT + 60)
    _fissure(canvas, torso, liver, rng)
    _gallbladder(canvas, torso, rng)


def _part(depth: np.ndarray, whole: Canvas, window: Canvas) -> np.ndarray:
    row = int(np.searchsorted(whole.rows, window.rows[0])) if window.rows.size else 0
    column = int(np.searchsorted(whole.columns, window.columns[0])) if window.columns.size else 0
    return depth[row : row + window.rows.size, column : column + window.columns.size]


def _fissure(canvas: Canvas, torso: Torso, liver: np.ndarray, rng: np.random.Generator) -> None:
    """The cleft of the falciform ligament, and the fat in front of the liver at the midline."""
    x, depth = rng.uniform(-0.3, 0.02) * torso.half_width, rng.uniform(8, 28)
    tilt, width, pad = rng.uniform(-25, 25), rng.uniform(1.5, 4), (rng.uniform(16, 38), rng.uniform(3, 9))
    if rng.random() < 0.5 and 1.2 < torso.level < 3.4:
        canvas.paint(np.minimum(canvas.ellipse((x, -0.78 * torso.front), (width, depth), tilt), liver + 2), FAT + 20)
    if torso.level > 2.0:
        canvas.paint(canvas.ellipse((rng.normal(0, 5), -torso.front + 10), pad), FAT)


def _gallbladder(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    centre = (-rng.uniform(0.3, 0.52) * torso.half_width, -rng.uniform(0.3, 0.6) * torso.front)
    radii, hu = (rng.uniform(8, 17), rng.uniform(13, 28)), rng.uniform(2, 22)
    tilt = rng.uniform(-40, 20)
    if rng.random() < 0.75 and 0.4 < torso.level + torso.organs < 2.5:
        near = canvas.window(centre, 34, tilt)
        depth = np.minimum(near.ellipse((0, 0), radii), near.cavity - 2)
        near.paint(depth + 1.5, 35 + torso.phase.added)
        near.paint(depth, hu)


def paint_spleen(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the spleen."""
    depth = _ellipse(canvas, torso, _SPLEEN, rng.uniform(-20, 5), rng)
    # The stomach and the colon press it into a crescent.
    hilum = (0.3 * torso.half_width, -rng.uniform(0.0, 0.3) * torso.front)
    depth = np.minimum(depth, -canvas.ellipse(hilum, (0.36 * torso.half_width, 0.5 * torso.front)))
    depth = np.minimum(depth, -fat_around_kidneys(canvas, torso, (44, 43, 42, 38, 30, 22), rng))
    canvas.paint(np.minimum(depth + 1, canvas.cavity - 1), FAT)
    mottled = 18 * canvas.texture(rng, 16) if torso.phase.artery > 200 else 0.0
    canvas.paint(depth, rng.uniform(42, 56) + 1.9 * torso.phase.added + mottled + 3 * canvas.grain)


def paint_stomach(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the stomach: its wall, and food, fluid, contrast agent or gas."""
    shrink = rng.uniform(0.0, 0.5)
    depth = _ellipse(canvas, torso, _STOMACH, rng.uniform(-15, 35), rng)
    reach = max(1.0, float(depth.max()))
    depth = depth - np.float32(shrink * reach)
    if reach > 5:
        canvas.paint(depth + rng.uniform(0, 3), FAT + 4 * canvas.grain)
        centre = (0.3 * torso.half_width, -0.35 * torso.front)
        moved = canvas.warped(canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1]))
        abdomen.paint_hollow(moved, depth, min(28.0, reach), rng, gas=0.6)
