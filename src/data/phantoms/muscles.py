"""The muscles: abdominal wall, rectus abdominis, psoas, quadratus lumborum, erector spinae and multifidus."""

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.patient import Patient


def paint_wall(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints the flat muscles of the abdominal wall and both recti, with their fasciae."""
    canvas = canvas.window((0, 0), patient.half_width)
    (gap, edge), front, depth = patient.rectus, canvas.front, canvas.trunk
    x = np.abs(canvas.x - np.float32(0.5 * patient.spine[0]))
    from_edge, from_back = x - np.float32(edge), x - np.float32(rng.uniform(74, 84) * patient.stature)
    thickness = np.float32(patient.wall) * (1 + np.float32(0.1) * canvas.texture(rng, 45))
    # The rectus sheath, the linea alba, and the fascia that continues behind the muscles.
    canvas.paint_line(depth - 1, 1.2, 20.0, np.where(front, 25 - from_edge, np.float32(-5)))
    canvas.paint_line(depth - thickness - 1.5, 0.8, -30.0, np.where(front, from_edge, from_back))
    canvas.paint_line(depth - 2, 3.2, 30.0, np.where(front, gap + 1 - x, np.float32(-5)))
    fat_fraction = fat_fraction_of(canvas, 0.4 * patient.streaks)
    # External oblique, internal oblique and transversus, from outside to inside; each ends in its aponeurosis.
    for start, end, front_end, back_end in ((0.0, 0.36, 14, 12), (0.40, 0.79, 5, 5), (0.83, 1.0, -3, 0)):
        to_end = np.where(front, (from_edge - front_end) / 26, (from_back - back_end * rng.uniform(0.6, 1.4)) / 12)
        taper = np.sqrt(np.clip(to_end, 0, 1))
        half, middle = (end - start) / 2 * thickness * taper, (end + start) / 2 * thickness * (0.55 + 0.45 * taper)
        lens = np.where(to_end > 0, half - np.abs(depth - 0.8 - middle), np.float32(-5))
        canvas.paint_muscle(lens, patient.muscle_hu + rng.normal(0, 3), fat_fraction)
    _rectus(canvas, x, rng)


def _rectus(canvas: Canvas, x: np.ndarray, rng: np.random.Generator) -> None:
    patient = canvas.patient
    gap, edge = patient.rectus
    across = np.minimum(((x - (gap + edge) / 2) / ((edge - gap) / 2)) ** 2, 1)
    belly = rng.uniform(7, 13) * patient.bulk * np.sqrt(1 - across**2)
    lens = np.where(canvas.front & (across < 1), belly / 2 - np.abs(canvas.trunk - 1.6 - belly / 2), np.float32(-5))
    canvas.paint_muscle(lens, patient.muscle_hu + rng.normal(0, 3), fat_fraction_of(canvas, 0.5 * patient.streaks))


def fat_fraction_of(canvas: Canvas, streaks: float) -> np.ndarray:
    """Fraction of fat per pixel of a muscle: 0 everywhere for `streaks` = 0, a network of fat streaks for 1."""
    return np.clip(1.0 + 0.6 * canvas.grain + 2.2 * (streaks - 0.75) - 0.5 * canvas.veins, 0, 1)


def paint_back(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints psoas, quadratus lumborum, erector spinae and multifidus."""
    canvas = canvas.window(patient.spine, 112, scale=patient.stature)
    for side in (-1, 1):
        lean = np.sqrt(patient.bulk) * rng.uniform(0.95, 1.05)
        psoas = canvas.ellipse(
            (side * (22 + 17 * lean), 2 + 2 * lean), (17 * lean, 22 * lean), side * rng.uniform(-28, 0), power=2.2
        )
        lumborum = canvas.ellipse(
            (side * rng.uniform(66, 72), 26), (9 * lean, 20 * lean), side * -rng.uniform(22, 42), power=2.2
        )
        for muscle, streaks in ((psoas, 0.3), (lumborum, 0.6)):
            canvas.paint(muscle + 1.6, FAT)
            canvas.paint_muscle(
                muscle, patient.muscle_hu + rng.normal(1, 3), fat_fraction_of(canvas, streaks * patient.streaks)
            )
        _erector(canvas, side, lean, rng)


def _erector(canvas: Canvas, side: int, lean: float, rng: np.random.Generator) -> None:
    patient = canvas.patient
    hu = patient.muscle_hu - 3 + rng.normal(0, 2)
    under_fascia = canvas.trunk / patient.stature - 2
    erector = np.minimum(
        canvas.ellipse((side * (8 + 34 * lean), 53), (34 * lean, 24 * lean), side * rng.uniform(2, 14), power=2.6),
        under_fascia,
    )
    multifidus = np.minimum(
        canvas.ellipse((side * 15, 55), (13 * lean, 20 * lean), side * rng.uniform(-12, 12)), under_fascia
    )
    canvas.paint(np.maximum(erector, multifidus) + 1.6, FAT)
    canvas.paint_line(np.maximum(erector, multifidus) + 1.6, 0.9, -10.0)  # the thoracolumbar fascia
    canvas.paint_muscle(erector, hu, fat_fraction_of(canvas, patient.streaks))
    # Fat seams: in front of the multifidus, and between iliocostalis and longissimus.
    fat_hu = hu + (FAT - hu) * np.clip(0.4 + patient.streaks + 0.3 * canvas.grain, 0, 1)
    canvas.paint_muscle(multifidus, hu - 2, fat_fraction_of(canvas, min(1.0, 1.25 * patient.streaks)))
    column = canvas.ellipse((side * rng.uniform(70, 80), 62), (24, 34), side * rng.uniform(-10, 20))
    for seam, width_mm in ((multifidus, 1.6), (column, 1.2)):
        canvas.paint_line(seam, width_mm * (0.5 + patient.streaks), fat_hu, erector)
