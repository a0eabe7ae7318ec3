"""Step 1: valid pairs are stored unchanged, and a data set with one fault gives exactly one message."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unicodedata

import joblib
import numpy as np
import pandas as pd
import pytest

import storage
from conftest import configure, files, mask_from_text, script_command, write_pair
from data import conversion, csv_array, preloaded_dataset
from data.original_dataset import create_preloaded_dataset

SIDE = 32


def image(number):
    return np.random.default_rng(number).integers(-1000, 1000, (SIDE, SIDE))


def mask(number):
    return (image(number + 1000) > 300).astype(int)


@pytest.fixture
def five(workspace):
    """A workspace with five valid pairs of 32 x 32 in `original dataset/A`, without removal of specks."""
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


def test_every_pair_is_stored_unchanged_under_its_name(five):
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
        assert (row.image_file, row.mask_px, row.minimum) == (
            f"A/images/case{number}.csv",
            mask(number).sum(),
            image(number).min(),
        )
    assert len(files(five.preloaded_dataset)) == 6 + 10


def test_ct_needs_two_bytes_per_pixel_and_masks_one(five):
    create_preloaded_dataset(five)
    sizes = {len(content) - 128 for name, content in files(five.preloaded_dataset).items() if name.endswith(".npy")}
    assert sizes == {SIDE * SIDE, 2 * SIDE * SIDE}


BAD_PAIRS = {
    "image without mask": (image(9), None, "images/bad.csv: image without mask."),
    "mask without image": (None, mask(9), "masks/bad.csv: mask without image. Add "),
    "empty": ("", mask(9), "images/bad.csv: the file is empty"),
    "ragged": ("1,2\n3\n", mask(9), "images/bad.csv: row 2 has 1 values"),
    "header": ("a,b\n1,2\n", mask(9), "images/bad.csv: row 1, column 1: 'a' is not a number"),
    "nan": ("1,nan\n1,2\n", mask(9), "images/bad.csv: row 1, column 2: nan"),
    "semicolons": ("1;2\n", mask(9), "images/bad.csv: semicolons"),
    "decimal commas": (
        "\n".join([",".join(["1,5"] * SIDE)] * SIDE),
        mask(9),
        "images/bad.csv: 2 values per pixel: decimal",
    ),
    "not text": (b"\xff\x00", mask(9), "images/bad.csv: not UTF-8"),
    "0/1/2": (image(9), mask(9) * 2, "several labels: 1 (5 masks, such as A/masks/case0.csv), 2 (A/masks/bad.csv)"),
    "-1/2": (image(9), mask(9) * 3 - 1, "Export the masks as 1 inside and 0 outside, without interpolation"),
    "many values": (image(9), image(10), "masks/bad.csv: 794 different values, as in an image"),
    "mask identical to its image": (mask(9), mask(9), "masks/bad.csv: identical to its image"),
    "the same image twice": (
        image(2),
        mask(9),
        "A/images/case2.csv: the same image as A/images/bad.csv. Remove one of the two.",
    ),
}


@pytest.mark.parametrize("fault", BAD_PAIRS)
def test_one_fault_gives_one_message_and_keeps_the_previous_dataset(five, fault):
    create_preloaded_dataset(five)
    before = files(five.preloaded_dataset)
    bad_image, bad_mask, message = BAD_PAIRS[fault]
    write_pair(five.original_dataset / "A", "bad", bad_image, bad_mask)
    lines = faults(five)
    assert len(lines) == 1
    assert message in lines[0]
    assert files(five.preloaded_dataset) == before
    assert not list(five.root.glob(".*"))


def test_all_faults_are_reported_at_once(five):
    pairs = {name: pair for name, pair in BAD_PAIRS.items() if name != "0/1/2"}  # Labels of all masks are one fault.
    for number, (bad_image, bad_mask, _) in enumerate(pairs.values()):
        write_pair(five.original_dataset / "A", f"bad{number}", bad_image, bad_mask)
    lines = faults(five)
    messages = [message.split("bad.csv")[-1] for _, _, message in pairs.values()]
    assert [message for message in messages if not any(message in line for line in lines)] == []


def test_a_duplicate_case_name_is_reported(five):
    write_pair(five.original_dataset / "A__b", "c", image(20), mask(20))
    write_pair(five.original_dataset / "A", "b__c", image(21), mask(21))
    (line,) = faults(five)
    assert "its case name, A__b__c, is also that of" in line


def test_a_folder_without_data_is_reported(five):
    (five.original_dataset / "B").mkdir()
    assert "B: no image files in its folders images and masks" in faults(five)[0]


def test_a_folder_one_level_too_deep_is_reported(five):
    write_pair(five.original_dataset / "B" / "C", "x", image(9), mask(9))
    assert "one level too deep" in faults(five)[0]


def test_an_empty_dataset_is_reported_with_the_expected_paths(workspace):
    assert "original dataset/<subdirectory>/images, their masks, with the same names" in faults(workspace)[0]


def test_hidden_and_other_files_are_ignored(five):
    for folder in (five.original_dataset, five.original_dataset / "A", five.original_dataset / "A" / "images"):
        for name in (".DS_Store", "Thumbs.db", "._case0.csv", "notes.txt"):
            (folder / name).write_text("x")
    create_preloaded_dataset(five)
    assert len(cases(five)) == 5


def test_a_pair_of_another_size_is_excluded_and_named(five, capsys):
    write_pair(five.original_dataset / "A", "large", np.zeros((40, 40), int), np.zeros((40, 40), int))
    create_preloaded_dataset(five)
    left_out = pd.read_csv(five.preloaded_dataset / "left out.csv")
    assert left_out.case.tolist() == ["A__large"]
    assert "40 x 40 px, expected 32 x 32" in left_out.reason[0]
    assert "Warning: A/images/large.csv excluded" in capsys.readouterr().out
    assert "A__large" not in set(cases(five).case)


def test_if_all_pairs_have_another_size_the_error_names_the_setting(five):
    configure(five, IMAGE_SIZE=64)
    (line,) = faults(five)
    assert "All 5 images have another size" in line
    assert "IMAGE_SIZE" in line


def test_empty_and_full_masks_are_allowed_with_a_warning(five, capsys):
    write_pair(five.original_dataset / "A", "empty", image(9), np.zeros((SIDE, SIDE), int))
    write_pair(five.original_dataset / "A", "full", image(10), np.ones((SIDE, SIDE), int))
    create_preloaded_dataset(five)
    output = capsys.readouterr().out
    assert "Warning: A__empty: the mask is empty." in output
    assert "Warning: A__full: the mask covers more than 90%" in output


def test_specks_are_removed_and_counted(five, capsys):
    configure(five, IMAGE_SIZE=SIDE, MASK_SPECK_PX=4)
    speckled = np.zeros((SIDE, SIDE), int)
    speckled[:6, :6] = mask_from_text("##...# ...... .####. .####. .....# ......")
    speckled[20:22, 20:22] = 1
    for number in range(5):
        write_pair(five.original_dataset / "A", f"case{number}", image(number), speckled)
    create_preloaded_dataset(five)
    assert preloaded_dataset.read_facts(five).mask_speck_px == 4
    row = cases(five).iloc[0]
    kept = preloaded_dataset.read(five.preloaded_dataset / f"{row.split} set" / "masks", row.case)
    # The 2 px in the corner, the 1 px at the edge and the square of 4 px are removed. The pixel that touches the large
    # component at a corner is kept.
    assert row.specks_removed_px == 2 + 1 + 4
    assert kept.sum() == row.mask_px == speckled.sum() - 7
    assert "Removed components of at most 4 px from 5 masks (35 px)." in capsys.readouterr().out


def test_the_split_has_the_given_share_and_is_reproducible(dataset):
    create_preloaded_dataset(dataset)
    first = cases(dataset)
    assert (first.split == "test").sum() == 2
    create_preloaded_dataset(dataset)
    pd.testing.assert_frame_equal(first, cases(dataset))


def test_the_split_does_not_depend_on_the_order_of_files(five, monkeypatch):
    create_preloaded_dataset(five)
    first = cases(five)
    listed = pathlib.Path.iterdir
    monkeypatch.setattr(pathlib.Path, "iterdir", lambda path: sorted(listed(path), reverse=True))
    create_preloaded_dataset(five)
    pd.testing.assert_frame_equal(first, cases(five))


@pytest.mark.parametrize("rule", [r"patient(\d)", "subdirectory"])
def test_no_group_is_in_both_splits(workspace, rule):
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY=rule, TEST_SHARE=0.3)
    for patient in range(4):
        for number in range(3):
            name = f"patient{patient}_slice{number}"
            write_pair(
                workspace.original_dataset / f"folder{patient}",
                name,
                image(10 * patient + number),
                mask(10 * patient + number),
            )
    create_preloaded_dataset(workspace)
    table = cases(workspace)
    assert table.groupby("group").split.nunique().tolist() == [1, 1, 1, 1]
    assert set(table.split) == {"train", "test"}


def test_a_case_belongs_to_the_capturing_group_that_matched(workspace):
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"patient(\d+)|pat(\d+)", TEST_SHARE=0.5)
    for number, name in enumerate(("patient1_a", "patient1_b", "pat2_a", "pat2_b")):
        write_pair(workspace.original_dataset / "A", name, image(number), mask(number))
    create_preloaded_dataset(workspace)
    assert cases(workspace)["group"].tolist() == [2, 2, 1, 1]


def test_two_files_that_differ_only_in_case_are_reported(five):
    folder = five.original_dataset / "A" / "images"
    if (folder / "CASE0.csv").exists():
        pytest.skip("this file system is case-insensitive")
    (folder / "case0.CSV").write_text((folder / "case1.csv").read_text())
    (line,) = faults(five)
    assert "case0.CSV: differs from case0.csv only in upper and lower case. Rename or remove one of them." in line


def test_a_group_rule_that_does_not_match_is_reported(five):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"case([0-3])")
    message = "GROUP_CASES_BY = r'case([0-3])' finds nothing in 1 of 5 case names: A__case4. Change it in config.py."
    assert faults(five) == [message]


def test_a_single_group_cannot_be_split(five):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY="subdirectory")
    assert "a split needs at least two groups of cases, found 1" in faults(five)[0]


def test_an_error_while_writing_keeps_the_previous_dataset(five, monkeypatch):
    create_preloaded_dataset(five)
    before = files(five.preloaded_dataset)

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="No space left"):
        create_preloaded_dataset(five)
    assert files(five.preloaded_dataset) == before


def test_the_original_dataset_is_not_changed(five):
    before = files(five.original_dataset)
    create_preloaded_dataset(five)
    assert files(five.original_dataset) == before


def test_fractional_values_are_kept(five):
    fractions = np.round(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 3)
    text = "\n".join(",".join(map(str, row)) for row in fractions)
    write_pair(five.original_dataset / "A", "case0", text, mask(0))
    create_preloaded_dataset(five)
    row = cases(five).set_index("case").loc["A__case0"]
    stored = preloaded_dataset.read(five.preloaded_dataset / f"{row.split} set" / "images", "A__case0")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, fractions.astype(np.float32))
    assert csv_array.read(five.original_dataset / "A" / "images" / "case0.csv").dtype == np.float64


def rename(workspace, old, new):
    (workspace.original_dataset / old).rename(workspace.original_dataset / new)


def test_a_subdirectory_that_is_a_broken_link_is_a_fault(five):
    (five.original_dataset / "B").symlink_to("/mnt/unmounted/B")
    (line,) = faults(five)
    assert "original dataset/B: a symbolic link to /mnt/unmounted/B, which can't be reached." in line


def test_an_original_dataset_that_is_a_broken_link_is_a_fault(workspace):
    workspace.root.mkdir(exist_ok=True)
    workspace.original_dataset.symlink_to("/mnt/unmounted")
    (line,) = faults(workspace)
    assert "original dataset: a symbolic link to /mnt/unmounted, which can't be reached." in line


def test_a_broken_link_is_one_fault_and_not_also_an_image_without_mask(five):
    mask_file = five.original_dataset / "A" / "masks" / "case0.csv"
    mask_file.unlink()
    mask_file.symlink_to("../.git/annex/objects/case0.csv")
    (line,) = faults(five)
    assert "masks/case0.csv: a git-annex link" in line


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_folder_whose_name_differs_in_upper_and_lower_case_is_one_fault(five, kind):
    rename(five, f"A/{kind}", f"A/{kind.title()}")
    if (five.original_dataset / "A" / kind).exists():
        pytest.skip("this file system is case-insensitive")
    (line,) = faults(five)
    assert f"{kind.title()}: differs from {kind} only in upper and lower case. Rename it to {kind}." in line


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_images_without_masks_or_masks_without_images_are_one_fault(five, kind):
    shutil.rmtree(five.original_dataset / "A" / kind)
    (line,) = faults(five)
    assert f"original dataset/A: no image files in its folder {kind}." in line


@pytest.mark.parametrize("unreadable", ["A/masks", "A"])
def test_an_unreadable_folder_is_one_fault(five, monkeypatch, unreadable):
    listed = os.listdir

    def refuse(path):
        if pathlib.Path(path).is_relative_to(five.original_dataset / unreadable):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    (line,) = faults(five)
    assert f"{unreadable}: can't be opened (Permission denied). Check that your account may read it." in line


def test_images_without_a_subdirectory_are_a_fault_with_its_fix(five):
    for kind in ("images", "masks"):
        rename(five, f"A/{kind}", kind)
    (five.original_dataset / "A").rmdir()
    (line,) = faults(five)
    message = "2 times: its files lie one level too high. Create a folder, such as original dataset/series 1, and move"
    assert line.startswith(message)


def test_files_one_folder_too_deep_are_a_fault(five):
    for kind in ("images", "masks"):
        (five.original_dataset / "A" / kind / "day 2").mkdir()
        (five.original_dataset / "A" / kind / "day 2" / "case9.csv").write_text("1\n")
    (line,) = faults(five)
    assert line.startswith("2 times: 1 image file in a subfolder, where they are not read. Move them up, beside it.")


def test_a_folder_of_images_and_masks_beside_others_is_too_deep(five):
    write_pair(five.original_dataset / "A" / "B", "x", image(9), mask(9))
    (line,) = faults(five)
    assert "A/B: its images lie one level too deep. Move the folder up, beside A." in line


def test_skipped_files_are_reported_once_per_kind_with_or_without_faults(five, capsys):
    folder = five.original_dataset / "A"
    for name in ("README.md", "A/notes.csv", "A/images/x.zip", "A/images/y.zip", "table.xlsx"):
        (five.original_dataset / name).write_text("x")
    (folder / "__MACOSX" / "images").mkdir(parents=True)
    (folder / "old").mkdir()
    (folder / "old" / "x.csv").write_text("1\n")
    lines = [
        f"Warning: {folder / 'images'}: 2 .zip files skipped: not a format that is read.",
        f"Warning: {folder}: 1 .csv file skipped: only the folders images and masks are read.",
        f"Warning: {folder / 'old'}: a folder of image files, skipped: only the folders images and masks are read.",
        f"Warning: {folder.parent}: 1 .xlsx file skipped: only files in <subdirectory>/images and /masks are read.",
    ]
    create_preloaded_dataset(five)
    assert [line for line in capsys.readouterr().out.splitlines() if "skipped" in line] == lines
    (folder / "masks" / "case0.csv").write_text("")
    faults(five)
    assert [line for line in capsys.readouterr().out.splitlines() if "skipped" in line] == lines


INVALID_CASE_NAMES = {
    "a file name that is not UTF-8": b"A/%s/b\xff.csv", "a file name with a carriage return": b"A/%s/b\r.csv",
    "a folder name that is not UTF-8": b"A\xff/%s/b.csv", "a folder name with a line break": b"A\n/%s/b.csv",
    "too long together": b"A" * 200 + b"/%s/" + b"b" * 46 + b".csv",
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID_CASE_NAMES.values(), ids=list(INVALID_CASE_NAMES))
def test_an_invalid_case_name_is_a_fault_and_its_files_are_not_read(five, name, monkeypatch):
    for kind, values in ((b"images", image(9)), (b"masks", mask(9))):
        path = five.original_dataset / os.fsdecode(name % kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        csv_array.write(path, values)
    read = []
    unread = lambda jobs: (read.append(pair.case) or conversion.Outcome() for _, (pair, *_), _ in jobs)  # noqa: E731
    monkeypatch.setattr(joblib, "Parallel", lambda *_, **__: unread)
    lines = "\n".join(faults(five)).split("\n")
    assert read == [f"A__case{number}" for number in range(5)]
    assert all(line.isprintable() for line in lines)
    assert all(line.encode() for line in lines)
    assert "name" in lines[0]


def test_case_names_that_differ_only_in_unicode_normalization_are_a_fault(five):
    for number, form in enumerate(("NFC", "NFD")):
        folder = five.original_dataset / unicodedata.normalize(form, "Klinik ä")
        write_pair(folder, "x", image(20 + number), mask(20 + number))
    if len(list(five.original_dataset.iterdir())) == 2:
        pytest.skip("this file system normalizes Unicode")
    (line,) = faults(five)
    assert "encoded differently (Unicode NFC and NFD). Rename one of them." in line


@pytest.mark.parametrize(
    "name, message", [("CASE0", "upper and lower case. Give both the same name."), ("é", "NFC and NFD")]
)
def test_a_mask_with_a_slightly_different_name_is_one_fault(five, name, message):
    rename(five, "A/images/case0.csv", f"A/images/{unicodedata.normalize('NFD', name)}.csv")
    rename(five, "A/masks/case0.csv", f"A/masks/{unicodedata.normalize('NFC', name.lower())}.csv")
    (line,) = faults(five)
    assert "the name of its mask" in line
    assert message in line


def test_a_group_rule_that_does_not_match_is_one_fault_before_any_file_is_read(five, monkeypatch):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"CASE(\d)")
    monkeypatch.setattr(csv_array, "read", None)
    for number in range(5, 60):
        write_pair(five.original_dataset / "A", f"case{number}", "", "")
    (line,) = faults(five)
    assert line.startswith(r"GROUP_CASES_BY = r'CASE(\d)' finds nothing in 60 of 60 case names: A__case0, A__case1, ")
    assert " and 50 more. Change it in config.py. 60 of these match if it begins with (?i), " in line
    assert line.count("A__case") == 10


def test_a_single_group_is_reported_before_any_file_is_read(five):
    configure(five, IMAGE_SIZE=SIDE, GROUP_CASES_BY="subdirectory")
    (five.original_dataset / "A" / "images" / "case0.csv").write_text("not read")
    (line,) = faults(five)
    assert "a split needs at least two groups of cases, found 1" in line


def test_equal_faults_are_reported_once_with_their_count_and_the_first_ten(five):
    for number in range(20):
        write_pair(five.original_dataset / "A", f"bad{number:02d}", "", mask(9))
    (line,) = faults(five)
    lines = line.split("\n")
    assert lines[0] == "20 times: the file is empty. Export it again."
    assert lines[1].endswith("A/images/bad00.csv")
    assert len(lines) == 12
    assert lines[-1] == "  ... and 10 more"


def with_header(values):
    return "\n".join([",".join(map(str, range(values.shape[1])))] + [",".join(map(str, row)) for row in values]) + "\n"


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_size_with_an_explanation_is_a_fault_and_not_excluded(five, kind):
    values = mask(0) if kind == "masks" else image(0)
    (five.original_dataset / "A" / kind / "case0.csv").write_text(with_header(values))
    (line,) = faults(five)
    assert f"A/{kind}/case0.csv: " in line
    assert "header" in line


def test_a_mask_emptied_by_speck_removal_gets_a_warning(five, capsys):
    configure(five, IMAGE_SIZE=SIDE, MASK_SPECK_PX=4)
    for number in range(5):
        block = np.zeros((SIDE, SIDE), int)
        block[:9, : 9 + number] = 1
        write_pair(five.original_dataset / "A", f"case{number}", image(number), block)
    speck = np.zeros((SIDE, SIDE), int)
    speck[5, 5:8] = 1
    write_pair(five.original_dataset / "A", "speck", image(9), speck)
    create_preloaded_dataset(five)
    message = "A__speck: the mask is now empty: all its components, 3 px, were removed as specks (MASK_SPECK_PX = 4)."
    assert f"Warning: {message}" in capsys.readouterr().out


def with_masks(workspace, filled, empty):
    for number in range(filled + empty):
        values = mask(number) if number < filled else np.zeros((SIDE, SIDE), int)
        write_pair(workspace.original_dataset / "A", f"case{number:02d}", image(number), values)


def test_many_empty_masks_are_counted_per_split_in_one_line(workspace, capsys):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=0)
    with_masks(workspace, filled=9, empty=11)
    create_preloaded_dataset(workspace)
    table = cases(workspace).assign(empty=lambda rows: rows.mask_px == 0).groupby("split")["empty"].agg(["sum", "size"])
    (train_empty, train), (test_empty, test) = table.loc["train"], table.loc["test"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "empty" in line]
    assert lines == [f"Warning: {train_empty} of {train} train masks and {test_empty} of {test} test masks are empty."]


def test_train_masks_that_are_all_empty_are_a_fault(workspace):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=0)
    with_masks(workspace, filled=0, empty=5)
    (line,) = faults(workspace)
    assert "All 4 train masks are empty: a network can't learn from them. Check the export of the masks" in line


def test_train_masks_emptied_by_speck_removal_are_reported_with_the_setting(workspace):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=SIDE * SIDE)
    with_masks(workspace, filled=5, empty=0)
    (line,) = faults(workspace)
    assert "All 4 train masks are empty" in line
    assert "Lower MASK_SPECK_PX in config.py." in line


def test_test_masks_that_are_all_empty_are_a_warning_with_its_fix(workspace, capsys):
    configure(workspace, IMAGE_SIZE=SIDE, MASK_SPECK_PX=0)
    with_masks(workspace, filled=5, empty=0)
    create_preloaded_dataset(workspace)
    for case in cases(workspace).query("split == 'test'")["case"]:
        write_pair(workspace.original_dataset / "A", case.removeprefix("A__"), None, np.zeros((SIDE, SIDE), int))
    capsys.readouterr()
    create_preloaded_dataset(workspace)
    output = capsys.readouterr().out
    assert "Warning: 1 of 1 test masks is empty." in output
    assert "Warning: all test masks are empty" in output
    assert "Change SEED or TEST_SHARE" in output


def test_the_groups_of_each_split_are_counted(workspace, capsys):
    configure(workspace, IMAGE_SIZE=SIDE, GROUP_CASES_BY=r"patient(\d)", TEST_SHARE=0.25, MASK_SPECK_PX=0)
    for number in range(12):
        write_pair(workspace.original_dataset / "A", f"patient{number // 3}_{number}", image(number), mask(number))
    create_preloaded_dataset(workspace)
    assert "9 train cases (3 groups), 3 test cases (1 group); no group is in both." in capsys.readouterr().out


def test_too_little_memory_for_one_file_is_a_fault_of_that_file(five, monkeypatch):
    read = csv_array.read

    def refuse(path):
        if path.stem == "case3":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(csv_array, "read", refuse)
    in_turn = lambda jobs: (function(*arguments) for function, arguments, _ in jobs)  # noqa: E731
    monkeypatch.setattr(joblib, "Parallel", lambda *_, **__: in_turn)
    (line,) = faults(five)
    assert "A/images/case3.csv: this machine's memory is too small" in line


def processes(session):
    """Returns the command lines of the running processes of a session, by process id."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session_here = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session_here) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode()
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def workers(session):
    return [number for number, line in processes(session).items() if "popen_loky" in line]


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def running(workspace):
    """Step 1 in a separate session. Its workers have just started and have many files to read."""
    if not pathlib.Path("/proc/self/stat").exists() or joblib.cpu_count() < 2:
        pytest.skip("needs Linux and two processors")
    configure(workspace, IMAGE_SIZE=SIDE)
    write_pair(workspace.original_dataset / "A", "case0", image(0), mask(0))
    for number in range(1, 3000):
        for kind in ("images", "masks"):
            folder = workspace.original_dataset / "A" / kind
            os.link(folder / "case0.csv", folder / f"case{number}.csv")
    command = script_command("create_dataset", workspace.root)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, start_new_session=True, **pipes)
    try:
        assert wait_until(lambda: workers(process.pid), 60)
        yield process
    finally:
        for number in processes(process.pid):
            os.kill(number, signal.SIGKILL)
        process.communicate()


def test_workers_end_when_the_step_is_killed(running):
    time.sleep(0.5)
    running.kill()
    assert wait_until(lambda: not processes(running.pid), 10)


@pytest.mark.parametrize("seconds", [0, 0.1, 0.3])
def test_ctrl_c_while_workers_start_prints_one_word_and_leaves_no_files(running, workspace, seconds):
    time.sleep(seconds)
    os.killpg(running.pid, signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert (output, errors.strip()) == ("", "Stopped.")
    assert running.returncode == -signal.SIGINT
    assert wait_until(lambda: not processes(running.pid), 10)
    assert not list(workspace.root.glob(".*"))
    assert not workspace.preloaded_dataset.exists()


def test_a_worker_killed_by_the_system_is_reported_without_traceback(running, workspace):
    time.sleep(0.5)
    os.kill(workers(running.pid)[0], signal.SIGKILL)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "most likely because memory ran out" in errors
    assert "Traceback" not in output + errors
    assert not list(workspace.root.glob(".*"))
