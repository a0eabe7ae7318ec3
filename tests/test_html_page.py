"""Pages, tables and figures as HTML, read back by an independent parser."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import html_page
from html_page import Section
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
