"""Atomic replacement of results, locks between programs, and errors about missing and damaged files."""

import contextlib
import errno
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import threading

import numpy as np
import portalocker
import pytest

import storage
from conftest import files, script_command


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "a result"
    folder.mkdir()
    (folder / "former.txt").write_text("former")
    return folder


def test_a_new_result_replaces_the_previous_one(target):
    with storage.atomic_folder(target) as draft:
        (draft / "new.txt").write_text("new")
        assert files(target) == {"former.txt": b"former"}
    assert files(target.parent) == {"a result/new.txt": b"new"}


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_a_failed_step_keeps_the_previous_result(target, stop):
    with pytest.raises(stop), storage.atomic_folder(target) as draft:  # noqa: PT012
        (draft / "new.txt").write_text("half")
        raise stop
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_a_crash_between_the_two_renames_loses_nothing(target):
    # The files on disk if the machine stops there.
    target.rename(target.with_name(".a result.former"))
    target.with_name(".a result.draft").mkdir()
    storage.require(target, "train_final_model")
    assert files(target) == {"former.txt": b"former"}


def test_a_crash_after_the_renames_leaves_no_temporary_files(target):
    former = target.with_name(".a result.former")
    former.mkdir()
    (former / "old.txt").write_text("old")
    storage.require(target, "train_final_model")
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_a_missing_result_names_the_step_and_its_line(tmp_path):
    with pytest.raises(
        storage.MissingResult,
        match=r"Run step 3 first: uncomment model_training\.train_final_model\(\) in src/main\.py",
    ):
        storage.require(tmp_path / "model", "train_final_model")


@pytest.mark.parametrize(
    "error, full",
    [
        (OSError(28, "No space left on device"), True),
        (RuntimeError("disk quota exceeded [Op:SaveV2]"), True),
        (OSError(13, "Permission denied"), False),
        (MemoryError(), False),
    ],
)
def test_a_full_disk_is_distinguished_from_other_errors(error, full):
    assert storage.is_disk_full(error) is full


def test_errors_survive_pickling():
    received = pickle.loads(pickle.dumps(storage.DatasetError(["a: one", "b: two"])))
    assert str(received) == "a: one\nb: two"
    assert received.faults == ["a: one", "b: two"]
    assert str(pickle.loads(pickle.dumps(storage.DiskFull()))).startswith("The disk is full")


def test_a_result_that_is_a_symbolic_link_is_replaced_at_its_target(tmp_path):
    elsewhere = tmp_path / "another disk" / "my results"
    elsewhere.mkdir(parents=True)
    (elsewhere / "former.txt").write_text("former")
    workspace = storage.Workspace(tmp_path / "project")
    workspace.root.mkdir()
    (workspace.root / "results").symlink_to(elsewhere)
    with storage.atomic_folder(workspace.results) as draft:
        (draft / "new.txt").write_text("new")
    assert (workspace.root / "results").is_symlink()
    assert files(elsewhere.parent) == {"my results/new.txt": b"new"}


def test_a_broken_link_fails_before_the_work(tmp_path):
    (tmp_path / "results").symlink_to(tmp_path / "unmounted disk" / "results")
    with pytest.raises(
        storage.UserError, match="results: a symbolic link to .*, which can't be reached. Connect that disk"
    ):
        storage.atomic_folder(tmp_path / "results").__enter__()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(storage.UserError, match="can't be reached"):
        storage.follow(tmp_path / "circle")


def test_a_file_in_place_of_a_result_is_kept(tmp_path):
    (tmp_path / "results").write_text("a file of the user")
    with pytest.raises(storage.UserError, match="a file, where the results' folder must be"):
        storage.atomic_folder(tmp_path / "results").__enter__()
    assert files(tmp_path) == {"results": b"a file of the user"}


def test_the_check_whether_a_result_can_be_replaced_changes_nothing(target):
    storage.check_replaceable(target)
    storage.check_replaceable(target.with_name("not there yet"))
    assert files(target.parent) == {"a result/former.txt": b"former"}
    with pytest.raises(storage.UserError, match="a file, where the results' folder must be"):
        storage.check_replaceable(target / "former.txt")


def test_windows_sharing_violation_names_the_other_program():
    error = PermissionError(errno.EACCES, "The process cannot access the file", "model.h5")
    assert "your account may read" in storage.describe(error)
    error.winerror = 32
    assert storage.describe(error).endswith("Another program uses it. Close that program and run the step again.")


def run_mounted(mount, target, task):
    """Runs a task of scripts/mount_point.py with `target` as a mount point. Returns the lines of its output."""
    target.mkdir()
    device = target.with_name("device")
    device.mkdir()
    commands = f'{mount.format(device=device, target=target)} && exec "$@"'
    completed = subprocess.run(
        ["unshare", "-rm", "sh", "-c", commands, "sh", *script_command("mount_point", task, target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode and "Operation not permitted" in completed.stderr:
        pytest.skip("this account may not mount")
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.splitlines()


needs_unshare = pytest.mark.skipif(shutil.which("unshare") is None, reason="this system has no unshare")
MOUNTS = ["mount -t tmpfs none '{target}'", "mount --bind '{device}' '{target}'"]


@needs_unshare
@pytest.mark.parametrize("mount", MOUNTS)
def test_the_content_of_a_mount_point_is_replaced(tmp_path, mount):
    assert run_mounted(mount, tmp_path / "model", "replace_twice") == ["['folder', 'folder/new.txt']"] * 2


@needs_unshare
@pytest.mark.parametrize("mount", MOUNTS)
def test_a_failed_step_keeps_the_content_of_a_mount_point(tmp_path, mount):
    assert run_mounted(mount, tmp_path / "model", "fail") == ["failed: half way", "['former.txt']"]


@needs_unshare
def test_a_crash_at_any_rename_in_a_mount_point_leaves_the_previous_or_the_new_result(tmp_path):
    assert run_mounted(MOUNTS[0], tmp_path / "model", "crash_at_each_rename") == ["['former', 'new']"]


@needs_unshare
def test_files_that_a_killed_step_left_do_not_stop_the_next_one(tmp_path):
    lines = run_mounted(MOUNTS[0], tmp_path / "model", "replace_after_kill")
    assert lines == ["['folder', 'folder/new.txt']"] * 2


@needs_unshare
def test_a_kill_while_an_exchange_is_undone_loses_nothing(tmp_path):
    assert run_mounted(MOUNTS[0], tmp_path / "model", "crash_while_undoing") == ["['former', 'new']"]


def test_an_exchange_that_another_program_completes_is_not_repeated(target, monkeypatch):
    (target / ".staged").mkdir()

    @contextlib.contextmanager
    def completed_meanwhile(folder, **_):
        shutil.rmtree(target / ".staged", ignore_errors=True)
        yield

    monkeypatch.setattr(storage.atomic, "locked", completed_meanwhile)
    storage.require(target, "train_final_model")
    assert files(target) == {"former.txt": b"former"}


def test_a_reader_does_not_delete_the_previous_result_of_a_running_program(target):
    former = target.with_name(".a result.former")
    with storage.locked(target, shared=True):  # As if another program held the lock.
        former.mkdir()
        (former / "only copy.txt").write_text("former")
        storage.require(target, "train_final_model")
        assert files(former) == {"only copy.txt": b"former"}
    storage.require(target, "train_final_model")
    assert not former.exists()


@needs_unshare
def test_a_mount_point_is_emptied_and_its_content_can_be_moved(tmp_path):
    lines = run_mounted(MOUNTS[1], tmp_path / "unfinished model", "move_and_remove")
    assert lines == ["['a.txt'] []", "[] False"]


@needs_unshare
@pytest.mark.parametrize("mount", MOUNTS)
def test_emptying_a_mount_point_keeps_its_lock_and_lost_and_found(tmp_path, mount):
    assert run_mounted(mount, tmp_path / "unfinished model", "remove_while_locked") == ["True []"]


def test_a_second_rename_that_fails_undoes_the_first(target, monkeypatch):
    rename = pathlib.Path.rename

    def failing(path, new):
        if path.name.endswith(".draft"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return rename(path, new)

    monkeypatch.setattr(pathlib.Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"), storage.atomic_folder(target) as draft:
        (draft / "new.txt").write_text("new")
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_files_are_synced_to_disk_before_the_rename(target, monkeypatch):
    events, sync, rename = [], os.fsync, pathlib.Path.rename

    def recorded_sync(descriptor):
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def recorded_rename(path, new):
        events.append(("rename", path.name))
        return rename(path, new)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system has no /proc/self/fd")
    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(pathlib.Path, "rename", recorded_rename)
    with storage.atomic_folder(target) as draft:
        (draft / "below").mkdir()
        (draft / "below" / "new.txt").write_text("new")
        inside = {str(path) for path in (draft, draft / "below", draft / "below" / "new.txt")}
    place = events.index(("rename", draft.name))
    assert inside <= set(events[:place])
    assert str(target.parent) in events[place:]


def in_another_program(use, folder):
    """Returns the output of another program that reads or writes a result: "inside", or the error."""
    command = script_command("open_result", use, folder)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_one_program_writes_or_several_read(target):
    with storage.atomic_folder(target) as draft:
        (draft / "new.txt").write_text("new")
        assert "Another program works in 'a result'" in in_another_program("write", target)
        assert "Another program changes 'a result'" in in_another_program("read", target)
    with storage.reading(target, "train_final_model"):
        assert in_another_program("read", target) == "inside"
        assert "Another program works in 'a result'" in in_another_program("write", target)
        assert files(target.parent) == {"a result/new.txt": b"new", ".a result.lock": b""}
    assert in_another_program("write", target) == "inside"
    assert files(target.parent) == {}


def test_a_reader_waits_while_another_one_deletes_the_lock_file(target):
    # A reader takes an exclusive lock for this at its end.
    held = (target.parent / ".a result.lock").open("a+")
    portalocker.lock(held, portalocker.LOCK_EX)
    threading.Timer(0.2, held.close).start()
    with storage.reading(target, "train_final_model"):
        assert held.closed


def test_a_reader_that_may_not_create_a_lock_reads_without_one(target, monkeypatch):
    def refused(path, *arguments, **keywords):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "open", refused)
        with storage.reading(target, "train_final_model"):
            pass
        with pytest.raises(PermissionError):
            storage.atomic_folder(target).__enter__()
    assert files(target.parent) == {"a result/former.txt": b"former"}


def test_a_file_system_without_locks_is_used_without_them(target, monkeypatch):
    def unsupported(*_):
        raise portalocker.LockException(OSError(errno.ENOLCK, "No locks available"))

    monkeypatch.setattr(portalocker, "lock", unsupported)
    with storage.atomic_folder(target) as draft:
        (draft / "new.txt").write_text("new")
    assert files(target) == {"new.txt": b"new"}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a Git LFS pointer"),
        (b'{"a": 1', "not valid JSON"),
        (b"\xff\xfe{", "not valid JSON"),
        (b"[1, 2]", "holds list, not a JSON object"),
        (b'{"b": 2}', "a is missing"),
    ],
)
def test_a_damaged_json_file_is_reported_with_its_fix(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(storage.DamagedFile) as caught:
        storage.read_json(tmp_path / "x.json", "Delete it.", ["a"])
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "x.json"))
    assert str(caught.value).endswith("Delete it.")


def test_a_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert storage.read_json(tmp_path / "x.json", "", ["a"]) == {"a": 1}
    assert storage.read_table(tmp_path / "x.csv", "", ["a", "b"]).to_dict("list") == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a;b\n1;2\n", "semicolons between its cells"),
        (b"a,c\n1,2\n", "no column b"),
        (b"", "the file is empty"),
        (b"\xff\xfea\x00,\x00b\x00", "can't be read as a table"),
        (b"a,b\n1,2\n1,2,3\n", "can't be read as a table"),
    ],
)
def test_a_table_that_a_spreadsheet_changed_is_reported(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(storage.DamagedFile, match=message) as caught:
        storage.read_table(tmp_path / "x.csv", "Run step 1 again.", ["a", "b"])
    assert str(caught.value).endswith("Run step 1 again.")


def test_an_incomplete_array_is_reported(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(100))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:300])
    with pytest.raises(storage.DamagedFile, match="not a complete NumPy array"):
        storage.read_array(tmp_path / "x.npy", "Delete it.")
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(storage.DamagedFile, match="not a complete NumPy array"):
        storage.read_array(tmp_path / "x.npy", "Delete it.")
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, np.arange(100))
    with pytest.raises(storage.DamagedFile, match="not a complete NumPy array"):
        storage.read_array(tmp_path / "x.npy", "Delete it.")


def test_an_array_with_any_damage_to_its_header_is_read_or_reported(tmp_path):
    file, choice = tmp_path / "x.npy", random.Random(0)
    np.save(file, np.arange(100))
    content = file.read_bytes()
    reported = 0
    for _ in range(2000):
        changed = bytearray(content)
        changed[choice.randrange(128)] ^= 1 << choice.randrange(8)
        file.write_bytes(changed)
        try:
            storage.read_array(file, "Delete it.")
        except storage.DamagedFile:
            reported += 1
    assert reported > 500


def test_json_that_is_nested_too_deeply_is_reported(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(storage.DamagedFile, match=r"a\.json: not valid JSON .*Repeat it"):
        storage.read_json(tmp_path / "a.json", "Repeat it.")
