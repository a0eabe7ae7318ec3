"""Images and masks in the formats of scanners, viewers and annotation programs.

CSV, NPY, PNG, TIFF, BMP, JPEG (images only), DICOM (images, SEG, RTSTRUCT), NIfTI, NRRD, MetaImage, sliceOmatic tags.
"""

from data.formats.grid import Block, Grid
from data.formats.images import read_image
from data.formats.layers import grid_of
from data.formats.mask_files import read_mask
from data.formats.names import ENDINGS, is_readable, kind, known_formats, stem
from data.formats.records import Image, Mask, slice_name
from data.formats.writing import Algorithm, as_stored, write_dicom_seg, write_mask

__all__ = [
    "ENDINGS",
    "Algorithm",
    "Block",
    "Grid",
    "Image",
    "Mask",
    "as_stored",
    "grid_of",
    "is_readable",
    "kind",
    "known_formats",
    "read_image",
    "read_mask",
    "slice_name",
    "stem",
    "write_dicom_seg",
    "write_mask",
]
