"""The search by itself, with trainings that take no time: what it decides, and that a kill at any moment loses and repeats nothing."""
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
import settings
import storage
from conftest import ROOT, configure
from keras_tuner.engine import trial as engine
from model_exploration import oracle, search, trials
from model_training import hyperparameters


class Killed(BaseException):
    """Passes through everything, as a kill does."""


class Trainings:
    """Stands for the trainings: the nearer the learning rate to 1e-3, the better, and a little by the seed. Notes what was begun and ended."""

    def __init__(self, seconds=60.0, failing=()):
        self.begun, self.ended, self.seconds, self.failing = [], [], seconds, failing

    def __call__(self, trial):
        self.begun.append(trial)
        if len(self.begun) - 1 in self.failing:
            raise search.TrialFailed("the loss is no finite number")
        self.ended.append(trial)
        return pd.DataFrame({"val_dice": [0.1, 1.0 / (1.0 + 100 * abs(trial.values.learning_rate - 1e-3)) - 0.001 * trial.repeat], "seconds": self.seconds / 2})


def run(workspace, train, reports=None, **own):
    configure(workspace, **{"EXPLORATION_MAX_TRIALS": 6, "EXPLORATION_EPOCHS": 9} | own)
    options = settings.load(workspace.root)
    workspace.model_tuning.mkdir(exist_ok=True)
    space = hyperparameters.search_space({"architecture": "unet", "filters": 2})
    return search.run(space, options, workspace.model_tuning, train, (reports if reports is not None else []).append)


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_each_tuner_ends_by_the_number_of_trials_and_finds_something(workspace, tuner):
    train, reports = Trainings(), []
    rows = run(workspace, train, reports, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=14)
    assert len(rows) == len(train.ended) == 14 and [len(report) for report in reports] == list(range(1, 15))
    assert all(row["status"] == "completed" and row["searched"]["filters"] == 2 for row in rows)
    assert {row["epochs"] for row in rows} == ({1, 3, 9} if tuner == "hyperband" else {9})
    # The score is the last epoch's.
    assert all(row["val_dice"] == pytest.approx(1.0 / (1.0 + 100 * abs(row["searched"]["learning_rate"] - 1e-3)), abs=1e-6) for row in rows)


def test_hyperband_trains_the_better_ones_longer(workspace):
    rows = pd.DataFrame(run(workspace, Trainings(), EXPLORATION_TUNER="hyperband", EXPLORATION_MAX_TRIALS=100))
    assert sorted(rows["epochs"].unique()) == [1, 3, 9]
    assert rows[rows["epochs"] == 3]["val_dice"].mean() > rows[rows["epochs"] == 1]["val_dice"].mean()


def test_bayesian_optimization_begins_before_the_trials_are_over(workspace):
    # By Keras Tuner's default all of so few trials would be drawn by lot.
    train = {tuner: Trainings() for tuner in ("random", "bayesian")}
    for tuner, trainings in train.items():
        run(storage.Workspace(workspace.root / tuner), trainings, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=12)
    values = {tuner: [trial.searched for trial in trainings.ended] for tuner, trainings in train.items()}
    assert values["random"][:4] == values["bayesian"][:4] and values["random"][4:] != values["bayesian"][4:]


def test_the_search_ends_by_hours_with_time_for_the_repeats(workspace, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(oracle.time, "monotonic", lambda: clock[0])

    def train(trial):
        clock[0] += 1800.0
        return trainings(trial)

    trainings = Trainings(seconds=1800.0)
    rows = run(workspace, train, EXPLORATION_MAX_TRIALS=None, EXPLORATION_TIME_LIMIT_HOURS=8, EXPLORATION_REPEATS=2)
    # Sixteen half hours: ten trials, and the three best twice more.
    assert (len(rows), len(trainings.ended), clock[0]) == (10, 16, 8 * 3600.0)
    assert len(run(workspace, train, EXPLORATION_MAX_TRIALS=None, EXPLORATION_TIME_LIMIT_HOURS=8, EXPLORATION_REPEATS=2)) == 10 and clock[0] == 8 * 3600.0


def test_the_three_best_are_trained_again_with_further_seeds(workspace):
    train = Trainings()
    rows = sorted(run(workspace, train, EXPLORATION_REPEATS=2), key=lambda row: -row["val_dice"])
    assert [len(row["repeats"]) for row in rows] == [2, 2, 2, 0, 0, 0] and len(train.ended) == 12
    for row in rows[:3]:
        assert row["repeats"] == pytest.approx([row["val_dice"] - 0.001, row["val_dice"] - 0.002], abs=1e-6)
    assert [trial.repeat for trial in train.ended] == [0] * 6 + [1] * 3 + [2] * 3 and len({trial.name for trial in train.ended}) == 12
    # More trials, asked for later: the former ones stay.
    assert len(run(workspace, train, EXPLORATION_REPEATS=2, EXPLORATION_MAX_TRIALS=8)) == 8 and len(train.ended) <= 20


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(workspace, capsys):
    rows = run(workspace, Trainings(failing=(1,)))
    assert [row["status"] for row in rows] == ["completed", "failed", "completed", "completed", "completed", "completed"]
    assert rows[1]["failure"] == "the loss is no finite number" and not rows[0]["failure"]
    assert "failed: the loss is no finite number" in capsys.readouterr().out


def test_an_error_of_any_kind_is_a_failed_trial_without_traceback(workspace, capsys):
    def train(trial):
        raise ValueError("shapes (2,) and (3,)\nand more")

    rows = run(workspace, train, EXPLORATION_MAX_TRIALS=30)
    # Where all fail, it is not the trials' fault.
    assert [row["failure"] for row in rows] == ["ValueError: shapes (2,) and (3,)"] * oracle.FAILURES_IN_A_ROW
    assert "Traceback" not in "".join(capsys.readouterr())


def test_what_the_user_must_mend_ends_the_search(workspace):
    def train(trial):
        raise storage.PlainError("Set ENCODER_WEIGHTS in config.py")

    with pytest.raises(storage.PlainError, match="Set ENCODER_WEIGHTS"):
        run(workspace, train)
    assert len(run(workspace, Trainings())) == 6


@pytest.mark.parametrize("half", [False, True])
def test_killed_at_each_write_it_goes_on_and_repeats_no_finished_trial(tmp_path, monkeypatch, half):
    """`half`: within the write, the draft half written; else right behind it."""
    write, count = storage.write_whole, [0]

    def killing(file, content):
        count[0] += 1
        if count[0] == at and half:
            file.with_name(f".{file.name}.draft").write_text(content[: len(content) // 2])
            raise Killed
        write(file, content)
        if count[0] == at:
            raise Killed

    at = 0
    while True:
        at, count[0] = at + 1, 0
        workspace, first, again = storage.Workspace(tmp_path / str(at)), Trainings(), Trainings()
        with monkeypatch.context() as patched:
            patched.setattr(storage, "write_whole", killing)
            try:
                run(workspace, first, EXPLORATION_MAX_TRIALS=3, EXPLORATION_REPEATS=1)
                break
            except Killed:
                pass
        known = [engine.Trial.load(str(file)) for file in workspace.model_tuning.glob("search/trial_*/trial.json")]
        finished = {trials.describe(trial, settings.load(workspace.root)).name for trial in known if trial.status == "COMPLETED"}
        rows = run(workspace, again, EXPLORATION_MAX_TRIALS=3, EXPLORATION_REPEATS=1)
        assert [row["status"] for row in rows] == ["completed"] * 3 and [len(row["repeats"]) for row in rows] == [1] * 3
        assert len(finished) + len(again.ended) == 6 and not finished & {trial.name for trial in again.begun}
    assert at > 20


KILLED = """
import os, pathlib, signal, sys, types
sys.path[:0] = [{src!r}, {tests!r}]
import storage, test_search
from conftest import configure

write, count = storage.write_whole, [0]

def killing(file, content):
    count[0] += 1
    if count[0] == 9:
        file.with_name(f".{{file.name}}.draft").write_text(content[:20])
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, content)

storage.write_whole = killing
test_search.run(storage.Workspace(pathlib.Path({root!r})), test_search.Trainings())
"""


def test_a_real_kill_while_a_trial_is_saved(workspace):
    script = KILLED.format(src=str(ROOT / "src"), tests=str(ROOT / "tests"), root=str(workspace.root))
    ended = subprocess.run([sys.executable, "-c", script], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    again = Trainings()
    assert len(run(workspace, again)) == 6 and 0 < len(again.begun) < 6
