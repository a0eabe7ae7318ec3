"""Training reads the arrays that step 1 wrote, in a reproducible order. Damaged files are reported."""

import json
import re

import numpy as np
import pytest

import storage
from conftest import configure, dataset_facts, write_pair
from data import formats, original_dataset, pipeline, preloaded_dataset

CASES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def folder(tmp_path):
    """Five cases whose images have all three dtypes. All values of image n are n."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number, case in enumerate(CASES):
        values = np.full((32, 32), number, [np.uint8, np.int16, np.float32][number % 3])
        preloaded_dataset.write(tmp_path / "images", case, values)
        preloaded_dataset.write(tmp_path / "masks", case, np.eye(32, dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    "values, dtype",
    [
        ([0, 255], np.uint8),
        ([-1, 255], np.int16),
        ([-1024, 3071], np.int16),
        ([0, 40000], np.float32),
        ([0, 0.5], np.float32),
    ],
)
def test_arrays_get_the_smallest_lossless_dtype(values, dtype):
    small = preloaded_dataset.smallest_lossless(np.array([values], np.float64))
    assert small.dtype == dtype
    assert small.tolist() == [values]


def test_pairs_are_read_as_written_in_the_given_order(folder):
    pairs = list(pipeline.pairs(folder, ["c", "a", "b"], 32).as_numpy_iterator())
    assert [image.mean() for image, _ in pairs] == [2, 0, 1]
    for image, mask in pairs:
        assert (image.dtype, image.shape, mask.dtype) == (np.float32, (32, 32, 1), np.uint8)
        np.testing.assert_array_equal(mask[..., 0], np.eye(32))


def numbers(folder, count, seed=7, start=0):
    stream = pipeline.endless_pairs(folder, CASES, 32, seed, start)
    return [int(image.mean()) for _, image, _ in stream.take(count).as_numpy_iterator()]


def test_each_epoch_has_every_case_once_in_another_order(folder):
    seen = numbers(folder, 20)
    epochs = [seen[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(cases) == [0, 1, 2, 3, 4] for cases in epochs)
    assert len({tuple(cases) for cases in epochs}) > 1
    assert numbers(folder, 20, seed=8) != seen


def test_a_stream_resumes_at_any_sample(folder):
    assert numbers(folder, 20)[8:] == numbers(folder, 12, start=8)


def test_no_two_samples_have_the_same_seed(folder):
    seeds = {
        tuple(sample_seed)
        for sample_seed, _, _ in pipeline.endless_pairs(folder, CASES, 32, 7).take(30).as_numpy_iterator()
    }
    assert len(seeds) == 30


def test_a_missing_file_is_reported_with_the_step_to_run(dataset):
    with pytest.raises(storage.MissingResult, match="Run step 1 first"):
        preloaded_dataset.read_cases(dataset, "train")
    original_dataset.create_preloaded_dataset(dataset)
    case = preloaded_dataset.read_cases(dataset, "train")["case"][0]
    (dataset.train_set / "masks" / f"{case}.npy").unlink()
    with pytest.raises(storage.MissingResult, match=case):
        preloaded_dataset.read_cases(dataset, "train")


def test_case_names_stay_text(workspace):
    # By default pandas reads 007 as 7 and NA as a missing value.
    configure(workspace, IMAGE_SIZE=32)
    for number, name in enumerate(("007", "NA", "1e5")):
        image = np.random.default_rng(number).integers(0, 100, (32, 32))
        write_pair(workspace.original_dataset / "1", name, image, np.eye(32, k=number, dtype=int))
    original_dataset.create_preloaded_dataset(workspace)
    names = [
        *preloaded_dataset.read_cases(workspace, "train")["case"],
        *preloaded_dataset.read_cases(workspace, "test")["case"],
    ]
    assert sorted(names) == ["1__007", "1__1e5", "1__NA"]


@pytest.fixture
def prepared(dataset):
    original_dataset.create_preloaded_dataset(dataset)
    return dataset


CHANGES = {
    "semicolons between its cells": lambda text: text.replace(",", ";"),
    "no column": lambda text: text.replace("image_sha256", "hash"),
    "row 2 has a split other than train and test": lambda text: text.replace("train", "Train", 1).replace(
        "test", "Test", 1
    ),
    "has an invalid SHA-256": lambda text: re.sub("[0-9a-f]{64}", "1.2E+67", text, count=1),
    "has a case that occurs twice": lambda text: text + text.splitlines()[-1] + "\n",
    "the file is empty": lambda text: "",
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_changed_table_of_cases_is_rejected_with_the_step_to_repeat(prepared, message):
    file = prepared.preloaded_dataset / "cases.csv"
    file.write_text(CHANGES[message](file.read_text()))
    with pytest.raises(storage.DamagedFile, match=message) as caught:
        preloaded_dataset.read_cases(prepared, "train")
    assert str(file) in str(caught.value)
    assert "Run step 1 again" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None])
def test_an_incomplete_image_is_reported_before_any_image_is_read(prepared, content):
    case = preloaded_dataset.read_cases(prepared, "train")["case"][0]
    file = prepared.train_set / "images" / f"{case}.npy"
    file.write_bytes(file.read_bytes()[:-1] if content is None else content)
    with pytest.raises(storage.DamagedFile, match="bytes, expected .*: incomplete, or not the file that step 1 wrote"):
        preloaded_dataset.read_cases(prepared, "train")


@pytest.mark.parametrize(
    "name, value", [("cases", -5), ("cases", 10**30), ("TEST_SHARE", 1e308), ("TEST_SHARE", -3.0), ("SEED", "one")]
)
def test_facts_that_no_setting_allows_are_refused(tmp_path, name, value):
    workspace = storage.Workspace(tmp_path)
    workspace.preloaded_dataset.mkdir()
    preloaded_dataset.write_facts(workspace.preloaded_dataset, dataset_facts())
    assert preloaded_dataset.read_facts(workspace) == dataset_facts()
    file = workspace.preloaded_dataset / "facts.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    with pytest.raises(storage.DamagedFile, match=rf"facts\.json: {name.lower()}.*Run step 1 again"):
        preloaded_dataset.read_facts(workspace)


@pytest.fixture
def grids(workspace):
    """The stored grids of a volume and of a slice."""
    volume = formats.Grid((formats.Block((4, 5, 2), (1.5, -2.0, 1 / 3), (0.7, 0.7, 5.0)),), "LPS")
    written = (
        preloaded_dataset.ImageGrid("A__volume", ("1", "2"), volume),
        preloaded_dataset.ImageGrid("A__slice", ("",), formats.Grid((formats.Block((4, 5, 1)),), placed=False)),
    )
    workspace.preloaded_dataset.mkdir(parents=True)
    preloaded_dataset.write_grids(workspace.preloaded_dataset, written)
    return written


def test_grids_are_read_as_they_were_written(workspace, grids):
    assert preloaded_dataset.read_grids(workspace) == grids
    assert [each.cases for each in grids] == [("A__volume_1", "A__volume_2"), ("A__slice",)]
    assert [values.shape for values in grids[0].blank().slices] == [(5, 4), (5, 4)]


def test_a_dataset_of_an_earlier_version_has_no_grids(workspace):
    assert preloaded_dataset.read_grids(workspace) == ()


@pytest.mark.parametrize(
    ("old", "new"), [('"slices":["1","2"]', '"slices":["1"]'), ('"placed":', '"place":'), ('"LPS"', "5"), ("}]}", "")]
)
def test_edited_grids_are_reported_with_the_step_to_repeat(workspace, grids, old, new):
    file = workspace.preloaded_dataset / "grids.json"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(storage.DamagedFile, match=r"grids\.json: .*Run step 1 again"):
        preloaded_dataset.read_grids(workspace)
