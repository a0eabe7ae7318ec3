"""Step 1 makes cases of slices, volumes and DICOM series: sizes, labels, pixel spacings, groups and privacy."""

import numpy as np
import pandas as pd
import pytest

import storage
from conftest import configure, write_pair
from data import preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from format_files import PATIENT_ID, PATIENT_NAME, dicom, save, write_nifti, write_series

SIDE = 32
AFFINE = np.diag([-0.5, -0.5, 5.0, 1.0])  # As viewers show it, with 0.5 mm pixels.


def pixels(seed, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def square(value=1, corner=0):
    """A mask of 112 px; another one for each corner: the same mask for several images is an error."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4 + corner // 8 : 12 + corner // 8, 6 + corner % 8 : 20 + corner % 8] = value
    return mask


@pytest.fixture
def hospital(workspace):
    """The folder of a subdirectory, with settings for 32 x 32 px."""
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=0)
    for kind in ("images", "masks"):
        (workspace.original_dataset / "A" / kind).mkdir(parents=True)
    return workspace.original_dataset / "A"


def add_csv_pairs(hospital, count, seed=100):
    for number in range(count):
        write_pair(hospital, f"csv{number}", pixels(seed + number), square(corner=60 + number))


def add_volume(hospital, name, masks, seed=0):
    """A NIfTI volume whose slice k has the mask masks[k]."""
    volume = np.stack([pixels(seed + number).T for number in range(len(masks))], axis=2)
    write_nifti(hospital / "images" / f"{name}.nii", volume, AFFINE)
    write_nifti(hospital / "masks" / f"{name}.nii", np.stack([mask.T for mask in masks], axis=2), AFFINE)
    return volume


def add_slice(hospital, name, patient, seed, **elements):
    """A DICOM slice of a patient, with a CSV mask."""
    stored = (pixels(seed) + 1024).astype(np.uint16)
    save(hospital / "images" / f"{name}.dcm", dicom(stored, PatientID=patient, **elements))
    write_pair(hospital, name, None, square(corner=seed % 60))


def cases(workspace):
    create_preloaded_dataset(workspace)
    return pd.read_csv(workspace.preloaded_dataset / "cases.csv", keep_default_na=False).set_index("case")


def faults(workspace):
    with pytest.raises(storage.DatasetError) as caught:
        create_preloaded_dataset(workspace)
    return str(caught.value)


def read(workspace, kind, case):
    (file,) = workspace.preloaded_dataset.glob(f"* set/{kind}/{case}.npy")
    return preloaded_dataset.read(file.parent, case)


def test_each_slice_of_a_volume_with_foreground_is_a_case_of_one_group(workspace, hospital, capsys):
    add_csv_pairs(hospital, 3)
    volume = add_volume(hospital, "scan", [square(), np.zeros_like(square()), square(corner=1)])
    table = cases(workspace)
    slices = table[table["image_file"] == "A/images/scan.nii"]
    assert slices.index.tolist() == ["A__scan_1", "A__scan_3"]
    assert set(slices["group"]) == {"A__scan"}
    assert slices["split"].nunique() == 1
    np.testing.assert_array_equal(read(workspace, "images", "A__scan_3"), volume[:, :, 2].T)
    np.testing.assert_array_equal(read(workspace, "masks", "A__scan_1"), square())
    assert "Skipped 1 slice without foreground." in capsys.readouterr().out


def test_slices_without_foreground_are_cases_if_the_setting_includes_them(workspace, hospital):
    configure(workspace, IMAGE_SIZE=SIDE, INCLUDE_EMPTY_SLICES=True)
    add_csv_pairs(hospital, 3)
    add_volume(hospital, "scan", [square(), np.zeros_like(square())])
    assert cases(workspace).loc["A__scan_2", "mask_px"] == 0


def test_a_dicom_series_is_read_from_its_folder(workspace, hospital):
    add_csv_pairs(hospital, 3)
    stored = np.stack([pixels(number) + 1024 for number in range(2)]).astype(np.uint16)
    write_series(hospital / "images" / "series", stored, [(0, 0, 0), (0, 0, 5)])
    masks = np.stack([square().T, square(corner=1).T], axis=2)
    write_nifti(hospital / "masks" / "series.nii", masks, AFFINE)
    table = cases(workspace)
    slices = table[table["image_file"] == "A/images/series"]
    assert len(slices) == 2
    np.testing.assert_array_equal(read(workspace, "images", slices.index[0]), pixels(0))


def test_the_pixel_spacing_is_in_the_table_and_unknown_ones_are_empty(workspace, hospital):
    add_csv_pairs(hospital, 2)
    add_slice(hospital, "known", "a", 1, PixelSpacing=[0.7, 0.9])
    add_slice(hospital, "unknown", "b", 2, PixelSpacing=None)
    table = cases(workspace)
    assert table.loc["A__known", ["row_mm", "column_mm"]].astype(float).tolist() == [0.7, 0.9]
    assert table.loc["A__unknown", "row_mm"] == table.loc["A__csv0", "column_mm"] == ""


def test_dicom_slices_are_grouped_by_patient_without_storing_identifiers(workspace, hospital, capsys):
    add_csv_pairs(hospital, 1)
    for name, patient in (("x1", "b"), ("x2", "a"), ("x3", "b"), ("x4", PATIENT_ID)):
        add_slice(hospital, name, patient, ord(name[1]), PatientName=PATIENT_NAME)
    groups = cases(workspace)["group"].to_dict()
    numbered = {"A__x1": "patient 1", "A__x2": "patient 2", "A__x3": "patient 1", "A__x4": "patient 3"}
    assert groups == {"A__csv0": "A__csv0"} | numbered
    assert "by the patients in the DICOM headers" in capsys.readouterr().out
    for file in workspace.preloaded_dataset.rglob("*"):
        if file.is_file():
            assert PATIENT_ID.encode() not in file.read_bytes()
            assert PATIENT_NAME.encode() not in file.read_bytes()


def test_one_patient_identifier_for_all_images_is_reported(workspace, hospital):
    for number in range(4):
        add_slice(hospital, f"x{number}", "ANON", number)
    text = faults(workspace)
    assert "All 4 cases have the same patient in their DICOM headers." in text
    assert 'set GROUP_CASES_BY to "subdirectory", a regular expression, or "case"' in text
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY="case")
    assert cases(workspace)["group"].nunique() == 4


def test_several_labels_are_an_error_that_lists_them(workspace, hospital):
    add_csv_pairs(hospital, 3)
    write_pair(hospital, "organs", pixels(1), square() + 4 * np.eye(SIDE, dtype=np.uint8) * (square() == 0))
    text = faults(workspace)
    assert "1 (4 masks, such as A/masks/csv0.csv), 4 (A/masks/organs.csv)" in text
    assert "such as MASK_LABELS = 1." in text


@pytest.mark.parametrize("wanted", [1, (1, 4), [4]])
def test_selected_labels_form_the_mask(workspace, hospital, wanted):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_LABELS=wanted, MASK_SPECK_PX=0)
    masks = [square(corner=number) for number in range(4)]
    for number, both in enumerate(masks):
        both[22:26, 20 + number : 24 + number] = 4
        write_pair(hospital, f"organs{number}", pixels(number), both)
    create_preloaded_dataset(workspace)
    expected = np.isin(masks[0], wanted).astype(np.uint8)
    np.testing.assert_array_equal(read(workspace, "masks", "A__organs0"), expected)


def test_a_label_that_no_mask_has_is_reported(workspace, hospital):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_LABELS=7)
    add_csv_pairs(hospital, 3)
    assert "MASK_LABELS: no mask holds 7. Found: 1 (3 masks, such as A/masks/csv0.csv)." in faults(workspace)


def test_masks_of_0_and_255_need_no_setting(workspace, hospital):
    add_csv_pairs(hospital, 2)
    write_pair(hospital, "white", pixels(1), square(255).astype(int))
    assert cases(workspace).loc["A__white", "mask_px"] == square().sum()


def test_images_of_another_size_are_fitted_if_the_setting_says_so(workspace, hospital):
    add_csv_pairs(hospital, 2)
    add_slice(hospital, "small", "a", 1)
    large, mask = pixels(2, (48, 64)), np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 1
    save(hospital / "images" / "large.dcm", dicom((large + 1024).astype(np.uint16), PatientID="b", PixelSpacing=[1, 1]))
    write_pair(hospital, "large", None, mask)
    assert "A__large" not in cases(workspace).index
    left_out = pd.read_csv(workspace.preloaded_dataset / "left out.csv")
    assert left_out["reason"].tolist() == ["48 x 64 px, expected 32 x 32"]
    configure(workspace, IMAGE_SIZE=SIDE, FIT_IMAGES=True)
    row = cases(workspace).loc["A__large"]
    assert row[["resized_by", "row_mm", "column_mm"]].astype(float).tolist() == [2.0, 2.0, 2.0]
    np.testing.assert_array_equal(read(workspace, "masks", "A__large"), np.pad(mask, ((0, 16), (0, 0)))[1::2, 1::2])


def test_a_warning_names_an_image_with_burned_in_annotation(workspace, hospital, capsys):
    add_csv_pairs(hospital, 2)
    add_slice(hospital, "x", "a", 1, BurnedInAnnotation="YES")
    cases(workspace)
    assert "Warning: A/images/x.dcm: " in capsys.readouterr().out


def test_an_image_without_mask_suggests_a_mask_of_a_similar_name(workspace, hospital):
    add_csv_pairs(hospital, 2)
    write_pair(hospital, "97", pixels(1), None)
    write_pair(hospital, "97_mask", None, square())
    assert "97.csv: image without mask. Is it 97_mask? Then give both the same name." in faults(workspace)


def test_labels_1_and_255_in_one_mask_are_several_labels(workspace, hospital):
    add_csv_pairs(hospital, 3)
    mask = square().astype(int)
    mask[20:24, 20:24] = 255
    write_pair(hospital, "ring", pixels(1), mask)
    assert "255 (A/masks/ring.csv)" in faults(workspace)


def test_a_slice_with_the_name_of_another_case_is_reported(workspace, hospital):
    add_csv_pairs(hospital, 3)
    add_volume(hospital, "scan", [square(), square(corner=1)])
    write_pair(hospital, "scan_1", pixels(9), square(corner=2))
    assert "its case name, A__scan_1, is also that of A/images/scan" in faults(workspace)


def test_empty_slices_at_the_end_of_a_volume_are_no_faults(workspace, hospital):
    configure(workspace, IMAGE_SIZE=SIDE, INCLUDE_EMPTY_SLICES=True, MASK_SPECK_PX=0)
    add_csv_pairs(hospital, 3)
    volume = np.stack([pixels(1).T, np.zeros((SIDE, SIDE), np.int16)], axis=2)
    write_nifti(hospital / "images" / "scan.nii", volume, AFFINE)
    masks = np.stack([square().T, np.zeros((SIDE, SIDE), np.uint8)], axis=2)
    write_nifti(hospital / "masks" / "scan.nii", masks, AFFINE)
    assert cases(workspace).loc["A__scan_2", "mask_px"] == 0


def test_one_volume_alone_cannot_be_split(workspace, hospital):
    add_volume(hospital, "scan", [square(), square(corner=1)])
    assert "needs at least two groups of cases" in faults(workspace)
