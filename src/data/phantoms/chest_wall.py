"""The wall around the trunk at every level: flat muscles, muscles of the chest, ribs, cartilage, iliac crest."""

import dataclasses

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.muscles import fat_fraction_of
from data.phantoms.torso import Torso, interpolated

_LOWEST_RIB = 12
# Angles from the front midline, in half turns: of the ribs' heads, and how far a rib runs while it descends a vertebra.
_HEADS, _PER_VERTEBRA = 0.93, 0.125


@dataclasses.dataclass(frozen=True)
class Wall:
    """Geometry of the wall, float32 arrays of the canvas's shape; depths in mm, negative outside."""

    angle: np.ndarray  # from the front midline, in half turns, 0 to 1
    radius: np.ndarray  # distance from the centre of the trunk
    chest: np.ndarray  # how much the wall is chest rather than abdomen, 0 to 1
    beyond: np.ndarray  # distance behind the costal margin, along the wall
    outer: np.ndarray  # thickness of the muscles outside the ribs
    cage: np.ndarray  # depth inside the outer surface of the ribs
    inner: np.ndarray  # thickness of the layer that contains the ribs


def margin(torso: Torso) -> float:
    """Angle of the costal margin, in half turns from the front midline; more than 1 below the ribs."""
    return interpolated(torso.level + torso.rib_cage, 1.4, 1.1, 0.66, 0.37, 0.27, 0.17)


def wall_of(canvas: Canvas, torso: Torso, back: np.ndarray) -> Wall:
    """The geometry of the wall; the ribs pass in front of the muscles of the back, whose depth is `back`."""
    x = np.abs(canvas.x - np.float32(0.5 * torso.spine[0]))
    angle = np.arctan2(x, -canvas.y) / np.float32(np.pi)
    radius = np.hypot(canvas.x, canvas.y)
    beyond = (angle - np.float32(margin(torso))) * radius * np.float32(np.pi)
    # The latissimus dorsi is thickest at the side; a thin sheet of it reaches the muscles of the back.
    profile = 0.8 + 0.5 * np.exp(-(((angle - 0.62) / 0.12) ** 2)) - 0.35 * _step(angle, 0.7, 0.9)
    outer = np.float32(torso.outer) * profile
    seam = np.float32(0.6 + 1.6 * torso.streaks)
    cage = _smooth_min(canvas.trunk - outer - seam, -back - 1, 7.0)
    # The serratus posterior and the latissimus dorsi fill the corner beside the muscles of the back.
    outer = np.clip(canvas.trunk - cage - seam, outer, np.maximum(outer, np.float32(torso.corner)))
    inner = np.float32(torso.intercostal) * (1 - 0.5 * _step(angle, 0.72, 0.9))
    return Wall(angle, radius, _step(beyond, -12, 12), beyond, outer, cage, inner)


def cavity_of(canvas: Canvas, torso: Torso, wall: Wall) -> np.ndarray:
    """Depth inside the inner surface of the wall, in mm."""
    flat, rectus = np.float32(torso.wall + 1), np.float32(interpolated(torso.level, 12, 12, 12, 11, 10, 9) * torso.bulk)
    abdomen = canvas.trunk - np.where(np.abs(canvas.x) > torso.rectus[1] + 12, flat, rectus)
    return abdomen + wall.chest * (wall.cage - wall.inner - abdomen)


def _smooth_min(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    lower, difference = np.minimum(first, second), np.abs(first - second)
    result: np.ndarray = lower - np.float32(width) * np.log1p(np.exp(-difference / np.float32(width)))
    return result


def _step(values: np.ndarray, start: float, end: float) -> np.ndarray:
    fraction = np.clip((values - np.float32(start)) / np.float32(end - start), 0, 1)
    return fraction * fraction * (3 - 2 * fraction)


def paint_wall(canvas: Canvas, torso: Torso, wall: Wall, rng: np.random.Generator) -> None:
    """Paints the muscles of the wall and their fasciae, then ribs and cartilage."""
    x, front = np.abs(canvas.x - np.float32(0.5 * torso.spine[0])), canvas.front
    from_edge = x - np.float32(torso.rectus[1])
    from_back = x - np.float32(rng.uniform(72, 84) * torso.stature)
    canvas.paint_line(canvas.trunk - 1, 1.2, 20.0, np.where(front, 25 - from_edge, np.float32(-5)))
    canvas.paint_line(canvas.trunk - 2, 3.2, 30.0, np.where(front, torso.rectus[0] + 1 - x, np.float32(-5)))
    _flat_muscles(canvas, torso, wall, (from_edge, from_back), rng)
    _chest_muscles(canvas, torso, wall, (from_edge, x), rng)
    _rectus(canvas, torso, x, rng)
    _cartilage(canvas, torso, wall, rng)
    for side in (-1, 1):
        for rib in range(_LOWEST_RIB, 5, -1):
            _rib(canvas, torso, wall, (side, rib), rng)
    _xiphoid(canvas, torso, rng)
    _iliac_crest(canvas, torso, wall, rng)


def _flat_muscles(
    canvas: Canvas, torso: Torso, wall: Wall, ends: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    """External oblique, internal oblique and transversus, which end at their aponeuroses or at the costal margin."""
    thickness = np.float32(torso.wall) * (1 + np.float32(0.1) * canvas.texture(rng, 45))
    fat = fat_fraction_of(canvas, 0.4 * torso.streaks)
    for start, end, front_end, back_end in ((0.0, 0.36, 10, 12), (0.40, 0.79, 4, 5), (0.83, 1.0, -3, 0)):
        from_back_end = ends[1] - back_end * rng.uniform(0.6, 1.4)
        to_end = np.where(canvas.front, (ends[0] - front_end) / 26, from_back_end / 12)
        to_end = np.minimum(to_end, (8 - wall.beyond) / 22)
        taper = np.sqrt(np.clip(to_end, 0, 1))
        half, middle = (end - start) / 2 * thickness * taper, (end + start) / 2 * thickness * (0.55 + 0.45 * taper)
        lens = np.where(to_end > 0, half - np.abs(canvas.trunk - 0.8 - middle), np.float32(-5))
        canvas.paint_muscle(lens, torso.muscle_hu + rng.normal(0, 3), fat)


def _chest_muscles(
    canvas: Canvas, torso: Torso, wall: Wall, ends: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    """External oblique, serratus and latissimus dorsi outside the ribs, and the intercostal muscles between them."""
    end = rng.uniform(28, 62) * torso.stature
    to_end = np.where(canvas.front, (ends[0] + 4) / 14, (ends[1] - end) / 25)
    taper = np.sqrt(np.clip(np.minimum(to_end, (wall.beyond + 14) / 26), 0, 1))
    half = wall.outer * (1 + np.float32(0.12) * canvas.texture(rng, 30)) / 2 * taper
    lens = np.where(taper > 0, half - np.abs(canvas.trunk - 0.6 - half), np.float32(-5))
    fat = fat_fraction_of(canvas, 0.5 * torso.streaks)
    canvas.paint_muscle(lens, torso.muscle_hu + rng.normal(0, 3), fat)
    # A seam between two layers, where the latissimus dorsi covers the serratus.
    seam = np.minimum(lens, 14 - np.abs(wall.angle - np.float32(rng.uniform(0.5, 0.7))) * wall.radius)
    canvas.paint_line(lens - half * np.float32(rng.uniform(0.4, 1)), 0.4 + 1.6 * torso.streaks, FAT + 40, seam)
    layer = np.minimum(np.minimum(wall.cage, wall.inner - wall.cage), wall.beyond)
    canvas.paint_muscle(layer, torso.muscle_hu - 3 + rng.normal(0, 3), fat_fraction_of(canvas, 0.8 * torso.streaks))


def _rectus(canvas: Canvas, torso: Torso, x: np.ndarray, rng: np.random.Generator) -> None:
    gap, edge = torso.rectus
    across = np.minimum(((x - (gap + edge) / 2) / ((edge - gap) / 2)) ** 2, 1)
    belly = rng.uniform(7, 12) * torso.bulk * (1 - 0.4 * torso.above()) * np.sqrt(1 - across**2)
    lens = np.where(canvas.front & (across < 1), belly / 2 - np.abs(canvas.trunk - 1.4 - belly / 2), np.float32(-5))
    canvas.paint_muscle(lens, torso.muscle_hu + rng.normal(0, 3), fat_fraction_of(canvas, 0.5 * torso.streaks))


def _along(canvas: Canvas, torso: Torso, wall: Wall, side: int, angle: float) -> Canvas:
    """A canvas whose x runs along the wall from this angle, and whose y is the depth inside the ribs' middle."""
    along = (wall.angle - np.float32(angle)) * wall.radius * np.float32(np.pi)
    other = side * (canvas.x - torso.spine[0]) < -12
    return canvas.warped(np.where(other, np.float32(300), along), wall.cage - wall.inner / 2)


def _rib(canvas: Canvas, torso: Torso, wall: Wall, which: tuple[int, int], rng: np.random.Generator) -> None:
    side, rib = which
    # Vertebrae that the rib has descended on its way to this level.
    drop = 15 - rib - torso.level - torso.rib_cage + rng.normal(0, 0.12)
    bone = {12: 1.5, 11: 2.7, 10: 3.6, 9: 4.3, 8: 5.0, 7: 5.3, 6: 5.5}[rib] + rng.uniform(-0.4, 0.4)
    angle = _HEADS - _PER_VERTEBRA * drop
    half = (rng.uniform(3.8, 8.5) + rng.uniform(2, 9) * max(0.0, 1.4 - drop), rng.uniform(2.2, 3.7))
    density, tilt, rim = rng.uniform(0.8, 1.35), rng.uniform(-14, 6), rng.uniform(1.0, 1.8)
    if not -0.15 < drop < bone + 0.9 or angle < 0.12:
        return
    near = _along(canvas, torso, wall, side, angle)
    depth = near.ellipse((0, 0.4), half, tilt, power=2.3)
    canvas.paint(depth + rng.uniform(0, 2) * torso.streaks, FAT + 40)
    if drop > bone:
        _paint_cartilage(canvas, depth, rng)
    else:
        canvas.paint(depth, 620 * density)
        canvas.paint(depth - rim, 160 * density + 40 * canvas.grain)


def _cartilage(canvas: Canvas, torso: Torso, wall: Wall, rng: np.random.Generator) -> None:
    """The fused cartilages of the costal margin."""
    for side in (-1, 1):
        angle = margin(torso) + rng.uniform(0.0, 0.05)
        half = (rng.uniform(10, 24), rng.uniform(3.6, 5.6))
        tilt = rng.uniform(-4, 8)
        if torso.level + torso.rib_cage > 1.3:
            depth = _along(canvas, torso, wall, side, angle).ellipse((0, 1.0), half, tilt, power=2.3)
            canvas.paint(depth + 1, FAT + 40)
            _paint_cartilage(canvas, depth, rng)


def _paint_cartilage(canvas: Canvas, depth: np.ndarray, rng: np.random.Generator) -> None:
    canvas.paint(depth, rng.uniform(80, 170) + 8 * canvas.grain)
    if rng.random() < 0.3:  # calcified in older patients
        canvas.paint_line(depth - 0.8, 1.4, rng.uniform(250, 500), canvas.grain * 2 + rng.uniform(-1, 1))


def _xiphoid(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    radii, y = (rng.uniform(6, 12), rng.uniform(2.5, 4.5)), -torso.front + rng.uniform(6, 9)
    if rng.random() < 0.6 and torso.level + torso.rib_cage > 3.6:
        near = canvas.window((0, y), 20)
        depth = near.ellipse((0, 0), radii)
        near.paint(depth, rng.uniform(150, 400))
        near.paint(depth - 1.3, rng.uniform(80, 200))


def _iliac_crest(canvas: Canvas, torso: Torso, wall: Wall, rng: np.random.Generator) -> None:
    """The top of the iliac bone, on which the flat muscles end, in some patients at L4."""
    highest = rng.uniform(-1.5, -0.4)
    for side in (-1, 1):
        half, angle = (rng.uniform(9, 24), rng.uniform(3, 5)), rng.uniform(0.62, 0.70)
        if torso.level < highest:
            crest = _along(canvas, torso, wall, side, angle).ellipse((0, 2), half, rng.uniform(-8, 8), power=2.3)
            canvas.paint(crest + 1, FAT + 40)
            canvas.paint(crest, rng.uniform(450, 800))
            canvas.paint(crest - 1.8, 220 + 50 * canvas.grain)
