"""Running a function in a separate process: its result, its errors and its termination."""

import math
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

import isolated_process
import storage
from conftest import ROOT
from model_training.hardware import OutOfMemory


def test_results_and_errors_are_returned():
    assert isolated_process.run(os.getpid) != os.getpid()
    assert isolated_process.run(math.hypot, 3, 4) == 5.0
    with pytest.raises(ValueError, match="math domain error"):
        isolated_process.run(math.sqrt, -1)


def test_user_errors_are_returned_unchanged():
    # Errors are pickled on their way to the caller.
    for error in (OutOfMemory(), storage.UserError("a text"), storage.DatasetError(["a: one", "b: two"])):
        received = pickle.loads(pickle.dumps(isolated_process._picklable(error)))
        assert type(received) is type(error)
        assert str(received) == str(error)


def test_modules_in_the_current_folder_do_not_shadow_those_of_the_project(tmp_path, monkeypatch):
    (tmp_path / "storage.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    assert isolated_process.run(storage.is_disk_full, OSError(28, "full")) is True


def test_an_interrupted_process_interrupts_its_caller():
    with pytest.raises(KeyboardInterrupt):
        isolated_process.run(exec, "raise KeyboardInterrupt")


def test_a_killed_process_is_reported():
    task = (os.abort,) if sys.platform == "win32" else (signal.raise_signal, signal.SIGKILL)
    with pytest.raises(
        isolated_process.ProcessEnded, match=r"ended by the system \(signal 9\), most likely because memory ran out"
    ):
        isolated_process.run(*task)


def test_the_process_ends_if_its_caller_is_killed(tmp_path):
    mark = tmp_path / "alive"
    inner = f"import time, pathlib\nfor _ in range(600):\n    pathlib.Path({str(mark)!r}).touch(); time.sleep(0.1)"
    script = (
        f"import sys, time, pathlib; sys.path.insert(0, {str(ROOT / 'src')!r}); import isolated_process\n"
        f"isolated_process.run(exec, {inner!r})"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    while not mark.exists():
        assert caller.poll() is None
        time.sleep(0.1)
    caller.kill()
    caller.wait()
    for _ in range(20):
        last = mark.stat().st_mtime_ns
        time.sleep(0.5)
        if mark.stat().st_mtime_ns == last:
            return
    raise AssertionError("the process is still running")
