"""Plots by what stands in them: nothing is dropped in silence, labels do not overlap, better trials are told from worse ones."""

import numpy as np
import pandas as pd
import pytest

from masks import agreement, charts

NAMES = ["dice", "jaccard", "precision", "recall", "hausdorff_px", "hausdorff95_px"]


def test_failed_distances_are_counted_in_the_plot_not_dropped_in_silence():
    table = pd.DataFrame({name: [0.9, 0.8, 0.7] for name in ("dice", "jaccard", "precision", "recall")})
    table["hausdorff_px"], table["hausdorff95_px"] = [3.0, np.inf, np.inf], [1.0, 2.0, np.inf]
    figure = charts.distributions(table, NAMES)
    labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert labels == ["hausdorff\n(2 failed)", "hausdorff95\n(1 failed)"]


def test_every_case_is_a_point_and_the_same_cases_give_the_same_picture():
    table = pd.DataFrame({"dice": np.linspace(0.2, 0.9, 1000)})
    points = max((part.get_offsets() for part in charts.distributions(table, ["dice"]).axes[0].collections), key=len)
    np.testing.assert_allclose(points[:, 1], table["dice"])
    assert charts.to_png(charts.distributions(table, ["dice"])) == charts.to_png(charts.distributions(table, ["dice"]))


def test_all_failed_can_be_drawn():
    table = pd.DataFrame({name: [0.0] for name in ("dice", "jaccard", "precision", "recall")})
    table["hausdorff_px"] = table["hausdorff95_px"] = [np.inf]
    assert len(charts.to_png(charts.distributions(table, NAMES))) > 1000


def test_labels_do_not_overlap():
    table = pd.DataFrame({name: [0.9, 0.8] for name in ("dice", "jaccard", "precision", "recall")})
    table["hausdorff_px"] = table["hausdorff95_px"] = [3.0, np.inf]
    figure = charts.distributions(table, NAMES)
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))


TRIALS = pd.DataFrame(
    {
        "architecture": ["unet", "unet", "deeplabv3_plus", "unet"],
        "learning_rate": [1e-4, 1e-3, 3e-3, 5e-4],
        "loss": ["binary_crossentropy"] * 4,
        "horizontal_flip": [True, False, True, True],
    }
)
SCORES = np.array([0.5, 0.9, 0.2, 0.7])


def test_areas_are_drawn_against_each_other_with_bias_and_limits():
    true, predicted = np.array([100.0, 120.0, 140.0, 90.0]), np.array([104.0, 119.0, 150.0, 91.0])
    found = agreement.agree(true, predicted)
    left, right = charts.areas(true, predicted, "cm2", found).axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), np.stack([true, predicted], axis=1))
    np.testing.assert_allclose(
        right.collections[0].get_offsets(), np.stack([(true + predicted) / 2, predicted - true], axis=1)
    )
    assert sorted(line.get_ydata()[0] for line in right.lines) == pytest.approx(
        sorted([found.bias, found.lower_limit, found.upper_limit])
    )
    assert "cm2" in right.get_xlabel()


def test_for_three_cases_no_limits_are_plotted_and_the_plot_says_why():
    true, predicted = np.array([100.0, 120.0, 140.0]), np.array([104.0, 119.0, 150.0])
    right = charts.areas(true, predicted, "cm2", agreement.agree(true, predicted)).axes[1]
    assert len(right.lines) == 1
    assert "3 of 4 cases needed" in right.get_title()


@pytest.mark.parametrize("areas", [([5.0], [5.0]), ([0.0, 0.0], [0.0, 0.0])])
def test_areas_that_are_all_alike_can_be_drawn(areas):
    true, predicted = map(np.array, areas)
    assert len(charts.to_png(charts.areas(true, predicted, "px", agreement.agree(true, predicted)))) > 1000
