"""A table with several evaluated sets side by side, a row per set, from the summary.json of each."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

import storage
from evaluation import manuscript, texts
from wording import with_interval

_FIX = "Repeat the evaluation."
_HEADER = ("Set", "Cases", "Groups", "Dice (95 % CI)", "95 % Hausdorff distance", "Area, predicted − true", "Model")


def row(name: str, results: pathlib.Path) -> dict[str, Any]:
    """Returns the row of a set from summary.json in its folder of results. DamagedFile if that has changed.

    Means are over the cases with a non-empty reference mask. Unknown numbers are NaN.
    """
    file = results / "summary.json"
    content = storage.read_json(file, _FIX, ("cases", "metrics", "areas", "model"))
    try:
        metrics, areas = content["metrics"], content["areas"]
        dice = metrics["dice"]
        distances = {each: metrics.get(each, {}).get("mean") for each in ("hausdorff95_px", "hausdorff95_mm")}
        numbers = {"dice": dice["mean"], "dice_ci_low": dice["ci_low"], "dice_ci_high": dice["ci_high"], **distances}
        numbers |= {"area_bias": areas["bias"]}
        return {
            "set": name,
            "cases": content["cases"],
            "groups": content.get("groups"),
            "empty_reference_masks": content.get("empty_reference_masks"),
            **{key: math.nan if value is None else float(value) for key, value in numbers.items()},
            "area_unit": areas["unit"],
            "model": content["model"] or "",
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise storage.DamagedFile(f"{file}: not a summary of this program ({error!r}). {_FIX}") from error


def files(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the contents of summary.csv and summary.md, by name."""
    notes = ["The interval is over groups. Means are over the cases with a non-empty reference mask."]
    if len({each["model"] for each in rows}) > 1:
        notes += ["The rows are of different models: compare the column Model."]
    markdown = manuscript.markdown([list(_HEADER), *map(_cells, rows)], notes)
    return {"summary.csv": pd.DataFrame(rows).to_csv(index=False), "summary.md": markdown}


def _cells(each: Mapping[str, Any]) -> list[str]:
    ends = each["dice_ci_low"], each["dice_ci_high"]
    dice = with_interval(texts.metric("dice", each["dice"]), ends, 3)
    unit = "mm" if math.isfinite(each["hausdorff95_mm"]) else "px"
    distance = f"{texts.number(each[f'hausdorff95_{unit}'], 1)} {unit}"
    places, area_unit = (2, "cm²") if each["area_unit"] == "cm2" else (1, each["area_unit"])
    area = f"{texts.number(each['area_bias'], places, '+')} {area_unit}"
    groups = "-" if each["groups"] is None else str(each["groups"])
    return [each["set"], str(each["cases"]), groups, dice, distance, area, each["model"] or "-"]
