"""A patient at one vertebral level: body shape, fat, wall and back, which change between T11 and L4."""

import dataclasses
from typing import Any

import numpy as np

from data.phantoms.patient import Patient

LOWEST, HIGHEST = -1.0, 4.0  # L4 and T11


@dataclasses.dataclass(frozen=True)
class Torso(Patient):
    """A patient and what else is visible at a vertebral level. Lengths in mm."""

    level: float  # vertebrae above the third lumbar: 4 is T11, -1 is L4
    rib_cage: float  # how much higher the rib cage seems than the level, in vertebrae
    organs: float  # the same for the organs below the diaphragm
    breath: float  # the same for the lungs
    outer: float  # thickness of the muscles outside the ribs
    corner: float  # how thick they may be beside the muscles of the back
    intercostal: float  # thickness of the layer that contains the ribs
    furrow: float  # depth of the hollow along the spine between the muscles of the back
    back_roundness: float  # power of the superellipse behind the origin
    taper: float  # how much narrower the front of the chest is
    lean: float  # size of the muscles of the back, 1 is average
    arms: bool  # arms beside the body
    metal: bool
    blur_mm: float  # standard deviation of the reconstruction kernel
    sharpening: float  # strength of the kernel's edge enhancement, 0 is none
    voxel_mm: float  # of the volume from which the image was resampled; 0 where it has the image's own pixels

    @classmethod
    def at_level(cls, patient: Patient, level: float, rng: np.random.Generator) -> "Torso":
        """A torso at this level. The random numbers do not depend on it: neighbouring levels are similar."""
        body = _body(patient, level, rng)
        half, front, back = body["half_width"], body["front"], body["back"]
        fat: tuple[float, float, float] = body["fat"]
        arms = bool(rng.random() < 0.12)
        zoom = rng.uniform(1.03, 1.32)
        return cls(
            **(_fields(patient) | body),
            level=level,
            rib_cage=rng.normal(0, 0.3),
            organs=rng.normal(0, 0.35),
            breath=rng.normal(0, 0.4),
            outer=rng.uniform(2.8, 6.0) * patient.bulk,
            corner=rng.uniform(0.6, 1.1) * interpolated(level, 7, 7, 8, 12, 19, 24),
            intercostal=rng.uniform(6.5, 9.0),
            furrow=rng.uniform(0, 11) * (1 - 0.5 * _above(level)),
            back_roundness=rng.uniform(1.9, 2.45),
            taper=rng.uniform(0.0, 0.14),
            lean=np.sqrt(patient.bulk) * rng.uniform(0.94, 1.06),
            arms=arms,
            metal=bool(rng.random() < 0.04),
            blur_mm=rng.uniform(0.3, 1.0),
            sharpening=max(0.0, rng.uniform(-1.0, 1.2)),
            voxel_mm=max(0.0, rng.uniform(-2.0, 3.3)),
        )._in_field(
            max(310.0, 2 * (half + fat[1]) * zoom * (1.15 if arms else 1.0)),
            (front + fat[0] - back - fat[2]) / 2,
            patient.noise_hu * rng.uniform(0.6, 1.7),
        )

    def _in_field(self, field: float, middle: float, noise_hu: float) -> "Torso":
        # The noise is a property of the scan, lower where the field of view is resampled from larger voxels.
        noise = noise_hu * (0.55 if self.voxel_mm > 1 else 1.0)
        return dataclasses.replace(
            self, field=field, centre=(self.centre[0], middle + 0.5 * self.centre[0]), noise_hu=noise
        )

    def above(self) -> float:
        """Fraction of the way from L3 to T11, 0 to 1."""
        return _above(self.level)


def _above(level: float) -> float:
    return float(np.clip(level / HIGHEST, 0, 1))


def _fields(patient: Patient) -> dict[str, Any]:
    return {field.name: getattr(patient, field.name) for field in dataclasses.fields(patient)}


def _body(patient: Patient, level: float, rng: np.random.Generator) -> dict[str, Any]:
    up, stature = _above(level), patient.stature
    chest = stature * (rng.uniform(122, 146) + 10 * patient.bulk)
    front = stature * rng.uniform(88, 114) + 0.4 * (patient.front - 76 * stature)
    thin = 1 + up * (rng.uniform(0.35, 0.75) - 1)
    half_gap, edge = patient.rectus
    gap = half_gap + up * rng.uniform(2, 12)
    return {
        "half_width": _between(patient.half_width, max(chest, 0.9 * patient.half_width), up),
        "front": _between(patient.front * rng.uniform(1.0, 1.35), front, up),
        "back": (back := _between(patient.back, stature * rng.uniform(84, 97), up)),
        "roundness": _between(rng.uniform(2.1, 2.9), rng.uniform(2.2, 2.8), up),
        "fat": tuple(5 + (fat - 5) * thin for fat in patient.fat),
        "rectus": (gap, gap + (edge - half_gap) * (1 + 0.3 * up)),
        # Towards the chest the spinous processes and the muscles beside them are shorter.
        "spine": (patient.spine[0], back - stature * interpolated(level, 80, 80, 79, 74, 67, 59)),
        "streaks": patient.streaks * (1 - 0.4 * up),
        "muscle_hu": patient.muscle_hu - 18 * rng.random() ** 1.5,
    }


def _between(below: float, above: float, fraction: float) -> float:
    return below + fraction * (above - below)


def interpolated(level: float, *values: float) -> float:
    """Interpolates values that hold at L4, L3, L2, L1, T12 and T11; constant beyond them."""
    return float(np.interp(level, (-1, 0, 1, 2, 3, 4), values))
