"""The settings for images that are not in Hounsfield units."""

import pandas as pd

from data import intensities
from settings import Settings


def settings_for(options: Settings, cases: pd.DataFrame) -> Settings:
    """The settings for the images of `cases`: no CT window applies without Hounsfield units, unless config.py sets one.

    Prints a line if that changes the default.
    """
    adapted = options.for_images(intensities.are_in_hu(cases))
    if adapted.hyperparameters != options.hyperparameters:
        print("The images are not in Hounsfield units: each is normalized (z-score, clip_hu = None).")
    return adapted
