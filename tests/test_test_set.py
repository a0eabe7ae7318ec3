"""The test set: TEST_CASES selects exactly the cases it names, keeps groups whole, and names the closest case."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

import storage
from conftest import configure, dataset_facts, files, write_pair
from data import image_mask_pairs, preloaded_dataset, test_set
from data.original_dataset import create_preloaded_dataset
from settings import Settings

# Two subdirectories, the second with a volume of two slices.
ROWS = pd.DataFrame(
    {
        "case": ["A__p1_a", "A__p1_b", "A__p2_a", "hospital B__v_1", "hospital B__v_2", "hospital B__p3_a"],
        "group": ["p1", "p1", "p2", "v", "v", "p3"],
        "image_file": [f"A/images/{name}.csv" for name in ("p1_a", "p1_b", "p2_a")]
        + ["hospital B/images/v.nii", "hospital B/images/v.nii", "hospital B/images/p3_a.csv"],
    }
)
VOLUMES = ["A__p1_a", "A__p1_b", "A__p2_a", "hospital B__v", "hospital B__v", "hospital B__p3_a"]
EXCLUDED = pd.DataFrame({"case": ["A__large"], "image_file": ["A/images/large.csv"], "reason": ["9 x 9 px"]})


def chosen(wanted, rows=ROWS):
    in_test = test_set.choose(rows, VOLUMES, EXCLUDED, Settings(TEST_CASES=wanted))
    return rows["case"][in_test].tolist()


def faults(wanted, rows=ROWS):
    with pytest.raises(storage.DatasetError) as caught:
        chosen(wanted, rows)
    return [fault.removeprefix("TEST_CASES in config.py: ") for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("wanted", "cases"),
    [
        (["A__p2_a"], [2]),
        (("A__p1_b", "A__p1_a"), [0, 1]),
        (["hospital B__v"], [3, 4]),
        (["hospital B__v_1", "hospital B__v_2"], [3, 4]),
        ("hospital B", [3, 4, 5]),
        ("p[12]_", [0, 1, 2]),
        ("hospital", [3, 4, 5]),
        ("^A__p1", [0, 1]),
    ],
)
def test_a_list_a_subdirectory_and_a_pattern_select_cases(wanted, cases):
    assert chosen(wanted) == ROWS["case"][cases].tolist()


def test_a_subdirectory_has_priority_over_a_pattern():
    # As a pattern, A is in no other name; p1_a contains no A, but B does.
    rows = ROWS.assign(image_file=ROWS["image_file"].str.replace("hospital B", "A B"))
    assert chosen("A", rows) == ROWS["case"][:3].tolist()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["A__p1_c", "A__p2_a"], "'A__p1_c' is not a case of the dataset. The closest name is 'A__p1_b'."),
        (["hospital B__v_3"], "'hospital B__v_3' is not a case of the dataset. The closest name is 'hospital B__v_2'."),
        (["A__large"], "'A__large' was excluded: 9 x 9 px. Remove it from the list, or set FIT_IMAGES."),
        ("hospital C", "'hospital C' is neither a subdirectory of the original dataset nor found in any case name."),
        ("_", "selects all 6 cases, and none is left for training. Select fewer."),
        (
            ["A__p1_b"],
            "the group 'p1' would be in both sets, 'A__p1_b' in the test set, 'A__p1_a' in the train set. "
            "Select all of its cases or none.",
        ),
        ("v_1", "the group 'v' would be in both sets, 'hospital B__v_1' in the test set, 'hospital B__v_2' in"),
    ],
)
def test_a_wrong_selection_is_one_fault(wanted, message):
    (fault,) = faults(wanted)
    assert fault.startswith(message)


def test_a_group_across_subdirectories_is_named_for_a_subdirectory():
    rows = ROWS.assign(group=["p1", "p1", "p2", "p2", "p2", "p3"])
    assert faults("hospital B", rows)[0].startswith("the group 'p2' would be in both sets, 'hospital B__v_1' in")


def test_names_are_checked_before_files_are_read():
    pairs = [image_mask_pairs.Pair(f"A__{name}", pathlib.Path("A/images/x"), pathlib.Path("x")) for name in ("7", "8")]

    def name_faults(wanted):
        return test_set.name_faults(pairs, Settings(TEST_CASES=wanted))

    for valid in (None, "A", "A__7", ["A__7"], ["A__7_slice3"], ["A__8", "A__7"]):
        assert name_faults(valid) == []
    assert len(name_faults(["A__70", "A__8", "B__7"])) == 2
    assert "'(' is neither a subdirectory of the original dataset nor a regular expression" in name_faults("(")[0]


@pytest.fixture
def two_hospitals(workspace):
    """Twelve cases of 32 x 32, six in each of two subdirectories, two per patient."""
    for number in range(12):
        values = np.random.default_rng(number).integers(-1000, 1000, (32, 32))
        folder = workspace.original_dataset / ("hospital A" if number < 6 else "hospital B")
        write_pair(folder, f"patient{number // 2}_{number % 2}", values, (values > 300).astype(int))
    return workspace


def set_test_cases(workspace, wanted, **others):
    configure(workspace, IMAGE_SIZE=32, MASK_SPECK_PX=0, GROUP_CASES_BY=r"patient(\d)", TEST_CASES=wanted, **others)


def test_step_1_moves_exactly_the_selected_cases_into_the_test_set(two_hospitals, capsys):
    set_test_cases(two_hospitals, "hospital B")
    create_preloaded_dataset(two_hospitals)
    names = [f"hospital B__patient{number // 2}_{number % 2}" for number in range(6, 12)]
    for kind in ("images", "masks"):
        assert sorted(files(two_hospitals.test_set / kind)) == [f"{name}.npy" for name in names]
        assert len(files(two_hospitals.train_set / kind)) == 6
    assert sorted(preloaded_dataset.read_cases(two_hospitals, "test")["case"]) == names
    assert preloaded_dataset.read_facts(two_hospitals).test_cases == "hospital B"
    output = capsys.readouterr().out
    assert "6 train cases (3 groups), 6 test cases (3 groups); no group is in both; TEST_CASES selected" in output
    assert "3 groups in the test set, fewer than 5: no confidence intervals. Select cases of more groups" in output
    assert "TEST_SHARE" not in output


def test_a_divided_patient_keeps_the_previous_dataset(two_hospitals):
    set_test_cases(two_hospitals, ["hospital A__patient0_0", "hospital A__patient0_1"])
    create_preloaded_dataset(two_hospitals)
    before = files(two_hospitals.preloaded_dataset)
    assert preloaded_dataset.read_facts(two_hospitals).test_cases == [
        "hospital A__patient0_0",
        "hospital A__patient0_1",
    ]
    set_test_cases(two_hospitals, "_0$")
    with pytest.raises(storage.DatasetError, match="the group '0' would be in both sets, 'hospital A__patient0_0' in"):
        create_preloaded_dataset(two_hospitals)
    assert files(two_hospitals.preloaded_dataset) == before


def test_facts_of_earlier_versions_have_a_random_test_set(tmp_path):
    workspace = storage.Workspace(tmp_path)
    workspace.preloaded_dataset.mkdir()
    preloaded_dataset.write_facts(workspace.preloaded_dataset, dataset_facts())
    file = workspace.preloaded_dataset / "facts.json"
    values = json.loads(file.read_text())
    del values["TEST_CASES"]
    file.write_text(json.dumps(values))
    assert preloaded_dataset.read_facts(workspace) == dataset_facts()
