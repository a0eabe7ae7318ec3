"""The environment: pinned packages, the choice of Python, when .venv is created again, and messages about failures.

The Pythons here are stand-ins: shell scripts that print a version, create a folder for an environment, and record each
installation in installs.txt.
"""

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

from conftest import ROOT

sys.path.append(str(ROOT))
import make_environment

needs_scripts = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for Python are shell scripts")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

STAND_IN = """#!/bin/sh
for last; do :; done
case "$*" in
  "-c "*) echo {version} ;;
  *"venv "*) mkdir -p "$last/bin" && echo "version = {version}.1" > "$last/pyvenv.cfg"
    cp "$0" "$last/bin/python" && cp "$0" "$last/bin/uv" ;;
  *" install "*) echo "$last" >> "{folder}/installs.txt"
    test ! -e "{folder}/no network" || {{ echo "ERROR: no route to host"; exit 1; }} ;;
esac
"""


# --- The pins ---


LISTS = ("requirements.txt", "requirements-new.txt")
# Of the environment that runs the tests.
VERSION = "{}.{}".format(*sys.version_info)
INSTALLED = next(stack.requirements for stack in make_environment.STACKS if VERSION in stack.pythons)


def pins(name="requirements.txt"):
    """Returns a list of pins as {name: [version, ...]}."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            pin = re.fullmatch(r"([\w.-]+)==([\w.]+)(; \w+ [!<=]+ \"[\w.]+\")?( +# .+)?", line)
            assert pin, f"not a pin: {line}"
            found.setdefault(pin[1].lower().replace("_", "-"), []).append(pin[2])
    return found


def test_every_line_pins_one_version_of_a_package():
    assert {name for name, versions in pins("requirements-new.txt").items() if len(versions) > 1} == set()
    assert {name for name, versions in pins().items() if len(versions) > 1} == {"tensorflow-addons"}


def test_the_required_packages_are_pinned():
    required = ["tensorflow", "keras-tuner", "numpy", "scikit-learn", "scikit-image", "matplotlib", "pandas", "seaborn"]
    assert {*required, "tensorflow-addons"} <= set(pins())
    assert {*required, "tf-keras"} <= set(pins("requirements-new.txt"))


@pytest.mark.parametrize("file", LISTS)
def test_every_import_is_pinned(file):
    packages = {
        "sklearn": "scikit-learn",
        "skimage": "scikit-image",
        "grpc": "grpcio",
        "yaml": "pyyaml",
        "PIL": "pillow",
        "SimpleITK": "simpleitk",
    }
    project = {path.stem for folder in ("src", "tests", "tests/scripts") for path in (ROOT / folder).iterdir()}
    project |= {"make_environment", "config", "config_template"}
    project |= {"tensorflow_addons"} if file == "requirements-new.txt" else set()  # The pipeline works without it.
    pinned = pins(file)
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for name in imports(path) - project - set(sys.stdlib_module_names):
            assert packages.get(name, name).replace("_", "-") in pinned, f"{path.name} imports {name}"


def imports(path):
    """Returns the top-level names that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {name.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("file", LISTS)
def test_windows_gets_pywin32_for_shared_locks(file):
    # Without pywin32 portalocker refuses shared locks on Windows, and no step could read a result.
    assert re.search(r'^pywin32==\d+; sys_platform == "win32"', (ROOT / file).read_text(), re.MULTILINE)


def test_the_installed_versions_are_the_pinned_ones():
    from importlib import metadata

    for name in ("tensorflow", "keras-tuner", "numpy", "scikit-image"):
        assert [metadata.version(name)] == pins(INSTALLED)[name]


def test_conda_installs_the_same_pins():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    assert lines.index("- pip:") + 1 == lines.index("- -r requirements.txt")
    assert {"name: segmenter", "- python=3.11", "- pip"} <= set(lines)


# --- Which Python ---


@pytest.fixture(autouse=True)
def no_variables_of_make(monkeypatch):
    """`make test STACK=new` would pass its STACK on to every make that a test runs."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "STACK", "VENV", make_environment.CHOICE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder with a project that has a requirements.txt, and a folder `programs` that is searched for Pythons."""
    (tmp_path / "a project").mkdir()
    (tmp_path / "a project" / "requirements.txt").write_text("numpy==1.26.4\n")
    (tmp_path / "a project" / "requirements-new.txt").write_text("numpy==2.5.5\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setattr(make_environment, "candidates", lambda versions: sorted(map(str, programs.iterdir())))
    return tmp_path


def stand_in(machine, name, version="3.11"):
    """Writes a program that behaves like Python `version`, and returns its path."""
    return script(machine / "programs" / name, STAND_IN.format(version=version, folder=machine))


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@needs_scripts
def test_a_python_is_chosen_only_if_it_runs_and_its_version_is_supported(machine):
    folder = machine / "programs"
    not_installed = script(
        folder / "python3.11", "#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n"
    )
    failing = script(folder / "python3", "#!/bin/sh\necho 3.11\nexit 1\n")
    empty = script(folder / "python", "")
    other = [stand_in(machine, f"python{version}", version) for version in ("3.9", "3.10", "3.12", "3.1")]
    missing = str(folder / "missing")
    assert make_environment.find_python([not_installed, failing, empty, missing, *other], ["3.11"]) is None
    suitable, later = stand_in(machine, "suitable"), stand_in(machine, "later")
    assert make_environment.find_python([not_installed, *other, suitable, later], ["3.11"]) == suitable


@needs_scripts
def test_all_folders_of_the_path_are_searched_and_the_best_version_comes_first(tmp_path, monkeypatch):
    for folder, name in [("one", "python3.13"), ("one", "python3"), ("two", "python3.13"), ("two", "python3.12")]:
        (tmp_path / folder).mkdir(exist_ok=True)
        script(tmp_path / folder / name, "")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")]))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    found = [
        str(pathlib.Path(path).relative_to(tmp_path))
        for path in make_environment.candidates(["3.13", "3.12"])
        if path.startswith(str(tmp_path))
    ]
    assert found == ["one/python3.13", "two/python3.13", "two/python3.12", "one/python3"]


@needs_scripts
def test_pythons_of_pyenv_are_found_although_they_are_not_on_the_path(tmp_path, monkeypatch):
    for version in ("3.9.18", "3.11.7", "3.12.1", "3.13.0"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
        script(tmp_path / "versions" / version / "bin" / "python", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    found = make_environment.candidates(["3.13", "3.12"])
    assert [path.split(os.sep)[-3] for path in found if path.startswith(str(tmp_path))] == ["3.13.0", "3.12.1"]


def test_make_environment_runs_with_any_python_from_3_9_on():
    tree = ast.parse((ROOT / "make_environment.py").read_text(), feature_version=(3, 9))
    # Modules added to the standard library after 3.9 would fail only when it runs, so the imports are listed here.
    expected = "__future__ collections dataclasses hashlib importlib os pathlib platform re shutil subprocess sys"
    assert imports(ROOT / "make_environment.py") == set(expected.split())
    assert tree.body


# --- When .venv is created, changed, left unchanged ---


def environment(machine):
    """Makes the environment. Returns its files and the number of installations so far."""
    make_environment.main(machine / "a project")
    installs = machine / "installs.txt"
    venv = machine / "a project" / ".venv"
    return {str(path.relative_to(venv)) for path in venv.rglob("*")}, len(installs.read_text().splitlines())


@needs_scripts
def test_an_existing_environment_is_left_unchanged(machine, capsys):
    stand_in(machine, "python3.11")
    assert environment(machine) == ({"bin", "bin/python", "bin/uv", "installed", "pyvenv.cfg"}, 1)
    assert "some minutes" in capsys.readouterr().out
    started = time.perf_counter()
    assert environment(machine)[1] == 1
    assert time.perf_counter() - started < 0.2
    assert capsys.readouterr().out == ""


@needs_scripts
def test_changed_pins_are_installed_into_the_existing_environment(machine):
    stand_in(machine, "python3.11")
    environment(machine)
    (machine / "a project" / ".venv" / "mine").touch()
    (machine / "a project" / "requirements.txt").write_text("numpy==1.26.3\n")
    files, installs = environment(machine)
    assert "mine" in files
    assert installs == 2
    assert environment(machine)[1] == 2


@needs_scripts
def test_a_failed_installation_is_repeated_even_if_the_old_pins_return(machine):
    stand_in(machine, "python3.11")
    environment(machine)
    (machine / "a project" / "requirements.txt").write_text("numpy==1.26.3\n")
    (machine / "no network").touch()
    with pytest.raises(make_environment.SetupError):
        environment(machine)
    (machine / "no network").unlink()
    (machine / "a project" / "requirements.txt").write_text("numpy==1.26.4\n")
    assert environment(machine)[1] == 3


@needs_scripts
def test_an_incomplete_environment_is_created_again(machine):
    stand_in(machine, "python3.11")
    (machine / "no network").touch()
    with pytest.raises(make_environment.SetupError):
        environment(machine)
    (machine / "a project" / ".venv" / "left over").touch()
    (machine / "no network").unlink()
    assert "left over" not in environment(machine)[0]


@needs_scripts
def test_an_environment_whose_python_is_missing_is_created_again(machine):
    stand_in(machine, "python3.11")
    environment(machine)
    python = machine / "a project" / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(machine / "an uninstalled python")
    assert "bin/python" in environment(machine)[0]
    assert not python.is_symlink()


@needs_scripts
def test_without_a_suitable_python_uv_downloads_one(machine, monkeypatch, capsys):
    monkeypatch.setattr(make_environment, "THIS_PYTHON", stand_in(machine, "python3.14", "3.14"))
    assert environment(machine)[0] == {"bin", "bin/python", "bin/uv", "installed", "pyvenv.cfg"}
    assert "uv will bring one" in capsys.readouterr().out
    assert (machine / "installs.txt").read_text().splitlines() == [
        "uv",
        str(machine / "a project" / "requirements.txt"),
    ]


def test_a_real_environment_in_a_folder_with_spaces(machine, monkeypatch):
    # Python, venv and pip are real. Without requirements no network is needed.
    monkeypatch.setattr(make_environment, "candidates", lambda versions: [make_environment.THIS_PYTHON])
    (machine / "a project" / INSTALLED).write_text("# none\n")
    make_environment.main(machine / "a project")
    python = make_environment._program(machine / "a project" / ".venv", "python")
    result = subprocess.run(
        [str(python), "-c", "import sys, pip; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert pathlib.Path(result.stdout.strip()).samefile(machine / "a project" / ".venv")


# --- Which packages ---


@needs_scripts
@pytest.mark.parametrize(
    "pythons, choice, expected",
    [
        (["3.11", "3.13"], None, ("3.11", "requirements.txt")),
        (["3.10", "3.13"], None, ("3.13", "requirements-new.txt")),
        (["3.12", "3.14"], None, ("3.12", "requirements-new.txt")),
        (["3.11", "3.13"], "new", ("3.13", "requirements-new.txt")),
        (["3.11", "3.13"], "default", ("3.11", "requirements.txt")),
    ],
)
def test_the_pythons_found_or_the_variable_choose_the_packages(machine, monkeypatch, pythons, choice, expected):
    for version in pythons:
        stand_in(machine, f"python{version}", version)
    if choice:
        monkeypatch.setenv(make_environment.CHOICE, choice)
    environment(machine)
    python = re.search(r"version = (.*)\.1", (machine / "a project" / ".venv" / "pyvenv.cfg").read_text())[1]
    assert (python, installed_lists(machine)[-1]) == expected


def installed_lists(machine):
    return [pathlib.Path(line).name for line in (machine / "installs.txt").read_text().splitlines()]


@needs_scripts
def test_an_environment_keeps_its_packages_when_another_python_is_installed_later(machine):
    stand_in(machine, "python3.12", "3.12")
    environment(machine)
    stand_in(machine, "python3.11", "3.11")
    assert environment(machine)[1] == 1
    (machine / "a project" / "requirements-new.txt").write_text("numpy==2.5.6\n")
    environment(machine)
    assert installed_lists(machine) == ["requirements-new.txt"] * 2


@needs_scripts
def test_an_environment_of_a_python_that_is_no_longer_supported_is_created_again(machine):
    stand_in(machine, "python3.11")
    environment(machine)
    configuration = machine / "a project" / ".venv" / "pyvenv.cfg"
    configuration.write_text("version = 3.10.13\n")
    environment(machine)
    assert "3.11" in configuration.read_text()


@needs_scripts
def test_both_environments_exist_side_by_side(machine, monkeypatch):
    for version in ("3.11", "3.13"):
        stand_in(machine, f"python{version}", version)
    environment(machine)
    monkeypatch.setenv(make_environment.CHOICE, "new")
    make_environment.main(machine / "a project", ".venv-new")
    assert installed_lists(machine) == ["requirements.txt", "requirements-new.txt"]
    assert (machine / "a project" / ".venv-new" / "installed").exists()
    monkeypatch.delenv(make_environment.CHOICE)
    assert environment(machine)[1] == 2


@pytest.mark.parametrize(
    "system, expected",
    [
        (("Linux", "x86_64"), ["default", "new"]),
        (("Linux", "aarch64"), ["new"]),
        (("Darwin", "arm64"), ["default", "new"]),
        (("Darwin", "x86_64"), ["default"]),
        (("Windows", "AMD64"), ["default", "new"]),
    ],
)
def test_without_a_choice_the_packages_have_wheels_for_the_system(monkeypatch, system, expected):
    monkeypatch.delenv(make_environment.CHOICE, raising=False)
    monkeypatch.setattr(make_environment.platform, "system", lambda: system[0])
    monkeypatch.setattr(make_environment.platform, "machine", lambda: system[1])
    assert [stack.name for stack in make_environment.allowed_stacks()] == expected


# --- Error messages ---


def test_an_unknown_choice_names_the_known_ones(machine, monkeypatch):
    monkeypatch.setenv(make_environment.CHOICE, "old")
    assert failure(machine) == "SEGMENTER_STACK=old is unknown. Set it to default or new."


def failure(machine):
    """Returns the error of a failed environment, which must not be marked as installed."""
    with pytest.raises(make_environment.SetupError) as caught:
        make_environment.main(machine / "a project")
    assert not (machine / "a project" / ".venv" / "installed").exists()
    return str(caught.value)


@needs_scripts
def test_a_failed_installation_shows_the_output_of_pip_and_a_fix(machine):
    stand_in(machine, "python3.11")
    (machine / "no network").touch()
    message = failure(machine)
    assert "ERROR: no route to host" in message
    assert "Is there a network" in message


@needs_scripts
def test_a_python_without_ensurepip_names_debians_package(machine, monkeypatch):
    monkeypatch.setattr(make_environment.importlib.util, "find_spec", lambda name: None)
    assert "sudo apt install python3-venv" in failure(machine)


@needs_scripts
@pytest.mark.parametrize("missing", ["uv's download of Python", "the network"])
def test_if_uv_fails_the_error_says_to_install_python(machine, monkeypatch, missing):
    monkeypatch.setattr(make_environment, "THIS_PYTHON", stand_in(machine, "python3.14", "3.14"))
    if missing == "the network":
        (machine / "no network").touch()
    else:
        (machine / "a project" / ".uv" / "bin").mkdir(parents=True)
        script(machine / "a project" / ".uv" / "bin" / "uv", "#!/bin/sh\necho 'error: failed to download'\nexit 2\n")
    message = failure(machine)
    assert "ERROR: no route to host" in message or "error: failed to download" in message
    assert "install Python 3.11" in message


@pytest.mark.parametrize(
    "line, expected",
    [
        (
            "Downloading tensorflow-2.15.1-cp311-cp311-manylinux_2_17_x86_64.whl (475.2 MB)\n",
            "  tensorflow-2.15.1, 475.2 MB",
        ),
        ("  Using cached scipy-1.15.3-cp311-cp311-macosx_12_0_arm64.whl (22 MB)\n", "  scipy-1.15.3, 22 MB"),
        (
            "  Downloading https://a.mirror/x/pandas-2.3.3-cp310-cp310-win_amd64.whl (11.3 MB)\n",
            "  pandas-2.3.3, 11.3 MB",
        ),
        ("Downloading tqdm-4.67.1-py3-none-any.whl (78 kB)\n", None),
        ("Downloading h5py-3.16.0-cp311-cp311-win_amd64.whl (5.1 MB)\n", None),
        ("Downloading tensorflow-2.15.1-cp311-cp311-win_amd64.whl.metadata (4.2 kB)\n", None),
        ("Collecting tqdm==4.67.1\n", None),
        ("Installing collected packages: sortedcontainers, pytz\n", "  Unpacking them all"),
    ],
)
def test_only_downloads_of_large_packages_are_printed(line, expected):
    assert make_environment._progress(line) == expected


# --- make ---


def make(*words, **environment):
    command = [shutil.which("make"), "--no-print-directory", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@needs_make
def test_plain_make_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    assert sorted(targets) == sorted(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    assert [line.split()[1] for line in make().stdout.splitlines()] == targets
    assert make("help").stdout == make().stdout


@needs_make
@needs_scripts
def test_make_uses_the_first_python_that_runs(machine):
    script(machine / "programs" / "python3", "#!/bin/sh\nexit 127\n")
    script(machine / "programs" / "python3.13", "#!/bin/sh\nexit 0\n")
    script(machine / "programs" / "python3.12", "#!/bin/sh\nexit 0\n")
    planned = make("-n", "environment", PATH=str(machine / "programs"))
    assert planned.stdout.split() == ["python3.13", "make_environment.py"]


@needs_make
@needs_scripts
def test_make_with_stack_new_uses_an_environment_of_its_own(machine):
    script(machine / "programs" / "python3", "#!/bin/sh\nexit 0\n")
    made, tested = make("-n", "test", "STACK=new", PATH=str(machine / "programs")).stdout.splitlines()
    assert made == "SEGMENTER_STACK=new python3 make_environment.py .venv-new"
    assert tested.startswith(".venv-new/bin/python -m pytest")


@needs_make
def test_without_any_python_make_says_what_to_install(tmp_path):
    result = make("-n", "environment", PATH=str(tmp_path))
    assert result.returncode != 0
    assert "python.org" in result.stderr


@needs_make
@needs_scripts
@pytest.mark.parametrize(
    "has_venv, active_has_tensorboard, expected",
    [
        (True, True, [".venv: src/show_tensorboard.py demo"]),
        (False, True, ["active: src/show_tensorboard.py demo"]),
        (False, False, ["made", ".venv: src/show_tensorboard.py demo"]),
    ],
)
def test_make_tensorboard_creates_an_environment_only_if_none_has_tensorboard(
    machine, has_venv, active_has_tensorboard, expected
):
    project, programs = machine / "a project", machine / "programs"
    shutil.copy(ROOT / "Makefile", project)
    note = f'echo "$*" | sed "s/^/{{}}: /" >> "{machine}/called"'
    # make tests each Python with -c, and python3 makes the environment.
    script(
        programs / "python",
        f'#!/bin/sh\nif test "$1" = -c; then exit {0 if active_has_tensorboard else 1}; fi\n{note.format("active")}\n',
    )
    create = f'mkdir -p .venv/bin && cp "{machine}/venv python" .venv/bin/python && touch .venv/installed'
    create += f' && echo made >> "{machine}/called"'
    script(machine / "venv python", f"#!/bin/sh\n{note.format('.venv')}\n")
    script(programs / "python3", f'#!/bin/sh\ntest "$1" = -c || test -e .venv/installed || {{ {create}; }}\n')
    if has_venv:
        (project / ".venv" / "bin").mkdir(parents=True)
        shutil.copy(machine / "venv python", project / ".venv" / "bin" / "python")
        (project / ".venv" / "installed").touch()
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    subprocess.run(
        ["make", "tensorboard", "WORKSPACE=demo"],
        cwd=project,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )
    assert (machine / "called").read_text().splitlines() == expected


# --- No traces of the development machine ---


def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine():
    # Concatenated, so that this file does not contain the forbidden texts.
    hosts = ["pypi" + ".org", "python" + "hosted.org", "--index" + "-url", "--extra-" + "index", "--find" + "-links"]
    paths = r"(?<![\w.])/(?:" + "|".join(["work", "home", "root", "Users", "tmp/w"]) + ")" + r"/\w"
    forbidden = re.compile("|".join([*map(re.escape, hosts), paths]))
    found = {
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in tracked()
        for hit in forbidden.finditer(path.read_text("utf-8", "ignore"))
    }
    assert not found


def tracked():
    """Returns the text files that git tracks."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    if not (ROOT / ".git").exists():
        pytest.skip("the git checkout around this folder is another project's")
    pictures = {".png", ".jpg", ".gif", ".pdf", ".gz", ".h5"}
    return [
        ROOT / name
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file() and pathlib.Path(name).suffix not in pictures
    ]
