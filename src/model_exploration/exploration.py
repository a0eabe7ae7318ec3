"""The step itself: checks the data and the settings, runs the search, and reports its result."""

import dataclasses
import functools

import numpy as np
import pandas as pd

import isolated_process
import networks
import provenance
import resumable
import settings
import storage
from data import pipeline, splitting
from model_exploration import hparams_page, search, search_space, summary
from model_exploration.repeats import read_plan
from model_exploration.trainer import Trainer
from model_exploration.trials import Row
from model_training import diagnosis, distribution, fingerprint, fitting
from settings import Settings, hyperparameters

# Version 2 keeps the repeats apart from the trials of the search, and begins with the default hyperparameters.
_VERSION = 2


def explore_hyperparameters(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model tuning`, and prints the best trials with the lines to paste into config.py.

    MissingResult if step 1 has not run. ResumeMismatch if the search was started with other settings, data or packages,
    or by an earlier version. UserError if all trials failed.
    """
    # A search trains networks of many kinds: it cannot start from a model.
    options = dataclasses.replace(settings.load(workspace.root), START_FROM=None)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        _explore(workspace, options)


def _explore(workspace: storage.Workspace, options: Settings) -> None:
    cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
    options = fingerprint.settings_for(options, cases)
    space = search_space.build(options.EXPLORATION_SEARCH_SPACE)
    held_out = _held_out(cases, options)
    empty = int((cases["mask_px"][held_out] == 0).sum())
    if distribution.count() > 1:
        raise storage.UserError(
            "TF_CONFIG is set: it makes several machines train one model. Unset it. "
            "To search on several machines, see cluster/README.md."
        )
    _check_encoder_weights(options, space.get_config())
    # Earlier versions scored empty masks, too: their searches must not be resumed if there are any.
    facts = _facts(options, cases, space.get_config()) | ({"scored without empty masks": empty} if empty else {})
    with resumable.exclusive_lock(workspace.model_tuning, writes=not search.is_worker()):
        if search.is_worker():
            _join(workspace, options, facts)
        else:
            _start_or_resume(workspace, facts, options.EXPLORATION_START_ANEW)
            _print_start(cases, held_out, empty, space.get_config())
            hparams_page.write(workspace.model_tuning / "trials", space.get_config())
        columns = hparams_page.columns(space.get_config())
        trainer = Trainer(workspace, options, cases[~held_out], cases["case"][held_out].tolist(), columns)
        report = functools.partial(_report, workspace, empty)
        first = fingerprint.defaults(cases)
        rows = search.run(space, options, workspace.model_tuning, trainer, report, first)
    if rows is not None:
        summary.report(workspace.model_tuning, rows, empty)


def _check_encoder_weights(options: Settings, space: dict) -> None:
    """UserError if a trial may need encoder weights that cannot be loaded, or downloaded, on this machine."""
    (config,) = [hp["config"] for hp in space["space"] if hp["config"]["name"] == "architecture"]
    allowed = config.get("values", [config.get("value")])
    if options.ENCODER_WEIGHTS and "deeplabv3_plus" in allowed and not search.is_chief():
        isolated_process.run(_build_with_encoder_weights, options)


def _build_with_encoder_weights(options: Settings) -> None:
    networks.build("deeplabv3_plus", options.IMAGE_SIZE, 1, 1, None, options.ENCODER_WEIGHTS)


def _join(workspace: storage.Workspace, options: Settings, facts: dict) -> None:
    # While the repeats are trained, the chief does not answer any more, and need not.
    if read_plan(workspace.model_tuning / "repeats", options) is None:
        search.wait_for_chief()
    resumable.join(workspace.model_tuning, facts)


def _start_or_resume(workspace: storage.Workspace, facts: dict, replace: bool) -> None:
    _check_version(workspace, replace)
    try:
        renamed = resumable.start_or_resume(workspace.model_tuning, facts, replace)
    except resumable.ResumeMismatch as error:
        raise resumable.ResumeMismatch(f"{error} {_FIX}") from error
    if renamed:
        print(f"The previous search had different settings, data or packages. It was renamed to '{renamed}'.")


_FIX = "Or set EXPLORATION_START_ANEW = True in config.py to rename it and start a new search."


def _check_version(workspace: storage.Workspace, replace: bool) -> None:
    file = workspace.model_tuning / "facts.json"
    if replace or not file.exists():
        return
    fix = f"Move or delete the folder '{file.parent.name}' to start a new search."
    if "version" not in storage.read_json(file, fix):
        raise resumable.ResumeMismatch(
            f"'{file.parent.name}' ({file.parent}) holds a search of an earlier version of this program, "
            f"which cannot be resumed. Its trials.csv stays readable. {fix} {_FIX}"
        )


def _print_start(cases: pd.DataFrame, held_out: np.ndarray, empty: int, space: dict) -> None:
    scored = f"the other {held_out.sum()}{_empty_masks_note(empty)}"
    trained = f"{(~held_out).sum()} cases of the train set"
    print(f"Each trial trains on {trained} and is scored by its Dice on {scored}.")
    noise = _max_value(space, "noise_sd")
    diagnosis.warn_about_intensities(hyperparameters.Hyperparameters(clip_hu=None, noise_sd=noise), cases)


def _empty_masks_note(empty: int) -> str:
    if not empty:
        return ""
    have = "has" if empty == 1 else "have"
    return (
        f"; {empty} of these {have} an empty reference mask and only count as false positives, if predicted non-empty"
    )


def _max_value(space: dict, name: str) -> float:
    (config,) = [hp["config"] for hp in space["space"] if hp["config"]["name"] == name]
    return max([config.get("max_value") or config.get("value") or 0.0, *config.get("values", [])])


def _report(workspace: storage.Workspace, empty_masks: int, rows: list[Row]) -> None:
    try:
        summary.write(workspace.model_tuning, rows, empty_masks)
    except OSError as error:
        # On Windows a table that is open in another program cannot be replaced. That must not end the search.
        print(f"  trials.csv and its charts were not updated: {error}", flush=True)


def _held_out(cases: pd.DataFrame, options: Settings) -> np.ndarray:
    try:
        held_out = splitting.split(cases["group"].tolist(), options.EXPLORATION_VALIDATION_SHARE, options.SEED)
    except ValueError as error:
        fault = f"The train set cannot be split into training and validation: {error}."
        raise storage.DatasetError([f"{fault} Add cases, or change GROUP_CASES_BY in config.py."]) from error
    for part, name in ((held_out, "validation"), (~held_out, "training")):
        if (cases["mask_px"][part] == 0).all():
            fault = f"All {part.sum()} masks of the {name} part are empty: trials cannot be scored."
            raise storage.DatasetError([f"{fault} {_OTHER_SPLIT}"])
    return held_out


_OTHER_SPLIT = (
    "Set another SEED or EXPLORATION_VALIDATION_SHARE, or change GROUP_CASES_BY, in config.py; or add cases with "
    "non-empty masks."
)


def _facts(options: Settings, cases: pd.DataFrame, space: dict) -> dict:
    facts = options.fixed(settings.SEARCH) | {"ENCODER_WEIGHTS": fitting.encoder_name(options)}
    facts["search space"] = {hp["config"].pop("name"): f"{hp['class_name']} {hp['config']}" for hp in space["space"]}
    facts["version"] = _VERSION
    facts["packages"] = provenance.installed_packages()
    return facts | {name: cases[name].tolist() for name in ("case", "group", "image_sha256", "mask_sha256")}
