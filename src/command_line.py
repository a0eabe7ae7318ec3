"""What main.py stands on: the steps' modules, loaded when first called; running the steps named on the command line; telling of errors.

Importing a step's module takes seconds, for it imports TensorFlow. main.py names them all, so here they are stand-ins that import the real
module on the first call.
"""

import contextlib
import ctypes
import datetime
import importlib
import io
import os
import sys
import types
from collections.abc import Callable

import settings
import storage

# TensorFlow's notes to its developers; its errors still reach Python. To be set before its import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Left alone, TensorFlow uses oneDNN's convolutions from AVX512-VNNI on (its release notes, 2.9). With AVX2 they are faster than its own, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# The processes of trials and workers print what the terminal can't show in its escaped form, as this one does (see `install_error_handler`).
os.environ.setdefault("PYTHONIOENCODING", ":backslashreplace")

# Network disks without a lock service refuse HDF5's locks, which this project does not need: see `storage.locked`. To be set before h5py's import.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

# Else TensorFlow takes nearly all of a GPU's memory at once: new images could not be predicted while a model is trained.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

_called: list[str] = []


class _Module:
    """Stands for a module until one of its functions is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> Callable[[], None]:
        def call(*arguments: object) -> None:
            _called.append(function)
            disable_malloc_trim()
            getattr(importlib.import_module(self._name), function)(*arguments)

        return call


data = types.SimpleNamespace(original_dataset=_Module("data.original_dataset"))
model_exploration = _Module("model_exploration")
cross_validation = _Module("cross_validation")
model_training = _Module("model_training")
prediction = _Module("prediction")
evaluation = _Module("evaluation")


def run_named_steps() -> None:
    """Runs the steps named on the command line, in the order given, and ends the program; returns where none is named."""
    install_error_handler()
    names = sys.argv[1:]
    known = {step.function: step for step in storage.STEPS}
    for name in names:
        if name not in known:
            raise settings.SettingsError(settings.unknown_name(name, known))
    for name in names:
        getattr(_Module(known[name].module), name)()
    if names:
        sys.exit()


def install_error_handler() -> None:
    """From here on an error that the user can correct ends the program with exit status 1 and a plain text, without traceback.

    Nor does printing raise an error: a closed output is replaced by none, and characters that the terminal lacks are escaped.
    """
    sys.excepthook = _tell_error
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(
                os.devnull, os.O_RDWR
            )  # Else the next file that is opened would take its number, and with it all that is printed.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def list_steps() -> None:
    """Lists the steps, with what each has left on disk, where main.py has called none."""
    if not _called:
        print(overview(storage.PROJECT))


def overview(workspace: storage.Workspace) -> str:
    """A line for each step: its number, its name for the command line, what it is for, and since when its result lies in `workspace`."""
    lines = [
        "No step is chosen. Uncomment one in src/main.py and run it again, or name it: python src/main.py <step>",
        "",
    ]
    for number, step in enumerate(storage.STEPS, start=1):
        lines.append(f"  {number}  {step.function:<26}{step.title:<44}{_state(workspace, step)}")
    if workspace.unfinished_model.exists():
        lines += [
            "",
            f"An unfinished training lies in '{workspace.unfinished_model.name}': train_final_model goes on with it.",
        ]
    return "\n".join(lines)


def disable_malloc_trim() -> None:
    """Lets this process, and those it starts, keep the memory they have freed, where the C library is glibc; else nothing.

    glibc gives each large block back to the system and asks for it again a moment later, which costs more than the work on it: a training
    step of deeplabv3_plus took twice as long.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter, variable in (
        (_M_MMAP_THRESHOLD, "MALLOC_MMAP_THRESHOLD_"),
        (_M_TRIM_THRESHOLD, "MALLOC_TRIM_THRESHOLD_"),
    ):
        # Before glibc 2.35 blocks of up to 32 MB may be kept: it refuses more, and would keep nearly none.
        kept = next(size for size in (1 << 30, 1 << 25) if mallopt(parameter, size) or size == 1 << 25)
        os.environ.setdefault(variable, str(kept))  # Read when a process starts, such as the workers of step 1.


def _state(workspace: storage.Workspace, step: storage.Step) -> str:
    try:
        folder = getattr(workspace, step.result)
    except storage.UserError:
        return "its symbolic link can't be followed"
    if not folder.exists():
        return "not yet run"
    return f"'{folder.name}' of {datetime.datetime.fromtimestamp(folder.stat().st_mtime):%Y-%m-%d %H:%M}"


def _tell_error(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
    # Python ends with exit status 1 after this, whatever it prints.
    if isinstance(error, KeyboardInterrupt):
        _print_error("Stopped.")
    elif isinstance(error, BrokenPipeError):
        # The program that read the output, such as `head`, has ended. What Python still writes at its end is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif isinstance(error, ModuleNotFoundError):
        _print_error(f"{error}. This is {sys.executable}. Type: make environment; then .venv/bin/python src/main.py")
    elif text := str(error) if isinstance(error, storage.UserError) else storage.describe(error):
        _print_error(text)
    else:
        sys.__excepthook__(kind, error, traceback)


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError):  # The error output may be closed, or its reader gone.
        print(f"\n{text}", file=sys.stderr)


# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
