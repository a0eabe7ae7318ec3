"""TensorBoard's HParams page of a search: its columns, and the values of each trial."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer import event_file_writer

from model_exploration.trials import Trial
from model_training import tensorboard_logs

# TensorBoard shows five columns by default: those marked as `differs` first, then the others by the alphabet.
_FIRST = ("learning_rate", "loss")


def columns(space: dict) -> list[str]:
    """The names of the hyperparameters that vary in the configuration of a search space."""
    return [hp["config"]["name"] for hp in space["space"] if hp["class_name"] != "Fixed"]


def callbacks(trial: Trial, columns: list[str]) -> Callable[[pathlib.Path], list]:
    """Returns the argument `callbacks` of `model_training.train`, which logs the values of a trial.

    Repeats are not logged: each would be a second point of its trial.
    """
    if trial.repeat:
        return _no_callbacks
    values = {name: value for name, value in trial.searched.items() if name in columns}
    return functools.partial(tensorboard_logs.hparams, values, trial.name)


def _no_callbacks(logs: pathlib.Path) -> list:
    return []


def write(folder: pathlib.Path, space: dict) -> None:
    """Writes the columns and metrics of the page into the logs in `folder`.

    Without it TensorBoard guesses the columns from the trials, and shows all of their metrics.
    """
    varied = [hp for hp in space["space"] if hp["config"]["name"] in columns(space)]
    hparams = [hparams_api.HParam(hp["config"]["name"], _domain(**hp)) for hp in varied]
    metrics = [
        hparams_api.Metric("epoch_dice", group="validation", display_name="validation Dice"),
        hparams_api.Metric("epoch_dice", group="train", display_name="train Dice"),
        hparams_api.Metric("epoch_loss", group="validation", display_name="validation loss"),
    ]
    summary = hparams_api.hparams_config_pb(hparams=hparams, metrics=metrics)
    # TensorFlow's own writer would occupy the GPU, which the trials need.
    writer = event_file_writer.EventFileWriter(str(folder))
    writer.add_event(event_pb2.Event(summary=_with_first_columns(summary)))
    writer.close()


def _with_first_columns(summary: Any) -> Any:
    metadata = summary.value[0].metadata
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    for info in data.experiment.hparam_infos:
        info.differs = info.name in _FIRST
    metadata.plugin_data.content = data.SerializeToString()
    return summary


def _domain(class_name: str, config: dict) -> hparams_api.Domain:
    if class_name == "Float":
        return hparams_api.RealInterval(config["min_value"], config["max_value"])
    return hparams_api.Discrete(config["values"] if class_name == "Choice" else [False, True])
