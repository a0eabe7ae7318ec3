"""What a mask measures on an image: areas, mean and SD of the image values, areas within windows of values.

Each quantity is declared once: its name in the settings, the ending of its columns in metrics.csv and _table.csv, its
label and unit for readers.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

# The lowest and the highest value that belong to each window, such as {"muscle": (-29, 150)} in HU.
Windows = Mapping[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A quantity of a mask: its name in the settings, the ending of its columns, its label and unit for readers.

    `places`: decimal places to show. `window`: the values that are measured; None for all.
    """

    name: str
    ending: str
    label: str
    unit: str
    places: int
    window: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """The label with the unit."""
        return self._with_unit(self.label)

    @property
    def phrase(self) -> str:
        """The label within a sentence, without the unit."""
        return self.label if self.label.startswith("SD") else self.label[0].lower() + self.label[1:]

    @property
    def phrase_with_unit(self) -> str:
        """The label within a sentence, with the unit."""
        return self._with_unit(self.phrase)

    def _with_unit(self, text: str) -> str:
        return f"{text} ({self.unit})" if self.unit else text


AREA_PX = Quantity("area", "px", "Area", "px", 1)


def quantities(windows: Windows, in_cm2: bool, in_hu: bool, has_height: bool) -> list[Quantity]:
    """The quantities of masks on images, the area first.

    `in_cm2`: whether the pixel spacing is known; `in_hu`: whether the images are in Hounsfield units; `has_height`:
    whether the patients' heights are known.
    """
    area = Quantity("area", "cm2", "Area", "cm²", 2) if in_cm2 else AREA_PX
    unit, ending, places = area.unit, area.ending, area.places
    value, value_unit, value_ending = ("attenuation", "HU", "hu") if in_hu else ("value", "", "value")
    value_places = 1 if in_hu else 2
    found = [area]
    if in_cm2 and has_height:
        found += [Quantity("SMI", "smi_cm2_per_m2", "Area / height²", "cm²/m²", 2)]
    found += [
        Quantity("mean value", f"mean_{value_ending}", f"Mean {value}", value_unit, value_places),
        Quantity("SD of values", f"sd_{value_ending}", f"SD of {value}", value_unit, value_places),
    ]
    areas = [
        Quantity(name, f"{slug(name)}_{ending}", f"Area of {name}", unit, places, window)
        for name, window in windows.items()
    ]
    return found + areas


def slug(name: str) -> str:
    """The name of a window in names of columns: "low attenuation" is "low_attenuation"."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def measure(
    image: np.ndarray,
    mask: np.ndarray,
    windows: Windows,
    in_hu: bool,
    spacing_mm: tuple[float, float] | None = None,
    height_m: float = math.nan,
) -> dict[str, float]:
    """The quantities of a mask, 0 and 1, on its image, both (height, width), by the ending of their columns.

    Areas are in px, and with `spacing_mm`, the distances of rows and of columns, also in cm²: px * row * column / 100.
    The mean and the SD of the image values in the mask are over its pixels (SD with ddof=0: the pixels are not a
    sample); NaN for an empty mask. The area of a window is that of the mask's pixels with values from its lowest to its
    highest, both included. With `height_m`, the patient's height, the skeletal muscle index: area in cm² / height²
    (Mourtzakis et al. 2008, Appl. Physiol. Nutr. Metab. 33). ValueError if the shapes differ.
    """
    if image.shape != mask.shape:
        raise ValueError(f"Expected an image and a mask of the same shape, got {image.shape} and {mask.shape}.")
    values = image[mask.astype(bool)].astype(float)
    areas_px = {"": len(values)}
    areas_px |= {f"{slug(name)}_": _count(values, *window) for name, window in windows.items()}
    measured: dict[str, float] = {f"{name}px": count for name, count in areas_px.items()}
    if spacing_mm:
        pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
        measured |= {f"{name}cm2": count * pixel_cm2 for name, count in areas_px.items()}
        if math.isfinite(height_m):
            measured["smi_cm2_per_m2"] = measured["cm2"] / height_m**2
    unit = "hu" if in_hu else "value"
    measured[f"mean_{unit}"] = float(values.mean()) if len(values) else math.nan
    measured[f"sd_{unit}"] = float(values.std()) if len(values) else math.nan
    return measured


def _count(values: np.ndarray, low: float, high: float) -> int:
    return int(np.count_nonzero((values >= low) & (values <= high)))
