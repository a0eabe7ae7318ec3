"""Synthetic CT slices at the third lumbar vertebra, with their muscle masks: to try the project on, where there is no data yet.

They are drawn, not measured: ellipses in the places and with the Hounsfield units of the anatomy, bent, blurred and made noisy, different
for each seed in body size, fat, muscle, posture, contrast medium and bowel. A network that learns them has shown that it works, no more.
The mask is skeletal muscle as a reader would outline it by its Hounsfield units: streaks and seams of fat within or between muscles that show
in the image (below about -30 HU) are left out. Images are as a radiologist sees them: the patient's right on the left, the back below.
"""
import copy
import dataclasses
import pathlib

import numpy as np
import scipy.ndimage

import storage
from data import csv_array

AIR, FAT = -1000.0, -105.0
# Anatomy is bent smoothly by up to some mm, which makes organic shapes out of ellipses: bends of about these widths.
_BEND_WIDTHS_MM = (170.0, 50.0, 18.0)
_BENDS_MM = (5.0, 1.3, 0.35)


def draw(seed: int, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """One slice and its mask: int16 in HU and uint8 0 and 1, both (size, size). The same seed gives the same patient at every size.

    ValueError where `size` is no multiple of 32.
    """
    if size <= 0 or size % 32:
        raise ValueError(f"wanted a size that is a multiple of 32, found {size}")
    patient = _Patient.drawn(np.random.default_rng([seed, 0]))
    canvas = _Canvas(patient, size, np.random.default_rng([seed, 1]))
    for number, part in enumerate((_table, _outline, _mesentery, _bowel, _organs, _vessels, _wall, _back, _vertebra)):
        # Dice of its own for each part: a change of one doesn't change all that come after.
        part(canvas, patient, np.random.default_rng([seed, 2 + number]))
    return canvas.scan(np.random.default_rng([seed, 99])), canvas.mask()


def write_original_dataset(folder: pathlib.Path, count: int, size: int = 512, seed: int = 0) -> None:
    """Writes `count` phantoms as the new subdirectory `folder` of an original dataset: images/phantom_000.csv, masks/phantom_000.csv, ...

    The folder appears whole or not at all. FileExistsError where it exists: it may be a user's.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; phantoms are written into a new folder only. Move or delete it, or name another.")
    with storage.atomic_folder(folder) as draft:
        for kind in ("images", "masks"):
            (draft / kind).mkdir()
        for number in range(count):
            for kind, values in zip(("images", "masks"), draw(seed + number, size), strict=True):
                csv_array.write(draft / kind / f"phantom_{number:03d}.csv", values)


@dataclasses.dataclass(frozen=True)
class _Phase:
    """What contrast medium does, in HU: blood in arteries and veins, the kidneys' cortex and inside, ureters; added to other organs."""

    artery: float
    vein: float
    cortex: float
    medulla: float
    ureter: float
    added: float


_PHASES = (
    _Phase(42, 40, 33, 31, 12, 0),  # none given
    _Phase(290, 75, 165, 70, 12, 10),  # arterial
    _Phase(155, 140, 175, 150, 15, 30),  # portal venous, the usual one
    _Phase(105, 100, 135, 130, 700, 22),  # late: the urine is bright
)


@dataclasses.dataclass(frozen=True)
class _Patient:
    """One body's measures, in mm and HU. The origin is the middle of the trunk where it is widest; x to the image's right, y to the back."""

    stature: float  # of the skeleton, 1 is average
    half_width: float  # of the trunk inside the subcutaneous fat
    front: float  # from the origin to the trunk's front and back
    back: float
    roundness: float  # power of the trunk's superellipse
    fat: tuple[float, float, float]  # subcutaneous, at the front, at the sides, at the back
    wall: float  # thickness of the abdominal wall's flat muscles
    rectus: tuple[float, float]  # half of the gap between both, and where they end
    bulk: float  # of the muscles, 1 is average
    muscle_hu: float
    streaks: float  # how much fat runs through the muscles, 0 to 1
    phase: _Phase
    spine: tuple[float, float]  # middle of the vertebral body
    field: float  # side of the image
    centre: tuple[float, float]  # of the trunk, in the image
    degrees: float
    noise_hu: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "_Patient":
        stature, obesity, bulk = rng.uniform(0.91, 1.07), rng.beta(1.6, 2.8), rng.uniform(0.72, 1.12)
        visceral = float(np.clip(obesity + rng.normal(0, 0.2), 0, 1))
        half_width, front, back = stature * (120 + 26 * visceral + 12 * bulk), stature * (76 + 50 * visceral), stature * (92 + 5 * bulk)
        fat = tuple(least + most * obesity * rng.uniform(0.6, 1.3) for least, most in ((6, 38), (5, 40), (6, 32)))
        gap = rng.uniform(1.0, 3 + 10 * visceral)
        return cls(
            stature=stature,
            half_width=half_width,
            front=front,
            back=back,
            roundness=rng.uniform(2.1, 2.5),
            fat=fat,
            wall=rng.uniform(13, 20) * bulk,
            rectus=(gap, gap + rng.uniform(42, 62) * stature),
            bulk=bulk,
            muscle_hu=rng.uniform(50, 62) - 16 * obesity * rng.random(),
            streaks=float(np.clip(0.65 * obesity + rng.uniform(-0.1, 0.6), 0, 1)),
            phase=_PHASES[rng.choice(4, p=(0.3, 0.12, 0.43, 0.15))],
            # So that the muscles of the back end where the trunk does.
            spine=(rng.normal(0, 2.5), back - 80 * stature),
            field=max(365.0, 2 * (half_width + fat[1]) * rng.uniform(1.13, 1.32)),
            centre=(rng.normal(0, 5), (front + fat[0] - back - fat[2]) / 2 - rng.uniform(0, 14)),
            degrees=rng.normal(0, 2.5),
            noise_hu=rng.uniform(8, 19),
        )


class _Canvas:
    """The image under the brush: HU and share of muscle per pixel, both float32 (size, size), and each pixel's place in the body."""

    _LAYERS = ("x", "y", "front", "hu", "muscle", "grain", "veins", "trunk", "cavity")

    def __init__(self, patient: _Patient, size: int, rng: np.random.Generator) -> None:
        self.patient, self.size, self.pixel_mm = patient, size, patient.field / size
        # In the image: mm from its middle, of its columns and rows.
        self.columns = self.rows = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel_mm) - np.float32(patient.field / 2)
        x, y = np.meshgrid(self.columns - np.float32(patient.centre[0]), self.rows - np.float32(patient.centre[1]))
        self.x, self.y = _turned(x, y, patient.degrees)
        for width_mm, bend_mm in zip(_BEND_WIDTHS_MM, _BENDS_MM, strict=True):
            self.bend(rng, width_mm, bend_mm)
        self.grain = self.texture(rng, 6)
        # Thin winding lines: where a smooth field passes through zero.
        self.veins = np.abs(self.texture(rng, 9, 15)) / (0.10 + 0.02 * self.pixel_mm)
        self.front = self.y < 0
        half_depth = np.where(self.front, np.float32(patient.front), np.float32(patient.back))
        self.trunk = _depth(self.x, self.y, (patient.half_width, half_depth), patient.roundness)
        self.cavity = self.trunk  # until the wall's thickness is known
        self.hu = np.full((size, size), AIR, np.float32)
        self.muscle = np.zeros((size, size), np.float32)

    def texture(self, rng: np.random.Generator, width_mm: float, height_mm: float | None = None) -> np.ndarray:
        """A smooth random field with mean 0 and deviation 1, float32, whose hills are about so wide and high.

        It is the same at every size: random weights of Gaussian hills on a grid in mm. Hills smaller than a pixel are averaged out.
        """
        rows, columns = self._hills(self.rows, height_mm or width_mm), self._hills(self.columns, width_mm)
        return rows @ rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32) @ columns.T

    def _hills(self, places: np.ndarray, width_mm: float) -> np.ndarray:
        sigma = width_mm / 3
        wide = np.hypot(sigma, 0.29 * self.pixel_mm)  # the deviation of a place within its pixel
        half, step = self.patient.field / 2 + 2 * sigma, 1.5 * sigma  # Wider steps would show as a grid: the deviation waves by 1 % at these.
        distance = places[:, None] - np.arange(-half, half + step, step, dtype=np.float32)
        return np.exp(np.float32(-0.5 / wide**2) * distance**2) * np.float32(sigma / wide * (1.5 / np.sqrt(np.pi)) ** 0.5)

    def bend(self, rng: np.random.Generator, width_mm: float, bend_mm: float) -> None:
        """Moves what is painted from now on by some mm, differently from place to place."""
        self.x = self.x + np.float32(bend_mm) * self.texture(rng, width_mm)
        self.y = self.y + np.float32(bend_mm) * self.texture(rng, width_mm)

    def window(self, centre: tuple[float, float], reach_mm: float, degrees: float = 0.0, scale: float = 1.0) -> "_Canvas":
        """The part of the canvas around a place, to paint quickly; what is painted there is painted on the whole.

        Its x and y count from `centre`, turned by `degrees`, in units of `scale` mm.
        """
        x, y = _turned(*centre, -self.patient.degrees)
        reach = reach_mm * scale + 3 * sum(_BENDS_MM) + 2 * self.pixel_mm
        part, (x0, y0) = copy.copy(self), self.patient.centre
        rows, columns = (slice(*np.searchsorted(steps, (at - reach, at + reach))) for steps, at in ((self.rows, y + y0), (self.columns, x + x0)))
        part.rows, part.columns = self.rows[rows], self.columns[columns]
        for name in self._LAYERS:
            setattr(part, name, getattr(self, name)[rows, columns])
        part.x, part.y = _turned((part.x - np.float32(centre[0])) / np.float32(scale), (part.y - np.float32(centre[1])) / np.float32(scale), degrees)
        part.pixel_mm = self.pixel_mm / scale
        return part

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, power: float = 2.0) -> np.ndarray:
        """How deep inside of a (super)ellipse each pixel lies, in mm, nearly right at its edge: float32, negative outside."""
        return _depth(*_turned(self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), degrees), radii, power)

    def paint(self, depth: np.ndarray, hu: float | np.ndarray, muscle: float | np.ndarray = 0.0) -> None:
        """Lays a tissue over all pixels of positive depth (mm); those on its edge are partly covered, as a scanner sees them."""
        self._lay(np.clip(depth / np.float32(self.pixel_mm) + np.float32(0.5), 0, 1), hu, muscle)

    def paint_line(self, distance: np.ndarray, width_mm: float, hu: float | np.ndarray, within: np.ndarray | float = 100.0) -> None:
        """Lays a line so wide over the pixels at distance 0 (mm), where `within` is positive; where thinner than a pixel, it shows faintly."""
        edge = np.minimum(width_mm / 2 - np.abs(distance), within)
        self._lay(np.clip(edge / np.float32(self.pixel_mm) + np.float32(0.5), 0, min(1.0, width_mm / self.pixel_mm)), hu, 0.0)

    def paint_muscle(self, depth: np.ndarray, hu: float, fat_share: np.ndarray | float = 0.0) -> None:
        """Lays muscle, through which runs the given share of fat per pixel."""
        lean = hu + 4 * self.grain
        self.paint(depth, lean + (FAT - lean) * fat_share, 1 - fat_share)

    def _lay(self, cover: np.ndarray, hu: float | np.ndarray, muscle: float | np.ndarray) -> None:
        self.hu += cover * (hu - self.hu)
        self.muscle += cover * (muscle - self.muscle)

    def scan(self, rng: np.random.Generator) -> np.ndarray:
        """The image as a scanner gives it: slightly blurred, with noise whose grain is wider than a pixel; int16."""
        grain = scipy.ndimage.gaussian_filter(rng.standard_normal(self.hu.shape, np.float32), rng.uniform(0.6, 0.95), truncate=3)
        # Larger pixels average more of the noise out.
        noise = grain * np.float32(self.patient.noise_hu * np.sqrt(self.size / 512) / grain.std())
        return np.clip((self._blurred(self.hu) + noise).round(), -1024, 3071).astype(np.int16)

    def mask(self) -> np.ndarray:
        """1 where muscle is at least half of what the scanner sees in a pixel, else 0; uint8."""
        return (self._blurred(self.muscle) >= 0.5).astype(np.uint8)

    def _blurred(self, values: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(values, 0.7 * self.size / 512, truncate=3)


def _turned(x: np.ndarray, y: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    if degrees == 0:
        return x, y
    cosine, sine = np.float32(np.cos(np.deg2rad(degrees))), np.float32(np.sin(np.deg2rad(degrees)))
    return x * cosine + y * sine, y * cosine - x * sine


def _depth(x: np.ndarray, y: np.ndarray, radii: tuple[float, float | np.ndarray], power: float) -> np.ndarray:
    # Distance to the edge in the first order: how far the superellipse's equation is from 1, divided by its slope.
    a, b = np.float32(radii[0]), np.float32(radii[1])
    u, v = np.abs(x) / a, np.abs(y) / b
    if power == 2.0:
        reach = np.sqrt(u * u + v * v)
        slope = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        return (1 - reach) * (reach + np.float32(1e-3)) / (slope + np.float32(1e-3) / np.minimum(a, b))
    up, vp = u ** np.float32(power - 1), v ** np.float32(power - 1)
    total = u * up + v * vp + np.float32(1e-6)
    reach = total ** np.float32(1 / power)
    return (1 - reach) * total / reach / (np.sqrt((up / a) ** 2 + (vp / b) ** 2) + np.float32(1e-6) / np.minimum(a, b))


def _table(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    radius, thickness = rng.uniform(260, 500), rng.uniform(12, 30)
    bottom = patient.centre[1] + patient.back + patient.fat[2] + 6 + 60 * abs(np.sin(np.deg2rad(patient.degrees)))
    x, y = canvas.columns[None, :], canvas.rows[:, None]
    sag = np.sqrt(x**2 + np.maximum(y - np.float32(bottom - radius), 0) ** 2) - np.float32(radius)
    ends = np.float32(rng.uniform(150, 230)) - np.abs(x)
    canvas.paint(np.minimum(np.minimum(sag, thickness - sag), ends), -900.0)
    for depth in (sag, thickness - sag):
        canvas.paint_line(depth, 2.0, rng.uniform(-400, 150), ends)


def _outline(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    front, side, back = np.float32(patient.fat)
    toward = np.minimum(canvas.y / np.where(canvas.front, np.float32(patient.front), np.float32(patient.back)), np.float32(1.2)) ** 2
    fat = side + (np.where(canvas.front, front, back) - side) * toward
    # The furrow along the spine, and the navel's hollow.
    hollow = rng.uniform(0.2, 0.5) * back * np.exp(-(((canvas.x - patient.spine[0]) / rng.uniform(14, 26)) ** 2)) * ~canvas.front
    if rng.random() < 0.3:
        hollow += min(0.4 * front, 10) * np.exp(-((canvas.x / 14) ** 2)) * canvas.front
    body = canvas.trunk + fat * (1 + 0.1 * canvas.texture(rng, 100)) + 2 - hollow
    canvas.paint(body, 15.0)
    strands = 30 * np.exp(-((canvas.texture(rng, 40, 20) / 0.06) ** 2))
    canvas.paint(body - 1.9, FAT + 4 * canvas.grain + strands * (canvas.trunk < 0))


def _bowel(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas = canvas.window((0, 0), patient.half_width)
    canvas.bend(rng, 22, 1.8)
    width = patient.half_width - patient.wall
    for _ in range(rng.integers(20, 34)):
        centre = (0.72 * width * rng.uniform(-1, 1), rng.uniform(-0.85 * patient.front, patient.spine[1] - 30))
        _loop(canvas, centre, rng.uniform(7, 14), rng, gas=0.12)
    if rng.random() < 0.5:  # The transverse colon hangs this low.
        for x in np.arange(-0.5, 0.6, rng.uniform(0.2, 0.35)):
            _loop(canvas, (x * width, -0.78 * patient.front + rng.uniform(0, 8)), rng.uniform(11, 17), rng, gas=0.7)
    for side in (-1, 1):  # the ascending and the descending colon
        radius = rng.uniform(13, 24)
        _loop(canvas, (side * (width - 1.15 * radius), rng.uniform(-25, 8)), radius, rng, gas=0.6)


def _loop(canvas: _Canvas, centre: tuple[float, float], radius: float, rng: np.random.Generator, gas: float) -> None:
    stretch = rng.uniform(1.0, 1.9)
    canvas = canvas.window(centre, radius * stretch + 8)
    loop = np.minimum(canvas.ellipse((0, 0), (radius * stretch, radius), rng.uniform(0, 180), power=2.2), canvas.cavity - 1)
    wall_hu, thickness = rng.uniform(25, 50) + canvas.patient.phase.added, rng.uniform(1.6, 3.2)
    canvas.paint(loop + rng.uniform(0.3, 1.2), FAT + 30)
    canvas.paint(loop, wall_hu)
    inside = loop - thickness
    filling = rng.choice(("none", "fluid", "stool", "drink"), p=(0.3, 0.4, 0.2, 0.1) if gas < 0.5 else (0.1, 0.2, 0.65, 0.05))
    if filling != "none":
        stool = 30 + 35 * canvas.grain - 500 * np.clip(canvas.grain - 1.2, 0, 1)
        canvas.paint(inside, {"fluid": rng.uniform(5, 40), "stool": stool, "drink": 230.0}[filling])
    if rng.random() < gas:  # It rises to the front: the patient lies on the back.
        level = rng.uniform(-0.6, 0.9) * radius + 0.8 * canvas.grain
        canvas.paint(np.minimum(inside, level - canvas.y), -940.0)


def _organs(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        radii = (rng.uniform(14, 34), rng.uniform(28, 58))
        liver = canvas.window((-patient.half_width + patient.wall + radii[0] - 4, -rng.uniform(0, 0.5) * patient.front), 70, rng.uniform(-20, 10))
        depth = np.minimum(liver.ellipse((0, 0), radii, power=2.3), liver.cavity - 1)
        liver.paint(depth + 1, FAT)
        liver.paint(depth, rng.uniform(45, 60) + 1.6 * patient.phase.added + 3 * liver.grain)
    for side, chance in ((-1, 0.75), (1, 0.6)):  # The right kidney, on the image's left, lies lower.
        if rng.random() < chance:
            place = (patient.spine[0] + side * rng.uniform(60, 70) * patient.stature, patient.spine[1] - rng.uniform(6, 24))
            _kidney(canvas.window(place, 50, side * rng.uniform(15, 50)), side, patient.phase, rng)


def _kidney(canvas: _Canvas, side: int, phase: _Phase, rng: np.random.Generator) -> None:
    radius = rng.uniform(14, 25)
    kidney = np.minimum(canvas.ellipse((0, 0), (radius, radius * rng.uniform(0.95, 1.25))), canvas.cavity - 4)
    canvas.paint(kidney + rng.uniform(2, 7), FAT + 3 * canvas.grain)
    canvas.paint_line(kidney + 8, 0.8, -40.0, canvas.cavity)  # Gerota's fascia
    canvas.paint(kidney, phase.cortex + 4 * canvas.grain)
    canvas.paint(kidney - 6 - 1.5 * canvas.grain, phase.medulla)
    if radius > 18:  # Not at the lower pole: the fat of the sinus, open to the middle, and the pelvis within.
        canvas.paint(canvas.ellipse((-side * 0.55 * radius, 0), (0.65 * radius, 0.3 * radius)) + 1.5 * canvas.grain, FAT + 25)
        canvas.paint(canvas.ellipse((-side * 0.4 * radius, 0), (0.3 * radius, 0.14 * radius)), phase.ureter)


def _mesentery(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas.cavity = canvas.trunk - np.where(np.abs(canvas.x) > patient.rectus[1] + 12, *np.float32((patient.wall + 1, 12 * patient.bulk)))
    # Vessels that fan out from their root in front of the spine.
    for _ in range(rng.integers(18, 34)):
        angle, distance = rng.uniform(-0.15, 1.15) * np.pi, rng.uniform(12, 85)
        centre = (patient.spine[0] + distance * np.cos(angle), patient.spine[1] - 38 - 0.6 * distance * np.sin(angle))
        near = canvas.window(centre, 9, np.rad2deg(-angle) + rng.normal(0, 35))
        vessel = np.minimum(near.ellipse((0, 0), (rng.uniform(1.2, 8), rng.uniform(1.0, 2.2))), near.cavity - 3)
        near.paint(vessel, rng.choice((patient.phase.artery, patient.phase.vein)))


def _vessels(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas = canvas.window(patient.spine, 62, scale=patient.stature)
    phase = patient.phase
    if rng.random() < 0.6:  # the duodenum on its way across
        duodenum = canvas.ellipse((rng.uniform(-15, 5), -46), (rng.uniform(20, 38), rng.uniform(7, 11)), rng.uniform(-8, 8))
        canvas.paint(duodenum, 36 + 0.5 * phase.added)
    radius = rng.uniform(7.5, 11)
    aorta = canvas.ellipse((rng.uniform(4, 10), -20 - radius), (radius, radius * rng.uniform(0.95, 1.05)))
    cava = canvas.ellipse((-rng.uniform(15, 19), -rng.uniform(26, 29)), (rng.uniform(9, 13), rng.uniform(5, 10)), rng.uniform(-20, 10))
    for vessel, hu in ((cava, phase.vein), (aorta, phase.artery)):
        canvas.paint(vessel + 1.5, FAT + 10)
        canvas.paint(vessel, hu)
    if rng.random() < 0.45:
        canvas.paint_line(aorta - 0.8, 1.8, 700.0, canvas.grain * 2 - rng.uniform(-1, 1))  # calcified in places
    for side in (-1, 1):  # ureter and gonadal vein, on the psoas
        canvas.paint(canvas.ellipse((side * rng.uniform(36, 44), -rng.uniform(24, 28)), (2.4, 2.1)), phase.ureter)
        canvas.paint(canvas.ellipse((side * rng.uniform(46, 52), -rng.uniform(20, 26)), (1.8, 1.8)), phase.vein)


def _wall(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas = canvas.window((0, 0), patient.half_width)
    (gap, edge), front, depth = patient.rectus, canvas.front, canvas.trunk
    x = np.abs(canvas.x - np.float32(0.5 * patient.spine[0]))
    from_edge, from_back = x - np.float32(edge), x - np.float32(rng.uniform(74, 84) * patient.stature)
    thickness = np.float32(patient.wall) * (1 + np.float32(0.1) * canvas.texture(rng, 45))
    # The rectus' sheath and the linea alba; and the fascia that goes on behind the muscles.
    canvas.paint_line(depth - 1, 1.2, 20.0, np.where(front, 25 - from_edge, np.float32(-5)))
    canvas.paint_line(depth - thickness - 1.5, 0.8, -30.0, np.where(front, from_edge, from_back))
    canvas.paint_line(depth - 2, 3.2, 30.0, np.where(front, gap + 1 - x, np.float32(-5)))
    fat_share = _fat_share(canvas, 0.4 * patient.streaks)
    # External and internal oblique, transversus: one inside the other, each ending in its aponeurosis at its own place.
    for start, end, front_end, back_end in ((0.0, 0.36, 14, 12), (0.40, 0.79, 5, 5), (0.83, 1.0, -3, 0)):
        to_end = np.where(front, (from_edge - front_end) / 26, (from_back - back_end * rng.uniform(0.6, 1.4)) / 12)
        taper = np.sqrt(np.clip(to_end, 0, 1))
        half, middle = (end - start) / 2 * thickness * taper, (end + start) / 2 * thickness * (0.55 + 0.45 * taper)
        lens = np.where(to_end > 0, half - np.abs(depth - 0.8 - middle), np.float32(-5))
        canvas.paint_muscle(lens, patient.muscle_hu + rng.normal(0, 3), fat_share)
    _rectus(canvas, x, rng)


def _rectus(canvas: _Canvas, x: np.ndarray, rng: np.random.Generator) -> None:
    patient = canvas.patient
    gap, edge = patient.rectus
    across = np.minimum(((x - (gap + edge) / 2) / ((edge - gap) / 2)) ** 2, 1)
    belly = rng.uniform(7, 13) * patient.bulk * np.sqrt(1 - across**2)
    lens = np.where(canvas.front & (across < 1), belly / 2 - np.abs(canvas.trunk - 1.6 - belly / 2), np.float32(-5))
    canvas.paint_muscle(lens, patient.muscle_hu + rng.normal(0, 3), _fat_share(canvas, 0.5 * patient.streaks))


def _fat_share(canvas: _Canvas, streaks: float) -> np.ndarray:
    # None where streaks is 0; a net of veins of fat where it is 1.
    return np.clip(1.0 + 0.6 * canvas.grain + 2.2 * (streaks - 0.75) - 0.5 * canvas.veins, 0, 1)


def _back(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas = canvas.window(patient.spine, 112, scale=patient.stature)
    for side in (-1, 1):
        lean = np.sqrt(patient.bulk) * rng.uniform(0.95, 1.05)
        psoas = canvas.ellipse((side * (22 + 17 * lean), 2 + 2 * lean), (17 * lean, 22 * lean), side * rng.uniform(-28, 0), power=2.2)
        lumborum = canvas.ellipse((side * rng.uniform(66, 72), 26), (9 * lean, 20 * lean), side * -rng.uniform(22, 42), power=2.2)
        for muscle, streaks in ((psoas, 0.3), (lumborum, 0.6)):
            canvas.paint(muscle + 1.6, FAT)
            canvas.paint_muscle(muscle, patient.muscle_hu + rng.normal(1, 3), _fat_share(canvas, streaks * patient.streaks))
        _erector(canvas, side, lean, rng)


def _erector(canvas: _Canvas, side: int, lean: float, rng: np.random.Generator) -> None:
    patient = canvas.patient
    hu = patient.muscle_hu - 3 + rng.normal(0, 2)
    under_fascia = canvas.trunk / patient.stature - 2
    erector = np.minimum(canvas.ellipse((side * (8 + 34 * lean), 53), (34 * lean, 24 * lean), side * rng.uniform(2, 14), power=2.6), under_fascia)
    multifidus = np.minimum(canvas.ellipse((side * 15, 55), (13 * lean, 20 * lean), side * rng.uniform(-12, 12)), under_fascia)
    canvas.paint(np.maximum(erector, multifidus) + 1.6, FAT)
    canvas.paint_line(np.maximum(erector, multifidus) + 1.6, 0.9, -10.0)  # the thoracolumbar fascia
    canvas.paint_muscle(erector, hu, _fat_share(canvas, patient.streaks))
    # Seams of fat: in front of the multifidus, and between the columns iliocostalis and longissimus.
    fat_hu = hu + (FAT - hu) * np.clip(0.4 + patient.streaks + 0.3 * canvas.grain, 0, 1)
    canvas.paint_muscle(multifidus, hu - 2, _fat_share(canvas, min(1.0, 1.25 * patient.streaks)))
    column = canvas.ellipse((side * rng.uniform(70, 80), 62), (24, 34), side * rng.uniform(-10, 20))
    for seam, width_mm in ((multifidus, 1.6), (column, 1.2)):
        canvas.paint_line(seam, width_mm * (0.5 + patient.streaks), fat_hu, erector)


def _vertebra(canvas: _Canvas, patient: _Patient, rng: np.random.Generator) -> None:
    canvas = canvas.window(patient.spine, 62, rng.normal(0, 1.5), patient.stature)
    density = rng.uniform(0.75, 1.3)
    cortex, marrow = 440 * density + 60, 130 * density + 30 + 35 * canvas.grain
    radii = (rng.uniform(22, 26), rng.uniform(16, 19))
    hidden, parts = canvas.y - radii[1] + 4, _arch(canvas, radii[1], rng)
    canvas.paint(parts, cortex)
    canvas.paint(parts - 1.9, marrow)
    for side in (-1, 1):  # the joints between the vertebrae's arches
        within = np.minimum(parts + 1, 7 - np.abs(canvas.y - radii[1] - 19))
        canvas.paint_line(canvas.ellipse((side * 33, radii[1] + 15), (13, 13)), 1.6, 90.0, within)
    body = np.minimum(canvas.ellipse((0, 0), radii, power=2.4), -canvas.ellipse((0, radii[1] + 9), (13, 11)))
    canvas.paint(body, cortex)
    canvas.paint(body - rng.uniform(1.1, 1.7), marrow)
    canal = np.minimum(canvas.ellipse((0, radii[1] + 7), (11.5, 9.5), power=2.2), hidden - 2)
    canvas.paint(canal, FAT + 40)
    canvas.paint(canal - 1.6, 18.0)


def _arch(canvas: _Canvas, rear: float, rng: np.random.Generator) -> np.ndarray:
    lamina = rng.uniform(4, 5.5)
    length, thickness = rng.uniform(12, 18), rng.uniform(2.8, 4.5)
    parts = [canvas.ellipse((0, rear + 21 + length), (thickness, length), power=2.5)]
    # At the height of the pedicles bone goes around the canal; lower down it is open, and the joints are large.
    pedicles = rng.random() < 0.6
    for side in (-1, 1):
        parts.append(canvas.ellipse((side * 9, rear + 19), (13, lamina), side * -35))
        parts.append(canvas.ellipse((side * 20, rear + 18), (7, rng.uniform(8, 10)), side * -20))
        if pedicles:
            parts.append(canvas.ellipse((side * 17, rear + 5), (4.5, 14)))
            parts.append(canvas.ellipse((side * 34, rear + rng.uniform(5, 10)), (rng.uniform(16, 22), 3.4), side * rng.uniform(5, 20), power=2.4))
    return np.maximum.reduce(parts)
