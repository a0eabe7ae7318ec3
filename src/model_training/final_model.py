"""Step 3: trains the final model on the whole train set."""

import datetime
import pathlib

import pandas as pd

import settings
import storage
from data import pipeline
from masks import training_chart
from model_training import diagnosis, window
from model_training.training import train
from provenance import Training


def train_final_model(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `model`: trained on the train set with the hyperparameters of config.py. Resumes an interrupted training.

    ResumeMismatch if an unfinished training was started with other settings or data; DamagedFile if it is damaged;
    MissingResult if step 1 has not run; TrainingFailed if the network learns nothing, or its weights are not finite.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
        options = window.settings_for(options, cases)
        diagnosis.warn_about_intensities(options.hyperparameters, cases)
        _announce_replacement(workspace)
        history = train(
            workspace.train_set,
            cases,
            options.hyperparameters,
            options,
            workspace.unfinished_model,
            workspace.model,
            add_files=_add_files,
        )
    # A time limit may end within an epoch, whose few images are not representative.
    whole = history[history["images"] == history["images"].max()]
    print(
        f"Model trained for {len(history)} epochs in {history['seconds'].sum() / 60:.1f} min, "
        f"Dice {whole['dice'].iloc[-1]:.3f} on the train set{_empty_masks(cases)}."
    )


def _add_files(folder: pathlib.Path, training: Training, history: pd.DataFrame) -> None:
    training_chart.plot(history).savefig(folder / training_chart.FILE)


def _announce_replacement(workspace: storage.Workspace) -> None:
    file = workspace.model / "training.json"
    if file.exists():
        written = datetime.datetime.fromtimestamp(file.stat().st_mtime)
        print(f"The model of {written:%Y-%m-%d %H:%M} will be replaced when this training ends.")


def _empty_masks(cases: pd.DataFrame) -> str:
    empty = int((cases["mask_px"] == 0).sum())
    return f" ({empty} of {len(cases)} reference masks are empty and not counted)" if empty else ""
