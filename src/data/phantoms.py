"""Synthetic CT slices at the third lumbar vertebra, with their muscle masks: to try the project on, where there is no data yet.

They are drawn, not measured: ellipses in the places and with the Hounsfield units of the anatomy, bent, blurred and made noisy, different
for each seed in body size, fat, muscle, posture, contrast medium and bowel. A network that learns them has shown that it works, no more.
The mask is skeletal muscle as a reader would outline it by its Hounsfield units: visible streaks of fat within a muscle are left out.
"""
import copy
import dataclasses
import pathlib

import numpy as np
import scipy.ndimage

import storage
from data import csv_array

AIR, FAT, FLUID = -1000.0, -105.0, 15.0
# Anatomy is bent smoothly by up to some mm, which makes organic shapes out of ellipses: bends of about these widths.
_BEND_WIDTHS_MM = (150.0, 45.0)
_BENDS_MM = (6.0, 1.6)


def draw(seed: int, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """One slice and its mask: int16 in HU and uint8 0 and 1, both (size, size). The same seed gives the same patient at every size.

    ValueError where `size` is no multiple of 32.
    """
    if size <= 0 or size % 32:
        raise ValueError(f"wanted a size that is a multiple of 32, found {size}")
    patient = _Patient.drawn(np.random.default_rng([seed, 0]))
    canvas = _Canvas(patient, size, np.random.default_rng([seed, 1]))
    for number, part in enumerate((_table, _outline, _organs, _bowel, _wall, _back, _vertebra, _vessels)):
        # Dice of its own for each part: a change of one doesn't change all that come after.
        part(canvas, patient, np.random.default_rng([seed, 2 + number]))
    return canvas.scan(patient.noise_hu, np.random.default_rng([seed, 99])), (canvas.muscle >= 0.5).astype(np.uint8)


def write_original_dataset(folder: pathlib.Path, count: int, size: int = 512, seed: int = 0) -> None:
    """Writes `count` phantoms as the new subdirectory `folder` of an original dataset: images/phantom_000.csv, masks/phantom_000.csv, ...

    FileExistsError where `folder` exists: it may be a user's.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; phantoms are written into a new folder only")
    with storage.replacing(folder) as draft:
        for kind in ("images", "masks"):
            (draft / kind).mkdir()
        for number in range(count):
            for kind, values in zip(("images", "masks"), draw(seed + number, size), strict=True):
                csv_array.write(draft / kind / f"phantom_{number:03d}.csv", values)


@dataclasses.dataclass(frozen=True)
class _Patient:
    """One body's measures, in mm and HU. The origin is the middle of the trunk; x to the image's right, y to the back."""

    half_width: float  # of the trunk inside the subcutaneous fat
    half_depth: float
    fat: tuple[float, float, float]  # subcutaneous, at the front, at the sides, at the back
    wall: float  # thickness of the abdominal wall's muscles
    bulk: float  # of all other muscles, 1 is average
    muscle_hu: float
    streaks: float  # how much fat runs through the muscles of the back, 0 to 1
    contrast: float  # medium in the blood, 0 to 1
    spine: tuple[float, float]  # middle of the vertebral body
    field: float  # side of the image
    centre: tuple[float, float]  # of the trunk, in the image
    degrees: float
    noise_hu: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "_Patient":
        half_depth = rng.uniform(86, 116)
        half_width = half_depth * rng.uniform(1.28, 1.5)
        obesity = rng.beta(1.5, 3)
        fat = (8 + 45 * obesity * rng.uniform(0.6, 1.2), 8 + 38 * obesity * rng.uniform(0.6, 1.2), 10 + 40 * obesity * rng.uniform(0.6, 1.2))
        bulk = rng.uniform(0.8, 1.15)
        return cls(
            half_width=half_width,
            half_depth=half_depth,
            fat=fat,
            wall=rng.uniform(13, 22) * bulk,
            bulk=bulk,
            muscle_hu=rng.uniform(38, 68),
            streaks=rng.uniform(0.1, 0.8),
            contrast=rng.choice([0.0, rng.uniform(0.3, 1.0)]),
            # So that the muscles of the back end where the trunk does.
            spine=(rng.normal(0, 3), half_depth - 77 - 3 * bulk),
            field=2 * (half_width + fat[1]) * rng.uniform(1.1, 1.3),
            centre=(rng.normal(0, 5), rng.normal(-4, 6)),
            degrees=rng.normal(0, 3),
            noise_hu=rng.uniform(9, 20),
        )


class _Canvas:
    """The image under the brush: HU and share of muscle per pixel, both float32 (size, size), and each pixel's place in the body."""

    def __init__(self, patient: _Patient, size: int, rng: np.random.Generator) -> None:
        self.size, self.pixel_mm = size, patient.field / size
        steps = (np.arange(size, dtype=np.float32) + 0.5) * self.pixel_mm - patient.field / 2
        x, y = np.meshgrid(steps - np.float32(patient.centre[0]), steps - np.float32(patient.centre[1]))
        angle = np.deg2rad(np.float32(patient.degrees))
        self.straight = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        self.field_mm = patient.field
        bent = [place.copy() for place in self.straight]
        for width_mm, bend_mm in zip(_BEND_WIDTHS_MM, _BENDS_MM, strict=True):
            for place in bent:
                place += bend_mm * self.texture(rng, width_mm)
        self.x, self.y = bent
        self.grain, self.streaks = self.texture(rng, 5), self.texture(rng, 7)
        self.hu = np.full((size, size), AIR, np.float32)
        self.muscle = np.zeros((size, size), np.float32)

    def texture(self, rng: np.random.Generator, width_mm: float) -> np.ndarray:
        """A smooth random field with mean 0 and deviation 1, float32 (size, size), whose hills are about so wide."""
        cells = 128
        coarse = scipy.ndimage.gaussian_filter(rng.standard_normal((cells, cells), np.float32), width_mm / self.field_mm * cells / 3, mode="wrap")
        coarse = (coarse - coarse.mean()) / coarse.std()
        return scipy.ndimage.zoom(coarse, self.size / cells, order=1, mode="nearest", grid_mode=True)

    def window(self, centre: tuple[float, float], reach_mm: float) -> "_Canvas":
        """The part of the canvas around a place, to paint small things quickly; what is painted there is painted on the whole."""
        reach = reach_mm + 2 * sum(_BENDS_MM) + 2 * self.pixel_mm
        near = (np.abs(self.straight[0] - centre[0]) < reach) & (np.abs(self.straight[1] - centre[1]) < reach)
        part = copy.copy(self)
        if near.any():
            box = tuple(slice(lines.argmax(), len(lines) - lines[::-1].argmax()) for lines in (near.any(axis=1), near.any(axis=0)))
            for name in ("x", "y", "hu", "muscle", "grain", "streaks"):
                setattr(part, name, getattr(self, name)[box])
        return part

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, power: float = 2.0) -> np.ndarray:
        """How far inside of a (super)ellipse each pixel lies, in mm and roughly: float32 (size, size), negative outside."""
        angle = np.deg2rad(np.float32(degrees))
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        u, v = (x * np.cos(angle) + y * np.sin(angle)) / np.float32(radii[0]), (y * np.cos(angle) - x * np.sin(angle)) / np.float32(radii[1])
        if power == 2.0:
            reach = np.sqrt(u * u + v * v)
        else:
            reach = (np.abs(u) ** np.float32(power) + np.abs(v) ** np.float32(power)) ** np.float32(1 / power)
        return (1 - reach) * np.float32(min(radii))

    def paint(self, depth: np.ndarray, hu: float | np.ndarray, muscle: float | np.ndarray = 0.0) -> None:
        """Lays a tissue over all pixels of positive depth (mm); those on its edge are partly covered, as a scanner sees them."""
        cover = np.clip(depth / np.float32(self.pixel_mm) + np.float32(0.5), 0, 1)
        self.hu += cover * (hu - self.hu)
        self.muscle += cover * (muscle - self.muscle)

    def paint_muscle(self, depth: np.ndarray, hu: float, fat_share: np.ndarray | float = 0.0) -> None:
        """Lays muscle, through which runs the given share of fat per pixel."""
        self.paint(depth, hu + (FAT - hu) * fat_share, 1 - fat_share)

    def scan(self, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
        """The image as a scanner gives it: slightly blurred, with noise whose grain is wider than a pixel; int16."""
        scale = self.size / 512
        grain = scipy.ndimage.gaussian_filter(rng.standard_normal(self.hu.shape, np.float32), 0.9)
        # Larger pixels average more of the noise out.
        noisy = scipy.ndimage.gaussian_filter(self.hu, 0.7 * scale) + grain * np.float32(noise_hu * np.sqrt(scale) / grain.std())
        return np.clip(noisy.round(), -1024, 3071).astype(np.int16)


def _table(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    radius = rng.uniform(230, 330)
    bottom = patient.half_depth + patient.fat[2] + 7
    x, y = canvas.straight
    sag = np.sqrt(x**2 + (y - (bottom - radius)) ** 2) - radius
    ends = 185 - np.abs(x)
    canvas.paint(np.minimum(16 - sag, np.minimum(sag, ends)), -890.0)
    for depth in (sag, 16 - sag):
        canvas.paint(np.minimum(1.4 - np.abs(depth), ends), rng.uniform(-350, 0))


def _outline(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    front, side, back = patient.fat
    radii = (patient.half_width + side, patient.half_depth + (front + back) / 2)
    body = canvas.ellipse((0, (back - front) / 2), radii, power=rng.uniform(2.1, 2.5))
    # The furrow along the spine.
    furrow = canvas.ellipse((patient.spine[0], (back - front) / 2 + radii[1] + 8), (22, 10 + 0.2 * back))
    body = np.minimum(body, -furrow)
    canvas.paint(body, 25.0)
    canvas.paint(body - 1.8, FAT + 6 * canvas.grain)


def _organs(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    x, y = patient.spine
    for side in (-1, 1):
        if rng.random() < (0.55 if side < 0 else 0.75):  # The right kidney, on the image's left, ends higher.
            centre = (x + side * rng.uniform(68, 82), y - rng.uniform(4, 18))
            kidney = canvas.ellipse(centre, (rng.uniform(18, 28), rng.uniform(18, 26)), side * rng.uniform(10, 40))
            canvas.paint(kidney, 32 + 130 * patient.contrast)
            canvas.paint(kidney - 7, 34 + 90 * patient.contrast)
            canvas.paint(canvas.ellipse((centre[0] - side * 8, centre[1]), (9, 6)), FAT + 30)
    if rng.random() < 0.45:
        liver = canvas.ellipse((-0.72 * patient.half_width, -rng.uniform(0, 30)), (rng.uniform(18, 38), rng.uniform(25, 55)), 10)
        canvas.paint(liver, rng.uniform(48, 60) + 50 * patient.contrast)


def _bowel(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    for side in (-1, 1):  # The ascending and the descending colon.
        _loop(canvas, (side * patient.half_width * rng.uniform(0.60, 0.68), rng.uniform(-15, 12)), rng.uniform(14, 25), rng)
    for _ in range(rng.integers(14, 26)):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        centre = (0.66 * patient.half_width * reach * np.cos(angle), -0.34 * patient.half_depth + 0.44 * patient.half_depth * reach * np.sin(angle))
        _loop(canvas, centre, rng.uniform(9, 19), rng)


def _loop(canvas: _Canvas, centre: tuple[float, float], radius: float, rng: np.random.Generator) -> None:
    canvas = canvas.window(centre, 1.6 * radius)
    loop = canvas.ellipse(centre, (radius * rng.uniform(0.9, 1.6), radius), rng.uniform(0, 180))
    canvas.paint(loop, rng.uniform(30, 65))
    kind = rng.random()
    inside = loop - rng.uniform(1.8, 3.5)
    if kind < 0.45:  # collapsed, or filled with fluid
        canvas.paint(inside, rng.uniform(10, 50))
    elif kind < 0.7:  # stool
        canvas.paint(inside, 10 + 55 * canvas.grain)
    else:
        canvas.paint(inside, FLUID)
    if kind > 0.6:  # Gas rises to the front: the patient lies on the back.
        canvas.paint(np.minimum(inside, centre[1] + rng.uniform(-0.4, 0.5) * radius - canvas.y), -930.0)


def _wall(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    power = rng.uniform(2.2, 2.5)
    depth = canvas.ellipse((0, 0), (patient.half_width, patient.half_depth), power=power)
    # An ellipse's inside is deeper at its ends than `ellipse` tells: corrected to mm at the sides.
    depth = depth * np.where(np.abs(canvas.x) / patient.half_width > np.abs(canvas.y) / patient.half_depth, 1.25, 1.0).astype(np.float32)
    x, y = np.abs(canvas.x - patient.spine[0] * 0.5), canvas.y
    rectus = rng.uniform(38, 58)
    canvas.paint(np.minimum(1.2 - np.abs(depth - 1.2), patient.half_depth * 0.5 - y), 5.0)  # the fascia that holds them
    # Three flat muscles, one inside the other, thin towards both ends, between the rectus and the back.
    front, back = -0.68 * patient.half_depth, rng.uniform(0.48, 0.6) * patient.half_depth
    taper = np.clip(np.minimum(y - front, back - y) / 22, 0, 1)
    thickness = patient.wall * np.sqrt(taper) * (1 + 0.12 * canvas.texture(rng, 40))
    hu = patient.muscle_hu + 5 * canvas.grain
    for start, end in ((0.0, 0.36), (0.42, 0.76), (0.81, 1.0)):
        # Where the muscle has thinned out, nothing is left of it.
        canvas.paint_muscle(np.minimum(np.minimum(depth - start * thickness, end * thickness - depth), thickness - 4), hu)
    # The rectus, beside the linea alba.
    gap, belly = rng.uniform(1.5, 7), rng.uniform(6, 11) * patient.bulk
    straight = np.minimum(np.minimum(x - gap, rectus - x), -0.3 * patient.half_depth - y)
    lens = belly * np.sqrt(np.clip(np.minimum(x - gap + 2, rectus - x) / 10, 0, 1))
    canvas.paint_muscle(np.minimum(np.minimum(depth - 0.8, lens - depth), straight), hu)


def _back(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    x, y = patient.spine
    canvas = canvas.window((x, y + 26), 100)
    size = np.sqrt(patient.bulk)
    for side in (-1, 1):
        lean = size * rng.uniform(0.94, 1.06)
        psoas = canvas.ellipse((x + side * (39 + 3 * lean), y + 2), (18 * lean, 23 * lean), side * rng.uniform(-25, 5))
        canvas.paint(psoas + 1.5, FAT)
        canvas.paint_muscle(psoas, patient.muscle_hu + 6 * canvas.grain)
        lumborum = canvas.ellipse((x + side * rng.uniform(66, 74), y + 24), (10 * lean, 19 * lean), side * -rng.uniform(15, 35))
        canvas.paint(lumborum + 1.5, FAT)
        canvas.paint_muscle(lumborum, patient.muscle_hu + 6 * canvas.grain)
        fat_share = np.clip((canvas.streaks - 2.0 + 1.6 * patient.streaks) * 1.5, 0, 1)
        erector = canvas.ellipse((x + side * 44, y + 52), (34 * lean, 23 * lean), side * rng.uniform(4, 16), power=2.3)
        canvas.paint(erector + 1.2, FAT)
        canvas.paint_muscle(erector, patient.muscle_hu - 4 + 6 * canvas.grain, fat_share)
        # Between its columns, iliocostalis and longissimus, runs a seam of fat.
        seam = canvas.ellipse((x + side * rng.uniform(50, 58), y + 52), (1.3, 17), side * rng.uniform(10, 30))
        canvas.paint(np.minimum(seam, erector), FAT + 30)
        multifidus = canvas.ellipse((x + side * 17, y + 55), (12 * lean, 18 * lean), side * rng.uniform(-12, 12))
        canvas.paint(multifidus + 1.0, FAT)
        canvas.paint_muscle(multifidus, patient.muscle_hu - 6 + 6 * canvas.grain, np.clip(fat_share * 1.5, 0, 1))


def _vertebra(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    x, y = patient.spine
    canvas = canvas.window((x, y + 18), 62)
    density = rng.uniform(0.7, 1.3)
    cortex, marrow = 450 * density, 150 * density + 30 * canvas.grain
    radii = (rng.uniform(23, 27), rng.uniform(16.5, 19.5))
    arch = canvas.ellipse((x, y + radii[1] + 12), (20, 15))
    parts = [canvas.ellipse((x, y + radii[1] + 37), (4.2, 16)), arch]
    for side in (-1, 1):
        parts.append(canvas.ellipse((x + side * 36, y + radii[1] + 8), (20, 3.8), side * rng.uniform(8, 20)))
        parts.append(canvas.ellipse((x + side * 20, y + radii[1] + 19), (7, 9), side * -20))
    arch_and_processes = np.maximum.reduce(parts)
    canvas.paint(arch_and_processes, cortex)
    canvas.paint(arch_and_processes - 2.2, marrow)
    for side in (-1, 1):  # the joints between the vertebrae's arches
        canvas.paint(canvas.ellipse((x + side * 21, y + radii[1] + 19), (0.7, 8), side * -25), 60.0)
    body = np.minimum(canvas.ellipse((x, y), radii, power=2.4), -canvas.ellipse((x, y + radii[1] + 7), (11, 9)))
    canvas.paint(body, cortex)
    canvas.paint(body - 1.6, marrow)
    canal = canvas.ellipse((x, y + radii[1] + 9), (11.5, 8.5), power=2.3)
    canvas.paint(canal, FAT + 60)
    canvas.paint(canal - 1.8, 22.0)


def _vessels(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    x, y = patient.spine
    whole, canvas = canvas, canvas.window((x, y - 30), 40)
    blood = 42 + 190 * patient.contrast
    aorta = canvas.ellipse((x + rng.uniform(4, 12), y - rng.uniform(29, 34)), (rng.uniform(8, 12), rng.uniform(8, 12)))
    canvas.paint(aorta, blood)
    if rng.random() < 0.5:  # calcified
        canvas.paint(np.minimum(aorta, np.minimum(2.0 - aorta, canvas.ellipse((x + 12, y - 26), (8, 8)))), 600.0)
    canvas.paint(canvas.ellipse((x - rng.uniform(16, 22), y - rng.uniform(25, 30)), (rng.uniform(10, 14), rng.uniform(6, 10))), 42 + 120 * patient.contrast)
    for _ in range(30):
        centre = (rng.uniform(-0.5, 0.5) * patient.half_width, rng.uniform(-0.6 * patient.half_depth, y - 30))
        near = whole.window(centre, 4)
        near.paint(near.ellipse(centre, (rng.uniform(1.2, 2.6), rng.uniform(1.2, 4)), rng.uniform(0, 180)), blood)
