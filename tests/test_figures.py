"""Files of figures, judged by their bytes: size in print, resolution, fonts, and equal bytes of equal figures."""

import io
import re

import matplotlib
import numpy as np
import PIL.Image
import pytest

from masks import figures

REAL_FIGURES = True  # See conftest.py.


@figures.STYLE
def plot(count=5):
    figure = figures.new(figures.SINGLE_MM, 60)
    axes = figure.subplots()
    figures.points(axes, *np.random.default_rng(0).uniform(size=(2, count)))
    axes.set_xlabel("Predicted − true area (cm²)")
    return figure


@pytest.fixture(scope="module")
def files():
    return figures.files({"plot": plot()})


def test_each_plot_is_a_png_and_a_pdf(files):
    assert list(files) == ["plot.png", "plot.pdf"]


def test_the_png_has_300_dpi_at_column_width(files):
    with PIL.Image.open(io.BytesIO(files["plot.png"])) as picture:
        assert picture.width == pytest.approx(88 / 25.4 * 300, abs=1)
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_the_pdf_has_the_width_of_a_column(files):
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", files["plot.pdf"])[1])
    assert width == pytest.approx(88 / 25.4 * 72, abs=0.01)


def test_the_texts_of_the_pdf_are_texts_with_an_embedded_font(files):
    assert b"/FontFile2" in files["plot.pdf"]
    assert b"DejaVuSans" in files["plot.pdf"]
    assert b"/Type3" not in files["plot.pdf"]


def test_equal_figures_give_equal_bytes_without_a_date(files):
    assert figures.files({"plot": plot()}) == files
    assert b"CreationDate" not in files["plot.pdf"]


def test_a_pdf_of_3000_cases_is_below_2_mb():
    assert len(figures.files({"plot": plot(3000)})["plot.pdf"]) < 200_000


def test_the_style_does_not_change_the_settings_of_matplotlib():
    before = dict(matplotlib.rcParams)
    figures.files({"plot": plot()})
    assert dict(matplotlib.rcParams) == before
