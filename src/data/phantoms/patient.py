"""A phantom's patient: body measures and contrast phase, sampled at random."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Phase:
    """A contrast phase, in HU: arteries, veins, cortex and medulla of the kidneys, ureters; `added` to other organs."""

    artery: float
    vein: float
    cortex: float
    medulla: float
    ureter: float
    added: float


PHASES = (
    Phase(42, 40, 33, 31, 12, 0),  # native
    Phase(290, 75, 165, 70, 12, 10),  # arterial
    Phase(155, 140, 175, 150, 15, 30),  # portal venous, the most common
    Phase(105, 100, 135, 130, 700, 22),  # excretory: the urine is bright
)


@dataclasses.dataclass(frozen=True)
class Patient:
    """One body, in mm and HU. Origin: the centre of the trunk; x points to the image's right, y to the back."""

    stature: float  # of the skeleton, 1 is average
    half_width: float  # of the trunk inside the subcutaneous fat
    front: float  # distance from the origin to the front of the trunk
    back: float  # the same to its back
    roundness: float  # power of the trunk's superellipse
    fat: tuple[float, float, float]  # subcutaneous, at the front, at the sides, at the back
    wall: float  # thickness of the abdominal wall's flat muscles
    rectus: tuple[float, float]  # half of the gap between both muscles, and their lateral edge
    bulk: float  # of the muscles, 1 is average
    muscle_hu: float
    streaks: float  # amount of fat streaks in the muscles, 0 to 1
    phase: Phase
    spine: tuple[float, float]  # centre of the vertebral body
    field: float  # side of the image (field of view)
    centre: tuple[float, float]  # of the trunk in the image
    degrees: float
    noise_hu: float

    @classmethod
    def sampled(cls, rng: np.random.Generator) -> "Patient":
        stature, obesity, bulk = rng.uniform(0.91, 1.07), rng.beta(1.6, 2.8), rng.uniform(0.72, 1.12)
        visceral = float(np.clip(obesity + rng.normal(0, 0.2), 0, 1))
        half_width = stature * (120 + 26 * visceral + 12 * bulk)
        front, back = stature * (76 + 50 * visceral), stature * (92 + 5 * bulk)
        front_fat, side_fat, back_fat = (obesity * rng.uniform(0.6, 1.3) for _ in range(3))
        fat = (6 + 38 * front_fat, 5 + 40 * side_fat, 6 + 32 * back_fat)
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
            phase=PHASES[rng.choice(4, p=(0.3, 0.12, 0.43, 0.15))],
            # The muscles of the back then end where the trunk ends.
            spine=(rng.normal(0, 2.5), back - 80 * stature),
            field=max(365.0, 2 * (half_width + fat[1]) * rng.uniform(1.13, 1.32)),
            centre=(rng.normal(0, 5), (front + fat[0] - back - fat[2]) / 2 - rng.uniform(0, 14)),
            degrees=rng.normal(0, 2.5),
            noise_hu=rng.uniform(8, 19),
        )
