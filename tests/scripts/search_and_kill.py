"""The search of test_search.py, killed by SIGKILL while it saves a trial: search_and_kill.py WORKSPACE."""

import os
import pathlib
import signal
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "src"), str(TESTS)]

import storage
import test_search

write = storage.atomic_write
writes = []


def killing(file, content):
    """Writes half a draft and kills the process, the ninth time."""
    writes.append(file)
    if len(writes) == 9:
        file.with_name(f".{file.name}.draft").write_text(content[:20])
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, content)


storage.atomic_write = killing
test_search.run(storage.Workspace(pathlib.Path(sys.argv[1])), test_search.Trainings())
