"""Kills steps at many file operations and damages the files they read. Results must survive, errors name the file.

    .venv/bin/python tests/campaign_files.py [kills per step] [seed]

It takes about ten minutes, so pytest does not collect it; `make campaign` runs it. Each step runs in a fork of this
process, which has imported TensorFlow but computed nothing with it.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line
import cross_validation
import evaluation
import external_validation
import model_training
import prediction
import storage
from conftest import configure
from data import csv_array, original_dataset, phantoms, preloaded_dataset

STEPS = {
    "create_preloaded_dataset": original_dataset.create_preloaded_dataset,
    "train_final_model": model_training.train_final_model,
    "predict_test_set": prediction.predict_test_set,
    "evaluate_test_set": evaluation.evaluate_test_set,
    "predict_new_images": prediction.predict_new_images,
    "cross_validate_train_set": cross_validation.cross_validate_train_set,
    "evaluate_external_test_sets": external_validation.evaluate_external_test_sets,
}
# The steps that read each result and must report damage to it.
READERS = {
    "preloaded dataset": ("train_final_model", "predict_test_set", "evaluate_test_set"),
    "model": ("predict_test_set", "predict_new_images", "evaluate_external_test_sets"),
    "predictions": ("evaluate_test_set",),
    "evaluations.csv": ("evaluate_test_set",),
}
WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


def main(kills: int = 20, seed: int = 0) -> int:
    """Runs both campaigns, prints the failures and returns their number."""
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        template = prepare(pathlib.Path(folder) / "template")
        failures = [*kill(template, kills, choice), *damage(template, choice)]
    print(f"\n{len(failures)} failures", *failures, sep="\n")
    return len(failures)


def prepare(root: pathlib.Path) -> storage.Workspace:
    """Returns a workspace in which every step has run."""
    workspace = storage.Workspace(root)
    configure(workspace, IMAGE_SIZE=32, TRAINING_EPOCHS=2, CROSS_VALIDATION_FOLDS=2)
    phantoms.write_original_dataset(workspace.original_dataset / "hospital", 10, 32)
    phantoms.write_original_dataset(workspace.external_test_sets / "another hospital", 2, 32, seed=200)
    workspace.new_images.mkdir()
    for number in range(3):
        csv_array.write(workspace.new_images / f"new_{number}.csv", phantoms.draw(100 + number, 32)[0])
    for name in STEPS:
        status, output, _ = run(name, workspace)
        if status:
            raise RuntimeError(f"{name} failed: {output}")
    return workspace


def kill(template: storage.Workspace, kills: int, choice: random.Random) -> list[str]:
    """Kills each step at `kills` of its file operations.

    Afterwards the previous or the new result must be complete, and the step must succeed when it is repeated.
    """
    failures = []
    for name in STEPS:
        _, _, operations = run(name, copy(template))
        places = sorted(choice.sample(range(1, operations + 1), min(kills, operations)))
        print(f"{name}: {operations} file operations, killed at {len(places)}", flush=True)
        for place in places:
            workspace = copy(template)
            run(name, workspace, killed_at=place)
            problems = list(incomplete(workspace))
            status, output, _ = run(name, workspace)
            problems += [f"run again: status {status}: {output[-300:]}"] if status else incomplete(workspace)
            failures += [printed(f"{name}, killed at operation {place}: {problem}") for problem in problems]
    return failures


def printed(failure: str) -> str:
    """Prints a failure at once, so that an interrupted campaign has reported it, and returns it."""
    print(failure, flush=True)
    return failure


def incomplete(workspace: storage.Workspace) -> list[str]:
    """Returns the missing and truncated results. Each is checked by the reader of its step."""
    external = workspace.external_validation / "another hospital"
    checks = {
        "preloaded dataset": lambda: [preloaded_dataset.read_cases(workspace, split) for split in ("train", "test")],
        "model": lambda: storage.require(workspace.model, "train_final_model"),
        "report": lambda: storage.require(workspace.results, "evaluate_test_set"),
        "new predictions": lambda: storage.require(workspace.new_predictions, "predict_new_images"),
        "external set": lambda: storage.require(external, "evaluate_external_test_sets"),
    }
    problems = []
    for result, check in checks.items():
        try:
            check()
        except Exception as error:  # Any error is a failure.
            problems.append(f"{result}: {error}")
    present = {
        workspace.model: {"weights.weights.h5", "hyperparameters.json", "training.json", "history.csv"},
        workspace.results: {"report.html", "metrics.csv", "summary.json", "methods.txt"},
        external / "results": {"report.html", "metrics.csv", "summary.json", "methods.txt"},
        workspace.external_validation: {"summary.csv", "summary.md", "evaluations.csv"},
        workspace.new_predictions: {"_table.csv", "new_0.csv", "new_1.csv", "new_2.csv"},
    }
    for folder, names in present.items():
        missing = {name for name in names if not (folder / name).exists() or not (folder / name).stat().st_size}
        problems += [f"{folder.name}: {', '.join(sorted(missing))} is missing or empty"] if missing else []
    return problems


def damage(template: storage.Workspace, choice: random.Random) -> list[str]:
    """Damages the files that the steps read, one at a time.

    The step must succeed, or report an error that names the file.
    """
    failures = []
    for folder, readers in READERS.items():
        for file in damaged_files(template, folder):
            for kind, change in DAMAGES.items():
                workspace = copy(template)
                path = workspace.root / file
                before = path.read_bytes()
                path.write_bytes(change(before, choice))
                for name in readers:
                    fresh = copy(workspace)
                    status, output, _ = run(name, fresh)
                    handled = status == 0 or (status == 1 and "Traceback" not in output and path.name in output)
                    if not handled:
                        failures.append(printed(f"{name}, {file} {kind}: status {status}: {output[-400:]}"))
        print(f"{folder}: damaged", flush=True)
    return failures


def damaged_files(template: storage.Workspace, folder: str) -> list[pathlib.Path]:
    """Returns one file of each kind in a result, as paths relative to the workspace."""
    root = {"predictions": template.predictions, "evaluations.csv": template.evaluations}.get(
        folder, template.root / folder
    )
    files = (
        [root]
        if root.is_file()
        else sorted(path for path in root.rglob("*") if path.is_file() and "logs" not in path.parts)
    )
    if folder == "preloaded dataset":
        files = [path for path in files if "predictions" not in path.parts]
    kinds = {}
    for path in files:
        kinds.setdefault((path.parent, path.suffix) if path.suffix == ".npy" else path, path)
    unread = {"history.csv", "left out.csv"}  # No step reads these.
    return [path.relative_to(template.root) for path in kinds.values() if path.name not in unread]


def flipped(content: bytes, choice: random.Random) -> bytes:
    """Flips a bit in the first 64 bytes, where file formats have their signatures."""
    place = choice.randrange(min(64, len(content)))
    return content[:place] + bytes([content[place] ^ 1 << choice.randrange(8)]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda content, choice: b"",
    "truncated to half": lambda content, choice: content[: len(content) // 2],
    "one byte short": lambda content, choice: content[:-1],
    "flipped": flipped,
    "LFS pointer": lambda content, choice: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "semicolons": lambda content, choice: content.replace(b",", b";"),
    "byte order mark": lambda content, choice: b"\xef\xbb\xbf" + content,
    "random": lambda content, choice: choice.randbytes(200),
}


def copy(template: storage.Workspace) -> storage.Workspace:
    """Copies a workspace and replaces an earlier copy."""
    root = template.root.with_name(f"copy of {template.root.name}")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template.root, root, symlinks=True)
    return storage.Workspace(root)


def run(name: str, workspace: storage.Workspace, killed_at: int = 0) -> tuple[int, str, int]:
    """Runs a step in a forked process.

    Returns exit status (negative: the signal), output and number of file operations.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            _run_in_child(name, workspace, killed_at, output.fileno(), writer)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # Ends the workers of a killed step.
        with open(reader, "rb") as counted:
            count = counted.read()
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode(errors="replace"), int(count or 0)


def _run_in_child(name: str, workspace: storage.Workspace, killed_at: int, output: int, counted: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    command_line.install_error_handler()
    operations = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal operations
        writes = event in WRITES or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and str(workspace.root) in str(arguments[0]):
            operations += 1
            if operations == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    status = 0
    try:
        STEPS[name](workspace)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    os.write(counted, str(operations).encode())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
