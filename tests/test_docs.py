"""README and docs: links, length, the words that readers search for, and the example code."""

import re
import sys
import textwrap
import urllib.parse

import numpy as np
import pandas as pd
import pytest

import about
import networks
import settings
from conftest import ROOT, training
from networks import saved_model

README = ROOT / "README.md"
# Only these folders: the user's data and the demo may contain any text.
FOLDERS = ("docs", "benchmarks", "cluster")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))])
PAGES.append(ROOT / "original dataset" / "README.md")

SEARCH_TERMS = [
    "test-time augmentation", "data leakage", "resume", "post-processing", "ensemble", "out-of-distribution",
]  # fmt: skip


def name(path):
    return path.relative_to(ROOT).as_posix()


def without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors that GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(page):
    """(target, path, anchor) of each relative link."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for target in targets:
        if not re.match(r"[a-z]+:", target):
            place, _, anchor = target.partition("#")
            yield target, page.parent / urllib.parse.unquote(place) if place else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_to_existing_files(page):
    assert [target for target, path, _ in links(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_anchors_lead_to_existing_headings(page):
    assert [target for target, path, anchor in links(page) if anchor and anchor not in anchors(path)] == []


def test_readme_links_to_every_page_of_docs():
    assert set((ROOT / "docs").glob("*.md")) <= {path for _, path, _ in links(README)}


def test_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").split()) <= 1150


def test_citation_and_changelog_have_the_version_of_the_program():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert {"cff-version: 1.2.0", f'title: "{about.NAME}"', f'version: "{about.VERSION}"'} <= set(lines)
    released = re.findall(r"^## \[(\d.*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert about.VERSION == released[0] or about.VERSION.endswith(".dev0")


@pytest.mark.parametrize("term", SEARCH_TERMS)
def test_readme_contains_what_readers_search_for(term):
    assert term in " ".join(README.read_text(encoding="utf-8").lower().split())


def test_example_code_predicts_with_a_saved_model(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    network = networks.build("unet", 32, 2, 4, (-200.0, 200.0))
    saved_model.write(tmp_path / "model", network, training({"filters": 2}), pd.DataFrame())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "steps.md").read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "segmenter" in block]
    variables = {}
    exec(code, variables)
    assert variables["mask"].shape == (400, 300)
    assert variables["mask"].dtype == np.uint8
    assert variables["quality"].area_cm2 == pytest.approx(variables["quality"].area_px * 0.0064)


def test_the_settings_of_the_study_of_l3_muscle_are_valid(workspace):
    text = (ROOT / "muscle_segmentation_L3.md").read_text(encoding="utf-8")
    block = textwrap.dedent(text.split("```python")[1].split("```")[0].replace("\n   ", "\n"))
    (workspace.root / "config.py").write_text(block, encoding="utf-8")
    options = settings.load(workspace.root)
    assert options.TEST_CASES == "hospital B"
    assert set(options.VALUE_WINDOWS) == {"muscle", "low attenuation", "fat"}
