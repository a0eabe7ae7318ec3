"""Step 2: the content of `model tuning`, resuming after a stop, and that the test set is not read."""

import ast
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib import pyplot
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import isolated_process
import model_training
import provenance
import resumable
import settings
import storage
from conftest import configure, files
from data import phantoms, pipeline, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_exploration import exploration, explore_hyperparameters
from model_training import diagnosis
from networks import objectives, saved_model
from settings import hyperparameters

REAL_FIGURES = True  # See conftest.py.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace without a test set: the search must not read it."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("exploration"))
    configure(workspace)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64)
    create_preloaded_dataset(workspace)
    shutil.rmtree(workspace.test_set)
    return workspace


@pytest.fixture
def fresh(prepared, monkeypatch):
    """The same without `model tuning`. Trials are trained in this process, so that tests can inspect them."""
    monkeypatch.setattr(isolated_process, "run", lambda function, *arguments: function(*arguments))
    shutil.rmtree(prepared.model_tuning, ignore_errors=True)
    configure(prepared)
    return prepared


EPOCHS = 10


@pytest.fixture(scope="module")
def explored(prepared):
    """The same after a search of two trials with a repeat of each, and the output."""
    shutil.rmtree(prepared.model_tuning, ignore_errors=True)
    # With these rates few epochs suffice for a Dice that is not poor.
    space = {"architecture": "unet", "filters": 4, "stem_patch_px": 4, "learning_rate": (0.05, 0.2)}
    configure(
        prepared,
        EXPLORATION_MAX_TRIALS=2,
        EXPLORATION_REPEATS=1,
        EXPLORATION_EPOCHS=EPOCHS,
        TRAINING_BATCH_SIZE=1,
        EXPLORATION_SEARCH_SPACE=space,
    )
    with pytest.MonkeyPatch.context() as patched:
        lines = []
        patched.setattr("builtins.print", lambda *texts, **_: lines.append(" ".join(map(str, texts))))
        # The first training runs in its own process, as all do for users. The others run here, which saves imports of
        # TensorFlow.
        runs = iter([isolated_process.run])
        patched.setattr(
            isolated_process,
            "run",
            lambda function, *arguments: next(runs, lambda *task: task[0](*task[1:]))(function, *arguments),
        )
        explore_hyperparameters(prepared)
    kept = prepared.root / "explored"
    shutil.copytree(prepared.model_tuning, kept)
    return prepared, kept, "\n".join(lines)


def hparams(run, kind):
    """The entry of TensorBoard's HParams page in the logs of a folder."""
    content = EventAccumulator(str(run)).Reload().PluginTagToContent("hparams")
    return getattr(plugin_data_pb2.HParamsPluginData.FromString(content[f"_hparams_/{kind}"]), kind)


def test_a_search_writes_a_sorted_table_a_chart_and_lines_to_paste(explored):
    _, folder, output = explored
    table = pd.read_csv(folder / "trials.csv")
    assert len(table) == 2
    assert table["repeats_mean"].is_monotonic_decreasing
    assert table["learning_rate"].nunique() == 2
    assert set(vars(hyperparameters.Hyperparameters())) <= set(table)
    assert pyplot.imread(folder / "trials.png").shape[1] == 2125
    best = json.loads((folder / "best hyperparameters.json").read_text())
    assert best["learning_rate"] == pytest.approx(table["learning_rate"][0])
    # The printed line is Python code with the best trial's values.
    pasted = hyperparameters.from_overrides(
        ast.literal_eval(output.strip().splitlines()[-1].removeprefix("HYPERPARAMETERS = "))
    )
    assert pasted.learning_rate == best["learning_rate"]
    assert pasted.filters == 4


def test_tensorboard_shows_curves_predictions_and_hyperparameters_of_each_trial(explored):
    _, folder, _ = explored
    table = pd.read_csv(folder / "trials.csv")
    trials = sorted(path.name for path in (folder / "trials").iterdir() if path.is_dir())
    assert len(trials) == 4
    assert set(table["trial"]) == {name for name in trials if "repeat" not in name}
    for _, row in table.iterrows():
        logs = folder / "trials" / row["trial"] / "logs"
        assert row["trial"].endswith(f"unet {row['learning_rate']:.0e}".replace("e-0", "e-"))
        curve = EventAccumulator(str(logs / "validation")).Reload().Tensors("epoch_dice")
        assert len(curve) == EPOCHS
        assert float(tf.make_ndarray(curve[-1].tensor_proto)) == pytest.approx(row["val_dice"], abs=1e-6)
        assert EventAccumulator(str(logs / "predictions")).Reload().Tags()["tensors"] == ["validation cases"]
        assert EventAccumulator(str(logs / "train")).Reload().Tags()["graph"]
        session = hparams(logs, "session_start_info")
        assert session.group_name == row["trial"]
        assert set(session.hparams) == SEARCHED
        assert session.hparams["learning_rate"].number_value == pytest.approx(row["learning_rate"])


# What the search of `explored` does not fix.
SEARCHED = set(vars(hyperparameters.Hyperparameters())) - {"architecture", "filters", "stem_patch_px"}


def test_the_hparams_page_shows_the_searched_hyperparameters_learning_rate_and_loss_first(explored):
    _, folder, _ = explored
    page = hparams(folder / "trials", "experiment")
    assert {column.name for column in page.hparam_infos} == SEARCHED
    assert ("epoch_dice", "validation") in {(metric.name.tag, metric.name.group) for metric in page.metric_infos}
    # TensorBoard's own order: see its backend_context.
    ordered = sorted(page.hparam_infos, key=lambda column: (not column.differs, column.name))
    assert [column.name for column in ordered[:2]] == ["learning_rate", "loss"]


def test_repeats_are_no_points_of_the_hparams_page(explored):
    _, folder, _ = explored
    for logs in (folder / "trials").glob("* repeat */logs"):
        assert "hparams" not in EventAccumulator(str(logs)).Reload().summary_metadata


def test_only_the_best_trial_keeps_its_weights_and_they_reach_its_score(explored):
    workspace, folder, _ = explored
    table = pd.read_csv(folder / "trials.csv").sort_values("repeats_mean")
    assert table["repeats_mean"].nunique() == 2
    assert table["val_dice"].iloc[-1] > 0
    (weights,) = (folder / "trials").rglob("*.h5")
    assert weights.parent.name == table["trial"].iloc[-1]
    network = saved_model.read(weights.parent)
    cases = preloaded_dataset.read_cases(workspace, "train")
    trained_on = set(saved_model.read_training(weights.parent).image_sha256)
    held_out = cases[~cases["image_sha256"].isin(trained_on)]["case"].tolist()
    assert len(held_out) == 2
    images, masks = next(iter(pipeline.pairs(workspace.train_set, held_out, 64).batch(2)))
    metric = objectives.Dice()
    metric.update_state(masks, network(images, training=False))
    assert float(metric.result()["dice"]) == pytest.approx(table["val_dice"].iloc[-1], abs=1e-5)


def test_a_stopped_search_resumes_its_unfinished_trial(fresh, monkeypatch, capsys):
    train, trained = model_training.train, []

    def stopping(train_set, cases, values, *others):
        trained.append(values.learning_rate)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(train_set, cases, values, *others)

    monkeypatch.setattr(model_training, "train", stopping)
    with pytest.raises(KeyboardInterrupt):
        explore_hyperparameters(fresh)
    first = files(fresh.model_tuning / "trials")
    explore_hyperparameters(fresh)
    # The first trial was trained once, the second was resumed.
    assert len(trained) == 3
    assert trained[1] == trained[2] != trained[0]
    assert sorted(pd.read_csv(fresh.model_tuning / "trials.csv")["learning_rate"]) == pytest.approx(sorted(trained[:2]))
    now = files(fresh.model_tuning / "trials")
    assert all(now[path] == content for path, content in first.items() if path.endswith("history.csv"))
    # Another run has nothing left to do.
    explore_hyperparameters(fresh)
    assert len(trained) == 3


def test_a_failed_training_is_a_failed_trial(fresh, monkeypatch):
    train, count = model_training.train, []

    def failing(*arguments):
        count.append(1)
        if len(count) == 1:
            for name in ("unfinished", "failed"):
                folder = fresh.model_tuning / "trials" / f"{name} {arguments[5].name}"
                (folder / "checkpoint").mkdir(parents=True)
                (folder / "history.csv").touch()
            raise diagnosis.TrainingFailed("The training was stopped after 3 steps: the loss is NaN.\nChecked on ...")
        return train(*arguments)

    monkeypatch.setattr(model_training, "train", failing)
    explore_hyperparameters(fresh)
    # Checkpoints of failed trials would only fill the disk.
    assert not list(fresh.model_tuning.rglob("checkpoint"))
    assert len(list((fresh.model_tuning / "trials").glob("* */history.csv"))) == 3
    table = pd.read_csv(fresh.model_tuning / "trials.csv")
    assert table["status"].tolist() == ["completed", "failed"]
    assert table["failure"][1] == "The training was stopped after 3 steps: the loss is NaN."


def test_a_search_with_other_packages_is_refused(fresh, monkeypatch):
    history = pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]})
    monkeypatch.setattr(model_training, "train", lambda *_: history)
    configure(fresh, EXPLORATION_MAX_TRIALS=1)
    explore_hyperparameters(fresh)
    monkeypatch.setattr(provenance, "installed_packages", lambda: {"tensorflow": "3.0"})
    with pytest.raises(resumable.ResumeMismatch, match=r"installed packages \(was tensorflow 2.*, is tensorflow 3.0\)"):
        explore_hyperparameters(fresh)


def test_a_search_with_other_settings_is_refused_or_renamed(fresh, monkeypatch, capsys):
    history = pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]})
    monkeypatch.setattr(model_training, "train", lambda *_: history)
    configure(fresh, EXPLORATION_MAX_TRIALS=1)
    explore_hyperparameters(fresh)
    before = files(fresh.model_tuning)
    space = {"architecture": "unet", "filters": [2, 3], "stem_patch_px": 2}
    configure(fresh, EXPLORATION_MAX_TRIALS=1, EXPLORATION_SEARCH_SPACE=space, SEED=2)
    with pytest.raises(
        resumable.ResumeMismatch,
        match=r"SEED \(was 1, is 2\).*filters.\] \(was Fixed {'conditions': \[\], 'value': 2}, is Choice",
    ):
        explore_hyperparameters(fresh)
    assert files(fresh.model_tuning) == before
    configure(fresh, EXPLORATION_MAX_TRIALS=1, EXPLORATION_SEARCH_SPACE=space, SEED=2, EXPLORATION_START_ANEW=True)
    explore_hyperparameters(fresh)
    assert (
        "The previous search had different settings, data or packages. It was renamed to 'model tuning until 2"
        in capsys.readouterr().out
    )
    (previous,) = fresh.root.glob("model tuning until *")
    assert files(previous) == before
    assert files(fresh.model_tuning) != before
    # Another run resumes: nothing else is renamed.
    explore_hyperparameters(fresh)
    assert len(list(fresh.root.glob("model tuning*"))) == 2
    shutil.rmtree(previous)


def test_all_trials_share_one_validation_split_that_keeps_groups_whole(fresh, monkeypatch):
    table = fresh.preloaded_dataset / "cases.csv"
    content = table.read_text()
    cases = pd.read_csv(table)
    cases["group"] = [name[-1] in "01234" for name in cases["case"]]
    cases.to_csv(table, index=False)
    seen, seeds = [], []

    def train(train_set, cases, values, options, unfinished, target, validation, callbacks):
        seen.append((cases["case"].tolist(), validation))
        seeds.append(options.SEED)
        return pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]})

    monkeypatch.setattr(model_training, "train", train)
    configure(fresh, EXPLORATION_REPEATS=1)
    try:
        explore_hyperparameters(fresh)
    finally:
        table.write_text(content)
    # Two trials, and their repeats with other seeds.
    assert len(seen) == 4
    assert all(other == seen[0] for other in seen)
    assert seeds == [1, 1, 2, 2]
    train, validation = ({name[-1] in "01234" for name in names} for names in seen[0])
    assert train.isdisjoint(validation)
    assert len(seen[0][0]) + len(seen[0][1]) == 8


def test_a_trial_that_cannot_be_resumed_is_restarted(fresh, monkeypatch):
    train, refused = model_training.train, []

    def refusing(train_set, cases, values, options, unfinished, *others):
        if not refused:
            refused.append(unfinished)
            (unfinished / "checkpoint").mkdir(parents=True)
            raise resumable.ResumeMismatch("precision (was mixed_bfloat16, is float32)")
        assert not refused[0].exists()
        return train(train_set, cases, values, options, unfinished, *others)

    monkeypatch.setattr(model_training, "train", refusing)
    configure(fresh, EXPLORATION_MAX_TRIALS=1)
    explore_hyperparameters(fresh)
    assert pd.read_csv(fresh.model_tuning / "trials.csv")["status"].tolist() == ["completed"]


def test_a_table_that_cannot_be_replaced_does_not_end_the_search(fresh, monkeypatch, capsys):
    history, write = pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]}), storage.atomic_write

    def locked(file, content):
        if file.name == "trials.csv" and "0000" in str(content) and "0001" not in str(content):
            raise PermissionError(13, "open in another program")
        write(file, content)

    monkeypatch.setattr(model_training, "train", lambda *_: history)
    monkeypatch.setattr(storage, "atomic_write", locked)
    explore_hyperparameters(fresh)
    assert "were not updated: [Errno 13] open in another program" in capsys.readouterr().out
    assert len(pd.read_csv(fresh.model_tuning / "trials.csv")) == 2


def test_a_single_group_cannot_be_split(fresh):
    table = fresh.preloaded_dataset / "cases.csv"
    content = table.read_text()
    pd.read_csv(table).assign(group="same").to_csv(table, index=False)
    with pytest.raises(storage.DatasetError, match="cannot be split into training and validation"):
        explore_hyperparameters(fresh)
    table.write_text(content)


def with_empty_masks(workspace, chosen):
    """Empties the masks of the train cases for which `chosen`, by the case's name, is true."""
    file = workspace.preloaded_dataset / "cases.csv"
    table = pd.read_csv(file)
    empty = (table["split"] == "train") & table["case"].map(chosen)
    table.assign(mask_px=table["mask_px"].where(~empty, 0)).to_csv(file, index=False)
    for case in table["case"][empty]:
        preloaded_dataset.write(workspace.train_set / "masks", case, np.zeros((64, 64), np.uint8))


@pytest.fixture
def copied(fresh, tmp_path):
    """A copy whose masks a test may replace."""
    shutil.copytree(fresh.root, tmp_path / "copy", ignore=lambda *_: ["explored"])
    return storage.Workspace(tmp_path / "copy")


def validation_cases(workspace):
    cases = preloaded_dataset.read_cases(workspace, "train")
    return cases["case"][exploration._held_out(cases, settings.load(workspace.root))].tolist()


def test_a_validation_set_of_empty_masks_is_refused_before_any_training(copied, monkeypatch):
    monkeypatch.setattr(model_training, "train", lambda *_: 1 / 0)
    held_out = validation_cases(copied)
    with_empty_masks(copied, held_out.__contains__)
    fault = rf"All {len(held_out)} masks of the validation part are empty: trials cannot be scored\. Set another SEED"
    with pytest.raises(storage.DatasetError, match=fault):
        explore_hyperparameters(copied)
    assert not copied.model_tuning.exists()


def test_each_trial_counts_its_false_positives_among_empty_validation_masks(copied, capsys):
    held_out = validation_cases(copied)
    with_empty_masks(copied, held_out[1:].__contains__)
    space = {"architecture": "unet", "filters": 4, "stem_patch_px": 4, "learning_rate": (0.05, 0.2)}
    configure(
        copied,
        EXPLORATION_MAX_TRIALS=1,
        EXPLORATION_EPOCHS=2,
        TRAINING_BATCH_SIZE=1,
        EXPLORATION_SEARCH_SPACE=space,
        EXPLORATION_KEPT_MODELS=1,
    )
    explore_hyperparameters(copied)
    table = pd.read_csv(copied.model_tuning / "trials.csv")
    images, masks = next(iter(pipeline.pairs(copied.train_set, held_out, 64).batch(len(held_out))))
    (folder,) = (path.parent for path in copied.model_tuning.rglob("*.h5"))
    predicted = saved_model.read(folder)(images, training=False).numpy() >= 0
    assert table["empty_masks"].tolist() == [len(held_out) - 1]
    assert table["false_positives"].tolist() == [predicted[1:].any(axis=(1, 2, 3)).sum()]
    both = 2 * (predicted[0] & (masks[0].numpy() > 0)).sum() / (predicted[0].sum() + masks[0].numpy().sum())
    assert table["val_dice"][0] == pytest.approx(both, abs=1e-5)
    assert (
        "an empty reference mask and only count as false positives, if predicted non-empty" in capsys.readouterr().out
    )


def test_a_search_of_an_earlier_version_is_refused_or_renamed(fresh, monkeypatch):
    history = pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]})
    monkeypatch.setattr(model_training, "train", lambda *_: history)
    explore_hyperparameters(fresh)
    facts = json.loads((fresh.model_tuning / "facts.json").read_text())
    del facts["version"]  # As the previous version wrote it.
    (fresh.model_tuning / "facts.json").write_text(json.dumps(facts))
    before = files(fresh.model_tuning)
    with pytest.raises(resumable.ResumeMismatch, match="search of an earlier version .* EXPLORATION_START_ANEW = True"):
        explore_hyperparameters(fresh)
    assert files(fresh.model_tuning) == before
    configure(fresh, EXPLORATION_START_ANEW=True)
    explore_hyperparameters(fresh)
    (previous,) = fresh.root.glob("model tuning until *")
    assert files(previous) == before
    shutil.rmtree(previous)


def test_encoder_weights_that_cannot_be_loaded_are_reported_before_any_training(fresh, monkeypatch):
    def no_connection(**_):
        raise OSError("no connection")

    monkeypatch.setattr(tf.keras.applications, "ResNet50", no_connection)
    monkeypatch.setattr(model_training, "train", lambda *_: 1 / 0)
    configure(fresh, ENCODER_WEIGHTS="imagenet", EXPLORATION_SEARCH_SPACE={})
    with pytest.raises(storage.UserError, match="no connection.* Set ENCODER_WEIGHTS in config.py"):
        explore_hyperparameters(fresh)
    assert not fresh.model_tuning.exists()


def test_encoder_weights_are_not_needed_without_an_architecture_that_uses_them(fresh, monkeypatch):
    monkeypatch.setattr(tf.keras.applications, "ResNet50", lambda **_: 1 / 0)
    history = pd.DataFrame({"val_dice": [0.5], "seconds": [1.0]})
    monkeypatch.setattr(model_training, "train", lambda *_: history)
    configure(fresh, ENCODER_WEIGHTS="imagenet")
    explore_hyperparameters(fresh)
    assert len(pd.read_csv(fresh.model_tuning / "trials.csv")) == 2
