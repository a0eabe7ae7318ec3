"""DICOM headers, segmentations and contours. Only this package imports pydicom.

SimpleITK reads the pixels of images.
"""
