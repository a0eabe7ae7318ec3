"""The trunk without muscles: table, outline, bowel, organs, mesentery and vessels."""

import numpy as np

from data.phantoms.canvas import FAT, Canvas
from data.phantoms.patient import Patient, Phase


def paint_table(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints the scanner's table below the patient."""
    radius, thickness = rng.uniform(260, 500), rng.uniform(12, 30)
    bottom = patient.centre[1] + patient.back + patient.fat[2] + 6 + 60 * abs(np.sin(np.deg2rad(patient.degrees)))
    x, y = canvas.columns[None, :], canvas.rows[:, None]
    sag = np.sqrt(x**2 + np.maximum(y - np.float32(bottom - radius), 0) ** 2) - np.float32(radius)
    ends = np.float32(rng.uniform(150, 230)) - np.abs(x)
    canvas.paint(np.minimum(np.minimum(sag, thickness - sag), ends), -900.0)
    for depth in (sag, thickness - sag):
        canvas.paint_line(depth, 2.0, rng.uniform(-400, 150), ends)


def paint_outline(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints the trunk: skin and subcutaneous fat."""
    front, side, back = np.asarray(patient.fat, np.float32)
    toward = (
        np.minimum(
            canvas.y / np.where(canvas.front, np.float32(patient.front), np.float32(patient.back)), np.float32(1.2)
        )
        ** 2
    )
    fat = side + (np.where(canvas.front, front, back) - side) * toward
    # The furrow along the spine and the navel.
    hollow = (
        rng.uniform(0.2, 0.5)
        * back
        * np.exp(-(((canvas.x - patient.spine[0]) / rng.uniform(14, 26)) ** 2))
        * ~canvas.front
    )
    if rng.random() < 0.3:
        hollow += min(0.4 * front, 10) * np.exp(-((canvas.x / 14) ** 2)) * canvas.front
    body = canvas.trunk + fat * (1 + 0.1 * canvas.texture(rng, 100)) + 2 - hollow
    canvas.paint(body, 15.0)
    strands = 30 * np.exp(-((canvas.texture(rng, 40, 20) / 0.06) ** 2))
    canvas.paint(body - 1.9, FAT + 4 * canvas.grain + strands * (canvas.trunk < 0))


def paint_bowel(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints loops of small bowel and the colon."""
    canvas = canvas.window((0, 0), patient.half_width)
    canvas.bend(rng, 22, 1.8)
    width = patient.half_width - patient.wall
    for _ in range(rng.integers(20, 34)):
        centre = (0.72 * width * rng.uniform(-1, 1), rng.uniform(-0.85 * patient.front, patient.spine[1] - 30))
        paint_loop(canvas, centre, rng.uniform(7, 14), rng, gas=0.12)
    if rng.random() < 0.5:  # The transverse colon hangs this low.
        for x in np.arange(-0.5, 0.6, rng.uniform(0.2, 0.35)):
            paint_loop(
                canvas, (x * width, -0.78 * patient.front + rng.uniform(0, 8)), rng.uniform(11, 17), rng, gas=0.7
            )
    for side in (-1, 1):  # the ascending and the descending colon
        radius = rng.uniform(13, 24)
        paint_loop(canvas, (side * (width - 1.15 * radius), rng.uniform(-25, 8)), radius, rng, gas=0.6)


def paint_loop(
    canvas: Canvas, centre: tuple[float, float], radius: float, rng: np.random.Generator, gas: float
) -> None:
    """Paints a loop of bowel around `centre`, in mm; `gas` is the probability that it contains gas, 0 to 1."""
    stretch = rng.uniform(1.0, 1.9)
    canvas = canvas.window(centre, radius * stretch + 8)
    loop = np.minimum(
        canvas.ellipse((0, 0), (radius * stretch, radius), rng.uniform(0, 180), power=2.2), canvas.cavity - 1
    )
    paint_hollow(canvas, loop, radius, rng, gas)


def paint_hollow(canvas: Canvas, loop: np.ndarray, radius: float, rng: np.random.Generator, gas: float) -> None:
    """Paints a hollow organ of this depth (mm) around the origin: wall, filling, and with probability `gas`, gas."""
    wall_hu, thickness = rng.uniform(25, 50) + canvas.patient.phase.added, rng.uniform(1.6, 3.2)
    canvas.paint(loop + rng.uniform(0.3, 1.2), FAT + 30)
    canvas.paint(loop, wall_hu)
    inside = loop - thickness
    filling = rng.choice(
        ("none", "fluid", "stool", "drink"), p=(0.3, 0.4, 0.2, 0.1) if gas < 0.5 else (0.1, 0.2, 0.65, 0.05)
    )
    if filling != "none":
        stool = 30 + 35 * canvas.grain - 500 * np.clip(canvas.grain - 1.2, 0, 1)
        fillings: dict[str, float | np.ndarray] = {"fluid": rng.uniform(5, 40), "stool": stool, "drink": 230.0}
        canvas.paint(inside, fillings[filling])
    if rng.random() < gas:  # Gas rises to the front: the patient lies on the back.
        level = rng.uniform(-0.6, 0.9) * radius + 0.8 * canvas.grain
        canvas.paint(np.minimum(inside, level - canvas.y), -940.0)


def paint_organs(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints the tip of the liver and the lower poles of the kidneys, each in some patients."""
    if rng.random() < 0.5:
        radii = (rng.uniform(14, 34), rng.uniform(28, 58))
        liver = canvas.window(
            (-patient.half_width + patient.wall + radii[0] - 4, -rng.uniform(0, 0.5) * patient.front),
            70,
            rng.uniform(-20, 10),
        )
        depth = np.minimum(liver.ellipse((0, 0), radii, power=2.3), liver.cavity - 1)
        liver.paint(depth + 1, FAT)
        liver.paint(depth, rng.uniform(45, 60) + 1.6 * patient.phase.added + 3 * liver.grain)
    for side, chance in ((-1, 0.75), (1, 0.6)):  # The right kidney, left in the image, lies lower.
        if rng.random() < chance:
            place = (
                patient.spine[0] + side * rng.uniform(60, 70) * patient.stature,
                patient.spine[1] - rng.uniform(6, 24),
            )
            kidney = canvas.window(place, 50, side * rng.uniform(15, 50))
            paint_kidney(kidney, side, patient.phase, rng.uniform(14, 25), rng)


def paint_kidney(canvas: Canvas, side: int, phase: Phase, radius: float, rng: np.random.Generator) -> None:
    """Paints a kidney of this radius (mm) around the origin, with its fat; `side` is 1 for the patient's left."""
    kidney = np.minimum(canvas.ellipse((0, 0), (radius, radius * rng.uniform(0.95, 1.25))), canvas.cavity - 4)
    canvas.paint(kidney + rng.uniform(2, 7), FAT + 3 * canvas.grain)
    canvas.paint_line(kidney + 8, 0.8, -40.0, canvas.cavity)  # Gerota's fascia
    canvas.paint(kidney, phase.cortex + 4 * canvas.grain)
    canvas.paint(kidney - 6 - 1.5 * canvas.grain, phase.medulla)
    if radius > 18:  # Above the lower pole: the fat of the renal sinus, open medially, and the pelvis in it.
        canvas.paint(
            canvas.ellipse((-side * 0.55 * radius, 0), (0.65 * radius, 0.3 * radius)) + 1.5 * canvas.grain, FAT + 25
        )
        canvas.paint(canvas.ellipse((-side * 0.4 * radius, 0), (0.3 * radius, 0.14 * radius)), phase.ureter)


def paint_mesentery(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Sets the depth inside the abdominal cavity, and paints the mesenteric vessels."""
    flat, rectus = np.float32(patient.wall + 1), np.float32(12 * patient.bulk)
    canvas.cavity = canvas.trunk - np.where(np.abs(canvas.x) > patient.rectus[1] + 12, flat, rectus)
    paint_mesenteric_vessels(canvas, patient, rng.integers(18, 34), rng)


def paint_mesenteric_vessels(canvas: Canvas, patient: Patient, count: int, rng: np.random.Generator) -> None:
    """Paints vessels that fan out from the root of the mesentery in front of the spine."""
    for _ in range(count):
        angle, distance = rng.uniform(-0.15, 1.15) * np.pi, rng.uniform(12, 85)
        centre = (patient.spine[0] + distance * np.cos(angle), patient.spine[1] - 38 - 0.6 * distance * np.sin(angle))
        near = canvas.window(centre, 9, np.rad2deg(-angle) + rng.normal(0, 35))
        vessel = np.minimum(near.ellipse((0, 0), (rng.uniform(1.2, 8), rng.uniform(1.0, 2.2))), near.cavity - 3)
        near.paint(vessel, rng.choice((patient.phase.artery, patient.phase.vein)))


def paint_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paints aorta, vena cava, duodenum, ureters and gonadal veins."""
    canvas = canvas.window(patient.spine, 62, scale=patient.stature)
    phase = patient.phase
    if rng.random() < 0.6:  # the horizontal part of the duodenum
        duodenum = canvas.ellipse(
            (rng.uniform(-15, 5), -46), (rng.uniform(20, 38), rng.uniform(7, 11)), rng.uniform(-8, 8)
        )
        canvas.paint(duodenum, 36 + 0.5 * phase.added)
    radius = rng.uniform(7.5, 11)
    aorta = canvas.ellipse((rng.uniform(4, 10), -20 - radius), (radius, radius * rng.uniform(0.95, 1.05)))
    cava = canvas.ellipse(
        (-rng.uniform(15, 19), -rng.uniform(26, 29)), (rng.uniform(9, 13), rng.uniform(5, 10)), rng.uniform(-20, 10)
    )
    for vessel, hu in ((cava, phase.vein), (aorta, phase.artery)):
        canvas.paint(vessel + 1.5, FAT + 10)
        canvas.paint(vessel, hu)
    if rng.random() < 0.45:
        canvas.paint_line(aorta - 0.8, 1.8, 700.0, canvas.grain * 2 - rng.uniform(-1, 1))  # calcified plaques
    for side in (-1, 1):  # ureter and gonadal vein, on the psoas
        canvas.paint(canvas.ellipse((side * rng.uniform(36, 44), -rng.uniform(24, 28)), (2.4, 2.1)), phase.ureter)
        canvas.paint(canvas.ellipse((side * rng.uniform(46, 52), -rng.uniform(20, 26)), (1.8, 1.8)), phase.vein)
