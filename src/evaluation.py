"""Step 5: how good the test set's predictions are, in numbers, plots and pictures.

    results/
      metrics.csv      a row per test case: Dice and the others, areas of the masks
      summary.json     each metric's mean, spread and number of failures
      box_plots.png
      report.html      all of it on one page, which needs no network
    images/<case>.png  comparison images of the cases that IMAGES_TO_DRAW chooses

A distance is infinite where one of two masks is empty. Means are over the cases that have a finite value; the others are counted beside
them as failed, so that they neither swallow the mean nor vanish from it.
"""
import base64
import html
import json
import pathlib
import types
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import tqdm

import settings
import storage
from data import preloaded_dataset
from masks import charts, drawing, metrics

METRICS = ("dice", "jaccard", "precision", "recall", "hausdorff_px", "hausdorff95_px")


def evaluate_test_set(workspace: storage.Workspace = storage.PROJECT) -> None:
    """Writes `results` and `images` from the test set's masks and predictions, and prints the summary. MissingResult where step 4 has not run."""
    options = settings.load(workspace.root)
    cases = preloaded_dataset.read_cases(workspace, "test")["case"].tolist()
    for path in (workspace.predictions, *(workspace.predictions / f"{case}.npy" for case in cases)):
        storage.require(path, "predict_test_set")
    table = _measure(workspace, cases, options.PIXEL_SPACING_MM)
    judgements = preloaded_dataset.read_judgements(workspace.predictions)
    if judgements is not None:
        table = table.merge(judgements, on="case", how="left")
    drawn = choose_cases(table, options.IMAGES_TO_DRAW, options.SEED)
    if options.SAVE_IMAGES_ON_DISK:
        _save_pictures(workspace, table, drawn, options)
    summary = summarize(table)
    with storage.replacing(workspace.results) as draft:
        _write(draft, table, summary, drawn if options.SAVE_IMAGES_ON_DISK else [])
    print(f"{len(table)} test cases:\n{_text(summary)}\n{_foresight(table)}Report: {workspace.results / 'report.html'}")
    if not options.SAVE_IMAGES_ON_DISK:
        try:
            drawing.show(figure for _, figure in _comparisons(workspace, table, drawn, options))
        except RuntimeError as error:
            raise storage.PlainError(f"The results are written, but {error}.") from error


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """A row per metric of a table like metrics.csv: mean, sd, median, minimum and maximum of the finite values, their number, and the failed."""
    finite = table[list(METRICS)].replace([np.inf, -np.inf], np.nan)
    summary = pd.DataFrame({"mean": finite.mean(), "sd": finite.std(), "median": finite.median(), "minimum": finite.min(), "maximum": finite.max()})
    return summary.assign(cases=finite.count(), failed=finite.isna().sum())


def foresight(table: pd.DataFrame) -> tuple[float, float] | None:
    """How well the predicted Dice coefficients foresaw the true ones: Spearman's rank correlation, -1 to 1, and by how much they were too high.

    None where nothing was predicted, or all cases have the same value.
    """
    pairs = table.reindex(columns=["predicted_dice", "dice"]).dropna()
    if pairs.nunique().min() < 2:
        return None
    return float(pairs.corr(method="spearman").iloc[0, 1]), float((pairs["predicted_dice"] - pairs["dice"]).mean())


def choose_cases(table: pd.DataFrame, counts: dict[str, int], seed: int) -> list[str]:
    """The cases to draw, without repetition: the first, some at random, and the worst by Dice and by Hausdorff distance, as many as told."""
    names = table.sort_values("case")["case"]
    chosen = {
        "first": names[: counts.get("first", 0)],
        "random": names.sample(min(counts.get("random", 0), len(names)), random_state=seed),
        "worst_dice": table.sort_values(["dice", "case"])["case"][: counts.get("worst_dice", 0)],
        "worst_hausdorff": table.sort_values(["hausdorff_px", "case"], ascending=[False, True])["case"][: counts.get("worst_hausdorff", 0)],
    }
    return list(dict.fromkeys(case for cases in chosen.values() for case in cases))


def _measure(workspace: storage.Workspace, cases: list[str], spacing_mm: float | None) -> pd.DataFrame:
    rows = []
    for case in tqdm.tqdm(cases, desc="Measuring", unit=" cases", disable=None):
        _, true_mask, predicted_mask = _read(workspace, case)
        rows.append({"case": case, **metrics.compare(true_mask, predicted_mask)})
    table = pd.DataFrame(rows)
    if spacing_mm is not None:
        for name in ("true", "predicted"):
            table[f"{name}_cm2"] = table[f"{name}_px"] * spacing_mm**2 / 100
    return table


def _read(workspace: storage.Workspace, case: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    folders = (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions)
    return tuple(preloaded_dataset.read(folder, case) for folder in folders)


def _save_pictures(workspace: storage.Workspace, table: pd.DataFrame, drawn: list[str], options: types.SimpleNamespace) -> None:
    with storage.replacing(workspace.images) as draft:
        figures = _comparisons(workspace, table, drawn, options)
        for case, figure in tqdm.tqdm(figures, total=len(drawn), desc="Drawing", unit=" images", disable=None):
            (draft / f"{case}.png").write_bytes(drawing.to_png(figure))


def _comparisons(
    workspace: storage.Workspace, table: pd.DataFrame, drawn: list[str], options: types.SimpleNamespace
) -> Iterator[tuple[str, drawing.Figure]]:
    rows = table.set_index("case")
    for case in drawn:
        image, true_mask, predicted_mask = _read(workspace, case)
        caption = f"{case}   Dice {rows.dice[case]:.3f}   Hausdorff {_distance(rows.hausdorff_px[case])}"
        pair = metrics.hausdorff_pair(true_mask, predicted_mask) if options.DRAW_HAUSDORFF_LINE else None
        yield case, drawing.comparison(image, true_mask, predicted_mask, caption, hausdorff_pair=pair)


def _distance(distance_px: float) -> str:
    return f"{distance_px:.1f} px" if np.isfinite(distance_px) else "undefined (one mask is empty)"


def _write(folder: pathlib.Path, table: pd.DataFrame, summary: pd.DataFrame, pictures: Sequence[str]) -> None:
    plots = drawing.to_png(charts.box_plots(table))
    table.to_csv(folder / "metrics.csv", index=False)
    # JSON knows no NaN: a metric that failed in all cases has null for its mean.
    values = summary.astype(object).where(summary.notna(), None).to_dict("index")
    correlation, excess = foresight(table) or (None, None)
    content = {"cases": len(table), "metrics": values, "predicted_dice_correlation": correlation, "predicted_dice_excess": excess}
    (folder / "summary.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "box_plots.png").write_bytes(plots)
    (folder / "report.html").write_text(_report(table, summary, plots, pictures), encoding="utf-8")


def _foresight(table: pd.DataFrame) -> str:
    found = foresight(table)
    return f"Rank correlation of the predicted with the true Dice: {found[0]:.2f}; {_excess(found[1])}\n" if found else ""


def _excess(difference: float) -> str:
    return f"on average the prediction was {abs(difference):.2f} too {'high' if difference > 0 else 'low'}."


def _text(summary: pd.DataFrame) -> str:
    return summary.to_string(float_format="{:.3f}".format)


def _report(table: pd.DataFrame, summary: pd.DataFrame, plots: bytes, pictures: Sequence[str]) -> str:
    worst_first = table.sort_values(["dice", "case"])
    tables = [frame.to_html(float_format="{:.3f}".format, border=0, index=index) for frame, index in ((summary, True), (worst_first, False))]
    links = "\n".join(f'<figure><img loading="lazy" src="../images/{html.escape(case)}.png" alt="{html.escape(case)}"></figure>' for case in pictures)
    return _PAGE.format(cases=len(table), summary=tables[0], table=tables[1], plots=_embedded(plots), foresight=_foresight_section(table), pictures=links)


def _foresight_section(table: pd.DataFrame) -> str:
    if not (found := foresight(table)):
        return ""
    picture = _embedded(drawing.to_png(charts.predicted_and_true_dice(table)))
    return _FORESIGHT.format(correlation=found[0], excess=_excess(found[1]), cases=len(table), picture=picture)


def _embedded(png: bytes) -> str:
    return base64.b64encode(png).decode()


_FORESIGHT = """<h2>Did the model know how good it was?</h2>
<p>Each mask's Dice was predicted without its true mask, from how far the model's masks of the image and of its mirror image, or those of the
folds' models, agree. Spearman's rank correlation with the true Dice: {correlation:.2f}, over {cases} cases; {excess} Where the correlation is high,
the predicted Dice tells which new masks are to be looked at first.</p>
<img src="data:image/png;base64,{picture}" alt="The true Dice of each case against the predicted one">"""


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Segmentation of {cases} test cases</title>
<style>
  body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
  .scroll {{ overflow-x: auto }}
  table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
  th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd }}
  th:first-child, td:first-child {{ text-align: left }}
  img {{ max-width: 100% }}
  .pictures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: .5rem }}
  figure {{ margin: 0 }}
</style>
<h1>Segmentation of {cases} test cases</h1>
<p>Distances are in pixels. Where one of two masks is empty they are infinite: means are over the other cases, and these are counted as failed.
Two empty masks agree: Dice 1, distance 0.</p>
<div class="scroll">{summary}</div>
<img src="data:image/png;base64,{plots}" alt="Box plots of all metrics">
{foresight}
<h2>Cases, the worst Dice first</h2>
<div class="scroll">{table}</div>
<h2>Comparison images</h2>
<p>Green: both masks. Blue: only the true mask. Red: only the prediction.</p>
<div class="pictures">{pictures}</div>
</html>
"""
