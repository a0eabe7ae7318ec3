"""Step 1: a data set with exactly one fault yields exactly that line, and what is right arrives as it was."""
import hashlib

import numpy as np
import pandas as pd
import pytest
import storage
from conftest import configure, drawn, files, write_pair
from data import csv_array, preloaded_dataset
from data.original_dataset import create_preloaded_dataset

SIDE = 32


def image(number):
    return np.random.default_rng(number).integers(-1000, 1000, (SIDE, SIDE))


def mask(number):
    return (image(number + 1000) > 300).astype(int)


@pytest.fixture
def five(workspace):
    """A workspace with five faultless pairs of 32 x 32 in `original dataset/A`, specks kept."""
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=0)
    for number in range(5):
        write_pair(workspace.original_dataset / "A", f"case{number}", image(number), mask(number))
    return workspace


def faults(workspace):
    with pytest.raises(storage.DatasetError) as caught:
        create_preloaded_dataset(workspace)
    return caught.value.faults


def cases(workspace):
    return pd.read_csv(workspace.preloaded_dataset / "cases.csv")


def test_every_pair_arrives_under_its_name_as_it_was(five):
    create_preloaded_dataset(five)
    table = cases(five).set_index("case")
    assert sorted(table.index) == [f"A__case{number}" for number in range(5)]
    for number in range(5):
        row = table.loc[f"A__case{number}"]
        folder = five.preloaded_dataset / f"{row.split} set"
        np.testing.assert_array_equal(preloaded_dataset.read(folder / "images", f"A__case{number}"), image(number))
        np.testing.assert_array_equal(preloaded_dataset.read(folder / "masks", f"A__case{number}"), mask(number))
        content = (folder / "images" / f"A__case{number}.npy").read_bytes()
        assert row.image_sha256 == hashlib.sha256(content).hexdigest()
        assert (row.image_file, row.mask_px, row.minimum) == (f"A/images/case{number}.csv", mask(number).sum(), image(number).min())
    assert len(files(five.preloaded_dataset)) == 3 + 10


def test_ct_takes_two_bytes_a_pixel_and_masks_one(five):
    create_preloaded_dataset(five)
    sizes = {len(content) - 128 for name, content in files(five.preloaded_dataset).items() if name.endswith(".npy")}
    assert sizes == {SIDE * SIDE, 2 * SIDE * SIDE}


BAD_PAIRS = {
    "image without mask": (image(9), None, "images/bad.csv: image without mask. Add "),
    "mask without image": (None, mask(9), "masks/bad.csv: mask without image. Add "),
    "empty": ("", mask(9), "images/bad.csv: the file is empty"),
    "ragged": ("1,2\n3\n", mask(9), "images/bad.csv: row 2 has 1 values"),
    "header": ("a,b\n1,2\n", mask(9), "images/bad.csv: row 1, column 1: 'a' is not a number"),
    "nan": ("1,nan\n1,2\n", mask(9), "images/bad.csv: row 1, column 2: nan"),
    "semicolons": ("1;2\n", mask(9), "images/bad.csv: semicolons"),
    "decimal commas": ("\n".join([",".join(["1,5"] * SIDE)] * SIDE), mask(9), "images/bad.csv: twice as many columns as its mask: decimal commas"),
    "not text": (b"\xff\x00", mask(9), "images/bad.csv: not UTF-8"),
    "0/255": (image(9), mask(9) * 255, "masks/bad.csv: values 0 and 255; a mask holds 0 and 1. Divide it by 255."),
    "-1/2": (image(9), mask(9) * 3 - 1, "masks/bad.csv: values -1 and 2; a mask holds 0 and 1"),
    "many values": (image(9), image(10), "more; a mask holds 0 and 1"),
    "mask identical to its image": (mask(9), mask(9), "masks/bad.csv: identical to its image"),
    "the same image twice": (image(2), mask(9), "A/images/case2.csv: the same image as A/images/bad.csv. Remove one of the two."),
}


@pytest.mark.parametrize("fault", BAD_PAIRS)
def test_one_fault_yields_one_line_and_leaves_the_former_dataset(five, fault):
    create_preloaded_dataset(five)
    before = files(five.preloaded_dataset)
    bad_image, bad_mask, told = BAD_PAIRS[fault]
    write_pair(five.original_dataset / "A", "bad", bad_image, bad_mask)
    lines = faults(five)
    assert len(lines) == 1 and told in lines[0]
    assert files(five.preloaded_dataset) == before
    assert not list(five.root.glob(".*"))


def test_all_faults_are_told_at_once(five):
    for number, (bad_image, bad_mask, _) in enumerate(BAD_PAIRS.values()):
        write_pair(five.original_dataset / "A", f"bad{number}", bad_image, bad_mask)
    assert {told for _, _, told in BAD_PAIRS.values() if not any(told.split("bad.csv")[-1] in line for line in faults(five))} == set()


def test_the_same_case_name_twice(five):
    write_pair(five.original_dataset / "A__b", "c", image(20), mask(20))
    write_pair(five.original_dataset / "A", "b__c", image(21), mask(21))
    (line,) = faults(five)
    assert "its case name, A__b__c, is also that of" in line


def test_a_folder_without_data_is_told(five):
    (five.original_dataset / "B").mkdir()
    assert "B: no CSV files in its folders images and masks" in faults(five)[0]


def test_a_folder_too_deep_is_told(five):
    write_pair(five.original_dataset / "B" / "C", "x", image(9), mask(9))
    assert "one level too deep" in faults(five)[0]


def test_no_data_at_all_says_where_it_belongs(workspace):
    assert "original dataset/<subdirectory>/images/<name>.csv" in faults(workspace)[0]


def test_hidden_and_foreign_files_are_passed_over(five):
    for folder in (five.original_dataset, five.original_dataset / "A", five.original_dataset / "A" / "images"):
        for name in (".DS_Store", "Thumbs.db", "._case0.csv", "notes.txt"):
            (folder / name).write_text("x")
    create_preloaded_dataset(five)
    assert len(cases(five)) == 5


def test_another_size_is_left_out_and_named(five, capsys):
    write_pair(five.original_dataset / "A", "large", np.zeros((40, 40), int), mask(9))
    create_preloaded_dataset(five)
    left_out = pd.read_csv(five.preloaded_dataset / "left out.csv")
    assert left_out.case.tolist() == ["A__large"] and "image 40 x 40, mask 32 x 32" in left_out.reason[0]
    assert "Warning: A/images/large.csv left out" in capsys.readouterr().out
    assert "A__large" not in set(cases(five).case)


def test_all_of_another_size_says_what_to_set(five):
    configure(five, IMAGE_SIZE=64)
    (line,) = faults(five)
    assert "All 5 pairs have another size" in line and "IMAGE_SIZE" in line


def test_empty_and_full_masks_are_allowed_with_a_warning(five, capsys):
    write_pair(five.original_dataset / "A", "empty", image(9), np.zeros((SIDE, SIDE), int))
    write_pair(five.original_dataset / "A", "full", image(10), np.ones((SIDE, SIDE), int))
    create_preloaded_dataset(five)
    output = capsys.readouterr().out
    assert "Warning: A__empty: the mask is empty." in output and "Warning: A__full: the mask covers more than 90%" in output


def test_specks_are_taken_out_and_counted(five, capsys):
    configure(five, IMAGE_SIZE=SIDE, MASK_SPECK_PX=4)
    speckled = np.zeros((SIDE, SIDE), int)
    speckled[:6, :6] = drawn("##...# ...... .####. .####. .....# ......")
    speckled[20:22, 20:22] = 1
    for number in range(5):
        write_pair(five.original_dataset / "A", f"case{number}", image(number), speckled)
    create_preloaded_dataset(five)
    assert preloaded_dataset.read_facts(five)["MASK_SPECK_PX"] == 4
    row = cases(five).iloc[0]
    kept = preloaded_dataset.read(five.preloaded_dataset / f"{row.split} set" / "masks", row.case)
    # The 2 px in the corner, the 1 px at the edge and the square of 4 px go; what touches the large area at a corner stays.
    assert row.specks_removed_px == 2 + 1 + 4 and kept.sum() == row.mask_px == speckled.sum() - 7
    assert "Took specks of at most 4 px out of 5 masks, 35 px in all." in capsys.readouterr().out


def test_the_split_has_the_stated_share_and_repeats(dataset):
    create_preloaded_dataset(dataset)
    first = cases(dataset)
    assert (first.split == "test").sum() == 2
    create_preloaded_dataset(dataset)
    pd.testing.assert_frame_equal(first, cases(dataset))


def test_the_split_does_not_depend_on_the_disk_s_order(five, monkeypatch):
    import pathlib

    create_preloaded_dataset(five)
    first = cases(five)
    listed = pathlib.Path.iterdir
    monkeypatch.setattr(pathlib.Path, "iterdir", lambda path: reversed(sorted(listed(path))))
    create_preloaded_dataset(five)
    pd.testing.assert_frame_equal(first, cases(five))


@pytest.mark.parametrize("rule", [r"patient(\d)", "subdirectory"])
def test_a_group_never_lies_on_both_sides(workspace, rule):
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY=rule, TEST_SHARE=0.3)
    for patient in range(4):
        for number in range(3):
            name = f"patient{patient}_slice{number}"
            write_pair(workspace.original_dataset / f"folder{patient}", name, image(10 * patient + number), mask(number))
    create_preloaded_dataset(workspace)
    table = cases(workspace)
    assert table.groupby("group").split.nunique().tolist() == [1, 1, 1, 1]
    assert set(table.split) == {"train", "test"}


def test_of_several_groups_in_the_expression_the_one_that_took_part_counts(workspace):
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"patient(\d+)|pat(\d+)", TEST_SHARE=0.5)
    for number, name in enumerate(("patient1_a", "patient1_b", "pat2_a", "pat2_b")):
        write_pair(workspace.original_dataset / "A", name, image(number), mask(number))
    create_preloaded_dataset(workspace)
    assert cases(workspace)["group"].tolist() == [2, 2, 1, 1]


def test_two_files_that_differ_in_capitals_only_are_told(five):
    folder = five.original_dataset / "A" / "images"
    if (folder / "CASE0.csv").exists():
        pytest.skip("this disk does not know capitals")
    (folder / "case0.CSV").write_text((folder / "case1.csv").read_text())
    assert len(faults(five)) == 1 and "there is another of that name, but for capitals. Remove or rename one." in faults(five)[0]


def test_a_group_rule_that_finds_nothing_is_told(five):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"case([0-3])")
    assert faults(five) == ["A__case4: GROUP_CASES_BY finds nothing in this case name. Change it in config.py."]


def test_one_group_can_not_be_split(five):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY="subdirectory")
    assert "wanted at least two groups of cases to split, found 1" in faults(five)[0]


def test_a_step_that_is_killed_while_it_writes_leaves_the_former_dataset(five, monkeypatch):
    create_preloaded_dataset(five)
    before = files(five.preloaded_dataset)

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="No space left"):
        create_preloaded_dataset(five)
    assert files(five.preloaded_dataset) == before


def test_the_user_s_files_are_only_read(five):
    before = files(five.original_dataset)
    create_preloaded_dataset(five)
    assert files(five.original_dataset) == before


def test_values_that_are_no_whole_numbers_are_kept(five):
    fractions = np.round(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 3)
    text = "\n".join(",".join(map(str, row)) for row in fractions)
    write_pair(five.original_dataset / "A", "case0", text, mask(0))
    create_preloaded_dataset(five)
    row = cases(five).set_index("case").loc["A__case0"]
    stored = preloaded_dataset.read(five.preloaded_dataset / f"{row.split} set" / "images", "A__case0")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, fractions.astype(np.float32))
    assert csv_array.read(five.original_dataset / "A" / "images" / "case0.csv").dtype == np.float64
