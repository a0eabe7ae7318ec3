"""Self-contained HTML pages that work offline: the look that the data report and the evaluation report share."""

import base64
import dataclasses
import html
import pathlib
from collections.abc import Sequence

_STYLE = pathlib.Path(__file__).with_name("style.css")
# The first bytes of the file formats that browsers show.
_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page, which the navigation at its top lists.

    id: the anchor of the section, such as "plots".
    title: the heading, as text.
    body: HTML.
    """

    id: str
    title: str
    body: str


def page(title: str, opening: str, sections: Sequence[Section], style: str = "") -> str:
    """Returns the page: the heading `title`, the HTML `opening`, the navigation, the sections.

    `style`: CSS for this page only. Sections without body are left out.
    """
    shown = [section for section in sections if section.body]
    links = "".join(f'<li><a href="#{section.id}">{html.escape(section.title)}</a></li>' for section in shown)
    heading = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{heading}</h1>\n{opening}\n<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{''.join(map(_section, shown))}</main>\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of texts. Where it is too wide, cells wrap and then the table scrolls sideways.

    The first column names the row.
    """
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in header)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(picture: str, caption: str) -> str:
    """Returns a figure with its caption, a text. `picture`: HTML, such as that of `image`."""
    return f"<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>"


def plot(content: bytes, caption: str) -> str:
    """Returns a figure of a plot, a PNG file whose pixels are half a CSS pixel wide."""
    return figure(image(content, caption, pixel_ratio=2), caption)


def image(content: bytes, description: str, pixel_ratio: int = 1) -> str:
    """Returns an image element of a PNG or JPEG file. `description`: for readers who don't see it.

    `pixel_ratio`: the pixels of the file per CSS pixel of the page, such as 2 for plots, which are sharp in print.
    """
    width = f' width="{int.from_bytes(content[16:20], "big") // pixel_ratio}"' if pixel_ratio > 1 else ""
    return f'<img src="{data_uri(content)}" alt="{html.escape(description)}"{width}>'


def data_uri(content: bytes) -> str:
    """Returns the content of a PNG or JPEG file as a data URI. ValueError for another format."""
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        raise ValueError(f"neither PNG nor JPEG: {content[:4]!r}")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _section(section: Section) -> str:
    heading = f'<h2 id="{section.id}-title">{html.escape(section.title)}</h2>'
    return f'<section id="{section.id}" aria-labelledby="{section.id}-title">\n{heading}\n{section.body}\n</section>\n'


def _row(texts: Sequence[str]) -> str:
    first, *others = map(html.escape, texts)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{_wrapping(text)}</td>" for text in others)


def _wrapping(text: str) -> str:
    """Returns a cell's text that wraps only before a bracket and ±, as "0.995 (0.989 to 0.997)"."""
    parts = text.replace(" (", "\n(").replace(" ±", "\n±").split("\n")
    return " ".join(f"<span>{part}</span>" for part in parts) if len(parts) > 1 else text
