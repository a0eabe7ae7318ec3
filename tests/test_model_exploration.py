"""Step 2: what lies in `model tuning` afterwards, that it goes on after a stop, and what it may not look at."""
import ast
import json
import shutil

import keras_tuner
import model_exploration
import numpy as np
import pandas as pd
import pytest
import storage
from conftest import configure, files
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_exploration import explore_hyperparameters
from model_training import hyperparameters
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import keras


@pytest.fixture(autouse=True)
def small_space(monkeypatch):
    """Networks of two filters, so that a trial takes seconds."""

    def declare(search):
        rate = search.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        return hyperparameters.Hyperparameters(filters=2, horizontal_flip=search.Boolean("horizontal_flip"), learning_rate=rate)

    monkeypatch.setattr(hyperparameters, "declare", declare)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace whose test set is gone: the search must not miss it."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("exploration"))
    configure(workspace)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64)
    create_preloaded_dataset(workspace)
    shutil.rmtree(workspace.test_set)
    return workspace


@pytest.fixture
def fresh(prepared):
    shutil.rmtree(prepared.model_tuning, ignore_errors=True)
    configure(prepared)
    return prepared


def test_a_search_leaves_a_sorted_table_logs_and_lines_to_paste(fresh, capsys):
    explore_hyperparameters(fresh)
    trials = pd.read_csv(fresh.model_tuning / "trials.csv")
    assert len(trials) == 2 and trials["val_dice"].is_monotonic_decreasing and trials["learning_rate"].nunique() == 2
    best = json.loads((fresh.model_tuning / "best hyperparameters.json").read_text())
    assert best["learning_rate"] == pytest.approx(trials["learning_rate"][0])
    # The printed line is Python, and names the best trial's values.
    line = capsys.readouterr().out.strip().splitlines()[-1]
    pasted = hyperparameters.from_settings(ast.literal_eval(line.removeprefix("HYPERPARAMETERS = ")))
    assert pasted.learning_rate == best["learning_rate"] and pasted.filters == 2
    for trial in ("0", "1"):
        for part in ("train", "validation"):
            events = EventAccumulator(str(fresh.model_tuning / "logs" / trial / "execution0" / part)).Reload()
            assert "epoch_dice" in events.Tags()["tensors"]
    hparams = EventAccumulator(str(fresh.model_tuning / "logs" / "0" / "execution0")).Reload()
    assert "_hparams_/session_start_info" in hparams.Tags()["tensors"] or hparams.summary_metadata


def test_a_stopped_search_goes_on_and_repeats_no_finished_trial(fresh, monkeypatch):
    fit, trained = model_exploration._Trials.fit, []

    def stopping(self, search, model, **keywords):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(search.get("learning_rate"))
        return fit(self, search, model, **keywords)

    with monkeypatch.context() as first:
        first.setattr(model_exploration._Trials, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            explore_hyperparameters(fresh)
    again = []
    monkeypatch.setattr(model_exploration._Trials, "fit", lambda self, search, model, **keywords: again.append(search.get("learning_rate")) or fit(self, search, model, **keywords))
    explore_hyperparameters(fresh)
    assert len(trained) == len(again) == 1 and trained != again
    assert sorted(pd.read_csv(fresh.model_tuning / "trials.csv")["learning_rate"]) == pytest.approx(sorted(trained + again))


def test_a_search_of_other_settings_is_refused_and_kept(fresh):
    (fresh.model_tuning / "search").mkdir(parents=True)
    storage.begin_or_go_on(fresh.model_tuning, {"SEED": 5})
    before = files(fresh.model_tuning)
    with pytest.raises(storage.OtherTask, match=r"SEED \(was 5, is 1\)"):
        explore_hyperparameters(fresh)
    assert files(fresh.model_tuning) == before


def test_all_trials_share_one_validation_split_that_keeps_groups_whole(fresh, monkeypatch):
    table = fresh.preloaded_dataset / "cases.csv"
    content = table.read_text()
    cases = pd.read_csv(table)
    cases["group"] = [name[-1] in "01234" for name in cases["case"]]
    cases.to_csv(table, index=False)
    seen = []

    def fit(self, search, model, **_):
        seen.append((self._train["case"].tolist(), self._validation))
        return {"val_dice": 0.5}

    monkeypatch.setattr(model_exploration._Trials, "fit", fit)
    try:
        explore_hyperparameters(fresh)
    finally:
        table.write_text(content)
    assert len(seen) == 2 and seen[0] == seen[1]
    train, validation = (set(map(lambda name: name[-1] in "01234", names)) for names in seen[0])
    assert train.isdisjoint(validation) and len(seen[0][0]) + len(seen[0][1]) == 8


@pytest.mark.parametrize("name, kind", [("random", keras_tuner.RandomSearch), ("hyperband", keras_tuner.Hyperband), ("bayesian", keras_tuner.BayesianOptimization)])
def test_the_tuner_is_a_setting(fresh, monkeypatch, name, kind):
    configure(fresh, EXPLORATION_TUNER=name, EXPLORATION_EPOCHS=3)
    epochs = []

    def fit(self, search, model, epochs: int, initial_epoch=0, **_):
        asked.append((initial_epoch, epochs))
        model.save_weights(str(fresh.model_tuning / "search" / f"trial_{len(asked) - 1:04d}" / "checkpoint"))
        return {"val_dice": 0.5 + search.get("learning_rate")}

    asked = epochs
    monkeypatch.setattr(model_exploration._Trials, "fit", fit)
    tuner = []
    made = model_exploration._tuner
    monkeypatch.setattr(model_exploration, "_tuner", lambda *arguments: tuner.append(made(*arguments)) or tuner[0])
    explore_hyperparameters(fresh)
    assert isinstance(tuner[0], kind) and max(end for _, end in asked) == 3
    assert len(pd.read_csv(fresh.model_tuning / "trials.csv")) >= 2


def test_what_the_user_must_mend_ends_the_search(fresh, monkeypatch):
    def failing(*_):
        raise storage.PlainError("Set ENCODER_WEIGHTS in config.py")

    monkeypatch.setattr(model_exploration.model_training, "compiled_network", failing)
    with pytest.raises(storage.PlainError, match="Set ENCODER_WEIGHTS"):
        explore_hyperparameters(fresh)


def test_one_group_can_not_be_validated_on(fresh):
    table = fresh.preloaded_dataset / "cases.csv"
    content = table.read_text()
    pd.read_csv(table).assign(group="same").to_csv(table, index=False)
    with pytest.raises(storage.DatasetError, match="No validation set can be made"):
        explore_hyperparameters(fresh)
    table.write_text(content)
