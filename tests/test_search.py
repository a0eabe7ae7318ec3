"""The search by itself, with trainings that take no time: what it decides, and that a kill at any moment loses and repeats nothing."""

import math
import os
import signal
import subprocess
import sys
import types

import pandas as pd
import pytest
from keras_tuner.engine import trial as engine

import settings
import storage
from conftest import ROOT, configure
from model_exploration import oracle, search, search_space, trials
from settings import hyperparameters


class Killed(BaseException):
    """Passes through everything, as a kill does."""


class Trainings:
    """Stands for the trainings: the nearer the learning rate to 1e-3, the better, and a little by the seed. Notes what was begun and ended."""

    def __init__(self, seconds=60.0, failing=()):
        self.begun, self.ended, self.seconds, self.failing = [], [], seconds, failing

    def __call__(self, trial):
        self.begun.append(trial)
        if len(self.begun) - 1 in self.failing:
            raise search.TrialFailed("the loss is not finite")
        self.ended.append(trial)
        return pd.DataFrame(
            {
                "val_dice": [0.1, 1.0 / (1.0 + 100 * abs(trial.values.learning_rate - 1e-3)) - 0.001 * trial.repeat],
                "seconds": self.seconds / 2,
            }
        )


def run(workspace, train, reports=None, **own):
    configure(workspace, **{"EXPLORATION_MAX_TRIALS": 6, "EXPLORATION_EPOCHS": 9} | own)
    options = settings.load(workspace.root)
    workspace.model_tuning.mkdir(exist_ok=True)
    space = search_space.build({"architecture": "unet", "filters": 2})
    return search.run(space, options, workspace.model_tuning, train, (reports if reports is not None else []).append)


@pytest.mark.parametrize("tuner, count", [("random", 14), ("bayesian", 6), ("hyperband", 14)])
def test_each_tuner_ends_by_the_number_of_trials_and_finds_something(workspace, tuner, count):
    train, reports = Trainings(), []
    rows = run(workspace, train, reports, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=count)
    assert len(rows) == len(train.ended) == count
    assert [len(report) for report in reports] == list(range(1, count + 1))
    assert all(row["status"] == "completed" and row["searched"]["filters"] == 2 for row in rows)
    assert {row["epochs"] for row in rows} == ({1, 3, 9} if tuner == "hyperband" else {9})
    # The score is the last epoch's.
    assert all(
        row["val_dice"] == pytest.approx(1.0 / (1.0 + 100 * abs(row["searched"]["learning_rate"] - 1e-3)), abs=1e-6)
        for row in rows
    )


def test_hyperband_trains_the_better_ones_longer(workspace):
    rows = pd.DataFrame(run(workspace, Trainings(), EXPLORATION_TUNER="hyperband", EXPLORATION_MAX_TRIALS=100))
    assert sorted(rows["epochs"].unique()) == [1, 3, 9]
    assert rows[rows["epochs"] == 3]["val_dice"].mean() > rows[rows["epochs"] == 1]["val_dice"].mean()


def test_bayesian_optimization_begins_before_the_trials_are_over(workspace):
    # By Keras Tuner's default all of so few trials would be drawn at random.
    train = {tuner: Trainings() for tuner in ("random", "bayesian")}
    for tuner, trainings in train.items():
        run(storage.Workspace(workspace.root / tuner), trainings, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=5)
    values = {tuner: [trial.searched for trial in trainings.ended] for tuner, trainings in train.items()}
    assert values["random"][:4] == values["bayesian"][:4]
    assert values["random"][4:] != values["bayesian"][4:]


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
    assert (
        len(run(workspace, train, EXPLORATION_MAX_TRIALS=None, EXPLORATION_TIME_LIMIT_HOURS=8, EXPLORATION_REPEATS=2))
        == 10
    )
    assert clock[0] == 8 * 3600.0


@pytest.mark.parametrize("hours, trial_count, trained", [(5, 2, 5), (1.5, 1, 1), (0.1, 1, 1)])
def test_the_time_limit_holds_for_the_repeats_too(workspace, monkeypatch, capsys, hours, trial_count, trained):
    clock = [0.0]
    monkeypatch.setattr(oracle.time, "monotonic", lambda: clock[0])

    def train(trial):
        clock[0] += 3600.0
        return trainings(trial)

    trainings, own = Trainings(seconds=3600.0), {"EXPLORATION_MAX_TRIALS": None, "EXPLORATION_REPEATS": 3}
    rows = run(workspace, train, EXPLORATION_TIME_LIMIT_HOURS=hours, **own)
    assert (len(rows), len(trainings.ended)) == (trial_count, trained)
    assert f"{3 * trial_count - (trained - trial_count)} such trainings are missing" in capsys.readouterr().out
    # With more time it goes on.
    run(workspace, train, EXPLORATION_TIME_LIMIT_HOURS=hours + 3, **own)
    assert len(trainings.ended) > trained
    assert clock[0] <= 3600 * max(1, hours + 3)


def test_a_trial_whose_repeats_fail_stands_behind_those_whose_never_did(workspace, tmp_path):
    train = Trainings(failing=(6, 9))  # The best one's first repeat, and its second.
    rows = trials.ranked(run(workspace, train, EXPLORATION_REPEATS=2))
    assert [row["repeats_failed"] for row in rows] == [0] * 5 + [2]
    assert [len(row["repeats"]) for row in rows] == [
        2,
        2,
        0,
        0,
        0,
        0,
    ]
    assert rows[-1]["val_dice"] == max(row["val_dice"] for row in rows)


def test_each_trial_s_false_positives_are_kept_with_its_score(workspace):
    class Counting(Trainings):
        def __call__(self, trial):
            return super().__call__(trial).assign(val_false_positives=[9.0, len(self.ended)])

    for _ in range(2):  # Also after the search was reopened.
        rows = run(workspace, Counting(), EXPLORATION_MAX_TRIALS=3)
        assert [row["false_positives"] for row in rows] == [1, 2, 3]
    assert math.isnan(
        run(storage.Workspace(workspace.root / "other"), Trainings(), EXPLORATION_MAX_TRIALS=1)[0]["false_positives"]
    )


def test_the_weights_of_the_best_by_its_repeats_are_kept(workspace):
    folder = workspace.model_tuning / "trials"

    class Saving(Trainings):
        def __call__(self, trial):
            (folder / trial.name).mkdir(parents=True)
            (folder / trial.name / "weights.weights.h5").touch()
            history = super().__call__(trial)
            if trial.repeat and trial.repeat_of == first.name[:4]:
                history["val_dice"] = 0.01  # The best one was lucky.
            elif not trial.repeat and (not hasattr(first, "dice") or history["val_dice"].iloc[-1] > first.dice):
                first.name, first.dice = trial.name, history["val_dice"].iloc[-1]
            return history

    first = types.SimpleNamespace(name="none")
    rows = trials.ranked(run(workspace, Saving(), EXPLORATION_REPEATS=1, EXPLORATION_KEPT_MODELS=1))
    assert [path.parent.name for path in folder.rglob("*.h5")] == [rows[0]["trial"]]
    assert rows[0]["trial"] != first.name


def test_after_failures_in_a_row_were_mended_it_goes_on(workspace, capsys):
    broken = Trainings(failing=range(100))
    assert len(run(workspace, broken, EXPLORATION_MAX_TRIALS=20)) == oracle.FAILURES_IN_A_ROW
    assert "5 trials failed one after the other" in capsys.readouterr().out
    assert len(run(workspace, Trainings(), EXPLORATION_MAX_TRIALS=20)) == 20


def test_bayesian_optimization_repeats_no_trial(workspace):
    configure(workspace, EXPLORATION_MAX_TRIALS=30, EXPLORATION_TUNER="bayesian")
    workspace.model_tuning.mkdir()
    own = {
        name: getattr(hyperparameters.Hyperparameters(), name)
        for name in ("loss", "clip_hu", "rotation_degrees", "scale", "gamma", "gaussian_noise")
    }
    own |= {
        "architecture": "unet",
        "filters": [2, 3],
        "patch_px": [1, 2],
        "learning_rate": 1e-3,
        "horizontal_flip": [True, False],
        "augmentation_probability": 0.25,
    }
    rows = search.run(
        search_space.build(own),
        settings.load(workspace.root),
        workspace.model_tuning,
        Trainings(),
        lambda rows: None,
    )
    searched = [tuple(row["searched"].items()) for row in rows]
    assert len(set(searched)) == len(searched) == 8


def test_where_everything_is_fixed_there_is_one_trial(workspace):
    for tuner in ("random", "bayesian"):
        place = storage.Workspace(workspace.root / tuner)
        configure(place, EXPLORATION_MAX_TRIALS=6, EXPLORATION_TUNER=tuner)
        place.model_tuning.mkdir()
        fixed = search_space.build(vars(hyperparameters.Hyperparameters()))
        assert (
            len(search.run(fixed, settings.load(place.root), place.model_tuning, Trainings(), lambda rows: None)) == 1
        )


@pytest.mark.parametrize(
    "ending, told",
    [(MemoryError(), "MemoryError: no text"), (math.nan, "its Dice on the validation cases is no number")],
)
def test_every_failure_has_a_reason(workspace, ending, told):
    def train(trial):
        if isinstance(ending, Exception):
            raise ending
        return pd.DataFrame({"val_dice": [ending], "seconds": 1.0})

    assert run(workspace, train, EXPLORATION_MAX_TRIALS=1)[0]["failure"] == told


def test_half_of_the_environment_variables_are_told(monkeypatch):
    for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"):
        monkeypatch.delenv(f"KERASTUNER_{name}", raising=False)
    assert search.is_worker() is False
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "node1")
    with pytest.raises(
        storage.UserError, match="KERASTUNER_ORACLE_PORT and KERASTUNER_TUNER_ID is not set: see cluster/README.md"
    ):
        search.is_worker()


def test_the_three_best_are_trained_again_with_further_seeds(workspace):
    train = Trainings()
    rows = sorted(run(workspace, train, EXPLORATION_REPEATS=2), key=lambda row: -row["val_dice"])
    assert [len(row["repeats"]) for row in rows] == [2, 2, 2, 0, 0, 0]
    assert len(train.ended) == 12
    for row in rows[:3]:
        assert row["repeats"] == pytest.approx([row["val_dice"] - 0.001, row["val_dice"] - 0.002], abs=1e-6)
    assert [trial.repeat for trial in train.ended] == [0] * 6 + [1] * 3 + [2] * 3
    assert len({trial.name for trial in train.ended}) == 12
    # More trials, asked for later: the former ones stay.
    assert len(run(workspace, train, EXPLORATION_REPEATS=2, EXPLORATION_MAX_TRIALS=8)) == 8
    assert len(train.ended) <= 20


def test_on_several_machines_the_repeats_do_not_wait_for_each_other(workspace, monkeypatch):
    make, made, given = oracle.make, [], []
    monkeypatch.setattr(oracle, "make", lambda *arguments: made.append(make(*arguments)) or made[0])

    class Asking(Trainings):
        def __call__(self, trial):
            if trial.repeat and not given:
                given.append(made[0].create_trial("another machine"))
            return super().__call__(trial)

    # Hyperband alone has trials to wait for: those whose best go on.
    run(
        workspace,
        Asking(),
        EXPLORATION_TUNER="hyperband",
        EXPLORATION_MAX_TRIALS=None,
        EXPLORATION_TIME_LIMIT_HOURS=99,
        EXPLORATION_EPOCHS=3,
        EXPLORATION_REPEATS=1,
    )
    assert given[0].status == "RUNNING"
    assert trials.describe(given[0], made[0]._options).repeat == 1


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(workspace, capsys):
    rows = run(workspace, Trainings(failing=(1,)))
    assert [row["status"] for row in rows] == [
        "completed",
        "failed",
        "completed",
        "completed",
        "completed",
        "completed",
    ]
    assert rows[1]["failure"] == "the loss is not finite"
    assert not rows[0]["failure"]
    assert "failed: the loss is not finite" in capsys.readouterr().out


def test_an_error_of_any_kind_is_a_failed_trial_without_traceback(workspace, capsys):
    def train(trial):
        raise ValueError("shapes (2,) and (3,)\nand more")

    rows = run(workspace, train, EXPLORATION_MAX_TRIALS=30)
    # Where all fail, it is not the trials' fault.
    assert [row["failure"] for row in rows] == ["ValueError: shapes (2,) and (3,)"] * oracle.FAILURES_IN_A_ROW
    assert "Traceback" not in "".join(capsys.readouterr())


def test_what_the_user_must_mend_ends_the_search(workspace):
    def train(trial):
        raise storage.UserError("Set ENCODER_WEIGHTS in config.py")

    with pytest.raises(storage.UserError, match="Set ENCODER_WEIGHTS"):
        run(workspace, train)
    assert len(run(workspace, Trainings())) == 6


@pytest.mark.parametrize("half", [False, True])
def test_killed_at_each_write_it_goes_on_and_repeats_no_finished_trial(tmp_path, monkeypatch, half):
    """`half`: within the write, the draft half written; else right behind it."""
    write, count = storage.atomic_write, [0]

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
            patched.setattr(storage, "atomic_write", killing)
            try:
                run(workspace, first, EXPLORATION_MAX_TRIALS=2, EXPLORATION_REPEATS=1)
                break
            except Killed:
                pass
        known = [engine.Trial.load(str(file)) for file in workspace.model_tuning.glob("search/trial_*/trial.json")]
        finished = {
            trials.describe(trial, settings.load(workspace.root)).name for trial in known if trial.status == "COMPLETED"
        }
        rows = run(workspace, again, EXPLORATION_MAX_TRIALS=2, EXPLORATION_REPEATS=1)
        assert [row["status"] for row in rows] == ["completed"] * 2
        assert [len(row["repeats"]) for row in rows] == [1] * 2
        assert len(finished) + len(again.ended) == 4
        assert not finished & {trial.name for trial in again.begun}
    assert at > 20


KILLED = """
import os, pathlib, signal, sys, types
sys.path[:0] = [{src!r}, {tests!r}]
import storage, test_search
from conftest import configure

write, count = storage.atomic_write, [0]

def killing(file, content):
    count[0] += 1
    if count[0] == 9:
        file.with_name(f".{{file.name}}.draft").write_text(content[:20])
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, content)

storage.atomic_write = killing
test_search.run(storage.Workspace(pathlib.Path({root!r})), test_search.Trainings())
"""


def test_a_real_kill_while_a_trial_is_saved(workspace):
    script = KILLED.format(src=str(ROOT / "src"), tests=str(ROOT / "tests"), root=str(workspace.root))
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    again = Trainings()
    assert len(run(workspace, again)) == 6
    assert 0 < len(again.begun) < 6
