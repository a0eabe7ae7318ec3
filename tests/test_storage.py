"""A result arrives whole or not at all, and a step that comes too early is told which one to run."""
import pickle

import pytest
import storage
from conftest import files


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "a result"
    folder.mkdir()
    (folder / "former.txt").write_text("former")
    return folder


def test_the_new_result_takes_the_place_of_the_former(target):
    with storage.replacing(target) as draft:
        (draft / "new.txt").write_text("new")
        assert files(target) == {"former.txt": b"former"}
    assert files(target.parent) == {"a result/new.txt": b"new"}


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_a_step_that_fails_half_way_leaves_the_former_result(target, stop):
    with pytest.raises(stop), storage.replacing(target) as draft:
        (draft / "new.txt").write_text("half")
        raise stop
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_a_crash_between_the_two_renames_loses_nothing(target):
    # What lies on disk if the machine stops just there.
    target.rename(target.with_name(".a result.former"))
    target.with_name(".a result.draft").mkdir()
    storage.require(target, "train_final_model")
    assert files(target) == {"former.txt": b"former"}


def test_a_crash_after_the_renames_leaves_no_litter(target):
    former = target.with_name(".a result.former")
    former.mkdir()
    (former / "old.txt").write_text("old")
    storage.require(target, "train_final_model")
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_a_missing_result_names_the_step_and_its_line(tmp_path):
    with pytest.raises(storage.MissingResult, match=r"Run step 3 first: uncomment model_training\.train_final_model\(\) in src/main\.py"):
        storage.require(tmp_path / "model", "train_final_model")


@pytest.mark.parametrize(
    "error, full", [(OSError(28, "No space left on device"), True), (RuntimeError("disk quota exceeded [Op:SaveV2]"), True), (OSError(13, "Permission denied"), False), (MemoryError(), False)]
)  # fmt: skip
def test_a_full_disk_is_told_from_other_errors(error, full):
    assert storage.is_disk_full(error) is full


def test_faults_stay_as_they_are_on_their_way_between_processes():
    again = pickle.loads(pickle.dumps(storage.DatasetError(["a: one", "b: two"])))
    assert str(again) == "a: one\nb: two" and again.faults == ["a: one", "b: two"]
    assert str(pickle.loads(pickle.dumps(storage.DiskFull()))).startswith("The disk is full")
