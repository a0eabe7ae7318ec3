"""Other commits of the project for benchmarks that compare with them."""

import contextlib
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def worktree(folder, commit):
    """Checks out a commit in `folder`, which is removed at the end."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(folder), commit], cwd=ROOT, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=True)
