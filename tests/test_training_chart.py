"""The chart of a training: it shows every value of history.csv, at the width of a journal's column."""

import io

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from masks import figures, training_chart

REAL_FIGURES = True  # See conftest.py.


def history(epochs, **columns):
    """A history of 8 images per epoch."""
    rows = pd.DataFrame(
        {
            "epoch": np.arange(1, epochs + 1),
            "loss": np.geomspace(0.9, 0.1, epochs),
            "dice": np.linspace(0.2, 0.95, epochs),
            "learning_rate": np.linspace(5e-4, 0, epochs),
            "images": 8,
            "seconds": 1.5,
        }
    )
    return rows.assign(**columns)


def lines(figure):
    """{label of the panel: [(x, y) of each line]}."""
    return {axes.get_ylabel(): [line.get_data() for line in axes.lines] for axes in figure.axes}


def test_loss_dice_and_learning_rate_have_a_panel_each():
    table = history(40)
    shown = lines(training_chart.plot(table))
    assert list(shown) == ["Loss", "Dice coefficient", "Learning rate"]
    for column, ((x, y),) in zip(("loss", "dice", "learning_rate"), shown.values(), strict=True):
        np.testing.assert_allclose(x, table["epoch"])
        np.testing.assert_array_equal(y, table[column])


def test_validation_curves_are_a_second_line():
    table = history(5, val_loss=[5.0, 4.0, 3.0, 2.0, 1.0], val_dice=0.5)
    figure = training_chart.plot(table)
    assert [len(panel) for panel in lines(figure).values()] == [2, 2, 1]
    np.testing.assert_array_equal(lines(figure)["Loss"][1][1], table["val_loss"])
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["train set, augmented", "validation set"]


def test_an_epoch_that_a_time_limit_cut_is_shorter():
    x, _ = lines(training_chart.plot(history(3, images=[8, 8, 2])))["Loss"][0]
    np.testing.assert_allclose(x, [1, 2, 2.25])


def test_values_that_are_not_finite_are_gaps():
    _, y = lines(training_chart.plot(history(3, dice=[0.5, np.nan, np.inf])))["Dice coefficient"][0]
    np.testing.assert_array_equal(y, [0.5, np.nan, np.nan])


@pytest.mark.parametrize("epochs", [1, 200])
def test_the_picture_has_the_width_of_a_column_in_print(epochs):
    content = figures.files({"history": training_chart.plot(history(epochs))})["history.png"]
    with PIL.Image.open(io.BytesIO(content)) as picture:
        assert picture.width / 300 * 25.4 == pytest.approx(figures.SINGLE_MM, abs=0.1)
        assert picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_a_history_without_rates_and_images_can_be_plotted():
    shown = lines(training_chart.plot(history(2)[["epoch", "loss", "dice"]]))
    assert list(shown) == ["Loss", "Dice coefficient"]
