"""The data report, `preloaded dataset/report.html`: what step 1 read, excluded, found and split."""

import dataclasses
import datetime
import html
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

import html_page
from data import checks, preloaded_dataset
from html_page import Section, charts
from masks import drawing, overlay
from wording import counted

FILE = "report.html"
SPLITS = ("train", "test")
# Pixels of so many cases per split, and of each only every few rows and columns: the report takes a moment, no more.
_SAMPLED_CASES, _SAMPLED_SIDE_PX = 40, 64
_EXAMPLES, _EXAMPLE_BYTES = 6, 60_000
_MAX_REASONS = 10
_STYLE = "#checks img { max-width: min(100%, 40rem) }\n"


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What step 1 read and made of it.

    cases, excluded: cases.csv and `left out.csv`.
    files: the number of image files with a mask.
    empty_slices: the number of slices of volumes that were skipped because their mask is empty.
    findings: of the data checks, each with its picture, a JPEG file.
    window: the CT window that the training will use, in HU; None if the images are normalized.
    seed: selects the examples.
    """

    cases: pd.DataFrame
    excluded: pd.DataFrame
    files: int
    empty_slices: int
    findings: Mapping[checks.Finding, bytes]
    window: tuple[float, float] | None
    seed: int

    def of(self, split: str) -> pd.DataFrame:
        """The rows of cases.csv of "train" or "test"."""
        return self.cases[self.cases["split"] == split]


def write(folder: pathlib.Path, prepared: Preparation) -> None:
    """Writes the report into `folder`, the preloaded dataset, whose images and masks it samples."""
    sections = [
        Section("cases", "Cases and groups", _flow(prepared) + _counts(prepared)),
        Section("checks", "Data checks", _checks(prepared)),
        Section("intensities", "Intensities", _intensities(folder, prepared)),
        Section("spacing", "Pixel spacing", _spacing(prepared.cases)),
        Section("areas", "Mask areas", _areas(prepared.cases)),
        Section("examples", "Examples", _examples(folder, prepared)),
    ]
    opening = f'<p class="lead">{_opening(prepared)}</p>'
    page = html_page.page("Data for training and testing", opening, sections, _STYLE)
    (folder / FILE).write_text(page, encoding="utf-8")


def _opening(prepared: Preparation) -> str:
    day, parts = datetime.date.today(), [_cases_and_groups(prepared, split) for split in SPLITS]
    warnings = counted(len(prepared.findings), "warning") if prepared.findings else "no warning"
    return (
        f"On {day.day} {day:%B %Y}, step 1 made {parts[0]} for training and {parts[1]} for testing from "
        f"{counted(prepared.files, 'image file')} with a mask. The data checks gave {warnings}. Look at this page "
        "before you train: wrong data trains without complaint."
    )


def _cases_and_groups(prepared: Preparation, split: str) -> str:
    rows = prepared.of(split)
    groups = f" ({counted(rows['group'].nunique(), 'group')})" if _is_grouped(prepared.cases) else ""
    return f"{counted(len(rows), 'case')}{groups}"


def _flow(prepared: Preparation) -> str:
    """Returns the flow chart, from the files to the train and the test set."""
    images = len(prepared.cases) + len(prepared.excluded) + prepared.empty_slices
    read = counted(prepared.files, "image file") + " with a mask"
    slices = f"<br>{counted(images, 'image')} in them" if images != prepared.files else ""
    removed = [f"{count:,} excluded: {html.escape(reason)}" for reason, count in _reasons(prepared.excluded).items()]
    removed += [f"{counted(prepared.empty_slices, 'slice')} without foreground skipped"] * (prepared.empty_slices > 0)
    aside = f'<ul class="aside">{"".join(f"<li>{text}</li>" for text in removed)}</ul>' if removed else ""
    ends = "".join(f"<li>{split.capitalize()} set: {_cases_and_groups(prepared, split)}</li>" for split in SPLITS)
    return (
        f'<h3>From files to cases</h3><ol class="flow"><li>{read}{slices}</li>{f"<li>{aside}</li>" if aside else ""}'
        f'<li>{counted(len(prepared.cases), "case")}</li><li><ul class="ends">{ends}</ul></li></ol>'
    )


def _reasons(excluded: pd.DataFrame) -> dict[str, int]:
    counts = excluded["reason"].value_counts()
    others = {"other reasons, see left out.csv": int(counts[_MAX_REASONS:].sum())} if len(counts) > _MAX_REASONS else {}
    return dict(counts[:_MAX_REASONS]) | others


def _counts(prepared: Preparation) -> str:
    rows = [_count_row(f"{split.capitalize()} set", prepared.of(split)) for split in SPLITS]
    header = ["", "Cases", "Groups", "Cases per group, median (range)", "Empty masks", "Masks with specks removed"]
    table = html_page.table(header, [*rows, _count_row("All", prepared.cases)])
    if not _is_grouped(prepared.cases):
        note = "Each case is a group of its own. If a patient has several images, set GROUP_CASES_BY in config.py."
        return f"<h3>Numbers</h3>{table}<p>{note}</p>"
    sizes = {f"{split} set": prepared.of(split)["group"].value_counts().to_numpy() for split in SPLITS}
    chart = charts.histogram(sizes, "Cases per group", "Groups")
    note = "A group, such as a patient, is in one of the two sets only."
    return f"<h3>Numbers</h3>{table}<p>{note}</p>{html_page.figure(chart, 'Cases per group')}"


def _count_row(name: str, rows: pd.DataFrame) -> list[str]:
    sizes = rows["group"].value_counts()
    per_group = f"{sizes.median():g} ({sizes.min()} to {sizes.max()})" if len(rows) else ""
    counts = len(rows), sizes.size, (rows["mask_px"] == 0).sum(), (rows["specks_removed_px"] > 0).sum()
    cells = [f"{count:,}" for count in counts]
    return [name, *cells[:2], per_group, *cells[2:]]


def _checks(prepared: Preparation) -> str:
    if not prepared.findings:
        return "<p>The checks found nothing that looks wrong. docs/steps.md lists what they can't find.</p>"
    parts = ["<p>Each picture has the most striking cases: the image, and the image with its mask in colour.</p>"]
    for finding, picture in prepared.findings.items():
        shown = html_page.image(picture, f"Cases of the finding: {finding.check}")
        parts.append(f"<h3>{html.escape(finding.check.capitalize())}</h3><p>{html.escape(finding.message)}</p>")
        parts.append(html_page.figure(shown, f"From above: {', '.join(finding.cases[: checks.MAX_PICTURED])}"))
    return "".join(parts)


def _intensities(folder: pathlib.Path, prepared: Preparation) -> str:
    samples = {f"{split} set": _sampled_pixels(folder, prepared, split) for split in SPLITS}
    window = prepared.window
    marks = {} if window is None else {f"{value:g}".replace("-", "−"): value for value in window}
    unit = "Value (HU)" if window else "Value"
    text = (
        f"The training clips the values to the CT window of {' to '.join(marks)} HU; the dotted lines mark it."
        if window
        else "The training normalizes each image to mean 0 and standard deviation 1: there is no CT window."
    )
    cases = prepared.cases
    sampled = "Pixels of train and test images, on a logarithmic scale; a sample of at most "
    sampled += f"{_SAMPLED_CASES} cases each. The two curves should be similar."
    figures = [
        html_page.figure(charts.histogram(samples, unit, "Pixels", log=True, marks=marks), sampled),
        html_page.figure(
            charts.ranges(cases["minimum"].tolist(), cases["maximum"].tolist(), unit),
            "Lowest to highest value of each case. Cases that stand out may have other units or artefacts.",
        ),
    ]
    dtypes = ", ".join(f"{name} ({count:,})" for name, count in cases["dtype"].value_counts().items())
    return f"<p>{text} Stored as {dtypes}.</p>{''.join(figures)}"


def _sampled_pixels(folder: pathlib.Path, prepared: Preparation, split: str) -> np.ndarray:
    pixels = []
    for case in _random(prepared.of(split), _SAMPLED_CASES, prepared.seed)["case"]:
        image = preloaded_dataset.read(folder / f"{split} set" / "images", case)
        step = -(-max(image.shape) // _SAMPLED_SIDE_PX)
        pixels.append(image[step // 2 :: step, step // 2 :: step].ravel().astype(np.float32))
    return np.concatenate(pixels)


def _spacing(cases: pd.DataFrame) -> str:
    known = cases.dropna(subset=["row_mm", "column_mm"])
    if known.empty:
        fix = "unless PIXEL_SPACING_MM is set in config.py"
        return f"<p>Unknown: the files do not give it. Areas and distances are then in px, {fix}.</p>"
    sentences = ["The files give it."]
    if missing := len(cases) - len(known):
        sentences.append(f"It is unknown for {counted(missing, 'case')}.")
    uneven = int((~np.isclose(known["row_mm"], known["column_mm"])).sum())
    sentences.append(f"Pixels are not square in {counted(uneven, 'case')}." if uneven else "All pixels are square.")
    if resized := int((~np.isclose(cases["resized_by"], 1)).sum()):
        sentences.append(f"{counted(resized, 'image')} were resized; the spacing is that after it.")
    table = _table(known, {"Distance of rows (mm)": (known["row_mm"], 3), "Of columns (mm)": (known["column_mm"], 3)})
    return f"<p>{' '.join(sentences)}</p>{table}{_histogram(known, known['row_mm'], 'Distance of rows (mm)')}"


def _areas(cases: pd.DataFrame) -> str:
    kinds = {
        "Share of the image (%)": (100 * cases["mask_px"] / (cases["height"] * cases["width"]), 1),
        "Area (px)": (cases["mask_px"], 0),
    }
    areas_cm2 = cases["mask_px"] * cases["row_mm"] * cases["column_mm"] / 100
    if areas_cm2.notna().any():
        kinds["Area (cm²)"] = areas_cm2, 1
    label, (values, _) = list(kinds.items())[-1]
    return _table(cases, kinds) + _histogram(cases, values, label)


def _table(cases: pd.DataFrame, kinds: Mapping[str, tuple[pd.Series, int]]) -> str:
    """Returns a table with the median and the range of each kind of values, which have some decimal places."""
    header = ["", *(f"{split.capitalize()} set, median (range)" for split in SPLITS)]
    rows = [
        [name, *(_spread(values[cases["split"] == split].dropna(), places) for split in SPLITS)]
        for name, (values, places) in kinds.items()
    ]
    return html_page.table(header, rows)


def _spread(values: pd.Series, places: int) -> str:
    if values.empty:
        return "unknown"
    median, low, high = (f"{value:,.{places}f}" for value in (values.median(), values.min(), values.max()))
    return f"{median} ({low} to {high})"


def _histogram(cases: pd.DataFrame, values: pd.Series, label: str) -> str:
    series = {f"{split} set": values[cases["split"] == split].dropna().to_numpy() for split in SPLITS}
    return html_page.figure(charts.histogram(series, label, "Cases"), f"{label}: train and test set")


def _examples(folder: pathlib.Path, prepared: Preparation) -> str:
    figures = []
    # From each set: a sample of all cases with the seed of the split would be the test set.
    chosen = [_random(prepared.of(split), _EXAMPLES // 2, prepared.seed) for split in SPLITS]
    for row in pd.concat(chosen).itertuples():
        image, mask = (
            preloaded_dataset.read(folder / f"{row.split} set" / kind, row.case) for kind in ("images", "masks")
        )
        picture = drawing.to_jpeg(overlay.outlined(image, mask), _EXAMPLE_BYTES)
        shown = html_page.image(picture, f"Image and outline of the mask of {row.case}")
        figures.append(html_page.figure(shown, f"{row.case} ({row.split} set)"))
    text = "<p>Random cases with the outline of their mask in orange. Do the outlines follow the structure?</p>"
    return f'{text}<div class="figures">{"".join(figures)}</div>'


def _random(cases: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    return cases.sample(min(count, len(cases)), random_state=seed)


def _is_grouped(cases: pd.DataFrame) -> bool:
    return cases["group"].nunique() < len(cases)
