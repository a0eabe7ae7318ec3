"""Pages, tables and figures as HTML, read back by an independent parser."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import html_page
from html_page import Section, charts
from masks import drawing


def png(width=4, height=2):
    content = io.BytesIO()
    Image.new("L", (width, height)).save(content, "png")
    return content.getvalue()


def parsed(text):
    """The elements of HTML that is XML, too."""
    return ET.fromstring(f"<root>{text}</root>")


def test_the_navigation_lists_each_section_that_has_content():
    sections = [Section("first", "A & B", "<p>one</p>"), Section("none", "Nothing", ""), Section("last", "C", "two")]
    page = html_page.page("<Title>", "<p>Opening</p>", sections, style="p { margin: 0 }")
    body = parsed(page[page.index("<body>") : page.index("</html>")])
    links = {link.get("href"): link.text for link in body.iter("a")}
    assert links == {"#first": "A & B", "#last": "C"}
    assert [section.get("id") for section in body.iter("section")] == ["first", "last"]
    assert [heading.text for heading in body.iter("h2")] == ["A & B", "C"]
    assert body.find(".//h1").text == "<Title>"
    assert "p { margin: 0 }</style>" in page


def test_a_table_holds_texts_as_they_are():
    rows = [["a < b", "1"], ["<b>", "2 & 3"]]
    table = parsed(html_page.table(["Name", "Value"], rows))
    assert [cell.text for cell in table.iter("th")] == ["Name", "Value", "a < b", "<b>"]
    assert [cell.text for cell in table.iter("td")] == ["1", "2 & 3"]


def test_a_cell_wraps_before_brackets_only():
    table = parsed(html_page.table(["Name", "Value"], [["a", "0.9 ± 0.1 (0.8 to 1)"]]))
    (cell,) = table.iter("td")
    assert [part.text for part in cell] == ["0.9", "± 0.1", "(0.8 to 1)"]
    assert "".join(cell.itertext()) == "0.9 ± 0.1 (0.8 to 1)"


def test_an_image_holds_the_file_and_its_size_on_the_page():
    element = html_page.image(png(8, 2), 'a "plot"', pixel_ratio=2)
    attributes = dict(parsed(f"{element[:-1]}/>")[0].items())
    assert base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,")) == png(8, 2)
    assert (attributes["alt"], attributes["width"]) == ('a "plot"', "4")
    jpeg = drawing.to_jpeg(np.zeros((8, 8), np.uint8))
    assert html_page.data_uri(jpeg).startswith("data:image/jpeg;base64,")


def test_a_file_that_browsers_may_not_show_is_refused():
    with pytest.raises(ValueError, match="neither PNG nor JPEG"):
        html_page.data_uri(b"GIF89a")


def polyline(chart, kind):
    """The points of a series of a chart: (points, 2)."""
    (line,) = [line for line in parsed(chart).iter("polyline") if line.get("class") == kind]
    return np.array([list(map(float, point.split(","))) for point in line.get("points").split()])


def test_a_histogram_shows_the_share_of_each_whole_number():
    chart = charts.histogram({"a": [1, 1, 1, 3], "b <": [3, 3]}, "Cases per group", "Groups")
    first, second = polyline(chart, "first"), polyline(chart, "second")
    base = first[0, 1]
    np.testing.assert_allclose(base - second[:, 1], [0, 0, 0, 0, 0, base - second[5, 1], base - second[5, 1], 0])
    full = base - second[5, 1]  # 100 %
    np.testing.assert_allclose((base - first[1:-1:2, 1]) / full, [0.75, 0, 0.25], atol=0.01)
    assert "b <" in [text.text for text in parsed(chart).iter("text")]


def test_a_histogram_of_many_values_has_bins_of_equal_width():
    values = np.random.default_rng(0).normal(size=900)
    points = polyline(charts.histogram({"a": values}, "Value", "Pixels"), "first")
    counts, _ = np.histogram(values, 40)
    heights = points[0, 1] - points[1:-1:2, 1]
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=0.01)


def test_a_logarithmic_histogram_gives_each_decade_the_same_height():
    values = np.repeat([1, 2, 3], [10, 100, 890])
    points = polyline(charts.histogram({"a": values}, "Value", "Pixels", log=True), "first")
    heights = points[0, 1] - points[1:-1:2, 1]
    np.testing.assert_allclose(heights / heights[1], [2 / 3, 1, np.log10(8900) / 3], atol=0.01)


def test_marks_outside_of_the_values_are_left_out():
    chart = charts.histogram({"a": [0, 10]}, "Value", "Pixels", marks={"inside": 5, "outside": 50})
    texts = [text.text for text in parsed(chart).iter("text")]
    assert "inside" in texts
    assert "outside" not in texts


@pytest.mark.parametrize("values", [[], [5.5], [5.5, 5.5, 5.5]])
def test_few_or_equal_values_give_a_chart_or_none(values):
    chart = charts.histogram({"a": values}, "Value", "Pixels")
    assert bool(chart) is bool(values)
    assert "nan" not in chart


def test_ranges_of_many_cases_include_the_lowest_and_the_highest():
    lows, highs = -np.arange(1000.0), np.arange(1000.0)
    (path,) = [
        path for path in parsed(charts.ranges(lows, highs, "Value")).iter("path") if path.get("class") == "first"
    ]
    starts, ends = np.array(re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", path.get("d")), float).T
    assert len(starts) == 250
    np.testing.assert_allclose(starts - ends, np.linspace(0, (starts - ends)[-1], 250), atol=1)
