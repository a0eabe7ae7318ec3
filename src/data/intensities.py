"""Whether images are in Hounsfield units, so that a CT window applies to them."""

import pandas as pd

from settings import Settings

# Every CT slice has air, -1000 HU.
MAX_AIR_HU = -200


def is_in_hu(modality: str | None, minimum: float) -> bool:
    """Whether an image of this DICOM modality, None or "" if unknown, with this minimum is in Hounsfield units."""
    return modality == "CT" if modality else minimum <= MAX_AIR_HU


def window(options: Settings, in_hu: bool) -> tuple[float, float] | None:
    """The CT window that the training will use for images that are in Hounsfield units or not; None for none."""
    return options.for_images(in_hu).hyperparameters.clip_hu


def are_in_hu(cases: pd.DataFrame) -> bool:
    """Whether most images are in Hounsfield units. `cases`: rows of cases.csv."""
    modalities = cases["modality"] if "modality" in cases else [""] * len(cases)
    in_hu = [is_in_hu(*each) for each in zip(modalities, cases["minimum"], strict=True)]
    return 2 * sum(in_hu) > len(in_hu)
