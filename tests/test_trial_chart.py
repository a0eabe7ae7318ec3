"""The chart of trials: every trial is on it, numbers have numeric axes, and labels do not overlap."""

import itertools

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from masks import trial_chart

TRIALS = pd.DataFrame(
    {
        "architecture": ["unet", "unet", "deeplabv3_plus", "unet"],
        "learning_rate": [1.04e-4, 1.14e-4, 3e-3, 5e-4],
        "loss": ["binary_crossentropy"] * 4,
        "horizontal_flip": [True, False, True, True],
        "rotation_degrees": [0.0, 5.0, 20.0, 5.0],
    }
)
SCORES = np.array([0.5, 0.9, 0.2, 0.7])
REPEATED = np.array([False, True, False, True])


def plot(values=TRIALS, scores=SCORES, repeated=REPEATED):
    return trial_chart.plot(values, scores, repeated, "validation Dice")


def all_axes(figure):
    return [axes for part in figure.subfigs for axes in part.axes]


@pytest.fixture
def panels():
    return {axes.get_title(): axes for axes in all_axes(plot()) if axes.get_title()}


def tick_texts(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_each_hyperparameter_that_varied_has_a_panel(panels):
    assert list(panels) == ["architecture", "learning_rate", "horizontal_flip", "rotation_degrees"]


def test_first_scores_and_means_of_repeats_have_different_symbols(panels):
    for axes in panels.values():
        first, repeated = axes.collections
        np.testing.assert_allclose(first.get_offsets()[:, 1], SCORES[~REPEATED])
        np.testing.assert_allclose(repeated.get_offsets()[:, 1], SCORES[REPEATED])
        assert len(first.get_facecolors()) == 0
        assert len(repeated.get_facecolors()) == 1


def test_the_legend_names_both_symbols():
    (legend,) = (legend for part in plot().subfigs for legend in part.legends)
    assert [text.get_text() for text in legend.get_texts()] == ["first training", "mean of repeats"]


def test_rates_are_on_a_log_axis_at_their_values(panels):
    axes = panels["learning_rate"]
    assert axes.get_xscale() == "log"
    places = np.concatenate([points.get_offsets()[:, 0] for points in axes.collections])
    np.testing.assert_allclose(sorted(places), sorted(TRIALS["learning_rate"]))


def test_numbers_are_on_a_linear_axis_at_their_values(panels):
    axes = panels["rotation_degrees"]
    assert axes.get_xscale() == "linear"
    assert tick_texts(axes) == ["0", "5", "20"]


def test_many_numbers_have_round_ticks():
    rotations = pd.DataFrame({"rotation_degrees": np.linspace(0.3, 19.7, 9)})
    axes = all_axes(plot(rotations, np.linspace(0, 1, 9), np.zeros(9, bool)))[0]
    assert tick_texts(axes) == ["5", "10", "15"]


def test_names_are_ticks(panels):
    assert tick_texts(panels["architecture"]) == ["deeplabv3\nplus", "unet"]


@pytest.mark.parametrize("rates", [[1.04e-4, 1.14e-4], [1e-4, 1.29e-4, 1.36e-4, 3.01e-4, 3e-3], [1e-6, 0.5]])
def test_tick_labels_do_not_overlap(rates):
    count = len(rates)
    figure = plot(
        pd.DataFrame({"learning_rate": rates, "filters": range(count), "loss": list("abcde")[:count]}),
        np.linspace(0, 1, count),
        np.zeros(count, bool),
    )
    figure.draw_without_rendering()
    for axes in all_axes(figure):
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_lines_end_at_the_score_and_the_best_is_darkest():
    lines = [line for line in all_axes(plot())[-1].lines if len(line.get_xdata()) == 5]
    brightness = [matplotlib.colors.rgb_to_hsv(matplotlib.colors.to_rgb(line.get_color()))[2] for line in lines]
    ends = [float(line.get_xdata()[-1]) for line in lines]
    np.testing.assert_allclose(ends, (np.sort(SCORES) - 0.2) / 0.7)
    assert brightness[-1] == min(brightness)


@pytest.mark.parametrize("count", [1, 3])
def test_identical_trials_are_plotted(count):
    alike = pd.DataFrame({"filters": [16] * count, "learning_rate": [1e-3] * count})
    plot(alike, np.full(count, 0.5), np.zeros(count, bool)).draw_without_rendering()
