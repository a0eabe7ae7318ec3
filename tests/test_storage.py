"""A result arrives whole or not at all, and a step that comes too early is told which one to run."""
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


def test_a_folder_of_unknown_work_is_not_replaced(tmp_path):
    (tmp_path / "work" / "fold 1").mkdir(parents=True)
    for anew in (False, True):
        with pytest.raises(storage.OtherTask, match="holds something, but no facts.json"):
            storage.begin_or_go_on(tmp_path / "work", {"seed": 1}, anew)
    assert (tmp_path / "work" / "fold 1").exists()
    (tmp_path / "work" / "fold 1").rmdir()
    storage.begin_or_go_on(tmp_path / "work", {"seed": 1})


def test_work_goes_on_with_the_same_facts_only(tmp_path):
    folder = tmp_path / "work"
    facts = {"seed": 1, "values": {"rate": 0.1, "window": (1, 2)}, "hashes": ["a" * 64, "b" * 64]}
    storage.begin_or_go_on(folder, facts)
    (folder / "half.txt").write_text("done")
    storage.begin_or_go_on(folder, facts)
    assert (folder / "half.txt").read_text() == "done"
    other = {"seed": 2, "values": {"rate": 0.2, "window": (1, 2)}, "hashes": ["a" * 64, "c" * 64]}
    with pytest.raises(storage.OtherTask, match=r"the data set, seed \(was 1, is 2\), rate \(was 0\.1, is 0\.2\)"):
        storage.begin_or_go_on(folder, other)
    assert (folder / "half.txt").read_text() == "done"
