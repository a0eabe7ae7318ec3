"""Runs a function in a separate process, whose memory, including the GPU's, is released at its end.

If the system kills it for lack of memory, the caller survives. (TensorFlow keeps about 15 MB per trained network.)
"""

import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import environment_variables

# The exit status of a program that Ctrl-C stopped.
_INTERRUPTED = 130


class ProcessEnded(Exception):
    """The process ended without a result: the system killed it, or the interpreter crashed."""


def run(function: Callable, *arguments: Any) -> Any:
    """Returns or raises what `function(*arguments)` does there; both are pickled. The function is found by its name.

    ProcessEnded if the process dies without a result. It also ends if this process ends, in any way.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, outcome = pathlib.Path(folder) / "task", pathlib.Path(folder) / "outcome"
        task.write_bytes(pickle.dumps((function, arguments)))
        # By its file: modules are then first searched in its folder, not in the user's current folder.
        process = subprocess.Popen([sys.executable, __file__, str(task), str(outcome)], stdin=subprocess.PIPE)
        try:
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if not outcome.exists():
            cause = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise ProcessEnded(f"its process was ended by the system ({cause}), most likely because memory ran out")
        result, error = pickle.loads(outcome.read_bytes())
    if error is not None:
        raise error
    return result


def _main(task: pathlib.Path, outcome: pathlib.Path) -> None:
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        with environment_variables.quiet_import():
            function, arguments = pickle.loads(task.read_bytes())
        answer: tuple[Any, Exception | None] = (function(*arguments), None)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        answer = (None, _picklable(error))
    draft = outcome.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(answer))
    draft.rename(outcome)


def _end_with_caller() -> None:
    # Nothing is ever written into this pipe: it ends when the caller does. Not by sys.stdin, which Python would wait
    # for at its own end.
    os.read(0, 1)
    os._exit(1)


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        # Others' exceptions may hold anything.
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    _main(*map(pathlib.Path, sys.argv[1:]))
