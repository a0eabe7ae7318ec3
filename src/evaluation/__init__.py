"""Step 5: how good the test set's predictions are, in numbers, plots and pictures, ready to be published and to be doubted.

    results/
      metrics.csv        a row per test case: Dice and the others, areas, what step 4 guessed
      summary.json       each metric's mean, SD, interval and number of failures; empty reference masks; agreement of
                         the areas; number of evaluations
      summary.md, .tex   the same as a table for a manuscript
      methods.txt        a paragraph for one: data, split, training, versions, metrics
      *.png              the plots
      report.html        all of it on one page, which needs no network: every case with its picture, to be sorted, filtered and marked
    images/<case>.png    comparison images of the cases that IMAGES_TO_DRAW chooses; _worst.png: the worst twelve
    evaluations.csv      a row per evaluation, of this and former test sets; never replaced

A distance is infinite where one of two masks is empty. Means are over the cases that have a finite value; the others
are counted beside them as failed, so that they neither swallow the mean nor vanish from it. Cases with an empty
reference mask are not averaged in: their number is reported, and for how many of them the prediction is not empty
(false positives).
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import tqdm

import settings
import storage
from data import mask_folder, preloaded_dataset
from evaluation import evaluation_log, manuscript, report, tables
from masks import charts, cleaning, drawing, metrics
from settings import Settings

# How many of the worst are on the contact sheet.
WORST = 12


def evaluate_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `results` and `images` from the test set's masks and predictions, and prints the summary.

    The predictions are the model's, or those in the folder of the setting PREDICTIONS_FOLDER. MissingResult where step 4 has not run;
    DatasetError where masks are missing, or the model was trained on a test image.
    """
    options = settings.load(workspace.root)
    with storage.reading(workspace.preloaded_dataset, "create_preloaded_dataset"):
        cases = preloaded_dataset.read_cases(workspace, "test")
        predictions = _predictions(workspace, options, cases)
        with (
            storage.locked(workspace.results),
            storage.locked(workspace.images),
            storage.locked(predictions, shared=True),
        ):
            _evaluate(workspace, options, cases, predictions)


def _evaluate(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame, predictions: pathlib.Path) -> None:
    provenance = mask_folder.read_provenance(predictions)
    preloaded_dataset.check_no_leakage(cases, provenance["image_sha256"] if provenance else [])
    spacings = _spacings(options, cases)
    table, second = _measure(workspace, cases, predictions, spacings, options), None
    dataset = preloaded_dataset.read_facts(workspace)
    if options.SECOND_READER_FOLDER is not None:
        # As step 1 has done it with the true masks: one reader's slips of the pen are not to count, and the other's neither.
        second = _measure(
            workspace,
            cases,
            _given(options, "SECOND_READER_FOLDER", cases),
            spacings,
            options,
            dataset["MASK_SPECK_PX"],
        )
    drawn = choose_cases(table, options.IMAGES_TO_DRAW, options.SEED)
    # Another program's folder may hold a table of that name, too.
    quality = mask_folder.read_quality_table(predictions) if provenance else None
    if quality is not None:
        table = table.merge(quality, on="case", how="left")
    if options.SAVE_IMAGES_ON_DISK:
        storage.check_replaceable(workspace.images)
    with storage.atomic_folder(workspace.results) as draft:
        # After everything that can stop this step, before there is a result to see.
        looks = evaluation_log.record_evaluation(
            workspace, cases, _maker_s_name(provenance, options), tables.measured(table)["dice"].mean()
        )
        if options.SAVE_IMAGES_ON_DISK:
            _save_pictures(workspace, predictions, table, drawn, options)
        found = tables.EvaluationResult(table, cases, provenance, options, dataset, second, looks)
        _write(draft, found, report.viewed(workspace.test_set, predictions, table))
    print(f"{found.text()}\nReport: {workspace.results / 'report.html'}")
    if not options.SAVE_IMAGES_ON_DISK:
        try:
            drawing.show(figure for _, figure in _comparisons(workspace, predictions, table, drawn, options))
        except RuntimeError as error:
            raise storage.UserError(f"The results are written, but {error}.") from error


def choose_cases(table: pd.DataFrame, counts: dict[str, Any], seed: int) -> list[str]:
    """The cases to draw, without repetition: the named, the first, some at random, and the worst by Dice and by Hausdorff distance, as many as told.

    DatasetError where a named one is not among them.
    """
    names = table.sort_values("case")["case"]
    unknown = sorted(set(counts.get("cases", [])) - set(names))
    if unknown:
        raise storage.DatasetError(
            [
                f"{case}: IMAGES_TO_DRAW in config.py names this case, but the test set has none of that name."
                for case in unknown
            ]
        )
    chosen = {
        "cases": counts.get("cases", []),
        "first": names[: counts.get("first", 0)],
        "random": names.sample(min(counts.get("random", 0), len(names)), random_state=seed),
        "worst_dice": table.sort_values(["dice", "case"])["case"][: counts.get("worst_dice", 0)],
        "worst_hausdorff": table.sort_values(["hausdorff_px", "case"], ascending=[False, True])["case"][
            : counts.get("worst_hausdorff", 0)
        ],
    }
    return list(dict.fromkeys(case for cases in chosen.values() for case in cases))


def _predictions(workspace: storage.Workspace, options: Settings, cases: pd.DataFrame) -> pathlib.Path:
    if options.PREDICTIONS_FOLDER is None:
        for path in (workspace.predictions, *(workspace.predictions / f"{case}.npy" for case in cases["case"])):
            storage.require(path, "predict_test_set")
        return workspace.predictions
    return _given(options, "PREDICTIONS_FOLDER", cases)


def _maker_s_name(provenance: dict[str, Any] | None, options: Settings) -> str:
    return provenance["id"] if provenance else pathlib.Path(options.PREDICTIONS_FOLDER or "unknown").name


def _given(options: Settings, setting: str, cases: pd.DataFrame) -> pathlib.Path:
    folder = pathlib.Path(getattr(options, setting))
    mask_folder.check(folder, cases["case"].tolist(), setting)
    return folder


def _measure(
    workspace: storage.Workspace,
    cases: pd.DataFrame,
    masks: pathlib.Path,
    spacings: dict[str, float],
    options: Settings,
    speck_px: int = 0,
) -> pd.DataFrame:
    rows, faults = [], []
    for case in tqdm.tqdm(cases["case"], desc="Measuring", unit=" cases", disable=None):
        true_mask = preloaded_dataset.read(workspace.test_set / "masks", case)
        try:
            mask = cleaning.remove_specks(mask_folder.read(masks, case, true_mask.shape), speck_px)
        except storage.DatasetError as error:
            faults += error.faults
        else:
            rows.append(
                {
                    "case": case,
                    **metrics.compare(true_mask, mask, spacings.get(case), options.SURFACE_DICE_TOLERANCE_MM),
                }
            )
    if faults:
        raise storage.DatasetError(faults)
    return pd.DataFrame(rows)


def _spacings(options: Settings, cases: pd.DataFrame) -> dict[str, float]:
    """The side of a pixel of each case, in mm, where it is known."""
    given = options.PIXEL_SPACING_MM
    if options.SURFACE_DICE_TOLERANCE_MM and not given:
        raise settings.SettingsError(
            "SURFACE_DICE_TOLERANCE_MM in config.py is in mm, but PIXEL_SPACING_MM is not set. Set both, or neither."
        )
    if not isinstance(given, str):
        return dict.fromkeys(cases["case"], given) if given else {}
    try:
        known = pd.read_csv(given, dtype={"case": str}).set_index("case")["spacing_mm"]
    except (OSError, KeyError, ValueError) as error:
        raise storage.DatasetError(
            [f"{given}: can't be read as a table with the columns case and spacing_mm ({error}). See PIXEL_SPACING_MM."]
        ) from error
    spacings = pd.to_numeric(known, errors="coerce").replace(np.inf, np.nan)
    right = spacings[(spacings > 0) & ~spacings.index.duplicated(keep=False)].to_dict()
    faults = [
        f"{given}: wanted one row with a spacing_mm above 0 for the case {case}, found {known[known.index == case].tolist()}."
        for case in cases["case"]
        if case not in right
    ]
    if faults:
        raise storage.DatasetError(faults)
    return right


def _save_pictures(
    workspace: storage.Workspace,
    predictions: pathlib.Path,
    table: pd.DataFrame,
    drawn: list[str],
    options: Settings,
) -> None:
    with storage.atomic_folder(workspace.images) as draft:
        pictures = _comparisons(workspace, predictions, table, drawn, options)
        for case, picture in tqdm.tqdm(pictures, total=len(drawn), desc="Drawing", unit=" images", disable=None):
            (draft / f"{case}.png").write_bytes(drawing.to_png(picture))
        worst = choose_cases(table, {"worst_dice": WORST}, options.SEED)
        sheet = drawing.contact_sheet(
            [picture for _, picture in _comparisons(workspace, predictions, table, worst, options)]
        )
        (draft / "_worst.png").write_bytes(drawing.to_png(sheet))


def _comparisons(
    workspace: storage.Workspace,
    predictions: pathlib.Path,
    table: pd.DataFrame,
    drawn: list[str],
    options: Settings,
) -> Iterator[tuple[str, np.ndarray]]:
    rows = table.set_index("case")
    for case in drawn:
        image, true_mask = (preloaded_dataset.read(workspace.test_set / kind, case) for kind in ("images", "masks"))
        mask = mask_folder.read(predictions, case, true_mask.shape)
        caption = f"{case}   Dice {rows.dice[case]:.3f}   Hausdorff {_distance(rows.hausdorff_px[case])}"
        pair = metrics.Comparison(true_mask, mask).hausdorff_pair() if options.DRAW_HAUSDORFF_LINE else None
        yield case, drawing.comparison(image, true_mask, mask, caption, hausdorff_pair=pair)


def _distance(distance_px: float) -> str:
    return f"{distance_px:.1f} px" if np.isfinite(distance_px) else "undefined (one mask is empty)"


def _write(folder: pathlib.Path, found: tables.EvaluationResult, viewed: list[dict]) -> None:
    plots = {}
    if len(found.measured):
        plots["distributions.png"] = charts.distributions(found.measured, found.drawn)
        plots["areas.png"] = charts.areas(*found.areas(), found.area_agreement)
    if tables.predicted_dice_reliability(found.table):
        plots["predicted_dice.png"] = charts.predicted_and_true_dice(found.measured)
    pictures = {name: charts.to_png(figure) for name, figure in plots.items()}
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    found.table.to_csv(folder / "metrics.csv", index=False)
    for name, content in manuscript.files(found).items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "report.html").write_text(report.page(found, pictures, viewed), encoding="utf-8")
