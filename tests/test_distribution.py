"""Several programs that train one network, or search together, as on several machines; here all on this one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import model_training
import settings
import storage
from conftest import ROOT, configure, files
from data import phantoms, pipeline, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_training import distribution, fitting
from networks import saved_model
from settings import hyperparameters

TRAIN = """
import os, pathlib, signal, sys
sys.path.insert(0, {src!r})
import command_line
command_line.install_error_handler()
import numpy as np
import storage, model_training, cross_validation
from model_training import checkpoint
from networks import saved_model

write, on_epoch_end = saved_model.write, checkpoint.TrainingCheckpoint.on_epoch_end

def noted(folder, network, *others):
    np.savez({weights!r}, *network.get_weights())
    write(folder, network, *others)

def killed(self, epoch, logs=None):
    on_epoch_end(self, epoch, logs)
    if epoch + 1 == {kill_after}:
        os.kill(os.getpid(), signal.SIGKILL)

saved_model.write, checkpoint.TrainingCheckpoint.on_epoch_end = noted, killed
{step}(storage.Workspace(pathlib.Path({root!r})))
"""


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


def start(script, **environment):
    own = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", script], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(processes, seconds=150):
    """Each one's (exit status, output, errors); all are killed where one takes longer than `seconds`."""
    try:
        return [
            (process.returncode, *texts) for process in processes for texts in [process.communicate(timeout=seconds)]
        ]
    finally:
        for process in processes:
            process.kill()


def train(workspace, count, step="model_training.train_final_model", killed=None, kill_after=0):
    """Trains with `count` workers; what each ended with, and the files of each one's weights."""
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    processes, weights = [], []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        weights.append(workspace.root / f"weights {index} of {count}.npz")
        own = {"kill_after": kill_after if index == killed else 0, "step": step, "weights": str(weights[-1])}
        script = TRAIN.format(src=str(ROOT / "src"), root=str(workspace.root), **own)
        processes.append(start(script, TF_CONFIG=json.dumps(task)))
    return ended(processes), weights


def arrays(file):
    with np.load(file) as content:
        return [content[name] for name in content.files]


def assert_alike(together, alone, workspace):
    """Two trainings of two steps agree up to rounding, which Adam's first steps amplify where a gradient is nearly 0.

    Where measured, the mean difference was less than a millionth of the way that the weights have come; where both
    workers see the same images, it is half of that way.
    """
    cases = preloaded_dataset.read_cases(workspace, "train")
    begun = fitting.compiled_network(
        hyperparameters.Hyperparameters(filters=4), cases, settings.load(workspace.root)
    ).get_weights()
    difference, way = (
        np.concatenate([np.abs(one - other).ravel() for one, other in zip(pair, alone, strict=True)])
        for pair in (together, begun)
    )
    assert np.mean(way) > 2e-4
    assert np.median(difference) < 0.02 * np.mean(way)
    assert np.mean(difference) < 0.06 * np.mean(way)


TOGETHER = {"TRAINING_BATCH_SIZE": 4, "TRAINING_EPOCHS": 1, "HYPERPARAMETERS": {"filters": 4, "rotation_degrees": 5}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The weights of a network that one program, on one device, trains on the same data by the same settings."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("alone"))
    configure(workspace, **TOGETHER)
    phantoms.write_original_dataset(workspace.original_dataset / "hospital A", 10, 64)
    create_preloaded_dataset(workspace)
    model_training.train_final_model(workspace)
    return saved_model.read(workspace.model).get_weights()


def test_two_workers_train_the_network_that_one_would_and_the_chief_alone_writes(prepared, alone):
    configure(prepared, **TOGETHER)
    before = set(files(prepared.root))
    results, (chief, other) = train(prepared, 2)
    assert [status for status, *_ in results] == [0, 0], results
    assert "on 2 workers, each on the CPU" in results[0][1]
    for one, two in zip(arrays(chief), arrays(other), strict=True):
        np.testing.assert_array_equal(one, two)
    assert_alike(arrays(chief), alone, prepared)
    written = {path.split("/")[0] for path in set(files(prepared.root)) - before}
    assert written == {"model", chief.name, other.name}
    assert len(pd.read_csv(prepared.model / "history.csv")) == 1


def test_where_a_worker_of_a_cross_validation_is_killed_the_other_ends_and_a_rerun_goes_on(prepared):
    configure(prepared, CROSS_VALIDATION_FOLDS=2, TRAINING_EPOCHS=2)
    step, begun = "cross_validation.cross_validate_train_set", time.monotonic()
    results, _ = train(prepared, 2, step, killed=1, kill_after=1)
    assert results[1][0] == -signal.SIGKILL
    assert results[0][0] == 1, results
    assert "Another worker of this training has ended" in results[0][2]
    assert "Traceback" not in results[0][2]
    assert time.monotonic() - begun < 120
    assert not list(prepared.cross_validation.glob("fold *"))
    results, _ = train(prepared, 2, step)
    assert [status for status, *_ in results] == [0, 0], results
    assert "Resuming after epoch 1/2." in results[0][1]
    assert [len(pd.read_csv(folder / "history.csv")) for folder in prepared.fold_models(2)] == [2, 2]
    assert len(pd.read_csv(prepared.cross_validation / "out of fold.csv")) == 8


MIRRORED = """
import sys
sys.path.insert(0, {src!r})
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from model_training import checkpoint, distribution
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
distribution.strategy = lambda: mirrored
"""


def test_two_devices_of_one_machine_train_the_network_that_one_would(prepared, alone):
    # Two GPUs, as far as TensorFlow is concerned.
    configure(prepared, **TOGETHER)
    weights = prepared.root / "weights.npz"
    own = {"kill_after": 0, "step": "model_training.train_final_model", "weights": str(weights)}
    script = MIRRORED.format(src=str(ROOT / "src")) + TRAIN.format(
        src=str(ROOT / "src"), root=str(prepared.root), **own
    )
    ((status, _, errors),) = ended([start(script)])
    assert status == 0, errors
    assert_alike(arrays(weights), alone, prepared)


NORMALIZE = """
import numpy as np
from tensorflow import keras
from networks import deeplabv3_plus

halves = np.float32([[1, 2], [30, 50]]).reshape(2, 1, 1, 2, 1)
with mirrored.scope():
    layer = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.BatchNormalization()])
    layer = keras.models.clone_model(layer, clone_function=deeplabv3_plus._keep_resolution)
    distribute = mirrored.experimental_distribute_values_from_function
    half = distribute(lambda device: tf.constant(halves[device.replica_id_in_sync_group]))
found = mirrored.run(lambda images: layer(images, training=True), (half,))
print(*np.ravel(mirrored.experimental_local_results(found)))
"""


def test_the_encoder_s_batch_normalization_is_over_the_whole_batch_not_a_device_s_part_of_it():
    ((status, output, errors),) = ended([start(MIRRORED.format(src=str(ROOT / "src")) + NORMALIZE)])
    assert status == 0, errors
    batch = np.array([1, 2, 30, 50])
    np.testing.assert_allclose(
        [float(value) for value in output.split()], (batch - batch.mean()) / batch.std(), rtol=1e-3
    )


# Trials are not trained here, which the exploration's own tests see to: who gets which is the question.
EXPLORE = """
import pathlib, sys, time
sys.path.insert(0, {src!r})
import command_line
command_line.install_error_handler()
import isolated_process, pandas as pd, storage, model_exploration

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.5))  # The chief's looks at whether it is over.

def trained(train, train_set, cases, values, options, unfinished, target, validation, page):
    print("Epoch 1", flush=True)
    sleep(2)
    target.mkdir(parents=True)
    history = pd.DataFrame({{"val_dice": [values.learning_rate], "seconds": [2.0]}})
    history.to_csv(target / "history.csv", index=False)
    return history

isolated_process.run = trained
model_exploration.explore_hyperparameters(storage.Workspace(pathlib.Path({root!r})))
"""


def until_epoch_1(process):
    """The line that tells the trial, where its first epoch has begun."""
    lines = []
    while "Epoch 1" not in (line := process.stdout.readline()):
        assert line
        lines.append(line)
    return next(line for line in reversed(lines) if line.startswith("Trial "))


def test_a_chief_and_two_workers_share_the_trials_though_one_is_killed(prepared):
    configure(prepared, EXPLORATION_MAX_TRIALS=4, EXPLORATION_REPEATS=1, EXPLORATION_EPOCHS=2)
    script = EXPLORE.format(src=str(ROOT / "src"), root=str(prepared.root))
    (port,) = free_ports(1)
    names = ("chief", "tuner0", "tuner1")
    own = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    processes = {name: start(script, KERASTUNER_TUNER_ID=name, **own) for name in names}
    # One is killed in the middle of a trial, and started again: it gets the same one.
    try:
        begun = until_epoch_1(processes["tuner1"])
        processes["tuner1"].kill()
        processes["tuner1"].communicate()
        processes["tuner1"] = start(script, KERASTUNER_TUNER_ID="tuner1", **own)
        assert until_epoch_1(processes["tuner1"]) == begun
    except BaseException:
        for process in processes.values():
            process.kill()
        raise
    results = ended(processes.values())
    assert [status for status, *_ in results] == [0, 0, 0], results
    # Each trial was trained once, by one of the two; both had some.
    trained = [
        [line.split(":")[0] for line in output.splitlines() if line.startswith("Trial ")] for _, output, _ in results
    ]
    again = [begun.split(":")[0]]
    assert not trained[0]
    assert trained[1]
    assert len(set(trained[1] + trained[2] + again)) == len(trained[1] + trained[2] + again) == 7
    table = pd.read_csv(prepared.model_tuning / "trials.csv")
    assert len(table) == 4
    assert table["repeats_mean"].notna().sum() == 3
    assert "The best of 4 trials" in results[0][1]
    assert "The best of" not in results[1][1] + results[2][1]


def test_a_worker_s_share_of_the_batches_is_what_the_others_leave(prepared):
    cases = sorted(path.stem for path in (prepared.train_set / "images").iterdir())

    def lots(part, count):
        stream = pipeline.endless_pairs(prepared.train_set, cases, 64, 1, 3, part)
        return [tuple(sample_seed) for sample_seed, _, _ in stream.take(count).as_numpy_iterator()]

    whole = lots((0, 1, 6), 18)
    parts = [lots((index, 3, 6), 6) for index in range(3)]
    assert [[sample for part in parts for sample in part[2 * step : 2 * step + 2]] for step in range(3)] == [
        whole[6 * step : 6 * step + 6] for step in range(3)
    ]


def test_without_tf_config_there_is_one_and_it_is_the_chief(monkeypatch):
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
def test_tf_config_tells_how_many_there_are_and_which_is_the_chief(monkeypatch, cluster, task, count, chief):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task[0], "index": task[1]}}))
    assert (distribution.count(), distribution.is_chief()) == (count, chief)


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"task": {"type": "worker", "index": 0}}'])
def test_an_empty_tf_config_counts_as_not_set(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert (distribution.count(), distribution.is_chief()) == (1, True)
    assert (
        tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict() == {}
    )  # TensorFlow can read what is left.


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
def test_a_malformed_tf_config_is_told_with_cause_and_fix(monkeypatch, text, cause):
    monkeypatch.setenv("TF_CONFIG", text)
    for ask in (distribution.count, distribution.is_chief):
        with pytest.raises(storage.UserError) as caught:
            ask()
        assert cause in str(caught.value)
        assert "TF_CONFIG is malformed" in str(caught.value)
        assert "or unset it" in str(caught.value)


def test_the_example_in_the_message_is_valid(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", distribution._TF_CONFIG_EXAMPLE)
    assert distribution.count() == 2
    assert distribution.is_chief()


def test_what_several_can_not_do_is_told(monkeypatch):
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


def test_images_are_read_from_any_place_that_tensorflow_reads(prepared):
    # TensorFlow's file system in memory stands for gs:// and s3://.
    for path, content in files(prepared.train_set).items():
        with tf.io.gfile.GFile(f"ram://bucket/{path}", "wb") as file:
            file.write(content)
    options = settings.load(prepared.root)
    cases = sorted(path.stem for path in (prepared.train_set / "images").iterdir())
    own = hyperparameters.Hyperparameters()
    batches = [
        next(iter(fitting.training_batches(folder, cases, own, options)))
        for folder in (prepared.train_set, "ram://bucket")
    ]
    for here, there in zip(*batches, strict=True):
        np.testing.assert_array_equal(here, there)
