"""Makes .venv, with a Python that TensorFlow 2.15 runs on and the packages of requirements.txt. Run with any Python from 3.9 on; standard library only.

It takes a Python 3.11 or 3.10 that is found on the machine. Where there is none, uv brings one: uv is installed into .uv, an environment of
its own, and nothing outside of this folder is changed. Does nothing where .venv is up to date.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent
VERSIONS = ("3.11", "3.10")
_SUFFIX = ".exe" if os.name == "nt" else ""
_BIN = "Scripts" if os.name == "nt" else "bin"


class SetupError(Exception):
    """The environment can't be made; the text says what to do."""


def main(root=ROOT):
    """Makes root/.venv, unless it is up to date."""
    requirements = root / "requirements.txt"
    venv = root / ".venv"
    # Written last: an environment that lacks it was left half-made.
    stamp = venv / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not stamp.exists():
        shutil.rmtree(venv, ignore_errors=True)
        python = find_python(candidates())
        if python:
            print("Making .venv with {}.".format(python), flush=True)
            run([python, "-m", "venv", str(venv)], "The environment can't be made. On Debian or Ubuntu: sudo apt install python3-venv")
        else:
            bring_python(root, venv)
    print("Installing the packages: 1 GB to download, some minutes.", flush=True)
    install(venv, requirements)
    stamp.write_text(wanted)
    print("The environment is ready.", flush=True)


def candidates():
    """Where a Python may be found, the most likely first: names on the PATH, this one, pyenv's."""
    names = ["python" + version for version in VERSIONS] + ["python3", "python"]
    found = [shutil.which(name) for name in names] + [sys.executable]
    for version in VERSIONS:
        found += sorted(map(str, pathlib.Path.home().glob(".pyenv/versions/{}.*/bin/python".format(version))), reverse=True)
    return list(dict.fromkeys(path for path in found if path))


def find_python(paths):
    """The first of `paths` that is a Python of VERSIONS and can make environments, or None.

    Each is tried by running it: pyenv and others put programs on the PATH that only say that they are not installed.
    """
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for path in paths:
        try:
            answer = subprocess.run([path, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0 and answer.stdout.decode().strip() in VERSIONS:
            return path
    return None


def bring_python(root, venv):
    """Makes `venv` with a Python 3.11 that uv downloads."""
    print("No Python {} found here: uv will bring one.".format(" or ".join(VERSIONS)), flush=True)
    private = root / ".uv"
    advice = "Python 3.11 can't be brought by uv. Install Python 3.11 (python.org, conda, or your system's packages), then try again."
    if not (private / _BIN / ("uv" + _SUFFIX)).exists():
        shutil.rmtree(str(private), ignore_errors=True)
        run([sys.executable, "-m", "venv", str(private)], advice + " On Debian or Ubuntu this may be enough: sudo apt install python3-venv")
        run([str(private / _BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], advice)
    own = dict(os.environ, UV_PYTHON_INSTALL_DIR=str(private / "python"))
    run([str(private / _BIN / "uv"), "venv", "--quiet", "--seed", "--python", "3.11", str(venv)], advice, own)


def install(venv, requirements):
    """Installs the packages of the file `requirements` into `venv`."""
    python = str(venv / _BIN / "python")
    options = ["--quiet", "--progress-bar", "on", "--disable-pip-version-check"]
    run(
        [python, "-m", "pip", "install"] + options + ["-r", str(requirements)],
        "The packages can't be installed. Is there a network, and 4 GB of disk? Then try again: what is there already is kept.",
    )


def run(command, advice, environment=None):
    """Runs a command; SetupError with the end of what it wrote, and the advice, where it fails."""
    try:
        subprocess.run(command, check=True, stderr=subprocess.PIPE, env=environment)
    except (OSError, subprocess.CalledProcessError) as error:
        written = (getattr(error, "stderr", None) or str(error).encode()).decode(errors="replace").strip()
        raise SetupError("{}\n\n{}".format("\n".join(written.splitlines()[-8:]), advice))


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit("\n" + str(error))
