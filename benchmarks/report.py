"""The evaluation report with 300 and 3,000 cases: size, and time to open and sort it in Chromium, against a commit.

python benchmarks/report.py [--commit 871f123] [--cases 300 3000] [--rounds 7]

Both commits evaluate the same phantoms of 512 px, whose predictions miss increasingly many rows. Their pages take turns
in one Chromium. "Open" lasts from the start of the navigation to the first frame in which rows can be clicked, "sort"
from a click on a column's title to the first frame in the new order. The page of this checkout has the first rows
then; "print" lasts until it has all rows, as for printing. The other commit is checked out in a temporary folder. Needs
Chromium.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from checkouts import worktree

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE, THERE = "this checkout", "the other"
PHANTOMS, SIZE = 10, 512
FRAME = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)));"
OPEN = f"async () => {{ {FRAME} return performance.now(); }}"
SORT = f"""async () => {{
    const button = [...document.querySelectorAll("#cases th button")].find(each => each.textContent === "Recall");
    const start = performance.now();
    button.click();
    {FRAME}
    return performance.now() - start;
}}"""
PRINT = f"""async cases => {{
    const start = performance.now();
    window.dispatchEvent(new Event("beforeprint"));
    {FRAME}
    if (document.querySelectorAll("#cases tbody tr").length !== cases) throw Error("rows are missing");
    return performance.now() - start;
}}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="871f123")
    parser.add_argument("--cases", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--evaluate", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.evaluate:
        evaluate(*map(pathlib.Path, options.evaluate))
        return
    with tempfile.TemporaryDirectory() as folder, worktree(pathlib.Path(folder) / "checkout", options.commit) as other:
        for cases in options.cases:
            workspace = pathlib.Path(folder) / f"{cases} cases"
            prepare(workspace, cases)
            pages = {name: written(root, workspace) for name, root in ((HERE, ROOT), (THERE, other))}
            report(cases, pages, measured(pages, cases, options.rounds))


def prepare(root, count):
    """Writes a dataset and predictions. The cases share the files of a few phantoms, by links."""
    sys.path.insert(0, str(ROOT / "src"))
    import pandas as pd

    import storage
    from data import preloaded_dataset

    workspace = storage.Workspace(root)
    names = [f"hospital {number % 3}__patient {number // 3:04d} slice {number % 3}" for number in range(count)]
    folders = (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions)
    for folder in folders:
        folder.mkdir(parents=True)
    for number, arrays in enumerate(drawn()):
        for folder, values in zip(folders, arrays, strict=True):
            preloaded_dataset.write(folder, names[number], values)
            for name in names[number + PHANTOMS :: PHANTOMS]:
                os.link(folder / f"{names[number]}.npy", folder / f"{name}.npy")
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    table = pd.DataFrame({"case": names, "image_sha256": digests, "mask_sha256": digests})
    groups = [name.partition(" slice")[0] for name in names]
    table = table.assign(split="test", group=groups, image_file="a.csv", dtype="int16", height=SIZE, width=SIZE)
    table = table.assign(minimum=-1000, maximum=1000, mask_px=1000, row_mm=0.8, column_mm=0.8)
    table.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
    facts = {"image_size": SIZE, "test_share": 0.25, "group_cases_by": "x", "seed": 7, "mask_speck_px": 4}
    preloaded_dataset.write_facts(workspace.preloaded_dataset, preloaded_dataset.DatasetFacts(cases=4 * count, **facts))
    (root / "config.py").write_text("IMAGES_TO_DRAW = {}\n")


def drawn():
    from data import phantoms

    for number in range(PHANTOMS):
        image, mask = phantoms.draw(number, SIZE)
        prediction = mask.copy()
        prediction[: 150 + 20 * number] = 0
        yield image, mask, prediction


def written(checkout, root):
    """Evaluates with the source of `checkout`; returns a copy of the page, which the next evaluation replaces."""
    command = [sys.executable, __file__, "--evaluate", str(checkout), str(root)]
    # Without predictions of its own, the folder counts as another program's.
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return pathlib.Path(shutil.copy(root / "results" / "report.html", root / f"{checkout.name}.html"))


def evaluate(checkout, root):
    sys.path.insert(0, str(checkout / "src"))
    import evaluation
    import storage

    evaluation.evaluate_test_set(storage.Workspace(root))


def measured(pages, cases, rounds):
    """The milliseconds of each page in each round: open, sort, print."""
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        times = {name: [] for name in pages}
        for _ in range(rounds + 1):
            for name, path in pages.items():
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(path.as_uri())
                times[name].append([page.evaluate(OPEN), page.evaluate(SORT), page.evaluate(PRINT, cases)])
                page.close()
        browser.close()
    # The first round reads the files from the disk and starts the browser's processes.
    return {name: [statistics.median(column) for column in zip(*each[1:], strict=True)] for name, each in times.items()}


def report(cases, pages, times):
    print(f"{cases} cases{'':20}{HERE:>16}{THERE:>16}{'ratio':>8}")
    sizes = [pages[name].stat().st_size / 1e6 for name in (HERE, THERE)]
    rows = {"size, MB": sizes}
    for number, name in enumerate(("open, s", "sort, s", "print, s")):
        rows[name] = [times[each][number] / 1000 for each in (HERE, THERE)]
    for name, (own, other) in rows.items():
        print(f"{name:30}{own:16.2f}{other:16.2f}{other / own:8.1f}")


if __name__ == "__main__":
    main()
