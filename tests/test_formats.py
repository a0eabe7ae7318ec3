"""Names of image files, and volumes in NIfTI, NRRD and MetaImage: voxel for voxel, wherever they lie."""

import gzip
import itertools
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

import storage
from conftest import ROOT
from data import formats
from data.formats import grid as grids
from format_files import dicom, fault_of, save, write_nifti, write_series

RAS = np.diag([0.5, 0.7, 3.0, 1.0])
CODES = [
    "".join(letters) for axes in itertools.permutations(["LR", "PA", "SI"]) for letters in itertools.product(*axes)
]


def labels(shape=(5, 6, 7)):
    """Labels 0, 1 and 2 without symmetry."""
    return np.random.default_rng(3).integers(0, 3, shape).astype(np.uint8)


def scan(shape=(5, 6, 7)):
    return np.random.default_rng(1).integers(-1000, 1000, shape).astype(np.int16)


def volume(values, spacing=(0.5, 0.7, 3.0), origin=(-10, 20, 30), angle=0.1, code="LPS"):
    """A SimpleITK image of values (slices, rows, columns) in LPS, turned by an angle, stored with axes as in `code`."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection([np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1])
    return sitk.DICOMOrient(image, code)


def write(path, image, **options):
    sitk.WriteImage(image, str(path), **options)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "a"), ("a.NII.GZ", "a"), ("a.seg.nrrd", "a"), ("a.nrrd", "a"), ("a.b.dcm", "a.b"), ("a", "a"),
        ("1.2.840.5", "1.2.840.5"), ("IM0001", "IM0001"), ("a.tar.gz", "a.tar.gz"), ("a.mhd", "a"), ("a.tag", "a"),
    ],
)  # fmt: skip
def test_a_stem_is_the_name_without_its_ending(name, expected):
    assert formats.stem(pathlib.Path("folder", name)) == expected


def test_the_stem_of_a_series_is_its_folders_name(tmp_path):
    (tmp_path / "a.dcm").mkdir()
    assert formats.stem(tmp_path / "a.dcm") == "a.dcm"


def test_files_are_recognized_by_ending_or_content(tmp_path):
    save(tmp_path / "IM1", dicom(scan((4, 4))))
    save(tmp_path / "1.2.840.5", dicom(scan((4, 4))))
    write_series(tmp_path / "series", scan((2, 4, 4)), [(0, 0, 0), (0, 0, 5)])
    (tmp_path / "series" / "DICOMDIR").write_bytes(b"")
    (tmp_path / "pictures").mkdir()
    for name in ("a.txt", "b", ".hidden.png", "DICOMDIR", "Thumbs.db", "c.SEG.NRRD", "d.TIF", "._e.dcm", "pictures/a"):
        (tmp_path / name).write_bytes(b"nothing")
    found = {path.name for path in tmp_path.iterdir() if formats.is_readable(path)}
    assert found == {"IM1", "1.2.840.5", "series", "c.SEG.NRRD", "d.TIF"}
    assert formats.kind(tmp_path / "IM1") == formats.kind(tmp_path / "series") == "dicom"


def test_importing_the_package_loads_no_library_of_images():
    libraries = "{'SimpleITK', 'pydicom', 'PIL', 'tifffile', 'skimage', 'pandas'}"
    script = f"import sys; from data import formats; sys.exit(bool({libraries} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT / "src", check=False).returncode == 0


@pytest.mark.parametrize("code", CODES)
def test_a_volume_and_its_mask_are_upright_in_each_of_the_48_orientations(code, tmp_path):
    values, truth = scan(), labels()
    image = formats.read_image(write(tmp_path / "a.nii.gz", volume(values, code=code)))
    other = CODES[(CODES.index(code) + 17) % 48]
    path = write(tmp_path / "mask.nrrd", volume(truth, code=other))
    mask = formats.read_mask(path, image, (2,))
    # Slices keep the order of the file, where ITK-SNAP counts them.
    order = slice(None, None, -1 if "I" in code else 1)
    assert np.array_equal(image.slices, values[order])
    assert np.array_equal(mask.slices, (truth == 2)[order])
    assert image.spacing_mm == pytest.approx((0.7, 0.5), abs=1e-5)
    assert image.names == ("1", "2", "3", "4", "5")
    assert mask.labels == {"1": (truth == 1).sum(), "2": (truth == 2).sum()}
    written = formats.write_mask(tmp_path / "new", mask.slices, image, "nifti")
    assert np.array_equal(formats.read_mask(written, image).slices, mask.slices)
    assert sitk.ReadImage(str(written)).GetSize() == sitk.ReadImage(str(tmp_path / "a.nii.gz")).GetSize()


@pytest.mark.parametrize(
    ("spacing", "shape", "plane"),
    [
        ((0.5, 0.5, 3), (4, 5, 6), "LPS"), ((3, 0.5, 0.5), (4, 5, 6), "PIL"), ((0.5, 3, 0.5), (4, 5, 6), "LIP"),
        ((1, 1, 1), (4, 5, 6), "LPS"), ((0.5, 0.5, 3), (4, 1, 6), "LIP"), ((1, 1, 1), (4, 5, 1), "PIL"),
        ((3, 3.01, 0.5), (4, 5, 6), "PIL"),
    ],
)  # fmt: skip
def test_slices_are_taken_along_the_axis_with_one_pixel_or_the_thickest_or_upwards(spacing, shape, plane, tmp_path):
    stored = volume(scan(shape), spacing, angle=0)
    image = formats.read_image(write(tmp_path / "a.nrrd", stored))
    assert np.array_equal(image.slices, sitk.GetArrayFromImage(sitk.DICOMOrient(stored, plane)))


def test_turning_back_undoes_turning():
    values = scan()
    for code, wanted in itertools.product(CODES, ["LPS", "PIR", "LIA"]):
        block = grids.Block((7, 6, 5), direction=volume(values, code=code).GetDirection())
        shown = grids.turned(values, block, wanted)
        assert np.array_equal(grids.turned_back(shown, block, wanted), values)
        assert grids.turned_block(block, wanted).size == shown.shape[::-1]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_each_format_of_volumes_gives_the_same_voxels(ending, tmp_path):
    image = formats.read_image(write(tmp_path / f"a{ending}", volume(scan(), angle=0)))
    assert np.array_equal(image.slices, scan())
    assert image.spacing_mm == pytest.approx((0.7, 0.5))
    assert (image.patient, image.modality, image.warnings) == (None, None, ())


@pytest.mark.parametrize("kind", ["nifti", "nrrd", "metaimage", "dicom"])
def test_a_written_mask_is_read_as_it_was(kind, tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii.gz", volume(scan(), code="PIR")))
    slices = [np.asarray(values > 0, np.uint8) for values in image.slices]
    path = formats.write_mask(tmp_path / "a.b", slices, image, kind)
    assert formats.stem(path) == "a.b"
    assert np.array_equal(formats.read_mask(path, image).slices, slices)


def test_a_slice_of_a_grid_gets_the_mask_of_its_place(tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii.gz", volume(scan(), code="PIR")))
    path = write(tmp_path / "m.nrrd", volume(labels()))
    expected = formats.read_mask(path, image).slices
    for index, values in enumerate(image.slices):
        single = formats.Image((values,), grid=image.grid.only(index))
        assert np.array_equal(formats.read_mask(path, single).slices, expected[index : index + 1])


def test_a_cropped_mask_lies_where_it_was_cut_out(tmp_path):
    truth = labels((5, 20, 20))
    truth[:, :8], truth[:, :, 12:], truth[0] = 0, 0, 0
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan((5, 20, 20)), code="RAS")))
    path = write(tmp_path / "m.seg.nrrd", volume(truth)[:12, 8:, 1:])
    assert np.array_equal(formats.read_mask(path, image).slices, truth > 0)


def test_a_coarser_mask_is_enlarged(tmp_path):
    coarse = np.zeros((3, 10, 10), np.uint8)
    coarse[1, 2:7, 3:9] = 1
    fine = volume(scan((3, 20, 20)), (1, 1, 5), (0, 0, 0), 0)
    path = write(tmp_path / "m.nrrd", volume(coarse, (2, 2, 5), (0.5, 0.5, 0), 0))
    mask = formats.read_mask(path, formats.read_image(write(tmp_path / "a.nrrd", fine)))
    assert np.array_equal(mask.slices, coarse.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.float32, np.int32, np.uint16])
def test_masks_of_all_types_are_accepted(dtype, tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan())))
    path = write(tmp_path / "m.nii.gz", volume(labels().astype(dtype)))
    assert np.array_equal(formats.read_mask(path, image, (1, "2")).slices, labels() > 0)


def test_rescaling_units_and_2d_files_of_nifti(tmp_path):
    voxels = scan((4, 6, 3))
    path = write_nifti(tmp_path / "a.nii", voxels, np.diag([500.0, 700, 3000, 1]), units=3, slope=(0.5, 10))
    image = formats.read_image(path)
    # RAS to LPS: columns and rows run the other way.
    assert np.array_equal(image.slices, (voxels[::-1, ::-1] * 0.5 + 10).transpose(2, 1, 0))
    assert image.spacing_mm == pytest.approx((0.7, 0.5))
    flat = formats.read_image(write_nifti(tmp_path / "b.nii", voxels[:, :, 0], np.diag([0.5, 0.7, 1, 1])))
    assert np.array_equal(flat.slices, [voxels[::-1, ::-1, 0].T])
    assert flat.names == ("",)


def test_a_fourth_axis_of_one_volume_is_ignored(tmp_path):
    image = formats.read_image(write_nifti(tmp_path / "a.nii", scan((4, 6, 3, 1)), RAS))
    assert np.array_equal(image.slices, scan((4, 6, 3, 1))[::-1, ::-1, :, 0].transpose(2, 1, 0))
    image = formats.read_image(write(tmp_path / "a.nrrd", sitk.JoinSeries(volume(scan()))))
    assert np.array_equal(image.slices, scan())


def test_spacing_that_is_not_given_is_unknown(tmp_path):
    unplaced = write_nifti(tmp_path / "a.nii", scan(), np.eye(4), sform=0)
    default = write_nifti(tmp_path / "b.nii", scan(), np.eye(4))
    nrrd, meta = tmp_path / "c.nrrd", tmp_path / "d.mha"
    nrrd.write_bytes(b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n" + bytes(8))
    meta.write_bytes(
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nOffset = 1 2 3\nDimSize = 2 2 2\n"
        b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + bytes(8)
    )
    assert [formats.read_image(path).spacing_mm for path in (unplaced, default, nrrd, meta)] == [None] * 4
    known = write_nifti(tmp_path / "e.nii", scan(), np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 5)
    assert formats.read_image(known).spacing_mm == (1, 1)


def test_volumes_without_place_match_voxel_by_voxel(tmp_path):
    image = formats.read_image(write_nifti(tmp_path / "a.nii", scan(), np.eye(4)))
    expected = (labels() == 1)[::-1, ::-1].transpose(2, 1, 0)
    for sform in (0, 1):
        path = write_nifti(tmp_path / f"m{sform}.nii", labels(), np.eye(4), sform=sform)
        assert np.array_equal(formats.read_mask(path, image, (1,)).slices, expected)
    written = formats.write_mask(tmp_path / "new", expected, image, "nifti")
    assert np.array_equal(formats.read_mask(written, image).slices, expected)


def write_segments(path, layers, names, **fields):
    """A .seg.nrrd as 3D Slicer's: layers (layer, slices, rows, columns), names by (layer, value)."""
    images = [volume(values) for values in layers]
    image = sitk.Compose(images) if len(images) > 1 else images[0]
    for index, ((layer, value), name) in enumerate(names.items()):
        for key, text in {"Name": name, "Layer": str(layer), "LabelValue": str(value), "ID": f"S{index}"}.items():
            image.SetMetaData(f"Segment{index}_{key}", text)
    return write(path, image, useCompression=True)


def test_segments_of_slicer_have_names_and_may_overlap(tmp_path):
    first, second = labels(), (labels()[::-1] > 0).astype(np.uint8)
    names = {(0, 1): "Liver", (0, 2): "Spleen", (1, 1): "Tumour", (1, 7): "empty"}
    path = write_segments(tmp_path / "m.seg.nrrd", [first, second], names)
    image = formats.read_image(write(tmp_path / "a.nii.gz", volume(scan(), code="RAS")))
    mask = formats.read_mask(path, image, ("liver", "TUMOUR"))
    assert np.array_equal(mask.slices, (first == 1) | (second == 1))
    assert mask.labels == {
        "Liver": (first == 1).sum(), "Spleen": (first == 2).sum(), "Tumour": (second == 1).sum(), "empty": 0,
    }  # fmt: skip
    assert np.array_equal(formats.read_mask(path, image, (2,)).slices, first == 2)


def test_a_wanted_label_that_the_mask_lacks_selects_nothing(tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan())))
    assert not np.any(formats.read_mask(write(tmp_path / "m.nii", volume(labels())), image, (5, "Liver")).slices)


def test_an_empty_mask_is_accepted(tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan())))
    path = write(tmp_path / "m.nii", volume(np.zeros_like(labels()), origin=(900, 0, 0)))
    assert formats.read_mask(path, image).labels == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda path: write_nifti(path, scan(), RAS + np.eye(4, k=1) * 0.3), "sheared"),
        (lambda path: write_nifti(path, scan((4, 5, 6, 7)), RAS), "4-D file with 7 volumes"),
        (lambda path: path.write_bytes(b"junk" * 200), "can't be read as an image file"),
        (lambda path: path.write_bytes(b""), "can't be read as an image file"),
    ],
)
def test_a_nifti_file_that_cant_be_right_is_refused(content, expected, tmp_path):
    content(tmp_path / "a.nii")
    assert expected in fault_of(formats.read_image, tmp_path / "a.nii")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("missing", [20, 300])
def test_an_incomplete_file_is_refused(ending, missing, tmp_path):
    path = write(tmp_path / f"a{ending}", volume(scan((9, 9, 9))), useCompression=ending != ".mha")
    path.write_bytes(path.read_bytes()[:-missing])
    assert "incomplete" in fault_of(formats.read_image, path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_in_images_and_masks(ending, dtype, value, tmp_path):
    values = np.zeros((3, 4, 5), dtype)
    finite = formats.read_image(write(tmp_path / f"b{ending}", volume(values)))
    values[2, 3, 4] = value  # The last voxel.
    path = write(tmp_path / f"a{ending}", volume(values))
    assert "not finite" in fault_of(formats.read_image, path)
    assert "not finite" in fault_of(formats.read_mask, path, finite)


@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_and_scaling_of_both_byte_orders_are_checked(order, tmp_path):
    values = np.arange(24.0, dtype=order + "f4")
    path = tmp_path / "a.nii"

    def read(values, scaling=(0, 0)):
        header = bytearray(352)
        struct.pack_into(f"{order}i", header, 0, 348)
        struct.pack_into(f"{order}8h", header, 40, 3, 2, 3, 4, 1, 1, 1, 1)
        struct.pack_into(f"{order}2h", header, 70, 16, 32)
        struct.pack_into(f"{order}11f", header, 76, *[1] * 8, 352, *scaling)
        header[344:348] = b"n+1\0"
        path.write_bytes(bytes(header) + values.tobytes())
        return formats.read_image(path)

    assert sorted(np.ravel(read(values).slices)) == list(range(24))
    with pytest.raises(storage.DatasetError, match="intercept inf"):
        read(values, (1, np.inf))
    values[23] = np.nan
    with pytest.raises(storage.DatasetError, match="not finite"):
        read(values)


@pytest.mark.parametrize(
    ("scaling", "is_refused"),
    [((np.nan, np.nan), False), ((0, np.nan), False), ((np.inf, 0), True), ((2, np.nan), True), ((2, np.inf), True)],
)
def test_a_scaling_that_is_not_finite_is_refused_unless_its_slope_means_none(scaling, is_refused, tmp_path):
    path = write_nifti(tmp_path / "a.nii", scan(), RAS, slope=scaling)
    if is_refused:
        assert "its header scales values by slope" in fault_of(formats.read_image, path)
    else:
        assert np.array_equal(np.sort(np.ravel(formats.read_image(path).slices)), np.sort(scan().ravel()))


@pytest.mark.parametrize("ending", [".nii", ".nrrd"])
def test_complex_numbers_are_refused(ending, tmp_path):
    path = write(tmp_path / f"a{ending}", sitk.GetImageFromArray(np.ones((3, 4, 5), np.complex64)))
    assert "complex numbers" in fault_of(formats.read_image, path)


def test_a_gzip_file_of_several_parts_is_complete(tmp_path):
    content = write_nifti(tmp_path / "a.nii", scan(), RAS).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(content[:100]) + gzip.compress(content[100:]))
    assert len(formats.read_image(path).slices) == 7


def test_colour_volumes_are_refused_unless_their_channels_are_equal(tmp_path):
    grey = volume(labels() * 100)
    other = volume((labels() * 100)[::-1])
    assert "2 values per voxel" in fault_of(formats.read_image, write(tmp_path / "a.nrrd", sitk.Compose(grey, other)))
    assert "colour" in fault_of(formats.read_image, write(tmp_path / "b.nrrd", sitk.Compose(grey, other, grey)))
    image = formats.read_image(write(tmp_path / "c.nrrd", sitk.Compose(grey, grey, grey)))
    assert np.array_equal(image.slices, labels() * 100)
    assert "values per voxel" in fault_of(formats.read_mask, tmp_path / "a.nrrd", image)


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.tag"])
def test_formats_of_masks_are_refused_as_images(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    assert "a mask, not an image" in fault_of(formats.read_image, tmp_path / name)


def test_a_file_of_another_format_is_refused_with_the_known_endings(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    assert ".nii.gz" in fault_of(formats.read_image, tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (lambda path: write(path, volume(labels(), origin=(900, 20, 30))), "lies elsewhere: its centre is at (90"),
        (lambda path: write_nifti(path, labels((7, 6, 5)), np.eye(4)), "gives no place in space"),
        (lambda path: write_nifti(path, labels((7, 6, 5)), RAS, sform=0), "gives no place in space"),
        (lambda path: write(path, volume(labels() * np.float32(0.3))), "not whole numbers"),
        (lambda path: write(path, volume(scan((9, 9, 9)))), "different values, as in an image"),
    ],
)
def test_a_volume_that_is_no_mask_of_the_image_is_refused(mask, expected, tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan())))
    mask(tmp_path / "m.nii")
    assert expected in fault_of(formats.read_mask, tmp_path / "m.nii", image)


def test_only_wanted_labels_have_to_lie_on_the_image(tmp_path):
    image = formats.read_image(write(tmp_path / "a.nii", volume(scan(), angle=0)))
    large = np.zeros((5, 6, 20), np.uint8)
    large[2, 2, 2], large[2, 2, 15] = 1, 2
    path = write(tmp_path / "m.nii", volume(large, angle=0))
    assert formats.read_mask(path, image, (1,)).labels == {"1": 1, "2": 0}
    assert "lies elsewhere" in fault_of(formats.read_mask, path, image, (2,))


def test_masks_without_place_need_an_image_of_the_same_size_that_is_shown_as_stored(tmp_path):
    np.save(tmp_path / "m.npy", labels((6, 7)))
    stored = formats.read_image(write(tmp_path / "a.nii", volume(scan((1, 6, 7)))))
    turned = formats.read_image(write(tmp_path / "b.nii", volume(scan((1, 6, 7)), code="RAS")))
    stack = formats.read_image(write(tmp_path / "c.nii", volume(scan((5, 6, 7)))))
    assert np.array_equal(formats.read_mask(tmp_path / "m.npy", stored).slices[0], labels((6, 7)) > 0)
    assert "no place in space" in fault_of(formats.read_mask, tmp_path / "m.npy", turned)
    assert "one slice; its image has 5" in fault_of(formats.read_mask, tmp_path / "m.npy", stack)
    np.save(tmp_path / "m.npy", labels((7, 6)))
    assert "7 x 6 pixels; its image has 6 x 7" in fault_of(formats.read_mask, tmp_path / "m.npy", stored)


def test_masks_of_itk_snap_fit_the_pictures_they_were_drawn_on(tmp_path):
    np.save(tmp_path / "a.npy", scan((6, 7)))
    image = formats.read_image(tmp_path / "a.npy")
    path = write(tmp_path / "m.nii.gz", sitk.GetImageFromArray(labels((1, 6, 7))))
    assert np.array_equal(formats.read_mask(path, image).slices[0], labels((6, 7)) > 0)
    path = write_nifti(tmp_path / "m.nii", labels((6, 7, 1)), np.eye(4))
    assert "its image has none" in fault_of(formats.read_mask, path, image)
    path = write(tmp_path / "n.nii.gz", sitk.GetImageFromArray(labels((2, 6, 7))))
    assert "2 slices; its image has 1" in fault_of(formats.read_mask, path, image)


def test_a_placed_mask_fits_an_unplaced_volume_only_in_the_same_orientation(tmp_path):
    image = formats.read_image(write_nifti(tmp_path / "a.nii", scan(), np.eye(4)))
    mask = formats.read_mask(write_nifti(tmp_path / "m.nii", labels(), RAS), image)
    assert np.array_equal(mask.slices, (labels() > 0)[::-1, ::-1].transpose(2, 1, 0))
    path = write_nifti(tmp_path / "m.nii", labels(), RAS * [-1, 1, 1, 1])
    assert "its image has none" in fault_of(formats.read_mask, path, image)


def test_unplaced_volumes_of_other_sizes_do_not_match(tmp_path):
    image = formats.read_image(write_nifti(tmp_path / "a.nii", scan(), np.eye(4)))
    path = write_nifti(tmp_path / "m.nii", labels((3, 4, 5)), np.eye(4))
    assert "5 x 4 x 3 pixels; its image has 7 x 6 x 5" in fault_of(formats.read_mask, path, image)


def test_masks_that_slicer_cut_out_of_images_without_place_lie_where_they_were(tmp_path):
    truth = labels((5, 20, 20))
    truth[:, :8], truth[:, :, 12:], truth[0] = 0, 0, 0
    cut = sitk.GetImageFromArray(truth)[:12, 8:, 1:]
    image = formats.read_image(write(tmp_path / "a.nrrd", sitk.GetImageFromArray(scan((5, 20, 20)))))
    assert np.array_equal(formats.read_mask(write(tmp_path / "m.seg.nrrd", cut), image).slices, truth > 0)
    np.save(tmp_path / "a.npy", scan((20, 20)))
    picture = formats.read_image(tmp_path / "a.npy")
    path = write(tmp_path / "n.seg.nrrd", sitk.GetImageFromArray(truth[2:3])[:12, 8:])
    assert np.array_equal(formats.read_mask(path, picture).slices[0], truth[2] > 0)
    cut.SetOrigin((50, 50, 0))
    path = write(tmp_path / "n.seg.nrrd", cut)
    assert "lies elsewhere" in fault_of(formats.read_mask, path, picture)


def test_a_mask_of_other_shapes_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="shapes"):
        formats.write_mask(tmp_path / "m", [np.zeros((3, 3))], formats.Image((np.zeros((4, 4)),)), "npy")
