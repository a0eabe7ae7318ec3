"""The canvas of a phantom: HU and muscle fraction per pixel, and the shapes that paint tissues on it."""

import copy

import numpy as np
import scipy.ndimage

from data.phantoms.patient import Patient

AIR, FAT = -1000.0, -105.0
# Smooth displacements of a few mm, on these scales, turn ellipses into organic shapes.
_BEND_WIDTHS_MM = (170.0, 50.0, 18.0)
_BENDS_MM = (5.0, 1.3, 0.35)


class Canvas:
    """HU and muscle fraction per pixel, both float32 (size, size), and each pixel's position in the body, in mm."""

    _LAYERS = ("x", "y", "front", "hu", "muscle", "grain", "veins", "trunk", "cavity")

    def __init__(self, patient: Patient, size: int, rng: np.random.Generator) -> None:
        self.patient, self.size, self.pixel_mm = patient, size, patient.field / size
        # Distance of the columns and rows from the centre of the image, in mm.
        self.columns = self.rows = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(
            self.pixel_mm
        ) - np.float32(patient.field / 2)
        x, y = np.meshgrid(self.columns - np.float32(patient.centre[0]), self.rows - np.float32(patient.centre[1]))
        self.x, self.y = _rotated(x, y, patient.degrees)
        for width_mm, bend_mm in zip(_BEND_WIDTHS_MM, _BENDS_MM, strict=True):
            self.bend(rng, width_mm, bend_mm)
        self.grain = self.texture(rng, 6)
        # Thin winding lines: the zero crossings of a smooth field.
        self.veins = np.abs(self.texture(rng, 9, 15)) / (0.10 + 0.02 * self.pixel_mm)
        self.front = self.y < 0
        half_depth = np.where(self.front, np.float32(patient.front), np.float32(patient.back))
        self.trunk = _depth(self.x, self.y, (patient.half_width, half_depth), patient.roundness)
        self.cavity = self.trunk  # until the thickness of the wall is known
        self.hu = np.full((size, size), AIR, np.float32)
        self.muscle = np.zeros((size, size), np.float32)

    def texture(self, rng: np.random.Generator, width_mm: float, height_mm: float | None = None) -> np.ndarray:
        """A smooth random field, float32, mean 0, standard deviation 1; its hills have about this width and height.

        It is the same at every image size: a sum of Gaussian hills with random weights on a grid in mm. Hills smaller
        than a pixel average out.
        """
        rows, columns = self._hills(self.rows, height_mm or width_mm), self._hills(self.columns, width_mm)
        return rows @ rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32) @ columns.T

    def _hills(self, places: np.ndarray, width_mm: float) -> np.ndarray:
        sigma = width_mm / 3
        wide = np.hypot(sigma, 0.29 * self.pixel_mm)  # standard deviation of a position within its pixel
        # A wider step would be visible as a grid: with this one the standard deviation varies by 1 %.
        half, step = self.patient.field / 2 + 2 * sigma, 1.5 * sigma
        distance: np.ndarray = places[:, None] - np.arange(-half, half + step, step, dtype=np.float32)
        height = np.float32(sigma / wide * (1.5 / np.sqrt(np.pi)) ** 0.5)
        return np.exp(np.float32(-0.5 / wide**2) * distance**2) * height

    def bend(self, rng: np.random.Generator, width_mm: float, bend_mm: float) -> None:
        """Displaces everything that is painted later, by a few mm that vary smoothly over the image."""
        self.x = self.x + np.float32(bend_mm) * self.texture(rng, width_mm)
        self.y = self.y + np.float32(bend_mm) * self.texture(rng, width_mm)

    def window(
        self, centre: tuple[float, float], reach_mm: float, degrees: float = 0.0, scale: float = 1.0
    ) -> "Canvas":
        """A view of the canvas around `centre`, which is faster to paint; it shares its pixels with the whole canvas.

        Its x and y are relative to `centre`, rotated by `degrees`, in units of `scale` mm.
        """
        x, y = _rotated(np.asarray(centre[0]), np.asarray(centre[1]), -self.patient.degrees)
        reach = reach_mm * scale + 3 * sum(_BENDS_MM) + 2 * self.pixel_mm
        part, (x0, y0) = copy.copy(self), self.patient.centre
        rows, columns = (
            slice(*np.searchsorted(steps, (at - reach, at + reach)))
            for steps, at in ((self.rows, y + y0), (self.columns, x + x0))
        )
        part.rows, part.columns = self.rows[rows], self.columns[columns]
        for name in self._LAYERS:
            setattr(part, name, getattr(self, name)[rows, columns])
        part.x, part.y = _rotated(
            (part.x - np.float32(centre[0])) / np.float32(scale),
            (part.y - np.float32(centre[1])) / np.float32(scale),
            degrees,
        )
        part.pixel_mm = self.pixel_mm / scale
        return part

    def warped(self, x: np.ndarray, y: np.ndarray) -> "Canvas":
        """A view of the canvas with other coordinates, in mm; it shares its pixels with the whole canvas."""
        part = copy.copy(self)
        part.x, part.y = x, y
        return part

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float | np.ndarray],
        degrees: float = 0.0,
        power: float = 2.0,
    ) -> np.ndarray:
        """Depth of each pixel inside a (super)ellipse, in mm, float32: negative outside, accurate near the edge."""
        return _depth(*_rotated(self.x - np.float32(centre[0]), self.y - np.float32(centre[1]), degrees), radii, power)

    def paint(self, depth: np.ndarray, hu: float | np.ndarray, muscle: float | np.ndarray = 0.0) -> None:
        """Paints a tissue on all pixels of positive depth (mm); its edge is covered in part (partial volume)."""
        self._cover(np.clip(depth / np.float32(self.pixel_mm) + np.float32(0.5), 0, 1), hu, muscle)

    def paint_line(
        self, distance: np.ndarray, width_mm: float, hu: float | np.ndarray, within: np.ndarray | float = 100.0
    ) -> None:
        """Paints a line along distance 0 (mm) where `within` is positive; a line thinner than a pixel is faint."""
        edge = np.minimum(width_mm / 2 - np.abs(distance), within)
        self._cover(
            np.clip(edge / np.float32(self.pixel_mm) + np.float32(0.5), 0, min(1.0, width_mm / self.pixel_mm)), hu, 0.0
        )

    def paint_muscle(self, depth: np.ndarray, hu: float, fat_fraction: np.ndarray | float = 0.0) -> None:
        """Paints muscle that contains the given fraction of fat per pixel."""
        lean = hu + 4 * self.grain
        self.paint(depth, lean + (FAT - lean) * fat_fraction, 1 - fat_fraction)

    def _cover(self, coverage: np.ndarray, hu: float | np.ndarray, muscle: float | np.ndarray) -> None:
        self.hu += coverage * (hu - self.hu)
        self.muscle += coverage * (muscle - self.muscle)

    def scan(self, rng: np.random.Generator) -> np.ndarray:
        """The image of a scanner, int16: slightly blurred, with noise that is correlated between neighbours."""
        grain = scipy.ndimage.gaussian_filter(
            rng.standard_normal(self.hu.shape, np.float32), rng.uniform(0.6, 0.95), truncate=3
        )
        # Larger pixels average out more noise.
        noise = grain * np.float32(self.patient.noise_hu * np.sqrt(self.size / 512) / grain.std())
        return np.clip((self._blurred(self.hu) + noise).round(), -1024, 3071).astype(np.int16)

    def mask(self) -> np.ndarray:
        """The reference mask, uint8: 1 where muscle is at least half of the blurred content of a pixel, else 0."""
        return (self._blurred(self.muscle) >= 0.5).astype(np.uint8)

    def _blurred(self, values: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(values, 0.7 * self.size / 512, truncate=3)


def _rotated(x: np.ndarray, y: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    if degrees == 0:
        return x, y
    cosine, sine = np.float32(np.cos(np.deg2rad(degrees))), np.float32(np.sin(np.deg2rad(degrees)))
    return x * cosine + y * sine, y * cosine - x * sine


def _depth(x: np.ndarray, y: np.ndarray, radii: tuple[float, float | np.ndarray], power: float) -> np.ndarray:
    # First-order distance to the edge: the residual of the superellipse equation divided by its slope.
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
