"""Masks of cases from any program: found by name, placed on the image's grid, selected by label, invalid ones reported.

The oracle of placed masks is step 1: with the same mask file, it gives the same masks.
"""

import json
import shutil

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import SimpleITK

import storage
from conftest import configure, prediction_provenance
from data import case_masks, csv_array, formats, mask_folder, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from evaluation import evaluate_test_set
from format_files import PATIENT_ID, dicom, save, structure_set, write_nifti, write_series, write_tag

MASK = np.eye(4, dtype=np.uint8)
SHAPE = (12, 10)  # Of the slices of a volume: rows, columns.
AFFINE = np.diag([-0.5, -0.5, 5.0, 1.0])  # NIfTI's RAS: slices as viewers show them.


def table(*cases, shape=(4, 4)):
    return pd.DataFrame({"case": cases, "height": shape[0], "width": shape[1]})


def read(folder, *cases, shape=(4, 4), images=(), wanted=None):
    return case_masks.read(folder, table(*cases, shape=shape), images, wanted)


def faults(folder, *cases, **options):
    with pytest.raises(storage.DatasetError) as caught:
        read(folder, *cases, **options)
    return caught.value.faults


def write_mask(path, values):
    """A picture, or an array in SimpleITK's order (slices, rows, columns) without place."""
    if values.ndim == 2:
        PIL.Image.fromarray(values).save(path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path))


def labelled(count=3, label=1):
    """Masks (slices, rows, columns) that have no symmetry."""
    masks = np.zeros((count, *SHAPE), np.uint8)
    for index, mask in enumerate(masks):
        mask[1 + index : 6, 2 : 7 - index] = label
    return masks


def as_nifti(path, masks, affine=AFFINE):
    """Masks as viewers show them, in NIfTI's order (columns, rows, slices)."""
    return write_nifti(path, np.ascontiguousarray(masks.transpose(2, 1, 0)), affine)


def grid(count=3, name="A__scan", size=SHAPE):
    """The grid of a DICOM series: one block per slice."""
    rows, columns = size
    blocks = [formats.Block((columns, rows, 1), (0.0, 0.0, 5.0 * index), (0.5, 0.5, 5.0)) for index in range(count)]
    names = tuple(str(number) for number in range(1, count + 1)) if count > 1 else ("",)
    return preloaded_dataset.ImageGrid(name, names, formats.Grid(tuple(blocks)))


CASES = ("A__scan_1", "A__scan_2", "A__scan_3")


def read_volume(folder, *cases, shape=SHAPE, wanted=None, **options):
    found = read(folder, *(cases or CASES), shape=shape, images=[grid(**options)], wanted=wanted)
    return np.stack([found.read(case) for case in (cases or CASES)])


def test_masks_of_the_preloaded_size_are_read_from_npy_and_csv(tmp_path):
    preloaded_dataset.write(tmp_path, "one", MASK)
    csv_array.write(tmp_path / "two.csv", MASK)
    found = read(tmp_path, "one", "two")
    for case in ("one", "two"):
        assert found.read(case).dtype == np.uint8
        np.testing.assert_array_equal(found.read(case), MASK)


@pytest.mark.parametrize("ending", [".png", ".TIF", ".bmp", ".nii.gz", ".nrrd", ".tag", ".NPY"])
def test_masks_in_the_formats_of_other_programs_are_read(tmp_path, ending):
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:7] = 1
    file = tmp_path / f"one{ending}"
    if ending == ".tag":
        write_tag(file, mask)
    elif ending == ".NPY":
        with file.open("wb") as opened:
            np.save(opened, mask)
    else:
        write_mask(file, mask[None] if ending in (".nii.gz", ".nrrd") else mask * 255)
    np.testing.assert_array_equal(read(tmp_path, "one", shape=(6, 8)).read("one"), mask)


def test_all_missing_masks_are_reported_at_once(tmp_path):
    first, second = faults(tmp_path, "one", "two")
    assert "no mask of the case one. Add one.png, .npy, .csv, .nii.gz or another format." in first
    assert "two" in second


def test_two_files_of_one_case_are_reported(tmp_path):
    csv_array.write(tmp_path / "one.CSV", MASK)
    write_mask(tmp_path / "one.png", MASK)
    assert faults(tmp_path, "one") == [f"{tmp_path / 'one.CSV'}: one.png exists, too. Remove one of them."]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.eye(3, dtype=int), "3 x 3 pixels; its image has 4 x 4."),
        (np.ones(16), "1 dimensions"),
        (MASK[..., None], "3 dimensions"),
        (MASK * 0.5, "values that are not whole numbers"),
        (np.array([None] * 4), "not a complete NumPy array"),
    ],
)
def test_invalid_masks_are_reported(tmp_path, values, message):
    np.save(tmp_path / "one.npy", values)
    (fault,) = faults(tmp_path, "one")
    assert f"one.npy: {message}" in fault


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-3],
        lambda content: b"",
        lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_damaged_predictions_of_the_model_are_reported_with_the_step_to_repeat(tmp_path, damage):
    mask_folder.write_provenance(tmp_path, prediction_provenance())
    preloaded_dataset.write(tmp_path, "one", MASK)
    (tmp_path / "one.npy").write_bytes(damage((tmp_path / "one.npy").read_bytes()))
    (fault,) = faults(tmp_path, "one")
    assert fault.startswith(f"{tmp_path / 'one.npy'}: ")
    assert fault.endswith("repeat step 4.")


def test_a_folder_is_listed_once_for_all_cases(tmp_path, monkeypatch):
    cases = [f"case {number}" for number in range(20)]
    for case in cases:
        preloaded_dataset.write(tmp_path, case, MASK)
    stats = []
    original = type(tmp_path).iterdir
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda path: stats.append(path) or original(path))
    read(tmp_path, *cases)
    assert stats == [tmp_path]


def test_a_volume_gives_the_masks_of_its_slices_and_is_read_once(tmp_path, monkeypatch):
    as_nifti(tmp_path / "A__scan.nii", labelled())
    opened = []
    original = formats.read_mask
    monkeypatch.setattr(formats, "read_mask", lambda path, *rest: opened.append(path.name) or original(path, *rest))
    np.testing.assert_array_equal(read_volume(tmp_path), labelled())
    assert opened == ["A__scan.nii"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_in_another_orientation_is_turned(tmp_path, axis):
    flipped = np.ascontiguousarray(np.flip(labelled(), 2 - axis))
    affine = AFFINE.copy()
    affine[:3, 3] = AFFINE[:3, axis] * (flipped.shape[2 - axis] - 1)
    affine[:, axis] *= -1
    as_nifti(tmp_path / "A__scan.nii", flipped, affine)
    np.testing.assert_array_equal(read_volume(tmp_path), labelled())


def test_a_cropped_volume_is_placed_and_slices_that_it_lacks_are_empty(tmp_path):
    masks = labelled()
    masks[2] = 0
    affine = AFFINE.copy()
    affine[:3, 3] = AFFINE[:3, :3] @ (2, 1, 0)
    as_nifti(tmp_path / "A__scan.nii", masks[:2, 1:8, 2:9], affine)
    np.testing.assert_array_equal(read_volume(tmp_path), masks)


def test_a_coarser_volume_is_enlarged(tmp_path):
    coarse = np.zeros((3, 6, 5), np.uint8)
    coarse[:, 1:3, 2:4] = 1
    affine = np.diag([-1.0, -1.0, 5.0, 1.0])
    affine[:2, 3] = -0.25
    as_nifti(tmp_path / "A__scan.nii", coarse, affine)
    np.testing.assert_array_equal(read_volume(tmp_path), coarse.repeat(2, axis=1).repeat(2, axis=2))


def test_the_mask_of_a_slice_precedes_that_of_its_volume(tmp_path):
    as_nifti(tmp_path / "A__scan.nii", labelled())
    other = np.zeros(SHAPE, np.uint8)
    other[8:11, 1:4] = 1
    write_mask(tmp_path / "A__scan_2.png", other * 255)
    np.testing.assert_array_equal(read_volume(tmp_path), [labelled()[0], other, labelled()[2]])


def test_a_slice_is_placed_by_its_own_affine(tmp_path):
    affine = AFFINE.copy()
    affine[2, 3] = 5
    affine[0] = [0.5, 0, 0, -0.5 * (SHAPE[1] - 1)]
    as_nifti(tmp_path / "A__scan_2.nii", np.flip(labelled()[1:2], 2), affine)
    np.testing.assert_array_equal(read_volume(tmp_path, "A__scan_2"), labelled()[1:2])


def test_a_slice_without_mask_and_two_masks_of_a_volume_are_reported(tmp_path):
    write_mask(tmp_path / "A__scan_1.png", labelled()[0])
    with pytest.raises(storage.DatasetError) as caught:
        read_volume(tmp_path)
    assert "no mask of the case A__scan_2. Add A__scan_2.png or A__scan.png" in caught.value.faults[0]
    for ending in (".nii", ".nrrd"):
        write_mask(tmp_path / f"A__scan{ending}", labelled())
    with pytest.raises(storage.DatasetError, match=r"A__scan\.nii: A__scan\.nrrd exists, too"):
        read_volume(tmp_path)


def test_a_file_with_the_name_of_another_volume_is_not_a_slice(tmp_path):
    as_nifti(tmp_path / "A__scan.nii", labelled())
    as_nifti(tmp_path / "A__scan_1.nii", labelled()[::-1])
    images = [grid(), grid(name="A__scan_1")]
    found = read(tmp_path, "A__scan_1", "A__scan_1_1", shape=SHAPE, images=images)
    np.testing.assert_array_equal(found.read("A__scan_1"), labelled()[0])
    np.testing.assert_array_equal(found.read("A__scan_1_1"), labelled()[2])


def test_a_picture_with_the_name_of_another_volume_is_a_slice(tmp_path):
    write_mask(tmp_path / "A__scan_1.png", labelled()[1])
    found = read(tmp_path, "A__scan_1", shape=SHAPE, images=[grid(), grid(name="A__scan_1")])
    np.testing.assert_array_equal(found.read("A__scan_1"), labelled()[1])


def test_a_dataset_without_grids_needs_masks_of_single_slices(tmp_path):
    as_nifti(tmp_path / "A__scan.nii", labelled())
    (fault,) = faults(tmp_path, "A__scan_1", shape=SHAPE)
    assert "A__scan is the mask of a volume, but an earlier version made the dataset. Repeat step 1." in fault


@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_a_mask_of_the_image_is_fitted_as_the_image_was(tmp_path, ending):
    mask = labelled()[0]
    write_mask(tmp_path / f"A__scan{ending}", mask[None] if ending == ".nii.gz" else mask * 255)
    unplaced = formats.Grid((formats.Block((SHAPE[1], SHAPE[0], 1)),), placed=False)
    images = [preloaded_dataset.ImageGrid("A__scan", ("",), unplaced)]
    found = read(tmp_path, "A__scan", shape=(6, 6), images=images).read("A__scan")
    np.testing.assert_array_equal(found, np.pad(mask, ((0, 0), (0, 2)))[1::2, 1::2])


def test_a_mask_of_the_preloaded_size_is_taken_as_it_is(tmp_path):
    write_mask(tmp_path / "A__scan.png", np.pad(MASK, 1) * 255)
    found = read(tmp_path, "A__scan", shape=(6, 6), images=[grid(1)]).read("A__scan")
    np.testing.assert_array_equal(found, np.pad(MASK, 1))


def test_several_labels_are_reported_and_selected_by_the_setting(tmp_path):
    masks = labelled()
    masks[0, 8:11, 1:9] = 2
    as_nifti(tmp_path / "A__scan.nii", masks)
    with pytest.raises(storage.DatasetError, match=r"several labels: 1 \(A__scan\.nii\), 2 .*Set MASK_LABELS"):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, wanted=(2,)), masks == 2)
    with pytest.raises(storage.DatasetError, match="MASK_LABELS: no mask holds 7. Found: 1"):
        read_volume(tmp_path, wanted=(7,))


def test_masks_of_one_label_need_no_selection(tmp_path):
    write_mask(tmp_path / "one.png", MASK * 255)
    found = read(tmp_path, "one", wanted=("psoas",))
    np.testing.assert_array_equal(found.read("one"), MASK)
    assert found.note == f"The masks in '{tmp_path}' hold one label. MASK_LABELS is not applied to them."


def test_a_mask_of_another_label_is_empty_where_other_files_hold_several(tmp_path):
    write_mask(tmp_path / "one.png", MASK)
    write_mask(tmp_path / "two.png", MASK + MASK[::-1] * 2)
    found = read(tmp_path, "one", "two", wanted=(2,))
    assert not found.read("one").any()
    np.testing.assert_array_equal(found.read("two"), MASK[::-1])


def test_different_labels_in_different_files_are_reported(tmp_path):
    write_mask(tmp_path / "one.png", MASK)
    write_mask(tmp_path / "two.png", MASK * 2)
    assert "Masks hold several labels: 1 (one.png), 2 (two.png)" in faults(tmp_path, "one", "two")[0]


ROWS, COLUMNS = 20, 24  # Step 1 fits them into 32 x 32.
FITTED = {
    "IMAGE_SIZE": 32,
    "FIT_IMAGES": True,
    "MASK_LABELS": [1, "muscle"],
    "MASK_SPECK_PX": 0,
    "TEST_SHARE": 0.5,
    "IMAGES_TO_DRAW": {},
}
SQUARE = [(1.0, 1.5), (5.0, 1.5), (5.0, 4.0), (1.0, 4.0)]  # x and y in mm.


@pytest.fixture
def evaluated(workspace):
    """A dataset of DICOM slices with RTSTRUCT, a DICOM series and a NIfTI volume."""
    configure(workspace, **FITTED)
    folder = workspace.original_dataset / "A"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    random = np.random.default_rng(0)

    def stored(*shape):
        return random.integers(0, 2000, (*shape, ROWS, COLUMNS)).astype(np.uint16)

    def contour(shift, z):
        return np.array([(x + shift / 2, y, z) for x, y in SQUARE])

    for number in range(3):
        save(folder / "images" / f"s{number}.dcm", dicom(stored(), (0, 0, 10), PatientID=f"{PATIENT_ID}{number}"))
        regions = {"muscle": [contour(number, 10)]}
        save(folder / "masks" / f"s{number}.dcm", structure_set(regions))
    write_series(folder / "images" / "series", stored(2), [(0, 0, 0), (0, 0, 5)], PatientID="x")
    save(folder / "masks" / "series.dcm", structure_set({"muscle": [contour(3, 0), contour(4, 5)]}))
    flipped = np.diag([0.5, 0.5, 5.0, 1.0])
    masks = np.zeros((ROWS, COLUMNS, 2), np.uint8)
    masks[2:7, 3:9, 0], masks[5:9, 3:12, 1] = 1, 1
    write_nifti(folder / "images" / "volume.nii", stored(2).astype(np.int16).transpose(1, 2, 0), flipped)
    write_nifti(folder / "masks" / "volume.nii", masks, flipped)
    create_preloaded_dataset(workspace)
    return workspace


def copied_masks(workspace):
    """A folder with the masks of the original dataset, under the names of the cases."""
    folder = workspace.root / "theirs"
    folder.mkdir()
    for path in (workspace.original_dataset / "A" / "masks").iterdir():
        shutil.copy(path, folder / f"A__{path.name}")
    return folder


def test_the_masks_of_the_original_dataset_reach_a_dice_of_1(evaluated):
    copied_masks(evaluated)
    configure(evaluated, **FITTED, PREDICTIONS_FOLDER="theirs", SECOND_READER_FOLDER="theirs")
    evaluate_test_set(evaluated)
    result = json.loads((evaluated.results / "summary.json").read_text())
    assert result["second_reader"]["dice"]["mean"] == 1.0
    assert (pd.read_csv(evaluated.results / "metrics.csv")["dice"] == 1).all()


def test_every_case_is_placed_as_in_step_1(evaluated):
    theirs = copied_masks(evaluated)
    for split in ("train", "test"):
        cases = preloaded_dataset.read_cases(evaluated, split)
        found = case_masks.read(theirs, cases, preloaded_dataset.read_grids(evaluated), (1, "muscle"))
        for case in cases["case"]:
            expected = preloaded_dataset.read(evaluated.preloaded_dataset / f"{split} set" / "masks", case)
            np.testing.assert_array_equal(found.read(case), expected)


def test_stored_grids_hold_no_identifier(evaluated):
    text = (evaluated.preloaded_dataset / "grids.json").read_text()
    values = json.loads(text)["images"]
    assert {key for each in values for key in each} == {"name", "slices", "grid"}
    assert PATIENT_ID not in text
    assert "1.2.3" not in text
