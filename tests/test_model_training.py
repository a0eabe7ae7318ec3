"""Step 3: the content of `model`, resuming after a kill, and errors that stop the training."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
from tensorflow import keras

import networks
import provenance
import resumable
import settings
import storage
from conftest import configure, files, real_figure_files, script_command
from cross_validation import cross_validate_train_set
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from masks import cleaning, metrics, training_chart
from model_exploration import explore_hyperparameters
from model_training import (
    Hyperparameters,
    budget,
    checkpoint,
    diagnosis,
    fitting,
    hardware,
    tensorboard_logs,
    train_final_model,
)
from model_training.fitting import compiled_network, steps_per_epoch, training_batches
from networks import saved_model


@pytest.fixture
def prepared(dataset):
    create_preloaded_dataset(dataset)
    return dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a model, trained without a test set on disk, and the output of the training."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("trained"))
    configure(workspace, TRAINING_BATCH_SIZE=1)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64)
    create_preloaded_dataset(workspace)
    shutil.rmtree(workspace.test_set)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        train_final_model(workspace)
    return workspace, output.getvalue()


def test_the_model_folder_is_complete_and_no_unfinished_model_is_left(trained):
    workspace, output = trained
    history = pd.read_csv(workspace.model / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert {"loss", "dice", "learning_rate", "seconds"} <= set(history.columns)
    assert json.loads((workspace.model / "hyperparameters.json").read_text())["filters"] == 2
    training = json.loads((workspace.model / "training.json").read_text())
    assert (training["image_size"], training["seed"], len(training["image_sha256"])) == (64, 1, 8)
    masks = [np.load(file) for file in sorted((workspace.train_set / "masks").glob("*.npy"))]
    assert training["cleaning_is_harmless"] is cleaning.is_harmless(masks)
    assert not workspace.unfinished_model.exists()
    assert saved_model.read(workspace.model).count_params() > 0
    line = re.search(
        r"Training unet, 0.0\d+ million parameters, on 8 cases, on the CPU in float32, "
        r"[0-9.]+ s per image, ends about \d\d:\d\d\.",
        output,
    )
    assert line
    assert "Epoch 2 of 2: loss" in output
    assert "Model trained for 2 epochs in" in output


def test_the_learning_rate_is_scaled_for_the_batch_size_and_follows_the_budget(trained):
    # The setting is for batches of 2. The history has the rate of the last step of each epoch, 8 and 16 of 16.
    rates = pd.read_csv(trained[0].model / "history.csv")["learning_rate"]
    assert rates.tolist() == pytest.approx([5e-4 * budget.cosine_factor(done / 16) for done in (7, 15)])


def test_tensorboard_shows_loss_dice_rate_and_predictions(trained):
    logs = trained[0].model / "logs"
    scalars = EventAccumulator(str(logs / "train")).Reload()
    assert {"epoch_loss", "epoch_dice", "epoch_learning_rate"} <= set(scalars.Tags()["tensors"])
    assert len(scalars.Tensors("epoch_dice")) == 2
    assert EventAccumulator(str(logs / "predictions")).Reload().Tags()["tensors"] == ["train cases"]


@pytest.mark.parametrize("column", ["loss", "dice", "learning_rate"])
def test_history_has_the_values_that_keras_logged(trained, column):
    scalars = EventAccumulator(str(trained[0].model / "logs" / "train")).Reload()
    logged = [tensor_util.make_ndarray(event.tensor_proto) for event in scalars.Tensors(f"epoch_{column}")]
    history = pd.read_csv(trained[0].model / "history.csv")
    np.testing.assert_array_equal(history[column].astype(np.float32), np.array(logged, np.float32))


def test_the_model_card_describes_this_model_and_names_no_case_and_no_folder(trained):
    card = (trained[0].model / "README.md").read_text(encoding="utf-8")
    assert f"`{saved_model.fingerprint([trained[0].model])}`" in card
    assert "8 images of 64 × 64 px" in card
    assert "Training lasted 2 epochs" in card
    assert "`results/model_card.md`" in card
    assert str(trained[0].root) not in card
    assert not [case for case in pd.read_csv(trained[0].preloaded_dataset / "cases.csv")["case"] if case in card]


def train(workspace, kill_after=0, time="after"):
    """Trains in another process and returns its output.

    `kill_after`: the number of the epoch at whose end it is killed; `time`: before or after it has saved a checkpoint.
    """
    completed = subprocess.run(
        script_command("train_and_kill", workspace.root, kill_after, time),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        check=False,
    )
    assert completed.returncode == (-signal.SIGKILL if kill_after else 0), completed.stderr.decode()
    return completed.stdout.decode()


def test_a_training_killed_twice_gives_the_model_of_an_uninterrupted_one(prepared):
    # Deterministic, so that the results are bit-identical.
    configure(prepared, TRAINING_EPOCHS=3, DETERMINISTIC=True)
    train(prepared)
    expected, network = pd.read_csv(prepared.model / "history.csv"), saved_model.read(prepared.model)
    history = pd.read_csv(prepared.model / "history.csv")
    charts = real_figure_files({"history": training_chart.plot(history)})
    assert {name: (prepared.model / name).read_bytes() for name in charts} == charts
    train(prepared, 1)
    train(prepared, 3, "before")
    assert prepared.model.exists()
    assert prepared.unfinished_model.exists()
    expected_id = saved_model.fingerprint([prepared.model])
    assert "Resuming after epoch 2/3." in train(prepared)
    assert saved_model.fingerprint([prepared.model]) == expected_id
    history = pd.read_csv(prepared.model / "history.csv")
    pd.testing.assert_frame_equal(expected.drop(columns="seconds"), history.drop(columns="seconds"), check_exact=True)
    assert {name: (prepared.model / name).read_bytes() for name in charts} == charts
    for weights, resumed in zip(network.get_weights(), saved_model.read(prepared.model).get_weights(), strict=True):
        np.testing.assert_array_equal(weights, resumed)


@contextlib.contextmanager
def stopped(monkeypatch, place, method):
    """Simulates Ctrl-C when the training in the block calls this method."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as changed, pytest.raises(KeyboardInterrupt):  # noqa: PT012  The block of the caller.
        changed.setattr(place, method, stop)
        yield


def test_an_unfinished_training_with_other_settings_is_refused_and_kept(prepared, monkeypatch):
    with stopped(monkeypatch, saved_model, "write"):
        train_final_model(prepared)
    before = files(prepared.unfinished_model)
    configure(prepared, HYPERPARAMETERS={"filters": 2, "learning_rate": 5e-4})
    with pytest.raises(resumable.ResumeMismatch, match=r'HYPERPARAMETERS\["learning_rate"\] \(was 0.001, is 0.0005\)'):
        train_final_model(prepared)
    assert before
    assert files(prepared.unfinished_model) == before


def test_without_a_finished_epoch_a_training_with_other_settings_starts_again(prepared, monkeypatch):
    with stopped(monkeypatch, keras.Model, "fit"):
        train_final_model(prepared)
    assert prepared.unfinished_model.exists()
    configure(prepared, TRAINING_EPOCHS=1, HYPERPARAMETERS={"filters": 2, "learning_rate": 5e-4})
    train_final_model(prepared)
    assert saved_model.read_hyperparameters(prepared.model).learning_rate == 5e-4


@pytest.fixture
def stopped_after_training(prepared, monkeypatch):
    """A workspace with a training that was stopped after its last epoch, before its model was written.

    MIXED_PRECISION is automatic.
    """
    configure(prepared, TRAINING_EPOCHS=1, MIXED_PRECISION=None)
    monkeypatch.setattr(hardware, "_cpu_knows_bfloat16", lambda: True)
    with stopped(monkeypatch, saved_model, "write"):
        train_final_model(prepared)
    return prepared


def test_a_training_resumes_in_its_original_precision_on_another_machine(stopped_after_training, monkeypatch, capsys):
    monkeypatch.setattr(hardware, "_cpu_knows_bfloat16", lambda: False)
    configure(stopped_after_training, TRAINING_EPOCHS=1, MIXED_PRECISION=False)
    with pytest.raises(resumable.ResumeMismatch, match=r"set MIXED_PRECISION = True"):
        train_final_model(stopped_after_training)
    configure(stopped_after_training, TRAINING_EPOCHS=1, MIXED_PRECISION=None)
    train_final_model(stopped_after_training)
    assert "Resuming in mixed_bfloat16, the precision in which this training was started." in capsys.readouterr().out
    assert saved_model.read_training(stopped_after_training.model).precision == "mixed_bfloat16"


def test_a_training_in_an_unsupported_precision_is_refused_and_kept(stopped_after_training):
    facts = stopped_after_training.unfinished_model / "facts.json"
    facts.write_text(facts.read_text().replace("mixed_bfloat16", "mixed_float16"))
    before = files(stopped_after_training.unfinished_model)
    with pytest.raises(
        resumable.ResumeMismatch,
        match="in mixed_float16, which is not supported on the CPU. Resume it on a machine with a GPU",
    ):
        train_final_model(stopped_after_training)
    assert files(stopped_after_training.unfinished_model) == before


def test_a_training_of_the_other_packages_is_refused_and_kept(stopped_after_training, monkeypatch):
    before = files(stopped_after_training.unfinished_model)
    monkeypatch.setattr(provenance, "installed_packages", lambda: {"tensorflow": "3.0"})
    with pytest.raises(resumable.ResumeMismatch, match=r"installed packages \(was tensorflow 2.*, is tensorflow 3.0\)"):
        train_final_model(stopped_after_training)
    assert files(stopped_after_training.unfinished_model) == before


def test_a_training_whose_checkpoint_was_dropped_starts_again(stopped_after_training):
    # As for a failed trial, if the search was killed before it recorded the failure.
    checkpoint.drop_checkpoint(stopped_after_training.unfinished_model)
    history = stopped_after_training.unfinished_model / "history.csv"
    header, row = history.read_text().splitlines()
    history.write_text(f"{header}\n{row}\n2{row[1:]}\n")
    train_final_model(stopped_after_training)
    assert len(pd.read_csv(stopped_after_training.model / "history.csv")) == 1


def cut_in_half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


CHECKPOINT_DAMAGES = [
    ("checkpoint/ckpt-1.data-00000-of-00001", cut_in_half),
    ("checkpoint/ckpt-1.data-00000-of-00001", pathlib.Path.unlink),
    ("checkpoint/ckpt-1.data-00000-of-00001", lambda file: file.write_bytes(file.read_bytes()[::-1])),
    ("checkpoint/ckpt-1.index", cut_in_half),
    ("checkpoint/ckpt-1.index", pathlib.Path.unlink),
    ("checkpoint/checkpoint", lambda file: file.write_bytes(b"")),
    ("checkpoint/checkpoint", lambda file: file.write_bytes(b"\xff")),
    ("history.csv", lambda file: file.write_text(file.read_text().replace(",", ";"))),
    ("history.csv", lambda file: file.write_text(file.read_text().splitlines()[0])),
    ("history.csv", lambda file: file.write_text(file.read_text().strip()[:-6])),
    ("facts.json", cut_in_half),
]


def test_a_damaged_unfinished_training_names_the_folder_to_delete(stopped_after_training):
    intact = files(stopped_after_training.unfinished_model)
    for name, damage in CHECKPOINT_DAMAGES:
        damage(stopped_after_training.unfinished_model / name)
        with pytest.raises(storage.DamagedFile, match=r"(Delete|delete) the folder 'unfinished model'"):
            train_final_model(stopped_after_training)
        for path, content in intact.items():
            (stopped_after_training.unfinished_model / path).write_bytes(content)
    train_final_model(stopped_after_training)
    assert stopped_after_training.model.exists()


@pytest.mark.parametrize("linked", [False, True])
def test_a_training_with_non_finite_weights_writes_no_model(prepared, monkeypatch, linked):
    configure(prepared, TRAINING_EPOCHS=1)
    if linked:  # For example to another disk.
        elsewhere = prepared.root.with_name("scratch") / "um"
        elsewhere.mkdir(parents=True)
        (prepared.root / "unfinished model").symlink_to(elsewhere)

    def fit(network, *arguments):
        original(network, *arguments)
        bias = network.get_layer("pixel_logits").bias
        bias.assign(np.full(bias.shape, np.nan))

    original = fitting.fit
    monkeypatch.setattr(fitting, "fit", fit)
    with pytest.raises(diagnosis.TrainingFailed, match="weights .* are NaN or infinite: no model was written"):
        train_final_model(prepared)
    assert not prepared.model.exists()
    assert (prepared.root / "failed model" / "history.csv").exists()
    assert not prepared.unfinished_model.exists()
    monkeypatch.undo()
    train_final_model(prepared)
    assert prepared.model.exists()
    assert not prepared.unfinished_model.exists()


def test_a_dataset_of_another_image_size_is_reported_and_nothing_is_written(prepared):
    configure(prepared, IMAGE_SIZE=32)
    for step in (train_final_model, cross_validate_train_set, explore_hyperparameters):
        with pytest.raises(storage.DatasetError, match="images have 64 px, but IMAGE_SIZE in config.py is 32"):
            step(prepared)
    assert not {path.name for path in prepared.root.iterdir()} - {"config.py", "original dataset", "preloaded dataset"}


RESUMABLE_STEPS = [
    (train_final_model, "unfinished_model"),
    (cross_validate_train_set, "cross_validation"),
    (explore_hyperparameters, "model_tuning"),
]


@pytest.mark.parametrize("step, folder", RESUMABLE_STEPS)
def test_a_path_that_tensorflow_reads_as_a_pattern_is_reported(prepared, step, folder):
    workspace = storage.Workspace(prepared.root.with_name("[2026] muscle"))
    shutil.copytree(prepared.root, workspace.root)
    with pytest.raises(
        storage.UserError,
        match=r"\[2026\] muscle.*: TensorFlow takes \* \? and \[ in a path for a pattern.*Rename the folder",
    ):
        step(workspace)
    assert not getattr(workspace, folder).exists()


@pytest.mark.parametrize("step, folder", RESUMABLE_STEPS)
def test_a_folder_that_another_program_uses_is_not_changed(prepared, step, folder):
    before = files(prepared.root)
    with (
        held_by_another_program(getattr(prepared, folder)),
        pytest.raises(storage.InUse, match="Another program works in"),
    ):
        step(prepared)
    assert files(prepared.root) == before


@contextlib.contextmanager
def held_by_another_program(folder):
    """Lets another program hold the lock on the folder while the block runs."""
    command = script_command("hold_lock", folder)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"held\n"
        yield
        program.stdin.close()
        assert program.wait() == 0


def test_a_copy_of_the_train_set_is_used_only_if_it_is_identical(prepared):
    shutil.copytree(prepared.train_set, prepared.root / "copy")
    configure(prepared, TRAINING_EPOCHS=1, TRAIN_SET_LOCATION="copy")
    masks = sorted((prepared.root / "copy" / "masks").iterdir())
    content = masks[0].read_bytes()
    masks[0].write_bytes(content[:-1] + bytes([1 - content[-1]]))
    masks[1].unlink()
    with pytest.raises(storage.DatasetError) as caught:
        train_final_model(prepared)
    assert [fault.split(": ")[1].split(".")[0] for fault in caught.value.faults] == [
        "differs from the preloaded dataset",
        "missing",
    ]
    for file in masks[:2]:
        shutil.copy(prepared.train_set / "masks" / file.name, file)
    train_final_model(prepared)
    assert prepared.model.exists()


def test_a_training_that_cannot_be_saved_keeps_the_previous_model(prepared, monkeypatch):
    configure(prepared, TRAINING_EPOCHS=1)
    prepared.model.mkdir()
    (prepared.model / "former.txt").write_text("former")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model, "write", full_disk)
    with pytest.raises(storage.DiskFull, match="The disk is full"):
        train_final_model(prepared)
    assert files(prepared.model) == {"former.txt": b"former"}
    # The training is not lost either.
    monkeypatch.undo()
    monkeypatch.setattr(keras.Model, "fit", None)
    train_final_model(prepared)
    assert len(pd.read_csv(prepared.model / "history.csv")) == 1


def test_a_model_that_cannot_be_replaced_stops_the_training_at_its_start(prepared):
    prepared.model.write_text("a file of the user")
    with pytest.raises(storage.UserError, match="model: a file, where the results' folder must be"):
        train_final_model(prepared)
    assert prepared.model.read_text() == "a file of the user"
    assert not prepared.unfinished_model.exists()


def test_no_epoch_starts_after_the_time_limit(prepared):
    configure(prepared, TRAINING_EPOCHS=None, TRAINING_TIME_LIMIT_MINUTES=0.0001)
    train_final_model(prepared)
    # The time limit ended the training after the first of four steps.
    assert pd.read_csv(prepared.model / "history.csv")["images"].tolist() == [2]


def test_no_epoch_starts_if_the_time_limit_ends_between_epochs(prepared, monkeypatch):
    monkeypatch.setattr(budget.Budget, "fraction_done", property(lambda self: float(self._time_is_over)))
    monkeypatch.setattr(budget.Budget, "_time_is_over", False, raising=False)
    monkeypatch.setattr(
        tensorboard_logs.PredictionPanel,
        "on_epoch_end",
        lambda self, *_, **__: setattr(self._budget, "_time_is_over", True),
    )
    train_final_model(prepared)
    assert pd.read_csv(prepared.model / "history.csv")["images"].tolist() == [8]


def test_an_epoch_has_every_case_and_all_batches_are_full(prepared):
    options = dataclasses.replace(settings.load(prepared.root), TRAINING_BATCH_SIZE=3)
    cases = sorted(path.stem for path in (prepared.train_set / "images").iterdir())
    assert (len(cases), steps_per_epoch(cases, options)) == (8, 3)
    values = Hyperparameters(horizontal_flip=False, rotation_degrees=0.0, max_log_scale=0.0, gamma=0.0)
    batches = list(training_batches(prepared.train_set, cases, values, options).take(3).as_numpy_iterator())
    assert [images.shape for images, _ in batches] == [(3, 64, 64, 1)] * 3
    assert len({image.tobytes() for images, _ in batches for image in images}) == 8
    # The second epoch continues the first one, also if the stream starts there.
    longer = list(training_batches(prepared.train_set, cases, values, options).take(4).as_numpy_iterator())
    later = next(training_batches(prepared.train_set, cases, values, options, first_epoch=1).as_numpy_iterator())
    np.testing.assert_array_equal(longer[3][0], later[0])


def test_a_missing_dataset_is_reported_with_the_line_to_run(workspace):
    with pytest.raises(storage.MissingResult, match=r"data\.original_dataset\.create_preloaded_dataset\(\)"):
        train_final_model(workspace)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_network_learns_a_phantom_in_a_few_steps(workspace, batch_size):
    configure(workspace, TRAINING_BATCH_SIZE=batch_size)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 2, 64)
    create_preloaded_dataset(workspace)
    options = settings.load(workspace.root)
    # Patches of 4 px in an image of 64 px would be 32 px in a real image, so they are smaller here.
    values = Hyperparameters(
        filters=16, stem_patch_px=2, learning_rate=3e-3, rotation_degrees=0.0, max_log_scale=0.0, gamma=0.0
    )
    cases = preloaded_dataset.read_cases(workspace, "train")
    network = compiled_network(values, cases, options)
    (case,) = cases["case"]
    network.fit(training_batches(workspace.train_set, [case], values, options), steps_per_epoch=60, epochs=1, verbose=0)
    assert network.train_tf_function.experimental_get_tracing_count() == 1  # A second tracing would take seconds.
    image, mask = (preloaded_dataset.read(workspace.train_set / kind, case) for kind in ("images", "masks"))
    assert metrics.dice(mask, networks.predict_masks(network, image[None, ..., None].astype(np.float32))[0]) > 0.85


def test_deeplabv3_plus_learns_at_batch_size_1(workspace):
    # There its pooled branch has one value per channel, which has no variance.
    configure(workspace, IMAGE_SIZE=32, TRAINING_BATCH_SIZE=1)
    phantoms.write_original_dataset(workspace.original_dataset / "A", 4, 32)
    create_preloaded_dataset(workspace)
    options = settings.load(workspace.root)
    values = Hyperparameters(
        "deeplabv3_plus",
        loss="binary_crossentropy",
        learning_rate=5e-4,
        horizontal_flip=False,
        rotation_degrees=0.0,
        max_log_scale=0.0,
        gamma=0.0,
    )
    cases = preloaded_dataset.read_cases(workspace, "train")
    batches = training_batches(workspace.train_set, cases["case"].tolist(), values, options)
    losses = (
        compiled_network(values, cases, options).fit(batches, steps_per_epoch=3, epochs=4, verbose=0).history["loss"]
    )
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.95 * losses[0]


def test_mixed_precision_is_a_setting(prepared):
    configure(prepared, MIXED_PRECISION=True)
    network = compiled_network(
        Hyperparameters(filters=2), preloaded_dataset.read_cases(prepared, "train"), settings.load(prepared.root)
    )
    assert {layer.compute_dtype for layer in network.layers} == {
        "bfloat16",
        "float32",
    }
    assert network.output.dtype == "float32"
    # Networks that are built afterwards are not affected.
    assert networks.build("unet", 64, 2, 4, None).layers[5].compute_dtype == "float32"
