"""DICOM images, series, segmentations and contours, written element by element: values, places, patients, errors."""

import io

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import encaps, uid
from skimage import measure

import storage
from data import formats
from format_files import (
    ENHANCED_CT,
    PATIENT_ID,
    PATIENT_NAME,
    REPORT,
    SAGITTAL,
    dicom,
    fault_of,
    frames,
    save,
    segmentation,
    structure_set,
    write_nifti,
    write_series,
)

POSITIONS = [(-5.0, 3.0, 5.0 * index) for index in range(6)]


def stored(shape=(20, 30), seed=0):
    """Values as a scanner stores them: HU + 1024."""
    return np.random.default_rng(seed).integers(0, 2000, shape).astype(np.uint16)


def disks(count=6, rows=20, columns=30):
    """A disk with a hole that moves and shrinks from slice to slice, empty in the first and last one."""
    row, column = np.mgrid[:rows, :columns]
    distances = [np.hypot(row - 8 - index, column - 12 - index) for index in range(count)]
    masks = [(distance < 6.3 - index / 2) & (distance > 1.7) for index, distance in enumerate(distances)]
    masks[0], masks[-1] = np.zeros_like(masks[0]), np.zeros_like(masks[0])
    return np.array(masks, dtype=np.uint8)


@pytest.fixture
def series(tmp_path):
    return formats.read_image(write_series(tmp_path / "series", stored((6, 20, 30)), POSITIONS))


@pytest.fixture
def single(tmp_path):
    return formats.read_image(save(tmp_path / "single.dcm", dicom(stored(), POSITIONS[2])))


def volume(values, origin=POSITIONS[0], spacing=(0.5, 0.5, 5)):
    image = sitk.GetImageFromArray(values)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    return image


def write(path, image):
    sitk.WriteImage(image, str(path))
    return path


def test_a_slice_gives_values_spacing_patient_and_modality(tmp_path):
    image = formats.read_image(save(tmp_path / "IM1", dicom(stored(), spacing=(1.5, 0.5))))
    assert np.array_equal(image.slices[0], stored().astype(int) - 1024)
    assert image.spacing_mm == (1.5, 0.5)
    assert (image.names, image.patient, image.modality) == (("",), PATIENT_ID, "CT")
    assert PATIENT_ID not in repr(image)


def test_without_patient_id_the_study_identifies_the_patient(tmp_path):
    path = save(tmp_path / "a.dcm", dicom(stored(), PatientID=""))
    assert formats.read_image(path).patient == "1.2.3"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"RescaleSlope": 0.5}, lambda values: values * 0.5 - 1024),
        ({"RescaleIntercept": 0}, lambda values: values),
        ({"RescaleIntercept": None, "RescaleSlope": None, "Modality": "MR"}, lambda values: values),
        ({"PhotometricInterpretation": "MONOCHROME1"}, lambda values: 65535 - values - 1024),
        ({"RescaleIntercept": -3024}, lambda values: np.maximum(values - 3024, -1024)),
        ({"RescaleIntercept": -3024, "Modality": "PT"}, lambda values: values - 3024),
    ],
)
def test_stored_values_are_rescaled_and_padding_outside_of_ct_is_kept(elements, expected, tmp_path):
    image = formats.read_image(save(tmp_path / "a.dcm", dicom(stored(), **elements)))
    assert np.array_equal(image.slices[0], expected(stored().astype(int)))


def encapsulated(path, content, syntax, bits, **elements):
    pixels = stored() // (1 if bits == 16 else 8)
    dataset = dicom(pixels.astype(np.uint16 if bits == 16 else np.uint8), **elements)
    dataset.PixelData = encaps.encapsulate([content])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return save(path, dataset)


def compressed(picture, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, **options)
    return file.getvalue()


def write_rle(path):
    dataset = dicom(stored())
    dataset.compress(uid.RLELossless)
    return save(path, dataset)


def write_syntax(path, syntax):
    dataset = dicom(stored())
    dataset.file_meta.TransferSyntaxUID = syntax
    return save(path, dataset)


def write_by_itk(path, compressor):
    image = volume(stored()[None].astype(np.int16) - 1024)
    image.SetMetaData("0008|0060", "CT")
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(image)
    return path


@pytest.mark.parametrize(
    "writer",
    [
        lambda path: write_syntax(path, uid.ImplicitVRLittleEndian),
        lambda path: write_syntax(path, uid.DeflatedExplicitVRLittleEndian),
        write_rle,
        lambda path: write_by_itk(path, "JPEG"),
        lambda path: write_by_itk(path, "JPEG2000"),
        lambda path: encapsulated(
            path, compressed(stored(), format="JPEG2000", irreversible=False, no_jp2=True), uid.JPEG2000Lossless, 16
        ),
    ],
    ids=["implicit", "deflated", "RLE", "lossless JPEG", "JPEG 2000 by ITK", "JPEG 2000 by Pillow"],
)
def test_each_lossless_transfer_syntax_gives_the_same_values(writer, tmp_path):
    assert np.array_equal(formats.read_image(writer(tmp_path / "a.dcm")).slices[0], stored().astype(int) - 1024)


def test_jpeg_is_accepted_for_images(tmp_path):
    pixels = np.full((20, 30), 100, np.uint8)
    content = compressed(pixels, format="JPEG", quality=95)
    path = encapsulated(tmp_path / "a.dcm", content, uid.JPEGBaseline8Bit, 8, RescaleIntercept=0)
    assert np.array_equal(formats.read_image(path).slices[0], pixels)


def test_old_files_without_the_mark_are_read(tmp_path):
    path = save(tmp_path / "a.dcm", dicom(stored()))
    content = path.read_bytes()
    path.write_bytes(content[132:])
    assert np.array_equal(formats.read_image(path).slices[0], stored().astype(int) - 1024)


def test_colour_is_refused_unless_it_is_grey_or_nearly_so(tmp_path):
    pixels = np.repeat(stored()[..., None] // 8, 3, axis=2).astype(np.uint8)
    options = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB", "Modality": "US"}

    def path(pixels):
        dataset = dicom(np.zeros((20, 30), np.uint8), RescaleIntercept=None, RescaleSlope=None, **options)
        dataset.PixelData = pixels.tobytes()
        return save(tmp_path / "a.dcm", dataset)

    image = formats.read_image(path(pixels))
    assert np.array_equal(image.slices[0], pixels[..., 0])
    assert image.warnings == ()
    pixels[5, 5] = (100, 110, 120)
    assert "nearly grey" in formats.read_image(path(pixels)).warnings[0]
    pixels[5, 5] = (0, 255, 0)
    assert "colour image" in fault_of(formats.read_image, path(pixels))


@pytest.mark.parametrize("missing", ["PixelSpacing", "ImagePositionPatient"])
def test_unknown_spacing_or_place_stays_unknown(missing, tmp_path):
    elements = {missing: None, "ImagerPixelSpacing": [0.2, 0.2]}
    image = formats.read_image(save(tmp_path / "a.dcm", dicom(stored(), **elements)))
    assert image.spacing_mm == (None if missing == "PixelSpacing" else (0.5, 0.5))
    assert not image.grid.placed
    mask = disks()[2]
    path = formats.write_mask(tmp_path / "m", [mask], image, "dicom")
    assert np.array_equal(formats.read_mask(path, image).slices, [mask])


def test_an_orientation_that_gives_no_direction_counts_as_unknown_place(tmp_path):
    path = save(tmp_path / "a.dcm", dicom(stored(), orientation=[0, 0, 0, 0, 0, 0]))
    assert not formats.read_image(path).grid.placed


def test_series_without_place_and_numbers_keep_the_order_of_their_files(tmp_path):
    elements = {"ImagePositionPatient": None, "InstanceNumber": None}
    folder = write_series(tmp_path / "s", stored((3, 20, 30)), POSITIONS[:3], **elements)
    image = formats.read_image(folder)
    assert np.array_equal(image.slices, stored((3, 20, 30))[::-1].astype(int) - 1024)
    path = formats.write_mask(tmp_path / "m", disks()[1:4], image, "dicom")
    assert np.array_equal(formats.read_mask(path, image).slices, disks()[1:4])


def test_burned_in_text_gives_a_warning(tmp_path):
    path = save(tmp_path / "a.dcm", dicom(stored(), BurnedInAnnotation="YES"))
    assert "BurnedInAnnotation = YES" in formats.read_image(path).warnings[0]
    folder = write_series(tmp_path / "s", stored((6, 20, 30)), POSITIONS, BurnedInAnnotation="YES")
    assert "6 of its 6 images" in formats.read_image(folder).warnings[0]


def test_a_series_is_ordered_by_instance_number(tmp_path):
    folder = write_series(tmp_path / "s", stored((12, 20, 30)), [(0, 0, -3 * index) for index in range(12)])
    (folder / "Thumbs.db").write_bytes(b"junk")
    (folder / "DICOMDIR").write_bytes(b"junk")
    image = formats.read_image(folder)
    assert image.names == tuple(f"{number:02d}" for number in range(1, 13))
    assert np.array_equal(image.slices, stored((12, 20, 30)).astype(int) - 1024)


def test_without_instance_numbers_the_place_orders_a_series(tmp_path):
    positions = [(0, 0, z) for z in (10, 0, 5)]
    folder = write_series(tmp_path / "s", stored((3, 20, 30)), positions, InstanceNumber=None)
    image = formats.read_image(folder)
    assert np.array_equal(image.slices, stored((3, 20, 30))[[1, 2, 0]].astype(int) - 1024)
    assert image.names == ("1", "2", "3")


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [0, 1, 3, 5], [1, 4], [3]])
def test_a_mask_volume_fits_a_series_with_missing_slices(kept, tmp_path):
    folder = write_series(tmp_path / "s", stored((6, 20, 30))[kept], [POSITIONS[index] for index in kept])
    image = formats.read_image(folder)
    mask = formats.read_mask(write(tmp_path / "m.nii.gz", volume(disks())), image)
    assert np.array_equal(mask.slices, disks()[kept])
    written = formats.write_mask(tmp_path / "new", mask.slices, image, "dicom")
    assert np.array_equal(formats.read_mask(written, image).slices, mask.slices)


@pytest.mark.parametrize(
    "positions",
    [
        [(0, 0, -5 * index) for index in range(6)],
        [(0, 0.37 * index, 5 * index) for index in range(6)],
        [(0, 0, z) for z in (0, 2, 4, 6.9, 10, 14)],
        [(0, 0, z) for z in (0, 2, 5, 7, 10.4, 13)],
    ],
    ids=["downwards", "tilted scanner", "uneven", "half steps"],
)
def test_masks_of_uneven_series_are_written_and_read_without_change(positions, tmp_path):
    image = formats.read_image(write_series(tmp_path / "s", stored((6, 20, 30)), positions))
    masks = np.random.default_rng(0).integers(0, 2, (6, 20, 30)).astype(np.uint8)
    path = formats.write_mask(tmp_path / "m", masks, image, "dicom")
    assert path.name == "m.nii.gz"
    assert np.array_equal(formats.read_mask(path, image).slices, masks)


@pytest.mark.parametrize("kind", ["dicom", "nrrd", "metaimage", "picture"])
def test_nothing_of_the_header_is_in_a_written_mask(kind, single, tmp_path):
    path = formats.write_mask(tmp_path / "m", [disks()[2]], single, kind)
    content = path.read_bytes() if kind == "picture" else b"".join(_unpacked(path))
    assert not any(name.encode() in content for name in (PATIENT_ID, PATIENT_NAME, "Doe", "1.2.3.4"))
    assert np.array_equal(formats.read_mask(path, single).slices, [disks()[2]])


def _unpacked(path):
    image = sitk.ReadImage(str(path))
    yield path.read_bytes()
    yield from (image.GetMetaData(key).encode(errors="replace") for key in image.GetMetaDataKeys())


def test_a_tag_or_picture_fits_a_slice_as_it_is_stored(single, tmp_path):
    np.save(tmp_path / "m.npy", disks()[2])
    assert np.array_equal(formats.read_mask(tmp_path / "m.npy", single).slices, [disks()[2]])


def test_frames_of_an_enhanced_ct_have_their_own_places(tmp_path):
    values = stored((6, 20, 30))
    dataset = dicom(values, SOPClassUID=ENHANCED_CT, ImagePositionPatient=None, ImageOrientationPatient=None)
    positions = [POSITIONS[index] for index in (0, 1, 2, 4, 5, 3)]
    image = formats.read_image(save(tmp_path / "a.dcm", frames(dataset, positions)))
    assert np.array_equal(image.slices, values.astype(int) - 1024)
    assert image.names == ("1", "2", "3", "4", "5", "6")
    mask = formats.read_mask(write(tmp_path / "m.nrrd", volume(disks())), image)
    assert np.array_equal(mask.slices, disks()[[0, 1, 2, 4, 5, 3]])


def test_binary_segments_are_placed_frame_by_frame(series, tmp_path):
    liver, spleen = disks(), np.roll(disks(), 5, axis=2)
    masks = [liver[3], liver[1], spleen[2], spleen[3]]
    positions = [POSITIONS[index] for index in (3, 1, 2, 3)]
    path = tmp_path / "m.dcm"
    save(path, segmentation(masks, positions, [1, 1, 2, 2], {1: "Liver", 2: "Spleen", 3: "empty"}))
    expected = np.zeros_like(liver)
    expected[[1, 3]] = liver[[1, 3]]
    assert np.array_equal(formats.read_mask(path, series, ("liver",)).slices, expected)
    assert np.array_equal(formats.read_mask(path, series, (1,)).slices, expected)
    expected[[2, 3]] |= spleen[[2, 3]]
    mask = formats.read_mask(path, series)
    assert np.array_equal(mask.slices, expected)
    assert mask.labels == {"Liver": liver[[1, 3]].sum(), "Spleen": spleen[[2, 3]].sum(), "empty": 0}


def test_fractional_segments_count_from_one_half_on(series, tmp_path):
    values = disks()[2] * np.arange(30, dtype=np.uint8) * 6
    path = save(tmp_path / "m.dcm", segmentation([values], [POSITIONS[2]], [1], {1: "Liver"}, "FRACTIONAL"))
    assert np.array_equal(formats.read_mask(path, series).slices[2], values >= 100)


def test_label_maps_hold_several_segments_per_frame(series, tmp_path):
    values = disks()[2] + np.roll(disks()[2], 15, axis=1) * 2
    dataset = segmentation([values], [POSITIONS[2]], None, {0: "Background", 1: "Liver", 2: "Spleen"}, "LABELMAP")
    mask = formats.read_mask(save(tmp_path / "m.dcm", dataset), series, ("Spleen",))
    assert np.array_equal(mask.slices[2], values == 2)
    assert mask.labels == {"Liver": (values == 1).sum(), "Spleen": (values == 2).sum()}


def test_segments_on_a_coarser_grid_are_enlarged(series, tmp_path):
    coarse = disks()[2][::2, ::2]
    position = (POSITIONS[2][0] + 0.25, POSITIONS[2][1] + 0.25, 10)
    dataset = segmentation([coarse], [position], [1], {1: "Liver"}, spacing=(1, 1), distance=5.0)
    expected = coarse.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(formats.read_mask(save(tmp_path / "m.dcm", dataset), series).slices[2], expected)


def test_segments_fit_a_volume_in_another_format(tmp_path):
    path = write(tmp_path / "a.nii", sitk.DICOMOrient(volume(stored((6, 20, 30)).astype(np.int16)), "RAI"))
    image = formats.read_image(path)
    mask = save(tmp_path / "m.dcm", segmentation(list(disks()), POSITIONS, [1] * 6, {1: "Liver"}))
    assert np.array_equal(formats.read_mask(mask, image).slices, disks()[::-1])


def contours(mask, position):
    """The outlines of a mask in mm, half a pixel outside of its pixels' centres."""
    found = measure.find_contours(np.pad(mask, 1).astype(float), 0.4)
    points = [np.column_stack([outline[:, ::-1] - 1, np.zeros(len(outline))]) for outline in found]
    return [points * (0.5, 0.5, 1) + position for points in points]


def regions(shift=0.0):
    places = [np.add(position, (0, 0, shift)) for position in POSITIONS]
    outlines = [points for mask, place in zip(disks(), places, strict=True) for points in contours(mask, place)]
    return {"Liver": outlines, "Isocentre": [np.array([[0, 0, 0]])], "": []}


@pytest.mark.parametrize("shift", [0, 1.5])
def test_contours_fill_the_pixels_in_them_but_not_their_holes(shift, series, tmp_path):
    path = save(tmp_path / "m.dcm", structure_set(regions(shift)))
    mask = formats.read_mask(path, series)
    assert np.array_equal(mask.slices, disks())
    assert mask.labels == {"Liver": disks().sum(), "Isocentre": 0, "3": 0}
    assert not np.any(formats.read_mask(path, series, ("isocentre",)).slices)


def test_contours_of_a_plane_belong_together_although_their_places_are_rounded(series, tmp_path):
    outlines = [np.add(points, (0, 0, 0.004 * (-1) ** index)) for index, points in enumerate(regions()["Liver"])]
    path = save(tmp_path / "m.dcm", structure_set({"Liver": outlines}))
    assert np.array_equal(formats.read_mask(path, series).slices, disks())


def test_contours_fit_slices_with_gaps_and_volumes(tmp_path):
    path = save(tmp_path / "m.dcm", structure_set(regions()))
    kept = [0, 1, 3, 4]
    gap = write_series(tmp_path / "s", stored((4, 20, 30)), [POSITIONS[index] for index in kept])
    assert np.array_equal(formats.read_mask(path, formats.read_image(gap)).slices, disks()[kept])
    nifti = write(tmp_path / "a.nii", sitk.DICOMOrient(volume(stored((6, 20, 30)).astype(np.int16)), "RAS"))
    assert np.array_equal(formats.read_mask(path, formats.read_image(nifti)).slices, disks())


def test_contours_leave_slices_between_their_planes_empty(tmp_path):
    positions = [(-5.0, 3.0, 2.5 * index) for index in range(11)]
    image = formats.read_image(write_series(tmp_path / "s", stored((11, 20, 30)), positions))
    mask = formats.read_mask(save(tmp_path / "m.dcm", structure_set(regions())), image)
    assert np.array_equal(mask.slices[::2], disks())
    assert not np.any(mask.slices[1::2])


def test_masks_may_be_dicom_images(series, single, tmp_path):
    values = disks().astype(np.uint16) * 2
    options = {"RescaleIntercept": 0, "Modality": "OT"}
    folder = write_series(tmp_path / "m", values, POSITIONS, **options)
    mask = formats.read_mask(folder, series, (2,))
    assert np.array_equal(mask.slices, disks())
    assert mask.labels == {"2": disks().sum()}
    path = save(tmp_path / "m.dcm", dicom(values[2], ImagePositionPatient=None, **options))
    assert np.array_equal(formats.read_mask(path, single).slices, [disks()[2]])
    unplaced = write_series(tmp_path / "n", values, POSITIONS, ImagePositionPatient=None, **options)
    assert "no place in space" in fault_of(formats.read_mask, unplaced, series)
    np.save(tmp_path / "a.npy", stored())
    picture = formats.read_image(tmp_path / "a.npy")
    assert "its image has none" in fault_of(formats.read_mask, folder, picture)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (lambda: segmentation([disks()[2]], [POSITIONS[2]], [1], {1: "Liver"}), "DICOM SEG is a mask"),
        (lambda: structure_set(regions()), "DICOM RTSTRUCT is a mask"),
        (lambda: dicom(stored(), ModalityLUTSequence=[pydicom.Dataset()]), "ModalityLUTSequence"),
        (lambda: dicom(stored((3, 20, 30)), NumberOfFrames=3, ImagePositionPatient=None), "3 frames without a place"),
        (lambda: dicom(stored((3, 20, 30)), NumberOfFrames=3), "3 frames without a place"),
        (lambda: dicom(stored(), Rows=99), "incomplete"),
        (lambda: dicom(stored(), ImagePositionPatient=[1]), "incomplete"),
    ],
)
def test_dicom_files_whose_values_would_be_wrong_are_refused(dataset, expected, tmp_path):
    assert expected in fault_of(formats.read_image, save(tmp_path / "a.dcm", dataset()))


def test_reports_are_refused(tmp_path):
    dataset = structure_set({})
    dataset.SOPClassUID, dataset.Modality = REPORT, "SR"
    assert "without image (modality SR)" in fault_of(formats.read_image, save(tmp_path / "a.dcm", dataset))


def test_frames_with_different_rescale_values_are_refused(tmp_path):
    dataset = frames(dicom(stored((2, 20, 30)), SOPClassUID=ENHANCED_CT), POSITIONS[:2])
    for slope, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
        item = pydicom.Dataset()
        item.RescaleSlope, item.RescaleIntercept = slope, 0
        frame.PixelValueTransformationSequence = [item]
    assert "different rescale values" in fault_of(formats.read_image, save(tmp_path / "a.dcm", dataset))


@pytest.mark.parametrize("part", [0.01, 0.5, 0.9])
def test_incomplete_files_and_junk_are_refused(part, tmp_path):
    path = save(tmp_path / "a.dcm", dicom(stored()))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "incomplete" in fault_of(formats.read_image, path)
    path.write_bytes(bytes(128) + b"DICMjunk" * 20)
    assert "incomplete" in fault_of(formats.read_image, path)


def test_pixels_that_cant_be_decompressed_are_refused_with_their_syntax(tmp_path):
    path = encapsulated(tmp_path / "a.dcm", b"junk" * 50, uid.JPEG2000Lossless, 16)
    assert "transfer syntax JPEG 2000 Image Compression (Lossless Only)" in fault_of(formats.read_image, path)


def test_slices_without_place_that_differ_in_size_are_refused(tmp_path):
    folder = write_series(tmp_path / "s", stored((2, 20, 30)), POSITIONS[:2], ImagePositionPatient=None)
    save(folder / "1.dcm", dicom(stored((10, 30)), InstanceNumber=3, ImagePositionPatient=None))
    assert "different sizes" in fault_of(formats.read_image, folder)


@pytest.mark.parametrize("size", [{"Rows": 99}, {"Rows": 10}, {"Columns": 31}])
def test_compressed_pixels_of_another_size_than_the_headers_are_refused(size, tmp_path):
    content = compressed((stored() // 8).astype(np.uint8), format="JPEG")
    path = tmp_path / "a.dcm"
    encapsulated(path, content, uid.JPEGBaseline8Bit, 8, **size)
    assert "can't be read as DICOM" in fault_of(formats.read_image, path)


def test_folders_that_are_not_one_series_are_refused(tmp_path):
    folder = write_series(tmp_path / "s", stored((3, 20, 30)), POSITIONS[:3])
    path = folder / "x.dcm"

    def with_another(**elements):
        save(path, dicom(stored(), **{"position": (0, 0, 90), "InstanceNumber": 9} | elements))
        return fault_of(formats.read_image, folder)

    assert "files of 2 series" in with_another(SeriesInstanceUID="1.9")
    assert "not parallel" in with_another(orientation=SAGITTAL)
    assert "different pixel spacings" in with_another(spacing=(0.6, 0.6))
    assert "1 of its 4 slices lie where another one lies" in with_another(position=POSITIONS[1])
    save(path, frames(dicom(stored((2, 20, 30)), SOPClassUID=ENHANCED_CT, InstanceNumber=9), [(0, 0, 90), (0, 0, 95)]))
    with pytest.raises(storage.DatasetError, match="several frames in one file"):
        formats.read_image(folder)
    path.unlink()
    (folder / "notes.txt").write_bytes(b"")
    with pytest.raises(storage.DatasetError, match=r"notes.txt: not a DICOM file"):
        formats.read_image(folder)


def test_all_faulty_files_of_a_series_are_listed(tmp_path):
    folder = write_series(tmp_path / "s", stored((3, 20, 30)), POSITIONS[:3], ModalityLUTSequence=[pydicom.Dataset()])
    with pytest.raises(storage.DatasetError) as error:
        formats.read_image(folder)
    assert len(error.value.faults) == 3


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (lambda: segmentation([disks()[2]], [(0, 0, 300)], [1], {1: "Liver"}), "its centre is at (7, 5, 300) mm"),
        (lambda: structure_set(regions(300)), "lies elsewhere"),
        (lambda: segmentation([disks()[2]], [(0, 0, 0)], [1], {1: "L"}, orientation=SAGITTAL), "another direction"),
        (lambda: structure_set({"L": [np.array([[0, 0, 0], [0, 9, 9], [0, 0, 20]])]}), "another direction"),
        (lambda: segmentation([disks()[2]], [None], [1], {1: "Liver"}), "no place in space"),
        (lambda: segmentation([disks()[2]], [POSITIONS[2]], [None], {1: "Liver"}), "can't be read as DICOM SEG"),
        (lambda: dicom(stored(), POSITIONS[2]), "different values, as in an image"),
        (lambda: dicom(disks()[2], (0, 0, 900), RescaleIntercept=0), "lies elsewhere"),
    ],
)  # fmt: skip
def test_masks_that_do_not_fit_are_refused(dataset, expected, series, tmp_path):
    assert expected in fault_of(formats.read_mask, save(tmp_path / "m.dcm", dataset()), series)


def test_damaged_contours_are_refused(series, tmp_path):
    dataset = structure_set(regions())
    del dataset.StructureSetROISequence
    assert "as DICOM RTSTRUCT" in fault_of(formats.read_mask, save(tmp_path / "m.dcm", dataset), series)


def test_segments_and_contours_need_an_image_with_a_place(tmp_path):
    np.save(tmp_path / "a.npy", stored())
    image = formats.read_image(tmp_path / "a.npy")
    for dataset in (segmentation([disks()[2]], [POSITIONS[2]], [1], {1: "Liver"}), structure_set(regions())):
        assert "its image has none" in fault_of(formats.read_mask, save(tmp_path / "m.dcm", dataset), image)


def test_a_mask_with_identity_affine_is_refused_beside_a_series(series, tmp_path):
    path = write_nifti(tmp_path / "m.nii", disks().transpose(2, 1, 0), np.eye(4))
    assert "no place in space" in fault_of(formats.read_mask, path, series)
