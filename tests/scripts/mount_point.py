"""Tasks of test_storage.py in a folder that is a mount point: mount_point.py TASK FOLDER."""

import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "src"))

import storage


def replace(target, error=None):
    """Replaces the result, or fails with `error`. Prints the error and the files of the result."""
    try:
        with storage.atomic_folder(target) as draft:
            (draft / "folder").mkdir()
            (draft / "folder" / "new.txt").write_text("new")
            if error is not None:
                raise error
    except (RuntimeError, OSError) as caught:
        print("failed:", caught)
    storage.require(target, "train_final_model")
    print(sorted(str(path.relative_to(target)) for path in target.rglob("*")))


def refill(target, names):
    """Empties the folder and writes the files of a previous result."""
    for path in list(target.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in names:
        (target / name).write_text("former")


def exit_at_rename(number, fails_when_placing=False):
    """Ends this process at its rename of this number. Optionally renames to `.placing` fail."""
    renames = []

    def audit(event, arguments):
        renames.extend([event] * (event == "os.rename"))
        if len(renames) == number:
            os._exit(9)
        if fails_when_placing and event == "os.rename" and ".placing" in str(arguments[1]):
            raise OSError(5, "Input/output error")

    sys.addaudithook(audit)


def replace_twice(target):
    """Replaces a previous result two times."""
    (target / "former.txt").write_text("former")
    replace(target)
    replace(target)


def fail(target):
    """Fails while it writes a result."""
    (target / "former.txt").write_text("former")
    replace(target, RuntimeError("half way"))


def crash_at_each_rename(target):
    """Prints the results that are left by crashes at each rename."""
    results = set()
    for number in range(1, 12):
        refill(target, ("a.txt", "b.txt"))
        if not os.fork():
            exit_at_rename(number)
            with storage.atomic_folder(target) as draft:
                for name in "bc":
                    (draft / f"{name}.txt").write_text("new")
            os._exit(0)
        os.wait()
        storage.require(target, "train_final_model")
        left = {path.name: path.read_text() for path in target.iterdir() if path.name not in (".lock", ".draft")}
        complete = {"former": {"a.txt": "former", "b.txt": "former"}, "new": {"b.txt": "new", "c.txt": "new"}}
        results.add(next((name for name, files in complete.items() if files == left), str(left)))
    print(sorted(results))


def replace_after_kill(target):
    """Replaces a result after a process that was killed while it deleted the previous result."""
    replace(target)
    old = target / ".former" / "folder"
    old.mkdir(parents=True)
    (old / "old.txt").write_text("old")
    replace(target)


def crash_while_undoing(target):
    """Prints the results that are left by crashes at each rename of an exchange that fails and is undone."""
    results = set()
    for number in range(1, 9):
        refill(target, ("a.txt", "b.txt", "c.txt"))
        if not os.fork():
            exit_at_rename(number, fails_when_placing=True)
            try:
                with storage.atomic_folder(target) as draft:
                    (draft / "b.txt").write_text("new")
            except OSError:
                pass
            os._exit(0)
        os.wait()
        with storage.atomic_folder(target):
            left = {path.name: path.read_text() for path in target.iterdir() if path.is_file() and path.name != ".lock"}
            complete = {"former": dict.fromkeys(("a.txt", "b.txt", "c.txt"), "former"), "new": {"b.txt": "new"}}
            results.add(next((name for name, files in complete.items() if files == left), str(left)))
    print(sorted(results))


def move_and_remove(target):
    """Moves the content of the folder, then removes it."""
    moved = target.with_name("moved")
    (target / "a.txt").write_text("a")
    storage.move(target, moved)
    print([path.name for path in moved.iterdir()], list(target.iterdir()))
    (target / "b.txt").write_text("b")
    storage.remove(target)
    storage.remove(moved)
    storage.remove(target.with_name("never there"))
    print(list(target.iterdir()), moved.exists())


def remove_while_locked(target):
    """Removes the content of the locked folder and prints whether only lock and lost+found are left."""
    (target / "lost+found").mkdir()
    (target / "folder").mkdir()
    (target / "link").symlink_to(target / "folder")
    with storage.locked(target):
        before = {path.name for path in target.iterdir()} - {"folder", "link"}
        storage.remove(target)
        print({path.name for path in target.iterdir()} == before, storage.content(target))


TASKS = (
    replace_twice,
    fail,
    crash_at_each_rename,
    replace_after_kill,
    crash_while_undoing,
    move_and_remove,
    remove_while_locked,
)

if __name__ == "__main__":
    {task.__name__: task for task in TASKS}[sys.argv[1]](pathlib.Path(sys.argv[2]))
