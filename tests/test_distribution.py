"""Distributed training and search: several processes on this machine stand for several machines."""

import json
import os
import signal
import socket
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import model_training
import settings
import storage
from conftest import configure, files, script_command
from data import phantoms, pipeline, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_training import distribution, fitting
from networks import saved_model
from settings import hyperparameters


@pytest.fixture
def prepared(dataset):
    create_preloaded_dataset(dataset)
    return dataset


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("localhost", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def start(command, **environment):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(processes, seconds=150):
    """Returns (exit status, output, errors) of each process. All are killed if one takes longer than `seconds`."""
    try:
        return [
            (process.returncode, *texts) for process in processes for texts in [process.communicate(timeout=seconds)]
        ]
    finally:
        for process in processes:
            process.kill()


def train(workspace, count, step="train_final_model", killed=None, kill_after=0):
    """Trains with `count` workers. Returns how each ended, and the files of their weights."""
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    processes, weights = [], []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        weights.append(workspace.root / f"weights {index} of {count}.npz")
        last_epoch = kill_after if index == killed else 0
        command = script_command("train_worker", step, workspace.root, weights[-1], last_epoch)
        processes.append(start(command, TF_CONFIG=json.dumps(task)))
    return wait_for(processes), weights


def arrays(file):
    with np.load(file) as content:
        return [content[name] for name in content.files]


def assert_similar(weights, reference, workspace):
    """Asserts that two trainings of two steps agree up to rounding.

    Adam's first steps amplify rounding where a gradient is nearly 0. Measured: the mean difference was less than a
    millionth of the mean change by the training. If both workers saw the same images, it would be half of that change.
    """
    cases = preloaded_dataset.read_cases(workspace, "train")
    initial = fitting.compiled_network(
        hyperparameters.Hyperparameters(filters=4), cases, settings.load(workspace.root)
    ).get_weights()
    difference, change = (
        np.concatenate([np.abs(one - other).ravel() for one, other in zip(pair, reference, strict=True)])
        for pair in (weights, initial)
    )
    assert np.mean(change) > 2e-4
    assert np.median(difference) < 0.02 * np.mean(change)
    assert np.mean(difference) < 0.06 * np.mean(change)


SETTINGS = {"TRAINING_BATCH_SIZE": 4, "TRAINING_EPOCHS": 1, "HYPERPARAMETERS": {"filters": 4, "rotation_degrees": 5}}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The weights after the same training in one process on one device."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("reference"))
    configure(workspace, **SETTINGS)
    phantoms.write_original_dataset(workspace.original_dataset / "hospital A", 10, 64)
    create_preloaded_dataset(workspace)
    model_training.train_final_model(workspace)
    return saved_model.read(workspace.model).get_weights()


def test_two_workers_give_the_weights_of_one_process_and_only_the_chief_writes(prepared, reference):
    configure(prepared, **SETTINGS)
    before = set(files(prepared.root))
    results, (chief, other) = train(prepared, 2)
    assert [status for status, *_ in results] == [0, 0], results
    assert "on 2 workers, each on the CPU" in results[0][1]
    for one, two in zip(arrays(chief), arrays(other), strict=True):
        np.testing.assert_array_equal(one, two)
    assert_similar(arrays(chief), reference, prepared)
    written = {path.split("/")[0] for path in set(files(prepared.root)) - before}
    assert written == {"model", chief.name, other.name}
    assert len(pd.read_csv(prepared.model / "history.csv")) == 1


def test_a_killed_worker_of_a_cross_validation_ends_the_other_and_a_rerun_resumes(prepared):
    configure(prepared, CROSS_VALIDATION_FOLDS=2, TRAINING_EPOCHS=2)
    step, started = "cross_validate_train_set", time.monotonic()
    results, _ = train(prepared, 2, step, killed=1, kill_after=1)
    assert results[1][0] == -signal.SIGKILL
    assert results[0][0] == 1, results
    assert "Another worker of this training has ended" in results[0][2]
    assert "Traceback" not in results[0][2]
    assert time.monotonic() - started < 120
    assert not list(prepared.cross_validation.glob("fold *"))
    results, _ = train(prepared, 2, step)
    assert [status for status, *_ in results] == [0, 0], results
    assert "Resuming after epoch 1/2." in results[0][1]
    assert [len(pd.read_csv(folder / "history.csv")) for folder in prepared.fold_models(2)] == [2, 2]
    assert len(pd.read_csv(prepared.cross_validation / "out of fold.csv")) == 8


def test_two_devices_of_one_machine_give_the_weights_of_one_device(prepared, reference):
    configure(prepared, **SETTINGS)
    weights = prepared.root / "weights.npz"
    command = script_command("train_worker", "train_final_model", prepared.root, weights, 0, "two_devices")
    ((status, _, errors),) = wait_for([start(command)])
    assert status == 0, errors
    assert_similar(arrays(weights), reference, prepared)


def test_batch_normalization_of_the_encoder_is_over_the_batch_of_all_devices():
    ((status, output, errors),) = wait_for([start(script_command("normalize_on_two_devices"))])
    assert status == 0, errors
    batch = np.array([1, 2, 30, 50])
    np.testing.assert_allclose(
        [float(value) for value in output.split()], (batch - batch.mean()) / batch.std(), rtol=1e-3
    )


def until_epoch_1(process):
    """Waits for the first epoch of a trial, and returns the line that names the trial."""
    lines = []
    while "Epoch 1" not in (line := process.stdout.readline()):
        assert line
        lines.append(line)
    return next(line for line in reversed(lines) if line.startswith("Trial "))


def test_a_chief_and_two_workers_share_the_trials_although_one_is_killed(prepared):
    configure(prepared, EXPLORATION_MAX_TRIALS=4, EXPLORATION_REPEATS=1, EXPLORATION_EPOCHS=2)
    command = script_command("search_with_simulated_trainings", prepared.root)
    (port,) = free_ports(1)
    names = ("chief", "tuner0", "tuner1")
    oracle = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    processes = {name: start(command, KERASTUNER_TUNER_ID=name, **oracle) for name in names}
    # A worker that is killed during a trial and started again gets the same trial.
    try:
        interrupted = until_epoch_1(processes["tuner1"])
        processes["tuner1"].kill()
        processes["tuner1"].communicate()
        processes["tuner1"] = start(command, KERASTUNER_TUNER_ID="tuner1", **oracle)
        assert until_epoch_1(processes["tuner1"]) == interrupted
    except BaseException:
        for process in processes.values():
            process.kill()
        raise
    results = wait_for(processes.values())
    assert [status for status, *_ in results] == [0, 0, 0], results
    # Each trial was trained once, and both workers trained some.
    trained = [
        [line.split(":")[0] for line in output.splitlines() if line.startswith("Trial ")] for _, output, _ in results
    ]
    repeated = [interrupted.split(":")[0]]
    assert not trained[0]
    assert trained[1]
    assert len(set(trained[1] + trained[2] + repeated)) == len(trained[1] + trained[2] + repeated) == 7
    table = pd.read_csv(prepared.model_tuning / "trials.csv")
    assert len(table) == 4
    assert table["repeats_mean"].notna().sum() == 3
    assert "The best of 4 trials" in results[0][1]
    assert "The best of" not in results[1][1] + results[2][1]


def test_the_workers_of_a_training_divide_each_batch_without_overlap(prepared):
    cases = sorted(path.stem for path in (prepared.train_set / "images").iterdir())

    def sample_seeds(part, count):
        stream = pipeline.endless_pairs(prepared.train_set, cases, 64, 1, 3, part)
        return [tuple(sample_seed) for sample_seed, _, _ in stream.take(count).as_numpy_iterator()]

    whole = sample_seeds((0, 1, 6), 18)
    parts = [sample_seeds((index, 3, 6), 6) for index in range(3)]
    assert [[sample for part in parts for sample in part[2 * step : 2 * step + 2]] for step in range(3)] == [
        whole[6 * step : 6 * step + 6] for step in range(3)
    ]


def test_without_tf_config_the_only_worker_is_the_chief(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert distribution.count() == 1
    assert distribution.is_chief()


@pytest.mark.parametrize(
    "cluster, task, count, chief",
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0), 2, True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), 2, False),
        ({"chief": ["c:1"], "worker": ["a:1", "b:1"]}, ("chief", 0), 3, True),
        ({"chief": ["c:1"], "worker": ["a:1", "b:1"]}, ("worker", 0), 3, False),
    ],
)
def test_tf_config_gives_the_number_of_workers_and_the_chief(monkeypatch, cluster, task, count, chief):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task[0], "index": task[1]}}))
    assert (distribution.count(), distribution.is_chief()) == (count, chief)


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"task": {"type": "worker", "index": 0}}'])
def test_an_empty_tf_config_counts_as_not_set(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert (distribution.count(), distribution.is_chief()) == (1, True)
    assert (
        tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict() == {}
    )  # TensorFlow can read the remaining value.


TWO = '"cluster": {"worker": ["a:1", "b:1"]}'


@pytest.mark.parametrize(
    "text, cause",
    [
        ("worker 0", "Expecting value"),
        ('["a:1"]', "holds list, not a JSON object"),
        ("3", "holds int, not a JSON object"),
        ("[" * 100_000, "recursion"),
        ('{"cluster": ["a:1"], "task": {}}', "must be JSON objects"),
        (f"{{{TWO}}}", 'needs a "type", one of those in "cluster": worker'),
        (f'{{{TWO}, "task": "worker"}}', "must be JSON objects"),
        (f'{{{TWO}, "task": {{"type": "chief", "index": 0}}}}', 'needs a "type"'),
        (f'{{{TWO}, "task": {{"type": ["worker"], "index": 0}}}}', 'needs a "type"'),
        (f'{{{TWO}, "task": {{"type": "worker"}}}}', 'needs an "index" from 0 to 1'),
        (f'{{{TWO}, "task": {{"type": "worker", "index": 2}}}}', 'needs an "index" from 0 to 1'),
        (f'{{{TWO}, "task": {{"type": "worker", "index": -1}}}}', 'needs an "index" from 0 to 1'),
        (f'{{{TWO}, "task": {{"type": "worker", "index": 0.5}}}}', 'needs an "index" from 0 to 1'),
        (f'{{{TWO}, "task": {{"type": "worker", "index": true}}}}', 'needs an "index" from 0 to 1'),
        (
            '{"cluster": {"worker": ["a", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            "'a' is no address with a port",
        ),
        ('{"cluster": {"worker": ["a:1", "b:"]}, "task": {"type": "worker", "index": 0}}', "'b:' is no address"),
        (
            '{"cluster": {"worker": ["a:1", "b:99999"]}, "task": {"type": "worker", "index": 0}}',
            "'b:99999' is no address",
        ),
        (
            '{"cluster": {"worker": ["grpc://a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            "'grpc://a:1' is no address",
        ),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "the same address twice"),
        ('{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}', "1 is no address"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "must have a list of addresses"),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "must have a list of addresses"),
        (
            '{"cluster": {"ps": ["p:1"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
            '"chief" and "worker" only',
        ),
    ],
)
def test_a_malformed_tf_config_is_reported_with_cause_and_fix(monkeypatch, text, cause):
    monkeypatch.setenv("TF_CONFIG", text)
    for function in (distribution.count, distribution.is_chief):
        with pytest.raises(storage.UserError) as caught:
            function()
        assert cause in str(caught.value)
        assert "TF_CONFIG is malformed" in str(caught.value)
        assert "or unset it" in str(caught.value)


def test_the_example_in_the_message_is_valid(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", distribution._TF_CONFIG_EXAMPLE)
    assert distribution.count() == 2
    assert distribution.is_chief()


def test_settings_that_several_workers_cannot_use_are_reported(monkeypatch):
    class Two:
        num_replicas_in_sync = 2

    monkeypatch.setattr(distribution, "strategy", lambda: Two)
    monkeypatch.setattr(distribution, "count", lambda: 2)
    with pytest.raises(
        storage.UserError, match="TRAINING_BATCH_SIZE = 3 can't be divided among 2 workers. Set a multiple of 2"
    ):
        distribution.check(3, None)
    with pytest.raises(storage.UserError, match="TRAINING_TIME_LIMIT_MINUTES = None"):
        distribution.check(4, 10.0)
    distribution.check(4, None)


def test_images_are_read_from_any_file_system_of_tensorflow(prepared):
    # TensorFlow's file system in memory stands for gs:// and s3://.
    for path, content in files(prepared.train_set).items():
        with tf.io.gfile.GFile(f"ram://bucket/{path}", "wb") as file:
            file.write(content)
    options = settings.load(prepared.root)
    cases = sorted(path.stem for path in (prepared.train_set / "images").iterdir())
    values = hyperparameters.Hyperparameters()
    batches = [
        next(iter(fitting.training_batches(folder, cases, values, options)))
        for folder in (prepared.train_set, "ram://bucket")
    ]
    for local, remote in zip(*batches, strict=True):
        np.testing.assert_array_equal(local, remote)
