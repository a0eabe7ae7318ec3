"""The report in a real browser: sorting, filtering, looking at cases, marking them, and getting the marks out again."""

import csv
import hashlib

import numpy as np
import pandas as pd
import pytest

import evaluation
import storage
from conftest import configure
from data import mask_folder, phantoms, preloaded_dataset

CASES = 5


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on five phantoms, of whose masks the predictions miss more and more rows; the fifth is missed altogether."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("report"))
    configure(workspace, IMAGES_TO_DRAW={})
    for folder in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
        folder.mkdir(parents=True)
    names = [
        f'hospital__case {number}, "odd" <b>' if number == 2 else f"hospital__case {number}" for number in range(CASES)
    ]
    mask_px = []
    for number, case in enumerate(names):
        image, mask = phantoms.draw(number, 64)
        found = mask.copy()
        found[: (0, 20, 24, 28, 64)[number]] = 0
        mask_px.append(int(mask.sum()))
        for folder, values in (
            (workspace.test_set / "images", image.astype(np.int16)),
            (workspace.test_set / "masks", mask),
            (workspace.predictions, found),
        ):
            preloaded_dataset.write(folder, case, values)
    digests = [hashlib.sha256(case.encode()).hexdigest() for case in names]
    table = pd.DataFrame(
        {
            "case": names,
            "split": "test",
            "group": names,
            "image_sha256": digests,
            "mask_sha256": digests,
            "mask_px": mask_px,
        }
    )
    table = table.assign(image_file="a.csv", dtype="int16", height=64, width=64, minimum=0, maximum=0)
    table.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
    preloaded_dataset.write_facts(
        workspace.preloaded_dataset, {"cases": 25, "SEED": 1, "TEST_SHARE": 0.2, "MASK_SPECK_PX": 4}
    )
    mask_folder.write_provenance(workspace.predictions, {"id": "1a2b3c", "image_sha256": []})
    mask_folder.write_quality_table(
        workspace.predictions,
        pd.DataFrame({"case": names, "predicted_dice": [0.9, 0.8, 0.7, 0.6, 0.5], "ood_reasons": "</script><b>&amp;"}),
    )
    evaluation.evaluate_test_set(workspace)
    return workspace.results / "report.html", pd.read_csv(workspace.results / "metrics.csv")


@pytest.fixture
def page(open_page, report):
    return open_page(report[0])


def shown(page):
    return page.locator("#cases tbody tr").evaluate_all("rows => rows.map(row => row.dataset.case)")


def drawn(page, style="colours"):
    """Waits until the picture of the case that is open is drawn."""
    page.wait_for_function(
        "wanted => document.getElementById('picture').dataset.drawn === wanted",
        arg=f"{page.locator('#name').text_content()}, {style}",
    )


def colours(page):
    """How many pixels of the picture are clearly green, blue and red."""
    drawn(page)
    return page.evaluate(
        """() => { const c = document.getElementById('picture'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, n = [0, 0, 0];
        for (let i = 0; i < d.length; i += 4) { const [r, g, b] = d.slice(i, i + 3); if (g > r + 40 && g > b + 40) n[0]++; if (b > r + 40 && b > g + 20) n[1]++; if (r > g + 40 && r > b + 40) n[2]++ }
        return n }"""
    )


def test_a_walk_from_the_worst_case_to_the_marks_in_a_file(page, report, tmp_path):
    table = report[1].sort_values("dice")
    assert shown(page) == table["case"].tolist()
    dice = page.get_by_role("button", name="dice", exact=True)
    dice.click()
    assert shown(page) == table["case"].tolist()[::-1]
    dice.click()
    # The worst one: all of its mask was missed.
    page.locator("#cases tbody tr").first.click()
    assert page.locator("#name").text_content() == table["case"].iloc[0]
    green, blue, red = colours(page)
    assert green == red == 0
    assert blue > 100
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    assert page.locator("#name").text_content() == table["case"].iloc[1]
    assert colours(page)[0] > 100
    page.keyboard.press("l")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("u")
    page.keyboard.press("Escape")
    assert page.locator("#viewer").evaluate("viewer => viewer.open") is False
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the marks as CSV").click()
    download.value.save_as(tmp_path / "marks.csv")
    with open(tmp_path / "marks.csv", newline="") as file:
        marks = {row["case"]: row["mark"] for row in csv.DictReader(file)}
    assert [marks[case] for case in table["case"]] == ["reject", "look again", "accept", "", ""]
    # Kept when the page is opened again, and found by the filter.
    for _ in range(50):  # Chromium takes its time to hand them to the page that comes next.
        page.wait_for_timeout(100)
        page.reload()
        page.select_option("#marked", "look again")
        if found := shown(page):
            break
    assert found == [table["case"].iloc[1]]


def test_marking_under_a_filter_moves_nothing_while_a_case_is_looked_at(page, report):
    cases = report[1].sort_values("dice")["case"].tolist()
    page.select_option("#marked", "none")
    page.locator("#cases tbody tr").nth(CASES - 2).press("Enter")
    for key, name in (
        ("a", cases[-2]),
        ("ArrowRight", cases[-1]),
        ("r", cases[-1]),
        ("ArrowRight", cases[-1]),
        ("f", cases[-1]),
        ("u", cases[-1]),
        ("l", cases[-1]),
    ):
        page.keyboard.press(key)
        assert page.locator("#name").text_content() == name, key
    drawn(page, "patterns")
    assert shown(page) == cases
    page.keyboard.press("Escape")
    # Only now they are gone from the list.
    page.wait_for_function("wanted => document.querySelectorAll('#cases tbody tr').length === wanted", arg=CASES - 2)
    assert shown(page) == cases[:-2]


def test_whoever_uses_the_keyboard_keeps_the_place(page, report):
    cases = report[1].sort_values("dice")["case"].tolist()
    page.locator("#cases tbody tr").nth(2).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.wait_for_function("wanted => document.activeElement.dataset.case === wanted", arg=cases[2])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.case") == cases[3]
    page.get_by_role("button", name="dice", exact=True).focus()
    page.keyboard.press("Enter")
    assert shown(page) == cases[::-1]
    assert page.evaluate("document.activeElement.textContent") == "dice"


def test_filters_by_name_and_dice(page, report):
    page.fill("#filter", "CASE 3")
    assert shown(page) == ["hospital__case 3"]
    assert page.locator("#shown").text_content() == "1 of 5 cases"
    page.fill("#filter", "")
    page.fill("#below", "0.5")
    assert set(shown(page)) == set(report[1][report[1]["dice"] < 0.5]["case"])


def test_infinite_distances_come_last_or_first_and_names_of_any_kind_are_text(page, report):
    distance = page.get_by_role("button", name="hausdorff px", exact=True)
    distance.click()
    assert shown(page)[-1] == "hospital__case 4"
    distance.click()
    assert shown(page)[0] == "hospital__case 4"
    assert 'hospital__case 2, "odd" <b>' in shown(page)
    assert page.locator("#cases tbody b").count() == 0
    assert page.get_by_role("cell", name="</script><b>&amp;", exact=True).count() == CASES


def test_patterns_and_outlines_tell_the_masks_apart_without_colours(page):
    page.locator("#cases tbody tr").nth(2).click()
    pictures = []
    for style in ("colours", "patterns", "outlines", "none"):
        assert page.locator("#how").text_content() == style
        drawn(page, style)
        pictures.append(page.evaluate("document.getElementById('picture').toDataURL()"))
        page.keyboard.press("f")
    assert len(set(pictures)) == 4
    assert page.locator("#how").text_content() == "colours"


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_is_not_wider_than_a_phone_or_a_screen(page, width):
    page.set_viewport_size({"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#cases tbody tr").first.click()
    drawn(page)
    assert page.locator("#viewer").evaluate(
        "viewer => viewer.scrollWidth <= viewer.clientWidth && viewer.getBoundingClientRect().right <= innerWidth"
    )


def test_printed_it_shows_all_cases_and_no_controls(page):
    page.evaluate("all.push(...Array(40).fill(all[0])); show()")
    clipped = "box => [box.scrollHeight > box.clientHeight + 1, box.scrollWidth > box.clientWidth + 1]"
    boxes = [page.locator("#cases .box"), page.locator(".scroll").first]
    assert boxes[0].evaluate(clipped)[0]  # On the screen it scrolls.
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1000, "height": 740})  # A4, as Chromium prints it where a page is wide.
    assert not page.locator("#save").is_visible()
    assert [box.evaluate(clipped) for box in boxes] == [[False, False]] * 2


def test_it_tells_each_definition_and_what_empty_masks_give(page):
    assert page.locator("dt", has_text="95 % Hausdorff distance").count() == 1
    assert "Metrics Reloaded" in page.locator("dl").text_content()
    rows = [row.split() for row in page.locator("h3:text('Where masks are empty') + div tbody tr").all_inner_texts()]
    ends = {" ".join(row[:-3]): row[-3:] for row in rows}
    assert ends["Dice coefficient"] == ["1", "0", "0"]
    assert ends["Hausdorff distance (px)"] == [
        "0",
        "infinite",
        "infinite",
    ]
    assert ends["Recall"] == ["1", "0", "0"]
    assert ends["Area difference (%)"] == ["0", "infinite", "-100"]
