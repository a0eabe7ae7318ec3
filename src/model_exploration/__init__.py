"""Step 2: trains models with many values of the hyperparameters, and scores each on a part of the train set that it has not seen.

    model tuning/
      facts.json                  what was searched, with which packages, and on which data
      trials.csv, trials.png      a row per trial, the best first; the same as a picture. Renewed after each trial
      best hyperparameters.json   those of the best trial
      trials/<trial>/             hyperparameters, history.csv and TensorBoard's logs, as `model`; the best ones with their weights
      trials/unfinished <trial>/, failed <trial>/
      search/                     Keras Tuner's own: the state of the search

A trial's score is its Dice after the last epoch, for so the final model will be trained. The split that scores the trials is one and the
same for all of them, so that none wins by an easier one; the test set is not read. A search that was stopped, at whatever moment, goes on:
finished trials are not repeated, one in the middle goes on from its last epoch.

Many machines search together with Keras Tuner's environment variables, the same line of main.py on each: see `cluster/`.
"""

import functools
import importlib.metadata
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api as hparams_page
from tensorboard.summary.writer import event_file_writer

import isolated_process
import model_training
import resumable
import settings
import storage
from data import pipeline, splitting
from model_exploration import search, search_space, summary, trials
from model_training import checkpoint, diagnosis, distribution, fitting, hardware, tensorboard_logs
from settings import Settings, hyperparameters

_PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-addons", "numpy")


def explore_hyperparameters(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model tuning`, and prints the best trials with the lines to paste into config.py.

    MissingResult where step 1 has not run; ResumeMismatch where a search was begun with other settings, data or packages; UserError where no
    trial came to a result.
    """
    options = settings.load(workspace.root)
    space = search_space.build(options.EXPLORATION_SEARCH_SPACE)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        _explore(workspace, options, space)


def _explore(workspace: storage.Workspace, options: Settings, space: Any) -> None:
    cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
    held_out = _held_out(cases, options)
    empty = int((cases["mask_px"][held_out] == 0).sum())
    if distribution.count() > 1:
        raise storage.UserError(
            "TF_CONFIG is set: with it many machines train one model. To search with many, see cluster/README.md."
        )
    # Only where there are empty masks does the score differ from that of earlier versions, whose searches must not be resumed then.
    facts = _facts(options, cases, space.get_config()) | ({"scored without empty masks": empty} if empty else {})
    with resumable.exclusive_lock(workspace.model_tuning, writes=not search.is_worker()):
        if search.is_worker():
            search.wait_for_chief()
            resumable.join(workspace.model_tuning, facts)
        else:
            _begin(workspace, facts, options.EXPLORATION_START_ANEW)
            others = f"the other {held_out.sum()}{_but(empty)}"
            trained = f"{(~held_out).sum()} cases of the train set"
            print(f"Each trial trains on {trained} and is scored by its Dice on {others}.")
            diagnosis.warn_about_intensities(
                hyperparameters.Hyperparameters(
                    clip_hu=None, gaussian_noise=_most(space.get_config(), "gaussian_noise")
                ),
                cases,
            )
            _write_hparams_page(workspace, space.get_config())
        trainer = _Trainer(workspace, options, cases[~held_out], cases["case"][held_out].tolist())
        report = functools.partial(_report, workspace, empty)
        found = search.run(space, options, workspace.model_tuning, trainer, report)
    if found is not None:
        summary.tell(workspace.model_tuning, found, empty)


def _but(empty: int) -> str:
    if not empty:
        return ""
    have = "has" if empty == 1 else "have"
    return (
        f"; {empty} of these {have} an empty reference mask and only count as false positives, if predicted non-empty"
    )


def _begin(workspace: storage.Workspace, facts: dict, anew: bool) -> None:
    try:
        renamed = resumable.start_or_resume(workspace.model_tuning, facts, anew)
    except resumable.ResumeMismatch as error:
        raise resumable.ResumeMismatch(
            f"{error} With EXPLORATION_START_ANEW = True in config.py it is renamed."
        ) from error
    if renamed:
        print(f"The former search, of other settings, data or packages, is now '{renamed}'.")


class _Trainer:
    """Trains the models of trials."""

    def __init__(
        self, workspace: storage.Workspace, options: Settings, train: pd.DataFrame, validation: list[str]
    ) -> None:
        self._workspace, self._options, self._train, self._validation = workspace, options, train, validation

    def __call__(self, trial: trials.Trial) -> pd.DataFrame:
        """The history of a trial's training, with a column val_dice. TrialFailed where it came to nothing."""
        folder = self._workspace.model_tuning / "trials" / trial.name
        unfinished = folder.with_name(f"unfinished {trial.name}")
        if (folder / "history.csv").exists():
            shutil.rmtree(unfinished, ignore_errors=True)  # It was killed between its end and this.
            return pd.read_csv(folder / "history.csv")
        own = {
            "SEED": (self._options.SEED + trial.repeat) % 2**31,
            "TRAINING_EPOCHS": trial.epochs,
            "TRAINING_TIME_LIMIT_MINUTES": None,
        }
        options = Settings(**vars(self._options) | own)
        page = functools.partial(tensorboard_logs.hparams, trial.searched, trial.name)
        train = functools.partial(
            isolated_process.run,
            model_training.train,
            self._workspace.train_set,
            self._train,
            trial.values,
            options,
            unfinished,
            folder,
            self._validation,
            page,
        )
        try:
            return _begun_anew_if_other(train, unfinished)
        except (diagnosis.TrainingFailed, hardware.OutOfMemory, isolated_process.ProcessEnded) as error:
            for left in (unfinished, folder.with_name(f"failed {trial.name}")):
                checkpoint.drop_checkpoint(left)  # As large as the network, twice over.
            raise search.TrialFailed(str(error).splitlines()[0]) from error


def _begun_anew_if_other(train: Callable[[], pd.DataFrame], unfinished: pathlib.Path) -> pd.DataFrame:
    try:
        return train()
    except resumable.ResumeMismatch:
        # What was begun of it, on another machine perhaps, or in another precision, is of no use here.
        shutil.rmtree(unfinished)
        return train()


def _report(workspace: storage.Workspace, empty_masks: int, rows: list[dict]) -> None:
    try:
        summary.write(workspace.model_tuning, rows, empty_masks)
    except OSError as error:
        # On Windows a table that is open in another program can't be renewed: no reason to end the night's search.
        print(f"  The table and the picture of the trials were not renewed: {error}", flush=True)


def _most(space: dict, name: str) -> float:
    (config,) = [hp["config"] for hp in space["space"] if hp["config"]["name"] == name]
    return max([config.get("max_value") or config.get("value") or 0.0, *config.get("values", [])])


def _held_out(cases: pd.DataFrame, options: Settings) -> np.ndarray:
    try:
        held_out = splitting.split(cases["group"].tolist(), options.EXPLORATION_VALIDATION_SHARE, options.SEED)
    except ValueError as error:
        raise storage.DatasetError(
            [f"No validation set can be made: {error}. Add data, or change GROUP_CASES_BY in config.py."]
        ) from error
    for part, name in ((held_out, "validation"), (~held_out, "training")):
        if (cases["mask_px"][part] == 0).all():
            fault = f"All {part.sum()} masks of the {name} part are empty: no trial can be scored."
            raise storage.DatasetError([f"{fault} {_OTHER_SPLIT}"])
    return held_out


_OTHER_SPLIT = (
    "Set another SEED or EXPLORATION_VALIDATION_SHARE, or change GROUP_CASES_BY, in config.py; or add cases with "
    "non-empty masks."
)


def _facts(options: Settings, cases: pd.DataFrame, space: dict) -> dict:
    names = (
        "EXPLORATION_TUNER",
        "EXPLORATION_EPOCHS",
        "EXPLORATION_VALIDATION_SHARE",
        "TRAINING_BATCH_SIZE",
        "MIXED_PRECISION",
    )
    facts = {name: getattr(options, name) for name in (*names, "SEED", "IMAGE_SIZE")}
    facts["ENCODER_WEIGHTS"] = fitting.encoder_name(options)
    facts["search space"] = {hp["config"].pop("name"): f"{hp['class_name']} {hp['config']}" for hp in space["space"]}
    facts["packages"] = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return facts | {name: cases[name].tolist() for name in ("case", "group", "image_sha256", "mask_sha256")}


def _write_hparams_page(workspace: storage.Workspace, space: dict) -> None:
    # Without it TensorBoard guesses the columns from the trials, and shows every metric of each.
    columns = [hparams_page.HParam(hp["config"]["name"], _domain(**hp)) for hp in space["space"]]
    metrics = [
        hparams_page.Metric("epoch_dice", group="validation", display_name="validation Dice"),
        hparams_page.Metric("epoch_dice", group="train", display_name="train Dice"),
        hparams_page.Metric("epoch_loss", group="validation", display_name="validation loss"),
    ]
    # Not by TensorFlow's own writer: the program that searches is not to take the GPU from the trials.
    writer = event_file_writer.EventFileWriter(str(workspace.model_tuning / "trials"))
    writer.add_event(event_pb2.Event(summary=hparams_page.hparams_config_pb(hparams=columns, metrics=metrics)))
    writer.close()


def _domain(class_name: str, config: dict) -> hparams_page.Domain:
    if class_name == "Float":
        return hparams_page.RealInterval(config["min_value"], config["max_value"])
    return hparams_page.Discrete(
        {"Choice": config.get("values"), "Boolean": [False, True], "Fixed": [config.get("value")]}[class_name]
    )
