"""Interrupted work resumes only with the same facts, and no other files are lost."""

import signal
import subprocess
import threading

import pytest

import resumable
import storage
from conftest import script_command


def test_a_folder_without_facts_is_not_replaced(tmp_path):
    (tmp_path / "work" / "fold 1").mkdir(parents=True)
    for restart in (False, True):
        with pytest.raises(resumable.ResumeMismatch, match="has files, but no facts.json"):
            resumable.start_or_resume(tmp_path / "work", {"seed": 1}, restart)
    assert (tmp_path / "work" / "fold 1").exists()
    (tmp_path / "work" / "fold 1").rmdir()
    resumable.start_or_resume(tmp_path / "work", {"seed": 1})


def test_work_resumes_only_with_the_same_facts(tmp_path):
    folder = tmp_path / "work"
    facts = {"seed": 1, "values": {"rate": 0.1, "window": (1, 2)}, "hashes": ["a" * 64, "b" * 64]}
    resumable.start_or_resume(folder, facts)
    (folder / "half.txt").write_text("done")
    resumable.start_or_resume(folder, facts)
    assert (folder / "half.txt").read_text() == "done"
    other = {"seed": 2, "values": {"rate": 0.2, "window": (1, 2)}, "hashes": ["a" * 64, "c" * 64]}
    with pytest.raises(
        resumable.ResumeMismatch, match=r'the data set, SEED \(was 1, is 2\), values\["rate"\] \(was 0\.1, is 0\.2\)'
    ):
        resumable.start_or_resume(folder, other)
    assert (folder / "half.txt").read_text() == "done"


@pytest.mark.parametrize(
    "former, text",
    [
        (
            {"numpy": "2", "tensorflow": "2.15.1", "tensorflow-addons": "0.23.0"},
            "the installed packages (was tensorflow 2.15.1 and tensorflow-addons 0.23.0, "
            "is tensorflow 2.21.0 and tf-keras 2.21.0)",
        ),
        ({"numpy": "2", "tensorflow": "2.21.0"}, "the installed packages (was without these, is tf-keras 2.21.0)"),
        (None, "the installed packages (was unknown, is numpy 2 and tensorflow 2.21.0 and tf-keras 2.21.0)"),
    ],
)
def test_work_of_other_packages_is_refused_with_the_packages_and_the_fix(tmp_path, former, text):
    packages = {"numpy": "2", "tensorflow": "2.21.0", "tf-keras": "2.21.0"}
    resumable.start_or_resume(tmp_path / "work", {"seed": 1} | ({"packages": former} if former else {}))
    with pytest.raises(resumable.ResumeMismatch) as caught:
        resumable.start_or_resume(tmp_path / "work", {"seed": 1, "packages": packages})
    assert f"{text}. Change that back (with the Python environment in which it was started)" in str(caught.value)


def test_a_worker_waits_for_the_chief_and_writes_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    threading.Timer(0.3, resumable.start_or_resume, [folder, {"seed": 1}]).start()
    resumable.join(folder, {"seed": 1})
    monkeypatch.setattr(resumable, "_VISIBLE_SECONDS", 0.0)
    with pytest.raises(resumable.ResumeMismatch, match=r"SEED \(was 1, is 2\)"):
        resumable.join(folder, {"seed": 2})
    with pytest.raises(storage.UserError, match="facts.json: missing, though the chief has written it"):
        resumable.join(tmp_path / "other", {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_a_folder_with_lost_and_found_only_counts_as_empty(tmp_path):
    (tmp_path / "work" / "lost+found").mkdir(parents=True)
    resumable.start_or_resume(tmp_path / "work", {"seed": 1})


def test_a_restart_renames_the_previous_work_and_returns_its_name(tmp_path):
    assert resumable.start_or_resume(tmp_path / "work", {"seed": 1}) == ""
    (tmp_path / "work" / "half.txt").write_text("done")
    name = resumable.start_or_resume(tmp_path / "work", {"seed": 2}, restart=True)
    assert name.startswith("work until 2")
    assert (tmp_path / name / "half.txt").read_text() == "done"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["facts.json"]


def in_another_program(folder, writes=True):
    """Returns the output of another program that locks `folder`: "inside", or the error."""
    command = script_command("lock_folder", folder, int(writes))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_no_two_programs_work_in_one_folder(tmp_path):
    folder = tmp_path / "work"
    with resumable.exclusive_lock(folder):
        resumable.start_or_resume(folder, {"seed": 1})
        assert "Another program works in 'work'" in in_another_program(folder)
        assert in_another_program(folder, writes=False) == "inside\n"
        assert in_another_program(tmp_path / "other work") == "inside\n"
    assert in_another_program(folder) == "inside\n"
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_a_killed_program_releases_its_lock(tmp_path):
    command = script_command("lock_and_kill", tmp_path / "work")
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with resumable.exclusive_lock(tmp_path / "work"):
        pass


def test_differences_are_named_as_in_the_settings(tmp_path):
    facts = {"seed": 1, "precision": "mixed_bfloat16", "hyperparameters": {"filters": 8}}
    resumable.start_or_resume(tmp_path / "work", facts)
    with pytest.raises(resumable.ResumeMismatch) as caught:
        resumable.start_or_resume(
            tmp_path / "work", {"seed": 2, "precision": "float32", "hyperparameters": {"filters": 16}}
        )
    for text in ("SEED (was 1, is 2)", "set MIXED_PRECISION = True", 'HYPERPARAMETERS["filters"] (was 8, is 16)'):
        assert text in str(caught.value)


def test_damaged_facts_say_which_folder_to_delete(tmp_path):
    resumable.start_or_resume(tmp_path / "work", {"seed": 1})
    (tmp_path / "work" / "facts.json").write_text('{"seed": ')
    with pytest.raises(
        storage.DamagedFile, match="facts.json: not valid JSON .* Move or delete the folder 'work' to start again"
    ):
        resumable.start_or_resume(tmp_path / "work", {"seed": 1})
