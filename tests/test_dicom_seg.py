"""DICOM SEG that step 6 writes, read by highdicom, SimpleITK and this project: pixels, places, references, identity."""

import gzip

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

import prediction
import storage
from conftest import configure, files
from data import formats
from format_files import (
    ENHANCED_CT,
    PATIENT_ID,
    PATIENT_NAME,
    dicom,
    fault_of,
    frames,
    save,
    write_series,
)
from networks import saved_model
from test_prediction import bright, new_images  # noqa: F401

FRAME = {"FrameOfReferenceUID": "1.2.840.1"}
ALGORITHM = formats.Algorithm("a program", "1.0", "0123456789ab")
POSITIONS = [(-5.0, 3.0, 5.0 * index) for index in range(6)]


def stored(count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 2000, (count, 20, 30)).astype(np.uint16)


def masks(count=6):
    """Random masks, the first one empty."""
    values = np.random.default_rng(1).integers(0, 2, (count, 20, 30)).astype(np.uint8)
    values[0] = 0
    return values


def series(folder, positions=POSITIONS, **elements):
    """A series whose files' names do not follow its order; slice i has the SOPInstanceUID 1.2.9.<i>."""
    write_series(folder, stored(len(positions)), positions, **FRAME | elements)
    for index, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = f"1.2.9.{index}"
        dataset.save_as(path)
    return folder


def enhanced(path, positions, repeated=False):
    """A multi-frame CT; `repeated`: orientation and pixel distances stand in each frame's own header."""
    place = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    dataset = frames(dicom(stored(len(positions)), SOPClassUID=ENHANCED_CT, **FRAME | place), positions)
    if repeated:
        (shared,) = dataset.SharedFunctionalGroupsSequence
        for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            for frame in dataset.PerFrameFunctionalGroupsSequence:
                setattr(frame, name, shared[name].value)
            delattr(shared, name)
    return save(path, dataset)


def write(source, values, folder):
    return formats.write_dicom_seg(folder / "m", values, source, ALGORITHM)


@pytest.mark.parametrize(
    ("positions", "elements"),
    [
        (POSITIONS, {}),
        (POSITIONS[::-1], {}),
        ([POSITIONS[index] for index in (0, 1, 4, 5)], {}),
        ([(0, 0, z) for z in (0, 2, 5, 7, 10.4, 13)], {}),
        ([(0, 0.37 * index, 5 * index) for index in range(6)], {}),
        ([(5 * index, 0, 0) for index in range(6)], {"orientation": [0, 1, 0, 0, 0, -1]}),
        (POSITIONS, {"spacing": (1.5, 0.5)}),
        (POSITIONS, {"SpacingBetweenSlices": 40}),
        (POSITIONS, {"thickness": None}),
        ([POSITIONS[index] for index in (3, 0, 5, 1, 2, 4)], {"InstanceNumber": None}),
    ],
    ids=[
        "regular", "downwards", "missing slices", "uneven", "tilted scanner", "sagittal", "pixels not square",
        "wrong slice distance", "no thickness", "no numbers",
    ],
)  # fmt: skip
def test_three_programs_read_the_same_mask(positions, elements, tmp_path):
    source = series(tmp_path / "s", positions, **elements)
    image, values = formats.read_image(source), masks(len(positions))
    path = write(source, values, tmp_path)
    assert np.array_equal(formats.read_mask(path, image).slices, values)
    files = [
        int(np.argmax([np.array_equal(each, shown + 1024) for each in stored(len(positions))]))
        for shown in image.slices
    ]
    dataset = highdicom.seg.segread(path)
    assert np.array_equal(dataset.get_pixels_by_source_instance([f"1.2.9.{file}" for file in files])[..., 0], values)
    assert np.array_equal(read_by_itk(path), values[slices_of(dataset, image)])


def slices_of(dataset, image):
    """The slice of the image at the place of each frame."""
    origins = np.array([plane.origin for plane in image.grid.planes])
    places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in dataset.PerFrameFunctionalGroupsSequence]
    found = [int(np.linalg.norm(origins - np.array(place), axis=1).argmin()) for place in places]
    assert sorted(found) == list(range(len(origins)))
    return found


def read_by_itk(path):
    # Where pixels do not fill the last byte, SimpleITK 2.5 reads the last up to seven of them as random values.
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0


@pytest.mark.parametrize("repeated", [False, True], ids=["shared orientation", "orientation in each frame"])
def test_frames_of_a_multi_frame_image_keep_their_numbers_and_places(repeated, tmp_path):
    source = enhanced(tmp_path / "a.dcm", [POSITIONS[index] for index in (0, 1, 2, 4, 5, 3)], repeated)
    image, values = formats.read_image(source), masks()
    path = write(source, values, tmp_path)
    assert np.array_equal(formats.read_mask(path, image).slices, values)
    dataset = highdicom.seg.segread(path)
    uid = pydicom.dcmread(source).SOPInstanceUID
    assert np.array_equal(dataset.get_pixels_by_source_frame(uid, [1, 2, 3, 4, 5, 6])[..., 0], values)
    assert np.array_equal(read_by_itk(path), values[slices_of(dataset, image)])


@pytest.mark.parametrize("value", [0, 1], ids=["empty", "full"])
def test_a_single_slice_has_one_frame_even_if_its_mask_is_empty(value, tmp_path):
    source = save(tmp_path / "a.dcm", dicom(stored(1)[0], **FRAME))
    values = np.full((1, 20, 30), value, np.uint8)
    path = write(source, values, tmp_path)
    assert np.array_equal(formats.read_mask(path, formats.read_image(source)).slices, values)
    assert np.array_equal(highdicom.seg.segread(path).pixel_array, values[0])
    assert np.array_equal(read_by_itk(path), values)


def test_the_segment_names_the_program_and_the_model(tmp_path):
    dataset = pydicom.dcmread(write(series(tmp_path / "s"), masks(), tmp_path))
    (segment,) = dataset.SegmentSequence
    assert (dataset.Modality, dataset.SegmentationType, segment.SegmentAlgorithmType) == ("SEG", "BINARY", "AUTOMATIC")
    assert segment.SegmentAlgorithmName == ALGORITHM.program == dataset.Manufacturer
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == ALGORITHM.model
    assert dataset.SoftwareVersions == ALGORITHM.version


def test_the_identity_of_the_images_is_copied_even_if_it_breaks_the_standard_and_nothing_is_printed(tmp_path, capfd):
    identity = {
        "PatientName": "ONEWORD",
        "PatientBirthDate": "1.2.1970",
        "PatientSex": "female",
        "StudyDate": "unknown",
        "StudyID": "an id of more than sixteen characters",
        "SpecificCharacterSet": "",
    }
    source = series(tmp_path / "s")
    for path in source.iterdir():
        content = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            for keyword, value in identity.items():
                setattr(content, keyword, value)
            content.save_as(path)
    capfd.readouterr()
    dataset = pydicom.dcmread(write(source, masks(), tmp_path))
    assert "".join(capfd.readouterr()) == ""
    assert {keyword: str(dataset[keyword].value or "") for keyword in identity} == identity
    assert (dataset.PatientID, dataset.StudyInstanceUID) == (PATIENT_ID, "1.2.3")
    assert dataset.SeriesInstanceUID != "1.2.3.4"


def uneven_sizes(folder):
    series(folder, POSITIONS[:2])
    save(folder / "1.dcm", dicom(stored(1)[0, :10], POSITIONS[2], InstanceNumber=3, **FRAME))
    return folder


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (lambda folder: series(folder, ImagePositionPatient=None), "gives no place in space"),
        (lambda folder: series(folder, FrameOfReferenceUID=None), "lacks what DICOM SEG needs"),
        (uneven_sizes, "different sizes"),
    ],
)
def test_images_that_can_have_no_dicom_seg_are_named(source, expected, tmp_path):
    path = source(tmp_path / "s")
    slices = [np.zeros(pixels.shape, np.uint8) for pixels in formats.read_image(path).slices]

    def write_mask(path):
        write(path, slices, tmp_path)

    text = fault_of(write_mask, path)
    assert expected in text
    assert "only the NIfTI mask" in text
    assert not (tmp_path / "m.seg.dcm").exists()


def write_new_series(folder, **elements):
    """A series of two slices with a bright rectangle."""
    image = np.full((2, 64, 64), 524, np.uint16)
    image[:, 5:20, 10:50] = 1084
    return write_series(folder / "scan", image, POSITIONS[:2], **elements)


def test_the_dicom_seg_of_step_6_holds_the_mask_of_its_image_and_the_models_id(new_images):  # noqa: F811
    configure(new_images, WRITE_DICOM_SEG=True)
    image = formats.read_image(write_new_series(new_images.new_images, **FRAME))
    np.save(new_images.new_images / "other.npy", np.full((64, 64), 60.0))
    prediction.predict_new_images(new_images)
    (path,) = new_images.new_predictions.glob("*.seg.dcm")
    mask = formats.read_mask(path, image)
    assert np.array_equal(mask.slices, np.array(image.slices) > 0)
    assert formats.stem(path) == "scan"
    segment = pydicom.dcmread(path).SegmentSequence[0]
    version = segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion
    assert version == saved_model.fingerprint([new_images.model])


def test_step_6_lists_images_without_dicom_seg_and_keeps_their_mask(new_images, capsys):  # noqa: F811
    configure(new_images, WRITE_DICOM_SEG=True)
    write_new_series(new_images.new_images)
    with pytest.raises(storage.DatasetError, match="no DICOM SEG was written"):
        prediction.predict_new_images(new_images)
    assert "Predicted 1 of 1 images (2 slices)" in capsys.readouterr().out
    assert (new_images.new_predictions / "scan.nii.gz").exists()


def test_only_the_dicom_seg_of_step_6_contains_the_identity_of_its_image(new_images, capfd):  # noqa: F811
    configure(new_images, WRITE_DICOM_SEG=True)
    identity = {"InstitutionName": "St Elsewhere", "StudyDate": "20010203", "SeriesInstanceUID": "1.2.987654"}
    write_new_series(new_images.new_images, **FRAME | identity)
    prediction.predict_new_images(new_images)
    contents = files(new_images.new_predictions)
    segmentation = contents.pop("scan.seg.dcm")
    contents["scan.nii"] = gzip.decompress(contents["scan.nii.gz"])
    written = b"".join([*contents.values(), *(text.encode() for text in capfd.readouterr())])
    values = [PATIENT_ID, PATIENT_NAME, *identity.values()]
    assert [value for value in values if value.encode() in written] == []
    assert all(value.encode() in segmentation for value in (PATIENT_ID, PATIENT_NAME, "20010203"))
