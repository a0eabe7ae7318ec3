"""Runs steps from main.py and the command line, lists them, and reports errors.

Importing the module of a step takes seconds, because it imports TensorFlow. main.py names all steps, so the modules
here are placeholders that import the real module on the first call, after config.py has been validated.
"""

import contextlib
import ctypes
import datetime
import importlib
import io
import os
import pathlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

_HOW_TO_START = (
    "Run `make environment` (without make: `python3 make_environment.py`) in the project's folder. Then use the Python "
    "of its .venv: .venv/bin/python, on Windows .venv\\Scripts\\python; with conda, the environment of environment.yml."
)
# Such as macOS' own Python: it can't read the modules that follow.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"This is Python {sys.version.split()[0]} ({sys.executable}), which is too old. {_HOW_TO_START}")

import environment_variables  # Sets them, before a step imports TensorFlow.
import settings
import storage

_called: list[str] = []

_USAGE = f"""Run steps: uncomment lines in src/main.py and run it, or choose them by number or name:

  {storage.command("1 3-5")}
  {storage.command("create_preloaded_dataset train_final_model")}

Needed: 1, 3, 4, 5. Optional: 2, 7, 8. For images without masks: 6.
"""


class _Module:
    """Placeholder of a step's module: imports it when one of its functions is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> Callable[..., None]:
        def call(workspace: storage.Workspace = storage.PROJECT) -> None:
            _called.append(function)
            settings.load(workspace.root)  # All of config.py is validated before anything else.
            _announce(function)
            disable_malloc_trim()
            with environment_variables.quiet_import():
                module = importlib.import_module(self._name)
            getattr(module, function)(workspace)

        return call


if TYPE_CHECKING:
    import cross_validation
    import data.original_dataset
    import evaluation
    import external_validation
    import model_exploration
    import model_training
    import prediction
else:
    data = types.SimpleNamespace(original_dataset=_Module("data.original_dataset"))
    model_exploration = _Module("model_exploration")
    cross_validation = _Module("cross_validation")
    model_training = _Module("model_training")
    prediction = _Module("prediction")
    evaluation = _Module("evaluation")
    external_validation = _Module("external_validation")


def run_named_steps() -> None:
    """Runs the steps on the command line, in their order, and ends the program; returns if there are none."""
    install_error_handler()
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(overview(storage.PROJECT))
        sys.exit()
    for step in [step for argument in arguments for step in _steps(argument)]:
        getattr(_Module(step.module), step.function)()
    if arguments:
        sys.exit()


def _steps(argument: str) -> Iterator[storage.Step]:
    """The steps that an argument such as "3", "3-5" or "train_final_model" names. SettingsError for any other."""
    by_name = {step.function: step for step in storage.STEPS}
    if argument in by_name:
        yield by_name[argument]
    elif numbers := re.fullmatch(r"([1-9])(?:-([1-9]))?", argument):
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if not 1 <= first <= last <= len(storage.STEPS):
            raise settings.SettingsError(f"{argument}: the steps are 1 to {len(storage.STEPS)}.")
        yield from storage.STEPS[first - 1 : last]
    else:
        raise settings.SettingsError(settings.unknown_name(argument, by_name))


def _announce(function: str) -> None:
    step = storage.step_named(function)
    loading = ": loading TensorFlow ..." if step.uses_tensorflow and "tensorflow" not in sys.modules else ""
    print(f"\nStep {step.number}: {step.title}{loading}", flush=True)


def install_error_handler() -> None:
    """Makes errors that the user can correct end the program with exit status 1 and a plain text, without a traceback.

    Printing never raises an error: a closed output is replaced by none, and characters that the terminal lacks are
    escaped.
    """
    sys.excepthook = _report_error
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next opened file would get its number, and all printed text.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def list_steps() -> None:
    """Prints the list of steps if main.py has called none."""
    if not _called:
        print(overview(storage.PROJECT))


def overview(workspace: storage.Workspace) -> str:
    """How to run steps, and one line per step: number, name, title, and the state of its result in `workspace`."""
    lines = [_USAGE]
    for step in storage.STEPS:
        lines.append(f"  {step.number}  {step.function:<29}{step.title:<44}{_state(workspace, step)}")
    if workspace.unfinished_model.exists():
        name = workspace.unfinished_model.name
        lines += ["", f"There is an unfinished training in '{name}': train_final_model resumes it."]
    return "\n".join(lines)


def disable_malloc_trim() -> None:
    """Makes glibc's malloc keep freed memory, in this process and its children; no effect with other C libraries.

    glibc returns each large block to the system and requests it again a moment later, which costs more than computing
    on it: a training step of DeepLabV3+ took twice as long.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter, variable in (
        (_M_MMAP_THRESHOLD, "MALLOC_MMAP_THRESHOLD_"),
        (_M_TRIM_THRESHOLD, "MALLOC_TRIM_THRESHOLD_"),
    ):
        # glibc before 2.35 refuses more than 32 MB.
        kept = next(size for size in (1 << 30, 1 << 25) if mallopt(parameter, size) or size == 1 << 25)
        os.environ.setdefault(variable, str(kept))  # For child processes, such as the workers of step 1.


def _state(workspace: storage.Workspace, step: storage.Step) -> str:
    try:
        folder = getattr(workspace, step.result)
        if not folder.exists():
            return "not yet run"
        newer = [name for name in step.reads if _modified(getattr(workspace, name)) > _modified(folder)]
    except storage.UserError:
        return "its symbolic link can't be followed"
    text = f"'{folder.name}' of {datetime.datetime.fromtimestamp(_modified(folder)):%Y-%m-%d %H:%M}"
    return text + (f", outdated: older than '{getattr(workspace, newer[0]).name}'" if newer else "")


def _modified(folder: pathlib.Path) -> float:
    return folder.stat().st_mtime if folder.exists() else 0.0


def _report_error(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
    # Python ends with exit status 1 after this function.
    if isinstance(error, KeyboardInterrupt):
        _print_error("Stopped.")
    elif isinstance(error, BrokenPipeError):
        # The program that read the output, such as `head`, has ended. Python's last output is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif isinstance(error, ModuleNotFoundError):
        _print_error(f"{error} in this Python ({sys.executable}). {_HOW_TO_START}")
    elif text := str(error) if isinstance(error, storage.UserError) else storage.describe(error):
        _print_error(text)
    else:
        sys.__excepthook__(kind, error, traceback)


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError):  # The error output may be closed.
        print(f"\n{text}", file=sys.stderr)


# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
