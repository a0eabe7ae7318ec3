"""The back at every level: psoas, quadratus lumborum, erector spinae, vertebra and the heads of the ribs."""

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.muscles import fat_fraction_of
from data.phantoms.torso import Torso, interpolated


def back_depth(canvas: Canvas, torso: Torso) -> np.ndarray:
    """Depth inside the muscles of the back and what lies between and behind them, in mm of the canvas."""
    x, y = (canvas.x - np.float32(torso.spine[0])), canvas.y - np.float32(torso.spine[1])
    centre, scale = _erector_centre(torso), np.float32(torso.stature)
    near = canvas.warped(np.maximum(np.abs(x) / scale, centre[0] - 8), np.minimum(y / scale, centre[1]))
    return _erector(near, torso, 1) * scale


def _erector_centre(torso: Torso) -> tuple[float, float]:
    return 8 - max(torso.level, 0) + _erector_radii(torso)[0], interpolated(torso.level, 53, 53, 52, 49, 44.5, 39)


def _erector_radii(torso: Torso) -> tuple[float, float]:
    # Upwards it becomes flatter and wider.
    width, thickness = (
        interpolated(torso.level, 34, 34, 36, 38, 40, 42),
        interpolated(torso.level, 24, 24, 24, 22, 19.5, 16.5),
    )
    return width * torso.lean, thickness * torso.lean


def _erector(canvas: Canvas, torso: Torso, side: int) -> np.ndarray:
    up = max(torso.level, 0.0)
    x, y = _erector_centre(torso)
    return canvas.ellipse((side * x, y), _erector_radii(torso), side * (6.0 + 2.0 * up), power=2.5 - 0.08 * up)


def paint_back(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints psoas, quadratus lumborum and the muscles behind the spine."""
    canvas = canvas.window(torso.spine, 125, scale=torso.stature)
    for side in (-1, 1):
        _psoas(canvas, torso, side, rng)
        _lumborum(canvas, torso, side, rng)
        _paint_erector(canvas, torso, side, rng)


def _psoas(canvas: Canvas, torso: Torso, side: int, rng: np.random.Generator) -> None:
    size, degrees, hu = torso.lean * rng.uniform(0.78, 1.1), side * rng.uniform(-28, 0), rng.normal(1, 3)
    level = torso.level + rng.normal(0, 0.2)
    radii = (size * interpolated(level, 20, 17, 10, 4.5, 0, 0), size * interpolated(level, 24, 22, 20, 13, 0, 0))
    if min(radii) > 1.5 and torso.level < 2.7:
        muscle = canvas.ellipse(
            (side * (21 + radii[0]), 2 + radii[1] / 11), radii, degrees * min(1, radii[0] / 17), 2.2
        )
        canvas.paint(muscle + 1.2, FAT)
        canvas.paint_muscle(muscle, torso.muscle_hu + hu, fat_fraction_of(canvas, 0.3 * torso.streaks))


def _lumborum(canvas: Canvas, torso: Torso, side: int, rng: np.random.Generator) -> None:
    size = torso.lean * rng.uniform(0.75, 1.05)
    place, degrees, hu = rng.uniform(-3, 3), rng.uniform(22, 42), rng.normal(1, 3)
    level = torso.level + rng.normal(0, 0.2)
    radii = (size * interpolated(level, 9, 9, 6, 4, 2, 0), size * interpolated(level, 21, 20, 17, 14, 8, 0))
    if min(radii) > 1.2:
        centre = (
            side * (interpolated(level, 70, 69, 58, 50, 42, 40) + place),
            interpolated(level, 25, 26, 27, 26, 22, 20),
        )
        muscle = canvas.ellipse(centre, radii, -side * (degrees + 6 * max(level, 0)), power=2.2)
        canvas.paint(muscle + 1.2, FAT)
        canvas.paint_muscle(muscle, torso.muscle_hu + hu, fat_fraction_of(canvas, 0.6 * torso.streaks))


def _paint_erector(canvas: Canvas, torso: Torso, side: int, rng: np.random.Generator) -> None:
    hu, up = torso.muscle_hu - 3 + rng.normal(0, 2), torso.above()
    under_fascia = canvas.trunk / torso.stature - np.float32(2 + 1.5 * up)
    erector = np.minimum(_erector(canvas, torso, side), under_fascia)
    multifidus = np.minimum(
        canvas.ellipse(
            (side * 15, 55 - 18 * up), (13 - 2 * up, (20 - 7 * up) * torso.lean), side * rng.uniform(-12, 12)
        ),
        under_fascia,
    )
    both = np.maximum(erector, multifidus)
    canvas.paint(both + 1.2, FAT)
    canvas.paint_line(both + 1.2, 0.9, -10.0)  # the thoracolumbar fascia
    canvas.paint_muscle(erector, hu, fat_fraction_of(canvas, torso.streaks))
    canvas.paint_muscle(multifidus, hu - 2, fat_fraction_of(canvas, min(1.0, 1.25 * torso.streaks)))
    fat_hu = hu + (FAT - hu) * np.clip(0.2 + torso.streaks + 0.3 * canvas.grain, 0, 1)
    column = canvas.ellipse((side * rng.uniform(70, 80), 62 - 14 * up), (24, 34), side * rng.uniform(-10, 20))
    for seam, width_mm in ((multifidus, 1.6), (column, 1.2)):
        canvas.paint_line(seam, width_mm * (0.2 + torso.streaks), fat_hu, erector)
    if up > 0.3:  # A thin sheet of trapezius and latissimus dorsi covers the muscles of the back.
        sheet = np.minimum(np.minimum(3 * up - np.abs(canvas.trunk - 0.8 - 2 * up), both + 4), np.abs(canvas.x) - 4)
        canvas.paint_muscle(sheet, hu, fat_fraction_of(canvas, 0.7 * torso.streaks))


def paint_vertebra(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the vertebral body, the arch, the spinal canal and, at T11 and T12, the heads of the ribs."""
    canvas = canvas.window(torso.spine, 80, rng.normal(0, 1.5), torso.stature)
    up, density = torso.above(), rng.uniform(0.7, 1.35)
    cortex, marrow = 440 * density + 60, 130 * density + 30 + 35 * canvas.grain
    radii = (rng.uniform(22, 26) * (1 - 0.12 * up), rng.uniform(16, 19))
    parts = _arch(canvas, torso, radii[1], rng)
    canvas.paint(parts, cortex)
    canvas.paint(parts - 1.8, marrow)
    body = np.minimum(canvas.ellipse((0, 0), radii, power=2.3), -canvas.ellipse((0, radii[1] + 9), (13, 11)))
    canvas.paint(body, cortex)
    endplate = rng.random() < 0.25  # a slice through the sclerotic endplate
    canvas.paint(body - rng.uniform(1.1, 1.7), marrow + (120 * density if endplate else 0))
    canal = np.minimum(canvas.ellipse((0, radii[1] + 7), (11 - up, 9), power=2.2), canvas.y - radii[1] + 2)
    canvas.paint(canal, FAT + 40)
    canvas.paint(canal - 1.6, 25.0)


def _arch(canvas: Canvas, torso: Torso, rear: float, rng: np.random.Generator) -> np.ndarray:
    up = torso.above()
    lamina, thickness = rng.uniform(4, 5.5), rng.uniform(2.6, 4.2)
    length = rng.uniform(12, 18) * (1 - 0.45 * up)
    parts = [canvas.ellipse((0, rear + 18 + length), (thickness, length), power=2.5)]
    pedicles, heads = rng.random() < 0.6, rng.random() < 0.5
    for side in (-1, 1):
        parts.append(canvas.ellipse((side * 9, rear + 17), (13 - 2 * up, lamina), side * -35))
        parts.append(canvas.ellipse((side * (19 - 4 * up), rear + 16), (6.5, rng.uniform(6, 9)), side * -20))
        if pedicles:
            parts.append(canvas.ellipse((side * (17 - 2 * up), rear + 5), (4.5, 13)))
            parts.append(_transverse_process(canvas, torso, side, rear, rng))
        if heads and torso.level + torso.rib_cage > 2.5:  # a rib from its joint, obliquely to the back
            centre = (side * rng.uniform(32, 44), rear + rng.uniform(4, 10))
            parts.append(
                canvas.ellipse(centre, (rng.uniform(9, 20), rng.uniform(2.6, 3.8)), side * rng.uniform(18, 34), 2.4)
            )
    return np.maximum.reduce(parts)


def _transverse_process(canvas: Canvas, torso: Torso, side: int, rear: float, rng: np.random.Generator) -> np.ndarray:
    half = rng.uniform(16, 22) * (1 - 0.5 * torso.above())
    centre = (side * (34 - 8 * torso.above()), rear + rng.uniform(5, 10) + 5 * torso.above())
    return canvas.ellipse(centre, (half, 3.4), side * rng.uniform(5, 20), power=2.4)
