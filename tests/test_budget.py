"""Training budgets in epochs and minutes, and the learning-rate schedule over them, also of resumed trainings."""

import types

import pytest

from model_training import budget
from model_training.budget import Budget, CosineSchedule, cosine_factor, peak_rate


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: `clock.now`, in seconds."""
    simulated = types.SimpleNamespace(now=1000.0)
    monkeypatch.setattr(budget.time, "monotonic", lambda: simulated.now)
    return simulated


def run(spent, clock, steps, seconds_each=1.0):
    for _ in range(steps):
        clock.now += seconds_each
        spent.step()


def test_a_budget_in_epochs_is_spent_by_steps(clock):
    spent = Budget(steps_per_epoch=5, epochs=4)
    run(spent, clock, 10)
    assert spent.fraction_done == 0.5
    run(spent, clock, 10)
    assert spent.fraction_done == 1.0


def test_a_budget_in_minutes_is_spent_by_the_clock(clock):
    spent = Budget(5, None, minutes=1)
    run(spent, clock, 3, seconds_each=10)
    assert spent.fraction_done == 0.5
    run(spent, clock, 3, seconds_each=11)
    assert spent.fraction_done == 1.0


def test_of_two_limits_the_first_to_be_reached_counts(clock):
    spent = Budget(10, 2, minutes=100)
    run(spent, clock, 10)
    assert spent.fraction_done == 0.5
    spent = Budget(10, 200, minutes=1)
    run(spent, clock, 30)
    assert spent.fraction_done == 0.5


def test_earlier_runs_of_a_resumed_training_count(clock):
    assert Budget(5, 4, epochs_done=3).fraction_done == 0.75
    assert Budget(5, None, minutes=2, epochs_done=3, seconds_spent=90).fraction_done == 0.75


def test_seconds_per_step_are_the_median_without_the_first_step(clock):
    spent = Budget(5, 4)
    run(spent, clock, 1, seconds_each=60)
    assert spent.seconds_per_step is None
    for seconds in (1, 2, 9):
        run(spent, clock, 1, seconds)
    assert spent.seconds_per_step == 2


def test_the_eta_is_a_local_time(clock, monkeypatch):
    class Now(budget.datetime.datetime):
        @classmethod
        def now(cls):
            return cls(2024, 5, 1, 22, 30)

    monkeypatch.setattr(budget.datetime, "datetime", Now)
    spent = Budget(10, 12)
    assert spent.eta == ""
    run(spent, clock, 20, seconds_each=60)
    assert spent.eta == "2024-05-02 00:10"
    assert Budget(10, None, minutes=30).eta == "23:00"


def test_the_learning_rate_has_a_warm_up_and_decays_to_0():
    rates = [cosine_factor(number / 1000) for number in range(1001)]
    peak = rates.index(max(rates))
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)
    assert 0 < rates[0] <= 0.1
    assert 0.99 < max(rates) <= 1
    assert 0.03 <= peak / 1000 <= 0.06
    assert rates[500] == pytest.approx(0.5)
    assert rates[1000] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("batch_size, expected", [(2, 1e-3), (8, 2e-3), (1, 5e-4)])
def test_the_peak_rate_scales_with_the_batch_size(batch_size, expected):
    assert peak_rate(1e-3, batch_size) == pytest.approx(expected)


def test_the_schedule_sets_the_rate_of_each_step_and_stops_within_an_epoch(clock):
    spent = Budget(100, None, minutes=1)
    schedule = CosineSchedule(spent, peak_rate=2e-3)
    schedule.model = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=None), stop_training=False)
    steps = 0
    while not schedule.model.stop_training:
        schedule.on_train_batch_begin(steps)
        assert schedule.model.optimizer.learning_rate == pytest.approx(2e-3 * cosine_factor(steps / 6))
        clock.now += 10
        schedule.on_train_batch_end(steps)
        steps += 1
    assert steps == 6
