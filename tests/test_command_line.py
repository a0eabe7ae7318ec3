"""The list of steps, running them by name and number, and errors without a traceback."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
import types
import venv

import pytest

import command_line
import settings
import storage
from conftest import ROOT


def main(*arguments, **environment):
    """Runs src/main.py as a user does. No test here changes the folder of the project."""
    command = [sys.executable, str(ROOT / "src" / "main.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, cwd="/", check=False
    )


@pytest.mark.parametrize("path", [None, "both", "other"])
def test_without_arguments_main_lists_the_steps_for_any_pythonpath(path, tmp_path):
    value = {None: "", "both": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "other": str(tmp_path)}[path]
    completed = main(PYTHONPATH=value)
    assert completed.returncode == 0
    assert completed.stderr == ""
    for step in storage.STEPS:
        assert step.function in completed.stdout
        assert step.title in completed.stdout
    assert "python src/main.py 1 3-5" in completed.stdout


def test_listing_the_steps_imports_neither_tensorflow_nor_pandas():
    script = "import sys, main; print('tensorflow' in sys.modules, 'pandas' in sys.modules)"
    command = [sys.executable, "-c", script]
    completed = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert completed.stdout.splitlines()[-1] == "False False"


def test_an_unknown_step_is_reported_with_a_similar_one():
    completed = main("train_final")
    assert completed.returncode == 1
    assert "train_final is not known. Did you mean train_final_model?" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_the_list_gives_the_date_of_results_and_names_unfinished_work(workspace):
    workspace.model.mkdir(parents=True)
    os.utime(workspace.model, (0, time.mktime((2026, 1, 2, 3, 4, 0, 0, 0, -1))))
    workspace.unfinished_model.mkdir()
    lines = command_line.overview(workspace).splitlines()
    (trained,) = [line for line in lines if line.startswith("  3  ")]
    assert trained.endswith("'model' of 2026-01-02 03:04")
    assert sum(line.endswith("not yet run") for line in lines) == len(storage.STEPS) - 1
    assert "train_final_model resumes it" in lines[-1]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_the_list_of_steps(option):
    completed = main(option)
    assert completed.returncode == 0
    assert completed.stdout == main().stdout


def numbers(argument):
    return [storage.STEPS.index(step) + 1 for step in command_line._steps(argument)]


def test_steps_can_be_chosen_by_number():
    assert numbers("3") == [3]
    assert numbers("3-5") == [3, 4, 5]
    assert numbers("train_final_model") == [3]


@pytest.mark.parametrize("argument", ["9", "5-3", "2-9"])
def test_a_number_without_a_step_is_an_error(argument):
    with pytest.raises(settings.SettingsError, match=f"{argument}: the steps are 1 to 8"):
        numbers(argument)


def test_a_result_older_than_its_input_is_outdated(workspace):
    for folder, day in ((workspace.preloaded_dataset, 3), (workspace.model, 2), (workspace.new_predictions, 4)):
        folder.mkdir(parents=True)
        os.utime(folder, (0, time.mktime((2026, 1, day, 3, 4, 0, 0, 0, -1))))
    states = {line.split()[1]: line for line in command_line.overview(workspace).splitlines() if "' of 2026" in line}
    assert states["train_final_model"].endswith("outdated: older than 'preloaded dataset'")
    assert "outdated" not in states["create_preloaded_dataset"]
    assert "outdated" not in states["predict_new_images"]


def test_a_step_prints_its_title_before_it_loads_tensorflow(workspace):
    script = (
        "import sys, pathlib, storage, command_line; sys.modules['tensorflow'] = None; "
        f"command_line.model_training.train_final_model(storage.Workspace(pathlib.Path({str(workspace.root)!r})))"
    )
    command = [sys.executable, "-c", script]
    completed = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert completed.stdout == "\nStep 3: Train the final model\n"
    assert "import of tensorflow halted" in completed.stderr


def test_the_first_step_reports_invalid_hyperparameters(workspace):
    (workspace.root / "config.py").write_text('HYPERPARAMETERS = {"learning_rat": 1}\n')
    with pytest.raises(settings.SettingsError, match="Did you mean learning_rate"):
        command_line.data.original_dataset.create_preloaded_dataset(workspace)


@pytest.mark.parametrize(
    "error, message",
    [
        (
            storage.DatasetError(["a.csv: empty. Export it again.", "b.csv: empty. Export it again."]),
            "\na.csv: empty. Export it again.\nb.csv: empty. Export it again.\n",
        ),
        (KeyboardInterrupt(), "\nStopped.\n"),
    ],
)
def test_user_errors_are_printed_without_traceback(capsys, error, message):
    command_line._report_error(type(error), error, None)
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("script", ["main.py 1", "show_tensorboard.py", "demo.py"])
def test_missing_packages_are_reported_with_the_command_that_installs_them(tmp_path, script):
    venv.create(tmp_path / "empty", with_pip=False)
    name, *arguments = script.split()
    # A copy, because the demo replaces its folder.
    shutil.copytree(ROOT / "src", tmp_path / "src")
    program = [*tmp_path.glob("empty/bin/python"), *tmp_path.glob("empty/Scripts/python.exe")][0]
    command = [program, tmp_path / "src" / name, *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert re.search(
        r"No module named '\w+' in this Python .*Run `make environment`.*\.venv/bin/python", completed.stderr
    )
    assert "Traceback" not in completed.stderr


def test_a_too_old_python_is_reported_with_the_command_that_installs_another():
    script = "import sys; sys.version_info = (3, 9, 6); sys.path.insert(0, sys.argv[1]); import command_line"
    command = [sys.executable, "-c", script, str(ROOT / "src")]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert re.search(r"This is Python .*which is too old\. Run `make environment`", completed.stderr)
    assert "Traceback" not in completed.stderr


def test_other_errors_keep_their_traceback(capsys):
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        command_line._report_error(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("largest, expected", [(1 << 40, 1 << 30), (1 << 25, 1 << 25)])
def test_malloc_thresholds_are_as_large_as_the_c_library_allows(monkeypatch, largest, expected):
    # The limits of glibc from 2.35 on and of earlier versions.
    set_to = {}
    library = types.SimpleNamespace(
        mallopt=lambda parameter, size: size <= largest and set_to.update({parameter: size}) is None
    )
    monkeypatch.setattr(command_line.ctypes, "CDLL", lambda name: library)
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    command_line.disable_malloc_trim()
    assert set(set_to.values()) == {expected} == {int(os.environ[name]) for name in names}


def test_main_has_a_commented_line_for_each_step_and_no_logic():
    text = (ROOT / "src" / "main.py").read_text()
    assert [line[2:] for line in text.splitlines() if line.startswith("# ") and not line.startswith("# ---")] == [
        step.line for step in storage.STEPS
    ]


def test_an_error_of_the_operating_system_is_reported_with_file_and_fix(capsys):
    errors = {
        "Check that your account may read and write there": PermissionError(errno.EACCES, "Permission denied", "a.csv"),
        "The disk is read-only": OSError(errno.EROFS, "Read-only file system", "a.csv"),
        "a.csv: The disk is full": OSError(errno.ENOSPC, "No space left on device", "a.csv"),
        "Shorten the file's name": OSError(errno.ENAMETOOLONG, "File name too long", "a.csv"),
        "The disk is full": RuntimeError("Unable to flush (file write failed: errno = 28, No space left on device)"),
        "memory of this machine is too small": MemoryError("Unable to allocate 13 GiB"),
    }
    for message, error in errors.items():
        command_line._report_error(type(error), error, None)
        printed = capsys.readouterr().err
        assert message in printed
        assert "Traceback" not in printed


def test_closed_or_unread_output_ends_without_traceback():
    command = f'"{sys.executable}" "{ROOT / "src" / "main.py"}"'
    for rest in (">&-", ">&- 2>&-", "| true", "| head -n 1"):
        completed = subprocess.run(["bash", "-c", f"{command} {rest}"], capture_output=True, text=True, check=False)
        assert completed.stderr == "", rest
    # The reading program has ended by then, so the output can't be written.
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'src')!r}); import command_line; "
        "command_line.install_error_handler(); time.sleep(1); print('x' * 100000)"
    )
    completed = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{script}" | true; echo ${{PIPESTATUS[0]}}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.stderr, completed.stdout) == ("", "1\n")


def test_characters_that_the_terminal_cannot_show_are_escaped():
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import command_line; "
        "command_line.install_error_handler(); print('m\\u00fcller \\u2212 \\udcff', flush=True); print('done')"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert completed.stdout.splitlines() == [rb"m\xfcller \u2212 \udcff", b"done"]
    assert completed.stderr == b""


def test_a_result_with_a_broken_link_is_listed(workspace):
    workspace.root.joinpath("results").symlink_to("nowhere/results")
    assert "its symbolic link can't be followed" in command_line.overview(workspace)


def test_a_python_that_is_named_by_an_indirect_path_starts(tmp_path):
    python = os.path.join(os.path.dirname(sys.executable), os.pardir, "bin", os.path.basename(sys.executable))
    ended = subprocess.run([python, str(ROOT / "src" / "main.py")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
