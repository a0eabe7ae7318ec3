"""Synthetic CT slices of the abdomen with muscle masks, at L3 or from T11 to L4: to try the project without own data.

The slices are painted, not measured: ellipses in the positions and with the Hounsfield units of the anatomy, bent,
blurred and made noisy. Body size, fat, muscle, posture, contrast phase and bowel differ between seeds. A network that
segments them shows that the pipeline works, no more. The mask is skeletal muscle as a reader outlines it by its
Hounsfield units: visible fat in or between muscles (below about -30 HU) is excluded. Orientation is radiological: the
patient's right is on the left, the back is below.
"""

import pathlib

import numpy as np

import storage
from data import csv_array
from data.phantoms import abdomen, levels, muscles, scanner, vertebra
from data.phantoms.canvas import Canvas
from data.phantoms.patient import Patient
from data.phantoms.torso import HIGHEST, LOWEST, Torso

_PARTS = (
    abdomen.paint_table,
    abdomen.paint_outline,
    abdomen.paint_mesentery,
    abdomen.paint_bowel,
    abdomen.paint_organs,
    abdomen.paint_vessels,
    muscles.paint_wall,
    muscles.paint_back,
    vertebra.paint_vertebra,
)


def draw(seed: int, size: int = 512, level: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One slice and its mask: int16 in HU and uint8 0 and 1, both (size, size). A seed is one patient at every size.

    `level` counts vertebrae above L3: -1 is L4, 1 is L2, 2 is L1, 3 is T12, 4 is T11, and values between them lie
    between the middles of both vertebrae. None is the third lumbar vertebra as it was drawn before there were levels.
    ValueError where `size` is not a multiple of 32, or `level` outside -1 to 4.
    """
    if size <= 0 or size % 32:
        raise ValueError(f"size must be a multiple of 32, found {size}")
    patient = Patient.sampled(np.random.default_rng([seed, 0]))
    if level is not None:
        return _draw_level(patient, seed, size, level)
    canvas = Canvas(patient, size, np.random.default_rng([seed, 1]))
    for number, paint in enumerate(_PARTS):
        # Each part has its own generator: changing one does not change the others.
        paint(canvas, patient, np.random.default_rng([seed, 2 + number]))
    return canvas.scan(np.random.default_rng([seed, 99])), canvas.mask()


def draw_any_level(seed: int, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A slice and its mask as `draw` returns them, at a level between L4 and T11 that the seed determines."""
    return draw(seed, size, float(np.random.default_rng([seed, 98]).uniform(LOWEST, HIGHEST)))


def _draw_level(patient: Patient, seed: int, size: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    if not LOWEST <= level <= HIGHEST:
        raise ValueError(f"level must be between {LOWEST:g} (L4) and {HIGHEST:g} (T11), found {level}")
    torso = Torso.at_level(patient, level, np.random.default_rng([seed, 97]))
    canvas = Canvas(torso, size, np.random.default_rng([seed, 1]))
    levels.paint(canvas, torso, lambda number: np.random.default_rng([seed, 100 + number]))
    return scanner.scan(canvas, torso, np.random.default_rng([seed, 99]))


def write_original_dataset(folder: pathlib.Path, count: int, size: int = 512, seed: int = 0) -> None:
    """Writes `count` phantoms into `folder`, a new subdirectory of an original dataset: images/phantom_000.csv, ...

    The folder is written atomically. FileExistsError where it exists: it may be a user's.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists. Phantoms are written into a new folder only: move or delete it.")
    with storage.atomic_folder(folder) as draft:
        for kind in ("images", "masks"):
            (draft / kind).mkdir()
        for number in range(count):
            for kind, values in zip(("images", "masks"), draw(seed + number, size), strict=True):
                csv_array.write(draft / kind / f"phantom_{number:03d}.csv", values)
