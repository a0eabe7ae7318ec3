"""Writes the findings beside the preloaded dataset: a table of all cases, and pictures of the worst ones."""

import pathlib
from collections.abc import Mapping, Sequence

from data import preloaded_dataset
from data.checks.copies import Nearest
from data.checks.features import CaseFeatures
from data.checks.finding import Finding
from data.checks.tables import table, worst
from masks import drawing

TABLE, PICTURES = "checks.csv", "checks"
_MAX_JPEG_BYTES = 200_000


def write(
    folder: pathlib.Path,
    data: pathlib.Path,
    features: Mapping[str, CaseFeatures],
    findings: Sequence[Finding],
    nearest: Nearest,
) -> dict[Finding, bytes]:
    """Writes `folder`/checks.csv, and a picture per finding into `folder`/checks: image and mask of its worst cases.

    `data`: the folder with the images and masks of all cases. Returns the findings, each with its picture as a
    JPEG file.
    """
    table(features, findings, nearest).to_csv(folder / TABLE, index=False)
    if not findings:
        return {}
    pictures = {}
    (folder / PICTURES).mkdir()
    for number, (finding, cases) in enumerate(worst(findings), 1):
        images, masks = ([preloaded_dataset.read(data / kind, case) for case in cases] for kind in ("images", "masks"))
        picture = drawing.panel(images, masks, masks, max_side_px=512)
        (folder / PICTURES / f"{number} {finding.check}.png").write_bytes(drawing.to_png(picture))
        pictures[finding] = drawing.to_jpeg(picture, _MAX_JPEG_BYTES)
    return pictures
