"""The data report of step 1: its numbers are those of the tables, and it shows what was excluded and found."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from conftest import configure, write_pair
from data import checks, dataset_report, phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from masks import drawing


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL).group()


def table_rows(text):
    """The rows of all tables, as texts."""
    rows = re.findall(r"<tr>(.*?)</tr>", re.sub("</?span>", "", text))
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


@pytest.fixture
def written(workspace):
    """The page and cases.csv of ten phantoms of five patients; another image has another size, one mask is empty."""
    configure(workspace, GROUP_CASES_BY=r"p(\d)")
    for number in range(10):
        image, mask = phantoms.draw(number, 64)
        write_pair(workspace.original_dataset / "A", f"p{number // 2}_{number}", image, mask * (number != 3))
    write_pair(workspace.original_dataset / "A", "p9_large", np.zeros((96, 64)), np.zeros((96, 64)))
    create_preloaded_dataset(workspace)
    cases = pd.read_csv(workspace.preloaded_dataset / "cases.csv")
    return (workspace.preloaded_dataset / "report.html").read_text(), cases


def test_the_flow_chart_leads_from_files_to_train_and_test_set(written):
    page, cases = written
    steps = [re.sub("<.*?>", " ", step).split() for step in re.findall(r"<li>(.*?)</li>", section(page, "cases"))]
    text = " ".join(" ".join(step) for step in steps)
    train, test = ((cases["split"] == split).sum() for split in ("train", "test"))
    groups = cases[cases["split"] == "test"]["group"].nunique()
    assert text.startswith("11 image files with a mask 1 excluded: 96 x 64 px, expected 64 x 64 10 cases Train set: ")
    assert f"Train set: {train} cases ({5 - groups} groups)" in text
    assert f"Test set: {test} cases ({groups} group" in text


def test_the_numbers_are_those_of_the_table_of_cases(written):
    page, cases = written
    numbers = {row[0]: row[1:] for row in table_rows(section(page, "cases"))}
    assert numbers["All"][:4] == ["10", "5", "2 (2 to 2)", "1"]
    assert int(numbers["Train set"][0]) == (cases["split"] == "train").sum()
    areas = {row[0]: row[1:] for row in table_rows(section(page, "areas"))}
    for column, split in enumerate(("train", "test")):
        rows = cases[cases["split"] == split]
        px, share = rows["mask_px"], 100 * rows["mask_px"] / 64**2
        assert areas["Area (px)"][column] == f"{px.median():,.0f} ({px.min():,} to {px.max():,})"
        assert areas["Share of the image (%)"][column].startswith(f"{share.median():.1f} (")
    assert "Unknown: the files do not give it." in section(page, "spacing")
    assert "Area (cm²)" not in areas


def test_the_page_is_offline_and_shows_examples_with_outlines(written):
    page, cases = written
    assert "://" not in page
    names = re.findall(r"<figcaption>(.*?) \((\w+) set\)</figcaption>", section(page, "examples"))
    assert [split for _, split in names] == ["train"] * 3 + ["test"] * 2
    assert set(names) <= set(zip(cases["case"], cases["split"], strict=True))
    assert len(page) < 1_000_000


def preparation(folder, findings=None, **columns):
    """A preloaded dataset of four cases in `folder`, and what step 1 knows of it."""
    names = [f"A__{number}" for number in range(4)]
    cases = pd.DataFrame({"case": names, "group": names, "split": ["train", "train", "train", "test"]})
    values = {"mask_px": 8, "specks_removed_px": 0, "height": 8, "width": 8, "minimum": -1000, "maximum": 300}
    values |= {"dtype": "int16", "row_mm": np.nan, "column_mm": np.nan, "resized_by": 1.0}
    cases = cases.assign(**values | columns)
    for case, split in zip(cases["case"], cases["split"], strict=True):
        for kind in ("images", "masks"):
            (folder / f"{split} set" / kind).mkdir(parents=True, exist_ok=True)
            preloaded_dataset.write(folder / f"{split} set" / kind, case, np.eye(8, dtype=np.uint8))
    excluded = pd.DataFrame({"case": [], "image_file": [], "reason": []}, dtype=str)
    return dataset_report.Preparation(cases, excluded, 2, 3, findings or {}, (-160.0, 240.0), 1)


def written_page(folder, prepared):
    dataset_report.write(folder, prepared)
    return (folder / "report.html").read_text()


def test_spacings_give_areas_in_cm2(tmp_path):
    page = written_page(
        tmp_path, preparation(tmp_path, row_mm=[10.0, 10.0, 20.0, 5.0], column_mm=[10.0, 10.0, 20.0, 10.0])
    )
    assert ["Area (cm²)", "8.0 (8.0 to 32.0)", "4.0 (4.0 to 4.0)"] in table_rows(section(page, "areas"))
    assert ["Distance of rows (mm)", "10.000 (10.000 to 20.000)", "5.000 (5.000 to 5.000)"] in table_rows(page)
    assert "Pixels are not square in 1 case." in section(page, "spacing")


def test_slices_without_foreground_and_the_window_are_named(tmp_path):
    page = written_page(tmp_path, preparation(tmp_path))
    assert "7 images in them" in section(page, "cases")
    assert "3 slices without foreground skipped" in section(page, "cases")
    assert "set GROUP_CASES_BY in config.py" in section(page, "cases")
    assert "CT window of −160 to 240 HU" in section(page, "intensities")
    assert "found nothing that looks wrong" in section(page, "checks")


def test_each_finding_has_its_message_and_its_picture(tmp_path):
    finding = checks.Finding("same mask", ("A__1", "A__0"), False, "2 of 4 cases have <the same> mask.")
    picture = drawing.to_jpeg(np.zeros((8, 8), np.uint8))
    page = written_page(tmp_path, preparation(tmp_path, {finding: picture}))
    assert "The data checks gave 1 warning." in page
    shown = section(page, "checks")
    assert "<h3>Same mask</h3><p>2 of 4 cases have &lt;the same&gt; mask.</p>" in shown
    assert "data:image/jpeg;base64" in shown
    assert "A__1, A__0" in shown
