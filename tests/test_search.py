"""The search with simulated trainings: its decisions, and that no finished trial is lost or repeated after a kill."""

import dataclasses
import math
import os
import signal
import subprocess
import types

import pandas as pd
import pytest
from keras_tuner.engine import trial as engine

import settings
import storage
from conftest import configure, script_command
from model_exploration import default_trial, oracle, repeats, search, search_space, trainer, trials
from model_training import budget
from settings import hyperparameters


class Killed(BaseException):
    """Simulates a kill: `except Exception` does not catch it."""


class Trainings:
    """Replaces the trainings, and records the trials that were started and those that ended.

    The score falls with the distance of the learning rate from 1e-3, and slightly with each repeat.
    """

    def __init__(self, seconds=60.0, failing=()):
        self.started, self.ended, self.seconds, self.failing = [], [], seconds, failing

    def __call__(self, trial):
        self.started.append(trial)
        if len(self.started) - 1 in self.failing:
            raise trainer.TrialFailed("the loss is NaN or infinite")
        self.ended.append(trial)
        return pd.DataFrame(
            {
                "val_dice": [0.1, 1.0 / (1.0 + 100 * abs(trial.values.learning_rate - 1e-3)) - 0.001 * trial.repeat],
                "seconds": self.seconds / 2,
            }
        )


def run(workspace, train, reports=None, **settings_changes):
    configure(workspace, **{"EXPLORATION_MAX_TRIALS": 6, "EXPLORATION_EPOCHS": 9} | settings_changes)
    options = settings.load(workspace.root)
    workspace.model_tuning.mkdir(exist_ok=True)
    space = search_space.build({"architecture": "unet", "filters": 2})
    return search.run(space, options, workspace.model_tuning, train, (reports if reports is not None else []).append)


@pytest.mark.parametrize("tuner, count", [("random", 14), ("bayesian", 6), ("hyperband", 14)])
def test_each_tuner_stops_after_the_number_of_trials(workspace, tuner, count):
    train, reports = Trainings(), []
    rows = run(workspace, train, reports, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=count)
    assert len(rows) == len(train.ended) == count
    assert [len(report) for report in reports] == list(range(1, count + 1))
    assert all(row.status == "completed" and row.trial.searched["filters"] == 2 for row in rows)
    assert {row.trial.epochs for row in rows} == ({1, 3, 9} if tuner == "hyperband" else {9})
    # The score is that of the last epoch.
    assert all(
        row.outcome.dice == pytest.approx(1.0 / (1.0 + 100 * abs(row.trial.searched["learning_rate"] - 1e-3)), abs=1e-6)
        for row in rows
    )


def test_hyperband_trains_better_trials_for_more_epochs(workspace):
    trained = run(workspace, Trainings(), EXPLORATION_TUNER="hyperband", EXPLORATION_MAX_TRIALS=100)
    rows = pd.DataFrame(
        {"epochs": row.trial.epochs, "val_dice": row.outcome.dice} for row in trained if not row.is_default
    )
    assert sorted(rows["epochs"].unique()) == [1, 3, 9]
    assert rows[rows["epochs"] == 3]["val_dice"].mean() > rows[rows["epochs"] == 1]["val_dice"].mean()


def test_bayesian_optimization_starts_after_few_random_trials(workspace):
    # With Keras Tuner's default all of so few trials would be random.
    train = {tuner: Trainings() for tuner in ("random", "bayesian")}
    for tuner, trainings in train.items():
        run(storage.Workspace(workspace.root / tuner), trainings, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=5)
    values = {tuner: [trial.searched for trial in trainings.ended] for tuner, trainings in train.items()}
    assert values["random"][:4] == values["bayesian"][:4]
    assert values["random"][4:] != values["bayesian"][4:]


def test_the_time_limit_reserves_time_for_the_repeats(workspace, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(oracle.time, "monotonic", lambda: clock[0])

    def train(trial):
        clock[0] += 1800.0
        return trainings(trial)

    trainings = Trainings(seconds=1800.0)
    rows = run(workspace, train, EXPLORATION_MAX_TRIALS=None, EXPLORATION_TIME_LIMIT_HOURS=8, EXPLORATION_REPEATS=2)
    # Sixteen half hours: ten trials, and two repeats of the three best.
    assert (len(rows), len(trainings.ended), clock[0]) == (10, 16, 8 * 3600.0)
    assert (
        len(run(workspace, train, EXPLORATION_MAX_TRIALS=None, EXPLORATION_TIME_LIMIT_HOURS=8, EXPLORATION_REPEATS=2))
        == 10
    )
    assert clock[0] == 8 * 3600.0


@pytest.mark.parametrize("hours, trial_count, trained", [(5, 2, 5), (1.5, 1, 1), (0.1, 1, 1)])
def test_the_time_limit_applies_to_the_repeats(workspace, monkeypatch, capsys, hours, trial_count, trained):
    clock = [0.0]
    monkeypatch.setattr(oracle.time, "monotonic", lambda: clock[0])

    def train(trial):
        clock[0] += 3600.0
        return trainings(trial)

    trainings, limits = Trainings(seconds=3600.0), {"EXPLORATION_MAX_TRIALS": None, "EXPLORATION_REPEATS": 3}
    rows = run(workspace, train, EXPLORATION_TIME_LIMIT_HOURS=hours, **limits)
    assert (len(rows), len(trainings.ended)) == (trial_count, trained)
    assert (
        f"{3 * trial_count - (trained - trial_count)} are missing. Raise EXPLORATION_TIME_LIMIT_HOURS"
        in capsys.readouterr().out
    )
    # With a higher limit it resumes.
    run(workspace, train, EXPLORATION_TIME_LIMIT_HOURS=hours + 3, **limits)
    assert len(trainings.ended) > trained
    assert clock[0] <= 3600 * max(1, hours + 3)


def test_a_trial_with_failed_repeats_ranks_below_trials_without(workspace, tmp_path):
    train = Trainings(failing=(6, 9))  # Both repeats of the best trial.
    rows = trials.ranked(run(workspace, train, EXPLORATION_REPEATS=2))
    assert [row.failed_repeats for row in rows] == [0] * 5 + [2]
    assert [len(row.repeat_dices) for row in rows] == [
        2,
        2,
        0,
        0,
        0,
        0,
    ]
    assert rows[-1].outcome.dice == max(row.outcome.dice for row in rows)


def test_rows_have_the_false_positives_of_each_trial(workspace):
    class Counting(Trainings):
        def __call__(self, trial):
            return super().__call__(trial).assign(val_false_positives=[9.0, len(self.ended)])

    for _ in range(2):  # The second run reads them from disk.
        rows = run(workspace, Counting(), EXPLORATION_MAX_TRIALS=3)
        assert [row.outcome.false_positives for row in rows] == [1, 2, 3]
    assert math.isnan(
        run(storage.Workspace(workspace.root / "other"), Trainings(), EXPLORATION_MAX_TRIALS=1)[
            0
        ].outcome.false_positives
    )


def test_the_best_trial_by_its_repeats_keeps_its_weights(workspace):
    folder = workspace.model_tuning / "trials"

    class Saving(Trainings):
        def __call__(self, trial):
            (folder / trial.name).mkdir(parents=True)
            (folder / trial.name / "weights.weights.h5").touch()
            history = super().__call__(trial)
            if trial.repeat and trial.id == first.name[:4]:
                history["val_dice"] = 0.01  # The first score of the best trial was an outlier.
            elif not trial.repeat and (not hasattr(first, "dice") or history["val_dice"].iloc[-1] > first.dice):
                first.name, first.dice = trial.name, history["val_dice"].iloc[-1]
            return history

    first = types.SimpleNamespace(name="none")
    rows = trials.ranked(run(workspace, Saving(), EXPLORATION_REPEATS=1, EXPLORATION_KEPT_MODELS=1))
    assert [path.parent.name for path in folder.rglob("*.h5")] == [rows[0].trial.name]
    assert rows[0].trial.name != first.name


def test_the_search_resumes_after_the_cause_of_consecutive_failures_is_fixed(workspace, capsys):
    broken = Trainings(failing=range(100))
    assert len(run(workspace, broken, EXPLORATION_MAX_TRIALS=20)) == oracle.MAX_CONSECUTIVE_FAILURES
    assert "Stopped after 5 consecutive failures" in capsys.readouterr().out
    assert len(run(workspace, Trainings(), EXPLORATION_MAX_TRIALS=20)) == 20


def test_bayesian_optimization_repeats_no_trial(workspace):
    configure(workspace, EXPLORATION_MAX_TRIALS=30, EXPLORATION_TUNER="bayesian")
    workspace.model_tuning.mkdir()
    space = {
        name: getattr(hyperparameters.Hyperparameters(), name)
        for name in ("loss", "clip_hu", "rotation_degrees", "max_log_scale", "gamma", "noise_sd")
    }
    space |= {
        "architecture": "unet",
        "filters": [2, 3],
        "stem_patch_px": [1, 2],
        "learning_rate": 1e-3,
        "horizontal_flip": [True, False],
        "augmentation_probability": 0.25,
    }
    rows = search.run(
        search_space.build(space),
        settings.load(workspace.root),
        workspace.model_tuning,
        Trainings(),
        lambda rows: None,
    )
    searched = [tuple(row.trial.searched.items()) for row in rows]
    assert len(set(searched)) == len(searched) == 8


def test_a_space_without_choices_has_one_trial(workspace):
    for tuner in ("random", "bayesian"):
        place = storage.Workspace(workspace.root / tuner)
        configure(place, EXPLORATION_MAX_TRIALS=6, EXPLORATION_TUNER=tuner)
        place.model_tuning.mkdir()
        fixed = search_space.build(vars(hyperparameters.Hyperparameters()))
        assert (
            len(search.run(fixed, settings.load(place.root), place.model_tuning, Trainings(), lambda rows: None)) == 1
        )


@pytest.mark.parametrize(
    "ending, reason",
    [(MemoryError(), "MemoryError: no text"), (math.nan, "the Dice on the validation cases is NaN or infinite")],
)
def test_every_failure_has_a_reason(workspace, ending, reason):
    def train(trial):
        if isinstance(ending, Exception):
            raise ending
        return pd.DataFrame({"val_dice": [ending], "seconds": 1.0})

    assert run(workspace, train, EXPLORATION_MAX_TRIALS=1)[0].outcome.failure == reason


def test_an_incomplete_set_of_environment_variables_is_refused(monkeypatch):
    for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"):
        monkeypatch.delenv(f"KERASTUNER_{name}", raising=False)
    assert search.is_worker() is False
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "node1")
    with pytest.raises(
        storage.UserError, match="Set KERASTUNER_ORACLE_PORT and KERASTUNER_TUNER_ID: see cluster/README.md"
    ):
        search.is_worker()


def test_the_three_best_trials_are_repeated_with_other_seeds(workspace):
    train = Trainings()
    rows = sorted(run(workspace, train, EXPLORATION_REPEATS=2), key=lambda row: -row.outcome.dice)
    assert [len(row.repeat_dices) for row in rows] == [2, 2, 2, 0, 0, 0]
    assert len(train.ended) == 12
    for row in rows[:3]:
        assert row.repeat_dices == pytest.approx([row.outcome.dice - 0.001, row.outcome.dice - 0.002], abs=1e-6)
    assert [trial.repeat for trial in train.ended] == [0] * 6 + [1] * 3 + [2] * 3
    assert len({trial.name for trial in train.ended}) == 12
    # More trials in a later run: the earlier ones are kept.
    assert len(run(workspace, train, EXPLORATION_REPEATS=2, EXPLORATION_MAX_TRIALS=8)) == 8
    assert len(train.ended) <= 20


def first_values(space):
    return default_trial.values(search_space.build(space), hyperparameters.Hyperparameters())


def test_the_default_hyperparameters_are_trial_0(workspace):
    for tuner in ("random", "bayesian", "hyperband"):
        train = Trainings()
        run(storage.Workspace(workspace.root / tuner), train, EXPLORATION_TUNER=tuner, EXPLORATION_MAX_TRIALS=2)
        assert train.ended[0].values == hyperparameters.Hyperparameters(filters=2)
        assert train.ended[0].epochs == 9
        assert train.ended[1].values != train.ended[0].values


@pytest.mark.parametrize(
    "name, allowed, nearest",
    [
        ("learning_rate", (2e-3, 3e-3), 2e-3),
        ("learning_rate", (1e-5, 5e-4), 5e-4),
        ("rotation_degrees", (0.0, 5.0), 5.0),
        ("filters", [8, 48], 48),
        ("filters", 64, 64),
        ("loss", ["weighted_binary_crossentropy", "binary_crossentropy"], "weighted_binary_crossentropy"),
        ("horizontal_flip", False, False),
        ("clip_hu", [(0, 100), None], "0..100"),
    ],
)
def test_trial_0_has_the_nearest_allowed_value(name, allowed, nearest):
    assert first_values({name: allowed})[name] == nearest


def test_trial_0_respects_the_step_of_a_range():
    assert first_values({"augmentation_probability": (0.5, 1.0)})["augmentation_probability"] == pytest.approx(0.5)
    assert first_values({"max_log_scale": (0.0, 0.1)})["max_log_scale"] == pytest.approx(0.1)


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_rates_have_three_significant_digits(workspace, tuner):
    for row in run(workspace, Trainings(), EXPLORATION_TUNER=tuner):
        rate = row.trial.values.learning_rate
        assert rate == float(f"{rate:.3g}")


def test_trial_numbers_are_consecutive_after_an_extension(workspace):
    run(workspace, Trainings(), EXPLORATION_REPEATS=1, EXPLORATION_MAX_TRIALS=3)
    rows = run(workspace, Trainings(), EXPLORATION_REPEATS=1, EXPLORATION_MAX_TRIALS=5)
    assert [row.trial.id for row in rows] == ["0000", "0001", "0002", "0003", "0004"]


def test_each_trial_prints_its_number_and_the_end_of_the_search(workspace, monkeypatch, capsys):
    seconds = []
    monkeypatch.setattr(budget, "clock_time", lambda left: seconds.append(left) or "15:20")
    run(workspace, Trainings(seconds=600.0), EXPLORATION_MAX_TRIALS=3, EXPLORATION_REPEATS=2)
    output = capsys.readouterr().out
    lines = [line.split(":")[0] for line in output.splitlines() if line.startswith("Trial ")]
    assert lines[0] == "Trial 1 of 3 (0000 unet 1e-3)"
    assert lines[1].startswith("Trial 2 of 3 (0001 unet ")
    assert lines[1].endswith(", search ends about 15")
    assert "Repeats of the best trials: 6 left, search ends about 15:20" in output
    # Before the second trial two trials and six repeats are left.
    assert seconds == [count * 600.0 for count in (8, 7, 6, 5, 4, 3, 2, 1)]


def test_a_time_limit_bounds_the_printed_end(workspace, monkeypatch):
    seconds = []
    monkeypatch.setattr(budget, "clock_time", lambda left: seconds.append(left) or "15:20")
    run(workspace, Trainings(seconds=600.0), EXPLORATION_MAX_TRIALS=9, EXPLORATION_TIME_LIMIT_HOURS=1)
    assert seconds[0] == pytest.approx(3600, abs=60)


def planned_repeats(workspace, monkeypatch):
    """The options and folder of a finished search whose chief has planned two repeats of one trial."""
    row = run(workspace, Trainings(), EXPLORATION_MAX_TRIALS=1)[0]
    options, folder = settings.load(workspace.root), workspace.model_tuning / "repeats"
    planned = [trial for trial, _ in repeats.missing([row], 2)]
    monkeypatch.setattr(repeats.time, "sleep", lambda seconds: 1 / 0)  # The chief waits, because no worker trains yet.
    with pytest.raises(ZeroDivisionError):
        repeats.delegate(folder, options, planned)
    return options, folder


def test_workers_share_the_repeats(workspace, monkeypatch):
    options, folder = planned_repeats(workspace, monkeypatch)
    first, second = Trainings(), Trainings()

    def train(trial):
        repeats.work(folder, options, "tuner1", second)  # While the first worker trains its repeat.
        return first(trial)

    repeats.work(folder, options, "tuner0", train)
    assert [trial.repeat for trial in first.ended] == [1]
    assert [trial.repeat for trial in second.ended] == [2]
    assert repeats.read(folder)["0000"].keys() == {1, 2}


def test_a_killed_worker_resumes_its_repeat(workspace, monkeypatch):
    options, folder = planned_repeats(workspace, monkeypatch)

    def killed(trial):
        raise Killed

    with pytest.raises(Killed):
        repeats.work(folder, options, "tuner0", killed)
    other, again = Trainings(), Trainings()
    repeats.work(folder, options, "tuner1", other)
    repeats.work(folder, options, "tuner0", again)
    assert [trial.repeat for trial in other.ended] == [2]
    assert [trial.repeat for trial in again.ended] == [1]


def test_a_plan_of_other_limits_is_out_of_date(workspace, monkeypatch):
    options, folder = planned_repeats(workspace, monkeypatch)
    assert len(repeats.read_plan(folder, options)) == 2
    other = dataclasses.replace(options, EXPLORATION_MAX_TRIALS=options.EXPLORATION_MAX_TRIALS + 1)
    assert repeats.read_plan(folder, other) is None


def test_repeats_train_the_values_of_their_trial(workspace, monkeypatch):
    options, folder = planned_repeats(workspace, monkeypatch)
    (first, second) = repeats.read_plan(folder, options)
    assert first.values == second.values == hyperparameters.Hyperparameters(architecture="unet", filters=2)


def test_a_failed_trial_is_recorded_and_the_search_continues(workspace, capsys):
    rows = run(workspace, Trainings(failing=(1,)))
    assert [row.status for row in rows] == [
        "completed",
        "failed",
        "completed",
        "completed",
        "completed",
        "completed",
    ]
    assert rows[1].outcome.failure == "the loss is NaN or infinite"
    assert not rows[0].outcome.failure
    assert "failed: the loss is NaN or infinite" in capsys.readouterr().out


def test_any_exception_is_a_failed_trial_without_traceback(workspace, capsys):
    def train(trial):
        raise ValueError("shapes (2,) and (3,)\nand more")

    rows = run(workspace, train, EXPLORATION_MAX_TRIALS=30)
    # If all fail, the cause is not in the single trial.
    assert [row.outcome.failure for row in rows] == [
        "ValueError: shapes (2,) and (3,)"
    ] * oracle.MAX_CONSECUTIVE_FAILURES
    assert "Traceback" not in "".join(capsys.readouterr())


def test_an_error_that_the_user_must_fix_ends_the_search(workspace):
    def train(trial):
        raise storage.UserError("Set ENCODER_WEIGHTS in config.py")

    with pytest.raises(storage.UserError, match="Set ENCODER_WEIGHTS"):
        run(workspace, train)
    assert len(run(workspace, Trainings())) == 6


@pytest.mark.parametrize("half", [False, True])
def test_a_search_killed_at_any_write_resumes_without_repeating_finished_trials(tmp_path, monkeypatch, half):
    """`half`: the kill is during the write, when the draft is half written. Otherwise it is right after it."""
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
        saved = [engine.Trial.load(str(file)) for file in workspace.model_tuning.glob("search/trial_*/trial.json")]
        finished = {f.stem for f in (workspace.model_tuning / "repeats").glob("* repeat *.json")}
        finished |= {
            trials.describe(trial, settings.load(workspace.root)).name for trial in saved if trial.status == "COMPLETED"
        }
        rows = run(workspace, again, EXPLORATION_MAX_TRIALS=2, EXPLORATION_REPEATS=1)
        assert [row.status for row in rows] == ["completed"] * 2
        assert [len(row.repeat_dices) for row in rows] == [1] * 2
        assert len(finished) + len(again.ended) == 4
        assert not finished & {trial.name for trial in again.started}
    assert at > 16


def test_a_search_killed_by_sigkill_while_saving_a_trial_resumes(workspace):
    completed = subprocess.run(
        script_command("search_and_kill", workspace.root),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        check=False,
    )
    assert completed.returncode == -signal.SIGKILL, completed.stderr.decode()
    again = Trainings()
    assert len(run(workspace, again)) == 6
    assert 0 < len(again.started) < 6
