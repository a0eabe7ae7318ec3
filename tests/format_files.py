"""Writes small image files in formats that no library here writes: byte by byte, or from pydicom's elements."""

import itertools
import pathlib
import struct

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import storage

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"

# Nothing that the project writes may hold these.
PATIENT_ID, PATIENT_NAME = "ID4711", "Doe^Jane"

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]

_NIFTI_TYPES = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int64": 1024}


def write_nifti(path, voxels, affine, sform=1, qform=0, units=2, slope=(1.0, 0.0)):
    """A NIfTI file: voxels (i, j, k, ...), affine 4 x 4 in RAS as nibabel takes it."""
    shape, spacing = voxels.shape, np.linalg.norm(affine[:3, :3], axis=0).tolist()
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", header, 70, _NIFTI_TYPES[voxels.dtype.name], voxels.dtype.itemsize * 8)
    struct.pack_into("<8f", header, 76, 1, *spacing, *[1] * 4)
    struct.pack_into("<3f", header, 108, 352, *slope)
    header[123] = units
    struct.pack_into("<2h", header, 252, qform, sform)
    struct.pack_into("<12f", header, 280, *np.ravel(affine[:3]))
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + voxels.tobytes(order="F"))
    return path


def dicom(pixels, position=(0, 0, 0), orientation=AXIAL, spacing=(0.5, 0.5), thickness=5.0, **elements):
    """A DICOM slice with intercept -1024; `elements` replace its own, or remove them if None."""
    dataset = _common(elements.pop("SOPClassUID", CT))
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    own = {
        "Modality": "CT",
        "SeriesInstanceUID": "1.2.3.4",
        "InstanceNumber": 1,
        "ImagePositionPatient": list(position),
        "ImageOrientationPatient": list(orientation),
        "PixelSpacing": list(spacing),
        "SliceThickness": thickness,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": 8 * pixels.dtype.itemsize,
        "HighBit": 8 * pixels.dtype.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }
    for name, value in (own | elements).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = _even(pixels.tobytes())
    return dataset


def save(path, dataset):
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, volume, positions, **elements):
    """A folder with a slice per row of positions, in mm."""
    folder.mkdir()
    for number, (pixels, position) in enumerate(zip(volume, positions, strict=True), 1):
        # Names that sort in the opposite order.
        save(folder / f"{100 - number}.dcm", dicom(pixels, position, **{"InstanceNumber": number} | elements))
    return folder


def frames(dataset, positions, segments=None, orientation=AXIAL, spacing=(0.5, 0.5), distance=None):
    """Adds functional groups: a position, and the segment's number where there are any, per frame."""
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(orientation))]
    measures = {"PixelSpacing": list(spacing), "SliceThickness": 5.0}
    shared.PixelMeasuresSequence = [_item(**measures, **({"SpacingBetweenSlices": distance} if distance else {}))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for position, segment in itertools.zip_longest(positions, segments or []):
        frame = Dataset()
        if position is not None:
            frame.PlanePositionSequence = [_item(ImagePositionPatient=list(position))]
        if segment is not None:
            frame.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=segment)]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.NumberOfFrames = len(positions)
    return dataset


def segmentation(masks, positions, segments, names, kind="BINARY", **options):
    """A DICOM SEG with one frame per mask."""
    dataset = _common(LABEL_MAP if kind == "LABELMAP" else SEG)
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    dataset.Rows, dataset.Columns = masks[0].shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue = 200
    dataset.SegmentSequence = [_item(SegmentNumber=n, SegmentLabel=name) for n, name in names.items()]
    frames(dataset, positions, segments, **options)
    values = np.stack(masks).astype(np.uint8)
    dataset.PixelData = pydicom.pixels.pack_bits(values.ravel()) if bits == 1 else _even(values.tobytes())
    return dataset


def structure_set(regions):
    """A DICOM RTSTRUCT: per name a list of contours, (n, 3) in mm."""
    dataset = _common(RTSTRUCT)
    dataset.Modality = "RTSTRUCT"
    dataset.StructureSetROISequence = [_item(ROINumber=n, ROIName=name) for n, name in enumerate(regions, 1)]
    dataset.ROIContourSequence = []
    for number, contours in enumerate(regions.values(), 1):
        items = [
            _item(
                ContourGeometricType="CLOSED_PLANAR" if len(points) > 1 else "POINT",
                NumberOfContourPoints=len(points),
                ContourData=[float(value) for value in np.ravel(points)],
            )
            for points in contours
        ]
        dataset.ROIContourSequence.append(_item(ReferencedROINumber=number, ContourSequence=items))
    return dataset


def write_tag(path, labels, header=b"*description\nx:{columns}\ny:{rows}\ntype:BYTE\n"):
    """A mask of sliceOmatic."""
    rows, columns = labels.shape
    text = header.replace(b"{columns}", b"%d" % columns).replace(b"{rows}", b"%d" % rows)
    path.write_bytes(text + b"\x0c" + labels.astype(np.uint8).tobytes())
    return path


def _common(sop_class):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.StudyInstanceUID = "1.2.3"
    dataset.PatientID, dataset.PatientName = PATIENT_ID, PATIENT_NAME
    return dataset


def _even(content):
    return content + bytes(len(content) % 2)


def _item(**elements):
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def fault_of(function, *arguments) -> str:
    """The text of the one DatasetError line, which starts with the file; it names no patient."""
    try:
        function(*arguments)
    except storage.DatasetError as error:
        (text,) = error.faults
        assert text.startswith(str(arguments[0]))
        assert text.endswith(".")
        assert not any(name in text for name in (PATIENT_ID, PATIENT_NAME))
        return text.removeprefix(str(pathlib.Path(arguments[0])))
    raise AssertionError("no error")
