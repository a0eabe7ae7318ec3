"""Paints a torso at any vertebral level from T11 to L4, organ by organ."""

from collections.abc import Callable

import numpy as np

from data.phantoms import abdomen, back, chest_wall, retroperitoneum, scanner, thorax, upper_abdomen
from data.phantoms.canvas import Canvas
from data.phantoms.torso import Torso


def paint(canvas: Canvas, torso: Torso, generator: Callable[[int], np.random.Generator]) -> None:
    """Paints everything; `generator` returns the random numbers of the part with this number."""
    _shape(canvas, torso)
    wall = chest_wall.wall_of(canvas, torso, back.back_depth(canvas, torso))
    abdomen.paint_table(canvas, torso, generator(0))
    scanner.paint_arms(canvas, torso, generator(1))
    abdomen.paint_outline(canvas, torso, generator(2))
    thorax.paint_cavity(canvas, torso, wall, generator(3))
    organs = (
        upper_abdomen.paint_bowel,
        upper_abdomen.paint_spleen,
        upper_abdomen.paint_liver,
        retroperitoneum.paint_kidneys,
        upper_abdomen.paint_stomach,
        upper_abdomen.paint_flexure,
        retroperitoneum.paint_pancreas,
        retroperitoneum.paint_vessels,
    )
    for number, paint_organ in enumerate(organs, 10):
        paint_organ(canvas, torso, generator(number))
    chest_wall.paint_wall(canvas, torso, wall, generator(30))
    back.paint_back(canvas, torso, generator(31))
    back.paint_vertebra(canvas, torso, generator(32))
    scanner.paint_metal(canvas, torso, generator(33))


def _shape(canvas: Canvas, torso: Torso) -> None:
    """Narrows the front of the trunk, as much as the level is chest, and hollows its back along the spine."""
    forward = np.clip(-canvas.y / np.float32(torso.front), 0, 1)
    narrowed = canvas.warped(canvas.x * (1 + np.float32(torso.taper * torso.above()) * forward), canvas.y)
    furrow = torso.furrow * np.exp(-(((canvas.x - np.float32(torso.spine[0])) / 17) ** 2)) * ~canvas.front
    before = narrowed.ellipse((0, 0), (torso.half_width, torso.front), power=torso.roundness)
    behind = canvas.ellipse((0, 0), (torso.half_width, torso.back), power=torso.back_roundness)
    canvas.trunk = np.where(canvas.front, before, behind) - furrow
    canvas.cavity = canvas.trunk
