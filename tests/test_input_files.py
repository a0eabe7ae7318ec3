"""Every file of a folder is found, reported as a fault, counted as skipped, or ignored as the operating system's."""

import os
import pathlib
import unicodedata

import pytest

from data import file_names, input_files


@pytest.fixture
def folder(tmp_path):
    """A folder `images` with one CSV file, a.csv."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.csv").write_text("1\n")
    return tmp_path / "images"


def only_fault(folder, **options):
    found = input_files.find(folder, **options)
    assert list(found.files) == ["a"]
    assert len(found.faults) == 1
    return found.faults[0]


def test_csv_files_are_found_by_their_stems_in_the_order_of_their_names(folder):
    for name in ("c.csv", "B.CSV", "patient 7.scan.csv", "ä.csv"):
        (folder / name).write_text("1\n")
    found = input_files.find(folder)
    assert list(found.files) == ["B", "a", "c", "patient 7.scan", "ä"]
    assert not found.faults
    assert not found.skipped
    assert found.files["B"] == folder / "B.CSV"


def test_a_missing_folder_is_empty(tmp_path):
    assert input_files.find(tmp_path / "images") == input_files.Found()


def test_links_to_files_and_folders_are_followed(folder, tmp_path):
    (tmp_path / "elsewhere.csv").write_text("1\n")
    (folder / "b.csv").symlink_to(tmp_path / "elsewhere.csv")
    (tmp_path / "link").symlink_to(folder)
    assert list(input_files.find(tmp_path / "link").files) == ["a", "b"]


@pytest.mark.parametrize("target, message", [
    ("/mnt/unmounted/b.csv", "a symbolic link to /mnt/unmounted/b.csv, which can't be reached. Connect that disk"),
    ("../.git/annex/objects/Zx/b.csv", "its content is not on this machine. Fetch it with `datalad get`"),
    ("b.csv", "a symbolic link to b.csv, which can't be reached"),
])  # fmt: skip
def test_a_broken_link_is_a_fault_with_its_fix(folder, target, message):
    (folder / "b.csv").symlink_to(target)
    assert message in only_fault(folder)


def test_a_folder_that_is_a_broken_link_is_a_fault(tmp_path):
    (tmp_path / "images").symlink_to("/mnt/unmounted")
    found = input_files.find(tmp_path / "images")
    assert not found.files
    assert "images: a symbolic link to /mnt/unmounted" in found.faults[0]


@pytest.mark.parametrize("name, message", [
    (".b.csv.icloud", "placeholder"), ("b.csv.nextcloud", "placeholder"), ("b.csv.gz", "compressed. Unpack it."),
    ("b.CSV.ZIP", "compressed. Unpack it."), ("b.csv.bz2", "compressed. Unpack it."),
    ("b.csv.crdownload", "incomplete download"), ("b.csv.lnk", "shortcut"), ("b.csv.txt", "Remove .txt from the name"),
    (".csv", "no name in front of .csv. Rename it."),
])  # fmt: skip
def test_a_placeholder_or_packed_csv_file_is_a_fault(folder, name, message):
    (folder / name).write_text("x")
    assert message in only_fault(folder)


def test_a_folder_named_as_a_csv_file_is_a_fault(folder):
    (folder / "b.csv").mkdir()
    assert "b.csv: a folder. Rename it" in only_fault(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_is_a_fault_and_is_not_opened(folder):
    os.mkfifo(folder / "b.csv")
    assert "b.csv: not a regular file" in only_fault(folder)


def test_csv_files_in_a_subfolder_are_a_fault(folder):
    (folder / "day 1" / "morning").mkdir(parents=True)
    for name in ("day 1/b.csv", "day 1/morning/c.csv", "day 1/notes.txt"):
        (folder / name).write_text("1\n")
    assert "day 1: 2 image files in a subfolder, where they are not read. Move them up" in only_fault(folder)


def test_a_subfolder_without_image_files_is_ignored(folder):
    (folder / "plots").mkdir()
    (folder / "plots" / "a.pdf").write_text("x")
    assert not input_files.find(folder).faults


def test_names_that_differ_only_in_upper_and_lower_case_are_a_fault(folder):
    (folder / "A.csv").write_text("1\n")
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system is case-insensitive")
    assert "A.csv: differs from a.csv only in upper and lower case. Rename or remove one of them." in only_fault(folder)


def test_names_that_differ_only_in_unicode_normalization_are_a_fault(folder):
    (folder / "a.csv").unlink()
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "é.csv")).write_text("1\n")
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this file system normalizes Unicode")
    found = input_files.find(folder)
    assert len(found.files) == len(found.faults) == 1
    assert "Unicode NFC and NFD" in found.faults[0]


@pytest.mark.parametrize("name, message", [
    (b"b\xff.csv", r"images/b\xff.csv: its name is not UTF-8. Rename it"),
    (b"b\r.csv", r"images/b\r.csv: a control character, such as a line break, in its name"),
    (b"b\n.csv", r"images/b\n.csv: a control character"),
    (b"b\x1b[31m.csv", r"images/b\x1b[31m.csv: a control character"),
])  # fmt: skip
def test_an_invalid_name_is_a_fault_that_any_terminal_can_print(folder, name, message):
    try:
        (folder / os.fsdecode(name)).write_text("1\n")
    except OSError:
        pytest.skip("this file system does not allow such a name")
    fault = only_fault(folder)
    assert message in fault
    assert fault.isprintable()
    assert fault.encode()


@pytest.mark.parametrize(
    "prefix_bytes, length, usable", [(0, 247, True), (0, 248, False), (20, 227, True), (20, 228, False)]
)
def test_a_name_is_usable_up_to_the_maximum_length_of_its_result(folder, prefix_bytes, length, usable):
    (folder / ("é" * (length // 2) + "b" * (length % 2) + ".csv")).write_text("1\n")
    fault = ["its name is too long: the result's name would have 252 bytes, more than 251. Shorten it."]
    faults = input_files.find(folder, prefix_bytes).faults
    assert [text.split(": ", 1)[1] for text in faults] == ([] if usable else fault)


def test_an_unreadable_folder_is_a_fault_not_an_empty_one(folder):
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("this account may read everything")
    folder.chmod(0)
    found = input_files.find(folder)
    folder.chmod(0o700)
    assert not found.files
    assert "images: can't be opened (Permission denied). Check that your" in found.faults[0]


def test_an_unreadable_file_is_a_fault(folder, monkeypatch):
    (folder / "b.csv").write_text("1\n")
    monkeypatch.setattr(os, "access", lambda path, _: path.name != "b.csv")
    assert "b.csv: can't be read. Check that your account may read it." in only_fault(folder)


@pytest.mark.parametrize("error, message", [
    (PermissionError(13, "Permission denied"), "can't be opened (Permission denied). Check that your account may read"),
    (OSError(5, "Input/output error"), "can't be opened (Input/output error). Check that its disk is connected."),
])  # fmt: skip
def test_a_folder_that_cannot_be_listed_is_a_fault(folder, monkeypatch, error, message):
    def refuse(_):
        raise error

    monkeypatch.setattr(os, "listdir", refuse)
    found = input_files.find(folder)
    assert not found.files
    assert message in found.faults[0]


def test_a_file_in_place_of_the_folder_is_a_fault(tmp_path):
    (tmp_path / "images").write_text("x")
    assert "images: not a folder" in input_files.find(tmp_path / "images").faults[0]


def test_a_folder_name_in_another_case_is_a_fault(tmp_path):
    (tmp_path / "Images").mkdir()
    if (tmp_path / "images").exists():
        pytest.skip("this file system is case-insensitive")
    (fault,) = input_files.find(tmp_path / "images").faults
    assert "Images: differs from images only in upper and lower case. Rename it to images." in fault


def test_other_files_are_counted_by_ending(folder):
    names = ["b.pdf", "c.PDF", "d.tar.gz", "e.svg", "f", "e.x.svg", "images.zip", ".hidden.csv", "notes 1.2 of May"]
    for name in names:
        (folder / name).write_text("x")
    found = input_files.find(folder)
    counts = ["1 .pdf", "2 .pdf", "2 .svg", "1 .tar.gz", "1 .zip", "1 hidden", "2 files without ending"]
    assert [text for text in counts if any(f"images: {text}" in line for line in found.skipped)] == counts[1:]
    assert not found.faults
    assert f"{folder}: 2 .pdf files skipped: not a format that is read." in found.skipped


def test_files_of_operating_systems_are_ignored(folder):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.csv", ".~lock.a.csv#", "~$b.xlsx", ".gitkeep", "Icon\r"):
        (folder / name).write_text("x")
    for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
        (folder / name).mkdir()
        (folder / name / "a.csv").write_text("x")
    found = input_files.find(folder)
    assert list(found.files) == ["a"]
    assert not found.faults
    assert not found.skipped


def test_printable_keeps_characters_that_a_terminal_can_show():
    assert file_names.printable(pathlib.Path("A/é 腹部.csv")) == "A/é 腹部.csv"
    assert file_names.printable("a\x07\udcfe\u202e") == r"a\x07\xfe\u202e"


def test_equal_faults_are_listed_once_with_their_count_and_the_first_ten():
    faults = [f"/data/{number}.csv: the file is empty. Export it again." for number in range(5000)]
    (text,) = input_files.grouped(faults)
    lines = text.split("\n")
    assert lines[:2] == ["5000 times: the file is empty. Export it again.", "  /data/0.csv"]
    assert len(lines) == 12
    assert lines[-1] == "  ... and 4990 more"


def test_faults_that_differ_in_numbers_only_are_shortened_to_ten_lines():
    faults = [f"/data/{number}.csv: row {number} has {number} values: 'x {number}'." for number in range(5000)]
    lines = input_files.grouped(["/data/x.csv: another.", *faults])
    assert lines[:3] == ["/data/x.csv: another.", *faults[:2]]
    assert len(lines) == 12
    assert lines[-1] == "  ... and 4990 more of this kind"


def test_few_different_faults_are_listed_unchanged():
    faults = ["a.csv: one.", "b.csv: two.", "no file here", "c.csv: row 2 is 3.", "c.csv: row 3 is 4."]
    assert input_files.grouped(faults) == faults
