"""Step 7, which may be left out: cross-validation on the train set. Each fold is predicted by a model that was trained on the others.

    cross-validation/
      facts.json          what was trained, and on which data
      fold 1/, 2/ ...     the folds' models, as `model`; prediction uses them together where PREDICT_WITH_FOLDS is True
      out of fold.csv     a row per train case: its fold, Dice and the other metrics, the lowest Dice first; true_px is
                          0 for an empty reference mask
      images/             comparison images of these, by rank

Nobody's mask is right for sure: where a model that has never seen a case disagrees with its mask, the mask may be wrong. A cross-validation
that was stopped goes on where it was; the test set is not read.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import tqdm

import model_training
import resumable
import settings
import storage
from data import pipeline, preloaded_dataset, splitting
from masks import agreement, drawing, metrics
from model_training import diagnosis, distribution, fitting, hardware
from networks import ensemble
from settings import Settings, hyperparameters

# How many of the cases that the models disagree with most are drawn.
DRAWN = 12


def cross_validate_train_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `cross-validation`, with the hyperparameters of config.py. Errors as `train_final_model`; DatasetError for too few cases or groups."""
    options = settings.load(workspace.root)
    values = options.hyperparameters
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        _cross_validate(workspace, values, options)


def _cross_validate(workspace: storage.Workspace, values: hyperparameters.Hyperparameters, options: Settings) -> None:
    cases = pipeline.read_train_cases(workspace, options.IMAGE_SIZE, options.TRAIN_SET_LOCATION)
    try:
        folds = splitting.folds(cases["group"].tolist(), options.CROSS_VALIDATION_FOLDS, options.SEED)
    except ValueError as error:
        raise storage.DatasetError(
            [f"No folds can be made: {error}. Lower CROSS_VALIDATION_FOLDS, or change GROUP_CASES_BY, in config.py."]
        ) from error
    hardware.prepare(options)
    with resumable.exclusive_lock(workspace.cross_validation, distribution.is_chief()):
        begin = resumable.start_or_resume if distribution.is_chief() else resumable.join
        distribution.chief_first(lambda: begin(workspace.cross_validation, _facts(values, options, cases, folds)))
        diagnosis.warn_about_intensities(values, cases)
        rows = []
        chief = distribution.is_chief()
        for number, folder in enumerate(workspace.fold_models(options.CROSS_VALIDATION_FOLDS)):
            if not folder.exists():
                print(f"\nFold {number + 1} of {options.CROSS_VALIDATION_FOLDS}")
                unfinished = folder.with_name(f"unfinished {folder.name}")
                model_training.train(workspace.train_set, cases[folds != number], values, options, unfinished, folder)
            if chief:
                model = ensemble.read([folder], options.CLEAN_PREDICTIONS)
                rows += _judge(workspace, model, folder, cases["case"][folds == number].tolist(), number + 1)
        if not chief:
            return
        table = pd.DataFrame(rows).sort_values(["dice", "case"], ignore_index=True)
        storage.atomic_write(workspace.cross_validation / "out of fold.csv", table.to_csv(index=False))
        _draw(workspace, table)
        _tell(workspace, table)


def _facts(values: hyperparameters.Hyperparameters, options: Settings, cases: pd.DataFrame, folds: np.ndarray) -> dict:
    names = (
        "CROSS_VALIDATION_FOLDS",
        "SEED",
        "IMAGE_SIZE",
        "TRAINING_EPOCHS",
        "TRAINING_TIME_LIMIT_MINUTES",
        "TRAINING_BATCH_SIZE",
    )
    facts = {name: getattr(options, name) for name in names} | {
        "hyperparameters": dataclasses.asdict(values),
        "folds": folds.tolist(),
    }
    facts["ENCODER_WEIGHTS"] = fitting.encoder_name(options)
    return facts | {name: cases[name].tolist() for name in ("case", "group", "image_sha256", "mask_sha256")}


def _judge(
    workspace: storage.Workspace, model: ensemble.Ensemble, folder: pathlib.Path, cases: list[str], fold: int
) -> list[dict]:
    rows = []
    draft = folder / "predictions"
    draft.mkdir(exist_ok=True)
    for case in tqdm.tqdm(cases, desc=f"Judging fold {fold}", unit=" cases", disable=None, leave=False):
        image, true_mask = (preloaded_dataset.read(workspace.train_set / kind, case) for kind in ("images", "masks"))
        logits = model.logits(image[None, ..., None].astype(np.float32))[:, 0]
        mask = model.mask(logits)
        preloaded_dataset.write(draft, case, mask)
        rows.append({"case": case, "fold": fold, **metrics.compare(true_mask, mask)})
    return rows


def _draw(workspace: storage.Workspace, table: pd.DataFrame) -> None:
    with storage.atomic_folder(workspace.cross_validation / "images") as draft:
        for rank, row in table.head(DRAWN).iterrows():
            image, true_mask = (
                preloaded_dataset.read(workspace.train_set / kind, row["case"]) for kind in ("images", "masks")
            )
            predicted_mask = preloaded_dataset.read(
                workspace.cross_validation / f"fold {row['fold']}" / "predictions", row["case"]
            )
            figure = drawing.comparison(
                image, true_mask, predicted_mask, f"{row['case']}   Dice {row['dice']:.3f}, trained without it"
            )
            (draft / f"{rank + 1:02d} {row['case']}.png").write_bytes(drawing.to_png(figure))


def _tell(workspace: storage.Workspace, table: pd.DataFrame) -> None:
    print(
        f"\n{len(table)} train cases, each predicted by a model that was not trained on it: {_dice_text(table)}.\n"
        f"The models disagree most with these reference masks. Check them, some may be wrong: "
        f"{workspace.cross_validation / 'images'}\n"
        f"{table[['case', 'fold', 'dice', 'hausdorff95_px']].head(5).to_string(index=False)}"
    )


def _dice_text(table: pd.DataFrame) -> str:
    # The mean would be inflated by cases with an empty reference mask: two empty masks have the Dice coefficient 1.
    masks = agreement.EmptyReferences.count(table["true_px"], table["predicted_px"])
    measured = table[table["true_px"] > 0]
    by_fold = measured.groupby("fold")["dice"].mean()
    text = f"Dice {measured['dice'].mean():.3f}; the folds' means are {by_fold.min():.3f} to {by_fold.max():.3f}"
    if not masks.empty:
        return text
    return f"{text}, all over the {len(measured)} with a non-empty reference mask. {masks.text().removesuffix('.')}"
