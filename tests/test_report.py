"""The report in a browser: its texts; sorting, filtering, viewing, marking and printing cases."""

import csv
import datetime
import hashlib
import re

import numpy as np
import pandas as pd
import pytest

import evaluation
import storage
from conftest import configure, dataset_facts, prediction_provenance
from data import mask_folder, phantoms, preloaded_dataset
from evaluation import report as evaluation_report
from evaluation.result import EvaluationResult
from evaluation.subject import Subject
from masks import drawing

CASES, MANY = 5, 250


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on five phantoms: the predictions miss increasingly many rows of the masks, and the fifth is empty."""
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
        prediction = mask.copy()
        prediction[: (0, 20, 24, 28, 64)[number]] = 0
        mask_px.append(int(mask.sum()))
        for folder, values in (
            (workspace.test_set / "images", image.astype(np.int16)),
            (workspace.test_set / "masks", mask),
            (workspace.predictions, prediction),
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
    preloaded_dataset.write_facts(workspace.preloaded_dataset, dataset_facts(cases=25))
    mask_folder.write_provenance(workspace.predictions, prediction_provenance())
    mask_folder.write_quality_table(
        workspace.predictions,
        pd.DataFrame({"case": names, "predicted_dice": [0.9, 0.8, 0.7, 0.6, 0.5], "ood_reasons": "</script><b>&amp;"}),
    )
    mask_folder.write_history(workspace.predictions, drawing.to_png(np.zeros((8, 8), np.uint8)))
    evaluation.evaluate_test_set(workspace)
    return workspace.results / "report.html", pd.read_csv(workspace.results / "metrics.csv")


@pytest.fixture(scope="module")
def large_report(report, tmp_path_factory):
    """The report on many cases, without pictures: those of `report`, repeated."""
    names = [f"patient {number}" for number in range(MANY)]
    table = pd.concat([report[1]] * (MANY // CASES), ignore_index=True).assign(case=names, group=names)
    folder = tmp_path_factory.mktemp("large")
    subject = Subject(table, folder, folder, dataset_facts(cases=4 * MANY))
    result = EvaluationResult(table, subject, None, None, None, 1)
    (folder / "report.html").write_text(evaluation_report.page(result, {}, {}), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def page(open_page, report):
    return open_page(report[0])


def listed(page):
    return page.locator("#cases tbody tr").evaluate_all("rows => rows.map(row => row.dataset.case)")


def wait_for_picture(page, style="colours"):
    """Waits until the picture of the open case is complete."""
    page.wait_for_function(
        "expected => document.getElementById('picture').dataset.drawn === expected",
        arg=f"{page.locator('#name').text_content()}, {style}",
    )


def colours(page):
    """Returns the numbers of clearly yellow-green, blue and red pixels of the picture."""
    wait_for_picture(page)
    return page.evaluate(
        """() => {
            const canvas = document.getElementById("picture"), counts = [0, 0, 0];
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let at = 0; at < data.length; at += 4) {
                const [red, green, blue] = data.slice(at, at + 3);
                if (green > red + 15 && green > blue + 40) counts[0]++;
                if (blue > red + 40 && blue > green + 20) counts[1]++;
                if (red > green + 40 && red > blue + 40) counts[2]++;
            }
            return counts;
        }"""
    )


def test_marks_are_saved_as_csv_and_kept_when_the_page_is_reloaded(page, report, tmp_path):
    table = report[1].sort_values("dice")
    assert listed(page) == table["case"].tolist()
    dice = page.get_by_role("button", name="Dice", exact=True)
    dice.click()
    assert listed(page) == table["case"].tolist()[::-1]
    dice.click()
    # The prediction of the worst case is empty.
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
        page.get_by_role("button", name="Save marks as CSV").click()
    download.value.save_as(tmp_path / "marks.csv")
    with open(tmp_path / "marks.csv", newline="") as file:
        marks = {row["case"]: row["mark"] for row in csv.DictReader(file)}
    assert [marks[case] for case in table["case"]] == ["reject", "look again", "accept", "", ""]
    for _ in range(50):  # Chromium writes the marks with a delay.
        page.wait_for_timeout(100)
        page.reload()
        page.select_option("#marked", "look again")
        if marked := listed(page):
            break
    assert marked == [table["case"].iloc[1]]


def test_marking_under_a_filter_keeps_the_list_until_the_viewer_closes(page, report):
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
    wait_for_picture(page, "patterns")
    assert listed(page) == cases
    page.keyboard.press("Escape")
    page.wait_for_function(
        "expected => document.querySelectorAll('#cases tbody tr').length === expected", arg=CASES - 2
    )
    assert listed(page) == cases[:-2]


def test_the_keyboard_focus_survives_viewing_and_sorting(page, report):
    cases = report[1].sort_values("dice")["case"].tolist()
    page.locator("#cases tbody tr").nth(2).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.wait_for_function("expected => document.activeElement.dataset.case === expected", arg=cases[2])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.case") == cases[3]
    page.get_by_role("button", name="Dice", exact=True).focus()
    page.keyboard.press("Enter")
    assert listed(page) == cases[::-1]
    assert page.evaluate("document.activeElement.textContent") == "Dice"


def test_cases_are_filtered_by_name_and_dice(page, report):
    page.fill("#filter", "CASE 3")
    assert listed(page) == ["hospital__case 3"]
    assert page.locator("#shown").text_content() == "1 of 5 cases"
    page.fill("#filter", "")
    page.fill("#below", "0.5")
    assert set(listed(page)) == set(report[1][report[1]["dice"] < 0.5]["case"])


def test_infinite_distances_sort_as_largest_and_names_are_escaped(page, report):
    distance = page.get_by_role("button", name="Hausdorff (px)", exact=True)
    distance.click()
    assert listed(page)[-1] == "hospital__case 4"
    distance.click()
    assert listed(page)[0] == "hospital__case 4"
    assert 'hospital__case 2, "odd" <b>' in listed(page)
    assert page.locator("#cases tbody b").count() == 0
    assert page.get_by_role("cell", name="</script><b>&amp;", exact=True).count() == CASES


def test_each_display_style_gives_a_different_picture(page):
    page.locator("#cases tbody tr").nth(2).click()
    pictures = []
    for style in ("colours", "patterns", "outlines", "none"):
        assert page.locator("#how").text_content() == style
        wait_for_picture(page, style)
        pictures.append(page.evaluate("document.getElementById('picture').toDataURL()"))
        page.keyboard.press("f")
    assert len(set(pictures)) == 4
    assert page.locator("#how").text_content() == "colours"


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_the_width_of_phone_and_screen(page, width):
    page.set_viewport_size({"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#cases tbody tr").first.click()
    wait_for_picture(page)
    assert page.locator("#viewer").evaluate(
        "viewer => viewer.scrollWidth <= viewer.clientWidth && viewer.getBoundingClientRect().right <= innerWidth"
    )


def test_the_mark_is_the_second_column(page, report):
    page.locator("#cases tbody tr").first.click()
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelector('#cases tr[data-mark=reject]') !== null")
    assert page.locator("#cases tbody tr").first.locator("td").nth(1).text_content() == "reject"


def test_the_main_columns_fit_the_window_and_others_are_shown_on_request(page):
    page.set_viewport_size({"width": 1300, "height": 900})
    assert page.locator("#cases .box").evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.get_by_role(
        "button", name=re.compile(r"Predicted Dice \(0\.\d\d too (high|low) on the test set\)")
    ).is_visible()
    assert page.get_by_role("button", name="Out-of-distribution", exact=True).is_visible()
    jaccard = page.get_by_role("button", name="Jaccard", exact=True)
    assert not jaccard.is_visible()
    page.get_by_role("button", name="All columns").click()
    assert jaccard.is_visible()


def test_the_worst_cases_have_pictures_that_open_the_viewer(page, report):
    worst = report[1].sort_values("dice")["case"].tolist()
    assert page.locator("#worst strong").all_text_contents() == worst
    page.wait_for_function("[...document.querySelectorAll('.strip canvas')].every(canvas => canvas.dataset.drawn)")
    page.fill("#filter", "matches no case")
    page.locator("#worst figure button").nth(1).click()
    assert page.locator("#name").text_content() == worst[1]


def test_the_page_has_a_dark_colour_scheme(page):
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(background) != light
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(background) == light


def test_print_is_landscape_with_pictures_and_unbroken_numbers(page):
    pdf = page.pdf(prefer_css_page_size=True)
    _, _, width, height = map(float, re.search(rb"/MediaBox \[([\d. ]+)\]", pdf).group(1).split())
    assert width > height
    page.emulate_media(media="print")
    assert page.locator(".strip canvas").first.is_visible()
    # The number of lines of text of each number.
    lines = page.locator("#cases td").evaluate_all(
        """cells => cells.filter(cell => /^[\\d.−]+$/.test(cell.textContent)).map(cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getClientRects().length;
        })"""
    )
    assert len(lines) > 5 * CASES
    assert set(lines) <= {0, 1}  # 0: a hidden column.


def test_print_shows_all_cases_and_no_controls(open_page, large_report):
    page = open_page(large_report)
    clipped = "box => [box.scrollHeight > box.clientHeight + 1, box.scrollWidth > box.clientWidth + 1]"
    boxes = [page.locator("#cases .box"), page.locator(".scroll").first]
    assert boxes[0].evaluate(clipped)[0]  # It scrolls on the screen.
    # Printing may begin before the table has all rows.
    before, after = page.evaluate(
        """() => {
            const rows = () => document.querySelectorAll("#cases tbody tr").length;
            document.querySelector("[data-column=dice]").click();
            const before = rows();
            window.dispatchEvent(new Event("beforeprint"));
            return [before, rows()];
        }"""
    )
    assert before < after == MANY
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1000, "height": 740})  # About A4 in landscape.
    assert not page.locator("#save").is_visible()
    assert page.locator("#printed").inner_text().startswith(f"All {MANY} cases.")
    assert [box.evaluate(clipped) for box in boxes] == [[False, False]] * 2


def test_a_large_table_is_sorted_and_completed_when_needed(open_page, large_report):
    page = open_page(large_report)
    cases = [f"patient {number}" for number in range(MANY)]
    page.get_by_role("button", name="Case", exact=True).click()
    first = listed(page)
    assert first == cases[: len(first)]
    assert len(first) < MANY
    page.locator("#cases .box").evaluate("box => box.scrollTop = box.scrollHeight")
    page.wait_for_function(f"document.querySelectorAll('#cases tbody tr').length === {MANY}")
    assert listed(page) == cases
    page.locator("#cases tbody tr").nth(MANY - 1).focus()
    page.locator("[data-column=case]").evaluate("button => button.click()")
    page.keyboard.press("Control+f")
    assert listed(page) == cases[::-1]


def test_the_focus_follows_a_case_to_a_row_that_is_not_shown_yet(open_page, large_report):
    page = open_page(large_report)
    page.get_by_role("button", name="Case", exact=True).click()
    page.locator("#cases tbody tr").first.focus()
    page.locator("[data-column=case]").evaluate("button => button.click()")
    assert page.evaluate("document.activeElement.dataset.case") == "patient 0"
    assert listed(page)[-1] == "patient 0"


def test_the_opening_paragraph_states_data_model_date_and_result(page, report):
    text, mean = page.locator("header .lead").inner_text(), report[1]["dice"].mean()
    today = datetime.date.today()
    assert text.startswith(f"On {today.day} {today:%B %Y}, a U-Net (model 1a2b3c, trained on 2 other images) was")
    assert f"evaluated on {CASES} test cases (hospital). The mean Dice coefficient is {mean:.3f} (95 %" in text


def test_the_navigation_leads_to_every_section(page):
    targets = page.locator("nav a").evaluate_all("links => links.map(link => link.hash.slice(1))")
    assert targets == page.locator("main > section").evaluate_all("sections => sections.map(section => section.id)")
    expected = {"result", "cases", "summary", "quantities", "plots", "training", "manuscript", "definitions"}
    assert set(targets) == expected


def test_worst_median_and_best_case_are_shown_with_both_masks(page, report):
    cases = report[1].sort_values("dice")["case"].tolist()
    names = [f"Worst: {cases[0]}", f"Median: {cases[2]}", f"Best: {cases[4]}"]
    assert page.locator("#examples strong").all_text_contents() == names
    page.wait_for_function("[...document.querySelectorAll('#examples canvas')].every(canvas => canvas.dataset.drawn)")
    orange = page.locator("#examples canvas").evaluate_all(
        """canvases => canvases.map(canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) count += data[at] > data[at + 2] + 60;
            return count;
        })"""
    )
    masks = report[1].set_index("case").loc[[cases[0], cases[2], cases[4]], ["true_px", "predicted_px"]]
    assert orange == [count for true, predicted in masks.to_numpy().tolist() for count in (0, true, predicted)]
    page.locator("#examples button").nth(1).click()
    assert page.locator("#name").text_content() == cases[2]


def test_the_display_of_the_masks_can_be_switched_on_the_page(page):
    for style in ("colours", "patterns", "outlines"):
        page.wait_for_function(
            "style => document.querySelector('#worst .strip canvas').dataset.drawn?.endsWith(style)", arg=style
        )
        page.get_by_role("button", name=f"Masks: {style}", exact=True).click()


def test_the_page_defines_each_metric_and_its_values_for_empty_masks(page):
    assert page.locator("dt", has_text="95 % Hausdorff distance").count() == 1
    assert "Metrics Reloaded" in page.locator("dl").text_content()
    rows = [row.split() for row in page.locator("h3:text('Values for empty masks') + div tbody tr").all_inner_texts()]
    ends = {" ".join(row[:-3]): row[-3:] for row in rows}
    assert ends["Dice coefficient"] == ["1", "0", "0"]
    assert ends["Hausdorff distance (px)"] == [
        "0",
        "infinite",
        "infinite",
    ]
    assert ends["Recall"] == ["1", "0", "0"]
    assert ends["Area difference (%)"] == ["0", "infinite", "−100"]
