"""Finds data that can't be right, or that looks wrong: it would train without complaint.

`describe` runs for each case where image and mask are in memory; `findings` judges the features of all cases; `write`
presents them.

Certain, and thus errors: an image that is constant, that is its mask, that was cut by its mask or has its outline
burned in; one mask for clearly different images; copies of an image. All else are warnings: masks in another
orientation or of another image, a missing intercept in part of the images, a window that hides the outline, images that
are nearly the same, similar images without groups.

Not found: masks that are all shifted by a few pixels, or exchanged with those of neighbouring slices; masks that are
all exchanged, unless they fit their own images very well; an outline that was blurred after burning it in; wrong
geometry of masks that are symmetric, thin, or unrelated to intensity; a missing intercept of all images.
"""

from data.checks.copies import nearest
from data.checks.features import CaseFeatures, describe
from data.checks.finding import Finding
from data.checks.findings import findings
from data.checks.report import write
from data.checks.tables import MAX_PICTURED, table, worst

__all__ = ["MAX_PICTURED", "CaseFeatures", "Finding", "describe", "findings", "nearest", "table", "worst", "write"]
