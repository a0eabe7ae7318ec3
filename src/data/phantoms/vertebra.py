"""The third lumbar vertebra with its arch, joints and canal."""

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.patient import Patient


def paint_vertebra(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints the vertebral body, the arch and the spinal canal."""
    canvas = canvas.window(patient.spine, 62, rng.normal(0, 1.5), patient.stature)
    density = rng.uniform(0.75, 1.3)
    cortex, marrow = 440 * density + 60, 130 * density + 30 + 35 * canvas.grain
    radii = (rng.uniform(22, 26), rng.uniform(16, 19))
    hidden, parts = canvas.y - radii[1] + 4, _arch(canvas, radii[1], rng)
    canvas.paint(parts, cortex)
    canvas.paint(parts - 1.9, marrow)
    for side in (-1, 1):  # the facet joints
        within = np.minimum(parts + 1, 7 - np.abs(canvas.y - radii[1] - 19))
        canvas.paint_line(canvas.ellipse((side * 33, radii[1] + 15), (13, 13)), 1.6, 90.0, within)
    body = np.minimum(canvas.ellipse((0, 0), radii, power=2.4), -canvas.ellipse((0, radii[1] + 9), (13, 11)))
    canvas.paint(body, cortex)
    canvas.paint(body - rng.uniform(1.1, 1.7), marrow)
    canal = np.minimum(canvas.ellipse((0, radii[1] + 7), (11.5, 9.5), power=2.2), hidden - 2)
    canvas.paint(canal, FAT + 40)
    canvas.paint(canal - 1.6, 18.0)


def _arch(canvas: Canvas, rear: float, rng: np.random.Generator) -> np.ndarray:
    lamina = rng.uniform(4, 5.5)
    length, thickness = rng.uniform(12, 18), rng.uniform(2.8, 4.5)
    parts = [canvas.ellipse((0, rear + 21 + length), (thickness, length), power=2.5)]
    # At the level of the pedicles bone surrounds the canal; below, the canal is open and the joints are large.
    pedicles = rng.random() < 0.6
    for side in (-1, 1):
        parts.append(canvas.ellipse((side * 9, rear + 19), (13, lamina), side * -35))
        parts.append(canvas.ellipse((side * 20, rear + 18), (7, rng.uniform(8, 10)), side * -20))
        if pedicles:
            parts.append(canvas.ellipse((side * 17, rear + 5), (4.5, 14)))
            parts.append(
                canvas.ellipse(
                    (side * 34, rear + rng.uniform(5, 10)),
                    (rng.uniform(16, 22), 3.4),
                    side * rng.uniform(5, 20),
                    power=2.4,
                )
            )
    return np.maximum.reduce(parts)
