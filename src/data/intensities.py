"""Whether images are in Hounsfield units, so that a CT window applies to them."""

import pandas as pd

# Every CT slice has air, -1000 HU.
_MAX_AIR_HU = -200


def is_in_hu(modality: str | None, minimum: float) -> bool:
    """Whether an image of this DICOM modality, None or "" if unknown, with this minimum is in Hounsfield units."""
    return modality == "CT" if modality else minimum <= _MAX_AIR_HU


def are_in_hu(cases: pd.DataFrame) -> bool:
    """Whether most images are in Hounsfield units. `cases`: rows of cases.csv."""
    modalities = cases["modality"] if "modality" in cases else [""] * len(cases)
    in_hu = [is_in_hu(*each) for each in zip(modalities, cases["minimum"], strict=True)]
    return 2 * sum(in_hu) > len(in_hu)
