"""TensorBoard's server: on localhost only, stopped by Ctrl-C, errors without traceback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import event_file_writer

import show_tensorboard
from conftest import ROOT


def started(*arguments):
    command = [sys.executable, str(ROOT / "src" / "show_tensorboard.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_curve(folder):
    writer = event_file_writer.EventFileWriter(str(folder))
    value = summary_pb2.Summary.Value(tag="epoch_dice", simple_value=0.5)
    writer.add_event(event_pb2.Event(step=1, wall_time=1.0, summary=summary_pb2.Summary(value=[value])))
    writer.close()


def shown_runs(port, count, seconds=60):
    """Waits until TensorBoard shows `count` runs, or for `seconds`. Returns the sorted names of the runs."""
    runs, end = [], time.monotonic() + seconds
    while len(runs) < count and time.monotonic() < end:
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/data/runs") as page:
                runs = json.load(page)
        except urllib.error.URLError:
            pass  # It has not started yet.
    return sorted(runs)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_all_trainings_of_a_workspace_are_shown_until_ctrl_c(tmp_path, port):
    workspace = tmp_path / "a project, mine"  # A comma separates the folders in TensorBoard's option.
    for folder in (
        "model/logs/train",
        "unfinished model/logs/train",
        "model tuning/trials/0001/logs/train",
        "cross-validation/fold 1/logs/train",
    ):
        write_curve(workspace / folder)
    process = started(workspace, "--port", port)
    try:
        expected = [
            "cross-validation/fold 1/logs/train",
            "exploration/0001/logs/train",
            "final model/train",
            "training/train",
        ]
        assert shown_runs(port, len(expected)) == expected
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output == ""
    assert errors.startswith("TensorBoard ")
    assert f"http://localhost:{port}/" in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_port_in_use_and_a_workspace_without_trainings_are_reported(tmp_path):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        process = started(tmp_path, "--port", taken.getsockname()[1])
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "already in use. Choose another port, such as --port 6007." in errors
    assert f"There are no trainings in {tmp_path} yet." in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "nowhere: no such folder."),
        (["--port", "70000"], "from 1 to 65535"),
        (["--port", "x"], "invalid int"),
    ],
)
def test_an_invalid_folder_or_port_is_reported(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["show_tensorboard.py", *arguments])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises((show_tensorboard.storage.UserError, SystemExit)) as caught:
        show_tensorboard.main()
    assert message in str(caught.value) + capsys.readouterr().err
