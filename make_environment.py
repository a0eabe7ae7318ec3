"""Makes .venv, with a Python that TensorFlow 2.15 runs on and the packages of requirements.txt.

Run it with any Python from 3.9 on; it needs nothing but the standard library. It takes a Python 3.11 or 3.10 that is
found on the machine. Where there is none, uv brings one. Outside of this folder only pip's cache changes. Does nothing
where .venv is up to date.

    .venv/
      installed     the hash of the requirements.txt that was installed; written last
    .uv/            only where uv had to bring Python: uv in an environment of its own, what it caches, and that Python
"""

from __future__ import annotations

import collections
import hashlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).resolve().parent
VERSIONS = ("3.11", "3.10")
# Not sys.executable: where .venv is active that is .venv's own Python, which is removed when .venv is made anew.
THIS_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
DEBIAN = "On Debian or Ubuntu: sudo apt install python3-venv"


class SetupError(Exception):
    """The environment can't be made; the text says why and what to do."""


def main(root: pathlib.Path = ROOT) -> None:
    """Makes root/.venv, or installs into it what requirements.txt asks for now; SetupError where that fails."""
    requirements, venv = root / "requirements.txt", root / ".venv"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    installed = read_stamp(venv)
    if installed == wanted:
        return
    if installed is None:
        make_venv(root, venv)
    else:
        # An older requirements.txt that comes back must not find its hash beside half-changed packages.
        (venv / "installed").write_text("being changed")
    install(venv, requirements)
    (venv / "installed").write_text(wanted)
    _say("The environment is ready.")


def read_stamp(venv: pathlib.Path) -> str | None:
    """The hash of what was installed into `venv`, or None where it was left half-made or its Python is gone."""
    stamp = venv / "installed"
    return stamp.read_text() if stamp.exists() and _program(venv, "python").exists() else None


def make_venv(root: pathlib.Path, venv: pathlib.Path) -> None:
    """Makes `venv` anew, without packages yet."""
    if venv.exists():
        _say("Removing .venv: it was left half-made.")
        shutil.rmtree(venv, ignore_errors=True)
    python = find_python(candidates())
    if python is None:
        bring_python(root, venv)
    else:
        _say(f"Making .venv with {python}")
        run([python, "-m", "venv", str(venv)], f"The environment can't be made with {python}. {DEBIAN}")


def candidates() -> list[str]:
    """Candidates for a Python, the most likely first: names on the PATH, the one that runs this, pyenv's."""
    names = [f"python{version}" for version in VERSIONS] + ["python3", "python"]
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in names for folder in folders if folder]
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    for version in VERSIONS:
        found += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)]
    return list(dict.fromkeys(path for path in [*found, THIS_PYTHON] if path))


def find_python(paths: Iterable[str]) -> str | None:
    """The first of `paths` that is a Python of VERSIONS and can make environments, or None.

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
        if answer.returncode == 0 and answer.stdout.decode(errors="replace").strip() in VERSIONS:
            return path
    return None


def bring_python(root: pathlib.Path, venv: pathlib.Path) -> None:
    """Makes `venv` with a Python 3.11 that uv downloads into root/.uv."""
    _say(f"No Python {' or '.join(VERSIONS)} that can make environments is found here: uv will bring one.")
    advice = (
        "uv can't download Python 3.11. Is there a network? If so, install Python 3.11 (python.org, conda, pyenv, or\n"
        "your system's packages), make sure that python3.11 is on the PATH, and try again."
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
    run([str(uv), "venv", "--seed", "--python", "3.11", str(venv)], advice, environment=own)


def install(venv: pathlib.Path, requirements: pathlib.Path) -> None:
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
        "TensorFlow 2.15 and tensorflow-addons exist for Linux and Windows on 64-bit x86, and for macOS only.",
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
        main()
    except SetupError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The next try begins anew; what was downloaded is kept.")
