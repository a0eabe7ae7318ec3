"""Figures for print: journal column widths, fonts and colours, and their files in every format.

A plot is a function with the decorator `STYLE` that fills and returns a figure of `new`:

    @figures.STYLE
    def scatter(x: np.ndarray, y: np.ndarray) -> figures.Figure:
        figure = figures.new(figures.SINGLE_MM, 80)
        figures.points(figure.subplots(), x, y)
        return figure

Its caller writes each file of `figures.files({"scatter": scatter(x, y)})`.
"""

import io
from collections.abc import Mapping

import matplotlib
import matplotlib.axes
import matplotlib.figure
import numpy as np

Figure = matplotlib.figure.Figure

# Within the widths of one and two columns that Elsevier, Radiology, Nature and IEEE give, 84 to 90 and 174 to 190 mm.
SINGLE_MM, DOUBLE_MM = 88, 180
# Blues that differ in lightness: they stay apart in grey print and for colour-blind readers.
DARK, LIGHT, GREY = "#08519c", "#c6dbef", "#555555"
# Journals ask for 300 dpi, and for letters of 7 to 8 points at final size.
_DPI, _FONT_PT = 300, 7
# More points are smaller and fainter: they merge.
_MANY = 300

STYLE = matplotlib.rc_context(
    {
        **dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize", "legend.fontsize"), _FONT_PT),
        **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), _FONT_PT),
        **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "grid.linewidth"), 0.6),
        **dict.fromkeys(("xtick.major.size", "ytick.major.size", "axes.titlepad", "axes.labelpad"), 2.5),
        "font.family": "DejaVu Sans",
        "grid.alpha": 0.3,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "pdf.fonttype": 42,  # TrueType: the texts are texts, with their font.
    }
)


def new(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of this size in print; labels get the place that they need."""
    return Figure(figsize=(width_mm / 25.4, height_mm / 25.4), dpi=_DPI, layout="constrained")


def points(axes: matplotlib.axes.Axes, x: np.ndarray, y: np.ndarray, size: float = 8) -> None:
    """Plots cases as points, `x` and `y` (cases,), above everything else. `size`: area of a point in pt²."""
    many = len(x) > _MANY
    axes.scatter(x, y, s=size / 3 if many else size, color=DARK, alpha=0.25 if many else 0.6, linewidths=0, zorder=3)


def files(plots: Mapping[str, Figure]) -> dict[str, bytes]:
    """The content of <name>.png, 300 dpi, and of <name>.pdf for each of the `plots` by name.

    The PDF is a vector graphic whose fonts are embedded. Equal figures give equal bytes: neither file has a date.
    """
    for figure in plots.values():
        _lay_out(figure)
    return {f"{name}.{kind}": _content(figure, kind) for name, figure in plots.items() for kind in ("png", "pdf")}


@STYLE
def _lay_out(figure: Figure) -> None:
    # Both files get the same layout, and it is computed once.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


@STYLE
def _content(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    # Level 1 is several times as fast as the default; files are 10 % larger.
    options = {"pil_kwargs": {"compress_level": 1}} if kind == "png" else {"metadata": {"CreationDate": None}}
    figure.savefig(content, format=kind, **options)
    return content.getvalue()
