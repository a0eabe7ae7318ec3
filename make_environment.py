"""Makes .venv: a Python, and the packages of one of two lists of pins.

    default   requirements.txt       Python 3.11           TensorFlow 2.15
    new       requirements-new.txt   Python 3.12 or 3.13   TensorFlow 2.21

It takes the default list where a Python 3.11 is found on the machine, the new one where only 3.12 or 3.13 is. Where
none is found, uv brings 3.11. The environment variable SEGMENTER_STACK=default or =new chooses the list; otherwise an
existing .venv keeps its own. An argument names another folder: make_environment.py .venv-new

Run it with any Python from 3.9 on; it needs nothing but the standard library. Outside of this folder only pip's cache
changes. Does nothing where the environment is up to date.

    .venv/
      installed     the hash of the list that was installed; written last
    .uv/            only where uv had to bring Python: uv in an environment of its own, what it caches, and that Python
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).resolve().parent
# Not sys.executable: where .venv is active that is .venv's own Python, which is removed when .venv is made anew.
THIS_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
DEBIAN = "On Debian or Ubuntu: sudo apt install python3-venv"
CHOICE = "SEGMENTER_STACK"


@dataclasses.dataclass(frozen=True)
class Stack:
    """A list of pins, the versions of Python that it is for, the best first, and the systems that have its wheels."""

    name: str
    requirements: str
    pythons: tuple[str, ...]
    systems: str
    missing: tuple[str, str]


# `missing`: the system (platform.system(), platform.machine()) on which uv and pip would find no wheels.
STACKS = (
    Stack(
        "default",
        "requirements.txt",
        ("3.11",),
        "TensorFlow 2.15 and tensorflow-addons exist for Linux and Windows on 64-bit x86, and for macOS only.",
        ("Linux", "aarch64"),
    ),
    Stack(
        "new",
        "requirements-new.txt",
        ("3.13", "3.12"),
        "TensorFlow 2.21 exists for Linux on 64-bit x86 and ARM, for Windows on 64-bit x86, and for macOS on ARM only.",
        ("Darwin", "x86_64"),
    ),
)


class SetupError(Exception):
    """The environment can't be made; the text says why and what to do."""


def main(root: pathlib.Path = ROOT, folder: str = ".venv") -> None:
    """Makes the environment root/folder, or installs into it what its list asks for now; SetupError if that fails."""
    venv = root / folder
    stacks = allowed_stacks()
    stack = existing_stack(venv, stacks) or make_venv(root, venv, stacks)
    requirements = root / stack.requirements
    wanted, stamp = hashlib.sha256(requirements.read_bytes()).hexdigest(), venv / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if stamp.exists():
        # An older list that comes back must not find its hash beside half-changed packages.
        stamp.write_text("being changed")
    install(venv, requirements, stack.systems)
    stamp.write_text(wanted)
    _say("The environment is ready.")


def allowed_stacks() -> list[Stack]:
    """The stack that SEGMENTER_STACK names, else those that this system has wheels of, the default first."""
    choice = os.environ.get(CHOICE)
    if not choice:
        return [stack for stack in STACKS if stack.missing != (platform.system(), platform.machine())]
    named = [stack for stack in STACKS if stack.name == choice]
    if not named:
        raise SetupError(f"{CHOICE}={choice} is unknown. Set it to {' or '.join(stack.name for stack in STACKS)}.")
    return named


def existing_stack(venv: pathlib.Path, stacks: Iterable[Stack]) -> Stack | None:
    """The one of `stacks` that `venv` was made for; None if it is missing, incomplete, or of another Python."""
    if not (venv / "installed").exists() or not _program(venv, "python").exists():
        return None
    version = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", (venv / "pyvenv.cfg").read_text(), re.MULTILINE)
    return next((stack for stack in stacks if version and version[1] in stack.pythons), None)


def make_venv(root: pathlib.Path, venv: pathlib.Path, stacks: Iterable[Stack]) -> Stack:
    """Makes `venv` again, without packages yet, for the first of `stacks` whose Python is found; returns that stack."""
    if venv.exists():
        _say(f"Removing {venv.name}: it was left half-made, or has another Python.")
        shutil.rmtree(venv, ignore_errors=True)
    stacks = list(stacks)
    for stack in stacks:
        python = find_python(candidates(stack.pythons), stack.pythons)
        if python:
            _say(f"Making {venv.name} with {python}, for {stack.requirements}")
            run([python, "-m", "venv", str(venv)], f"The environment can't be made with {python}. {DEBIAN}")
            return stack
    versions = [version for stack in stacks for version in stack.pythons]
    _say(f"No Python {' or '.join(versions)} that can make environments is found here: uv will bring one.")
    bring_python(root, venv, stacks[0].pythons[0])
    return stacks[0]


def candidates(versions: Iterable[str]) -> list[str]:
    """Candidates for a Python, the most likely first: names on the PATH, the one that runs this, pyenv's."""
    names = [f"python{version}" for version in versions] + ["python3", "python"]
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in names for folder in folders if folder]
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    for version in versions:
        found += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)]
    return list(dict.fromkeys(path for path in [*found, THIS_PYTHON] if path))


def find_python(paths: Iterable[str], versions: Iterable[str]) -> str | None:
    """The first of `paths` that is a Python of `versions` and can make environments, or None.

    Each is tried by running it: pyenv and others put programs on the PATH that only say that they are not installed,
    and Debian's Python comes without ensurepip.
    """
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for path in paths:
        try:
            answer = subprocess.run(
                [path, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0 and answer.stdout.decode(errors="replace").strip() in versions:
            return path
    return None


def bring_python(root: pathlib.Path, venv: pathlib.Path, version: str) -> None:
    """Makes `venv` with a Python of this version that uv downloads into root/.uv."""
    advice = (
        f"uv can't download Python {version}. Is there a network? If so, install Python {version} (python.org, conda, "
        f"pyenv,\nor your system's packages), make sure that python{version} is on the PATH, and try again."
    )
    private = root / ".uv"
    uv = _program(private, "uv")
    if not uv.exists():
        if importlib.util.find_spec("ensurepip") is None:
            raise SetupError(f"{THIS_PYTHON} can't make environments: it lacks ensurepip. {DEBIAN}\nThen try again.")
        shutil.rmtree(private, ignore_errors=True)
        run([THIS_PYTHON, "-m", "venv", str(private)], f"{advice}\n{DEBIAN} may be enough.")
        run([str(_program(private, "python")), "-m", "pip", "install", "--disable-pip-version-check", "uv"], advice)
    own = {**os.environ, "UV_PYTHON_INSTALL_DIR": str(private / "python"), "UV_CACHE_DIR": str(private / "cache")}
    run([str(uv), "venv", "--seed", "--python", version, str(venv)], advice, environment=own)


def install(venv: pathlib.Path, requirements: pathlib.Path, systems: str) -> None:
    """Installs the packages of the file `requirements` into `venv`, naming the large ones while they come."""
    _say("Installing the packages: up to 1 GB to download and 2 GB on disk, some minutes.")
    python = str(_program(venv, "python"))
    run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "-r",
            str(requirements),
        ],
        "The packages can't be installed. Is there a network, and 4 GB of free disk? Try again: downloads are kept.\n"
        f"{systems}",
        told=_progress,
    )


def run(
    command: list[str],
    advice: str,
    environment: dict[str, str] | None = None,
    told: Callable[[str], str | None] | None = None,
) -> None:
    """Runs a command in silence, but for what `told` makes of its lines;

    SetupError with its last lines and the advice where it fails.
    """
    last: collections.deque[str] = collections.deque(maxlen=12)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    try:
        with subprocess.Popen(command, env=environment, **streams) as process:
            for line in process.stdout:
                last.append(line.rstrip())
                if told and told(line):
                    _say(told(line))
    except OSError as error:
        raise SetupError(f"{error}\n\n{advice}") from error
    if process.returncode != 0:
        raise SetupError("\n".join([*last, "", advice]))


def _progress(line: str) -> str | None:
    # pip names 70 packages; those of 10 MB and more are the ones to wait for.
    large = re.match(r"\s*(?:Downloading|Using cached) (?:\S*/)?([\w.]+-[\w.]+)\S* \((\d\d+(?:\.\d+)? MB)\)", line)
    if large:
        return f"  {large[1]}, {large[2]}"
    return "  Unpacking them all" if line.startswith("Installing collected packages") else None


def _program(venv: pathlib.Path, name: str) -> pathlib.Path:
    return venv / "Scripts" / f"{name}.exe" if os.name == "nt" else venv / "bin" / name


def _say(text: str) -> None:
    # Flushed, so that it stands before what other programs print.
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main(ROOT, *sys.argv[1:2])
    except SetupError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The next try begins anew; what was downloaded is kept.")
