"""What lies beside and in front of the spine at every level: pancreas, kidneys, great vessels, crura, and their fat."""

import numpy as np

from data.phantoms import abdomen
from data.phantoms.canvas import FAT, Canvas
from data.phantoms.torso import Torso, interpolated


def fat_around_kidneys(canvas: Canvas, torso: Torso, sizes: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Depth inside the fat beside the spine that contains kidney and adrenal gland, in mm; `sizes` from L4 to T11."""
    size = interpolated(torso.level, *sizes) * torso.stature * rng.uniform(0.85, 1.1)
    x = np.abs(canvas.x - np.float32(torso.spine[0])) - np.float32(52 * torso.stature)
    return canvas.warped(x, canvas.y - np.float32(torso.spine[1])).ellipse((0, 4), (0.65 * size, size))


def paint_pancreas(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints pancreas and duodenum: a lobulated band from the right to the hilum of the spleen."""
    start, end = (-rng.uniform(28, 48), -rng.uniform(36, 52)), (rng.uniform(40, 80), -rng.uniform(16, 36))
    seen = 0.6 < torso.level + torso.organs < 2.8 and rng.random() < 0.8
    for along in np.linspace(0, 1, 7):
        x = torso.spine[0] + start[0] + along * (end[0] - start[0])
        y = torso.spine[1] + start[1] + along * (end[1] - start[1]) - 14 * np.sin(np.pi * along)
        radii, hu = (rng.uniform(8, 13), rng.uniform(5, 9)), rng.uniform(30, 42)
        if seen:
            near = canvas.window((x, y), 24, rng.uniform(-40, 10))
            depth = np.minimum(near.ellipse((0, 0), radii) - 1.2 * near.grain, near.cavity - 4)
            near.paint(depth, hu + 1.2 * torso.phase.added - 40 * torso.streaks * (near.grain > 1))


def paint_kidneys(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints the kidneys, from L3 to T12; the right one lies lower."""
    for side, middle in ((-1, 1.1), (1, 1.5)):
        away = (torso.level + torso.organs - middle) / rng.uniform(1.5, 2.0)
        place = (
            torso.spine[0] + side * (rng.uniform(60, 70) - 4 * max(torso.level, 0)) * torso.stature,
            torso.spine[1] + rng.uniform(-20, 10),
        )
        window = canvas.window(place, 55, side * rng.uniform(15, 50))
        radius = rng.uniform(22, 28) * np.sqrt(max(0.0, 1 - away**2))
        if radius > 6:
            abdomen.paint_kidney(window, side, torso.phase, radius, rng)


def paint_vessels(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """Paints aorta, vena cava, their branches, the ureters and the crura of the diaphragm, which the mask excludes."""
    canvas = canvas.window(torso.spine, 75, scale=torso.stature)
    phase, up = torso.phase, torso.above()
    _crura(canvas, torso, rng)
    for _ in range(round(interpolated(torso.level, 0, 1, 4, 5, 2, 1))):
        near = canvas.ellipse(
            (rng.uniform(-40, 45), -rng.uniform(30, 62)),
            (rng.uniform(3, 20), rng.uniform(2.5, 5)),
            rng.uniform(-35, 35),
        )
        canvas.paint(near, rng.choice((phase.artery, phase.vein)))
    radius = rng.uniform(7.5, 11.5) * (1 + 0.15 * up)
    aorta = canvas.ellipse((rng.uniform(3, 10), -20 - radius), (radius, radius * rng.uniform(0.95, 1.05)))
    cava_centre = (-rng.uniform(15, 19) - 8 * up, -rng.uniform(26, 29) - 16 * up)
    cava = canvas.ellipse(cava_centre, (rng.uniform(9, 14), rng.uniform(5, 11)), rng.uniform(-20, 10))
    for vessel, hu in ((cava, phase.vein), (aorta, phase.artery)):
        canvas.paint(vessel + 1.5, FAT + 10 if torso.level < 2 else 30)
        canvas.paint(vessel, hu)
    if rng.random() < 0.45:
        canvas.paint_line(aorta - 0.8, 1.8, 700.0, canvas.grain * 2 - rng.uniform(-1, 1))  # calcified plaques
    for side in (-1, 1):
        ureter = (side * rng.uniform(36, 44), -rng.uniform(24, 28))
        if torso.level < 0.8:
            canvas.paint(canvas.ellipse(ureter, (2.4, 2.1)), phase.ureter)


def _crura(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        thickness, length, tilt = rng.uniform(2.5, 5), rng.uniform(11, 17), rng.uniform(15, 35)
        if torso.level > 0.6:
            grow = interpolated(torso.level, 0, 0, 0.6, 1, 1.1, 1)
            centre = (side * (19 + grow * 3), -16 - 6 * grow)
            crus = canvas.ellipse(centre, (thickness, length * grow), side * tilt)
            canvas.paint(crus, torso.muscle_hu + rng.normal(0, 3))
