"""The README is short, the links of all documents lead somewhere, and their Python example runs."""

import re
import subprocess
import sys
import urllib.parse

import pytest

from conftest import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_exist(document):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    relative = [urllib.parse.unquote(link) for link in links if "://" not in link]
    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "word", ["test-time augmentation", "data leakage", "resume", "post-processing", "ensemble", "out-of-distribution"]
)
def test_the_readme_contains_the_words_that_users_search_for(word):
    assert word in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_in_python_runs(tmp_path):
    example = re.search(r"```python\nimport sys.*?```", (ROOT / "docs" / "steps.md").read_text(encoding="utf-8"), re.S)
    code = example[0].removeprefix("```python\n").removesuffix("```").replace("512", "32")
    make_model = (
        "import sys, pathlib, pandas as pd\nsys.path.insert(0, 'src')\nimport networks\n"
        "from networks import saved_model\nfolder = pathlib.Path(sys.argv[1]) / 'model'\nfolder.mkdir()\n"
        "values = dict(architecture='unet', filters=2, stem_patch_px=4, clip_hu=None)\n"
        "network = networks.build(image_size=32, **values)\n"
        "saved_model.write(folder, network, values, {'image_size': 32}, pd.DataFrame())\n"
    )
    use_model = code.replace('pathlib.Path("model")', "folder") + "\nassert masks.shape == (1, 32, 32)\n"
    command = [sys.executable, "-c", make_model + use_model, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
