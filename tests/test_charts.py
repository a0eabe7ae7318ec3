"""Plots, judged by their contents: no case is dropped silently, and labels do not overlap."""

import itertools

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from masks import agreement, charts, figures, quantities

REAL_FIGURES = True  # See conftest.py.

OVERLAP = {"dice": "Dice coefficient", "jaccard": "Jaccard index", "precision": "Precision", "recall": "Recall"}
DISTANCES = {"hausdorff_px": "Hausdorff distance (px)", "hausdorff95_px": "95 % Hausdorff distance (px)"}
LABELS = OVERLAP | DISTANCES
CM2, PX = (quantities.quantities({}, in_cm2, in_hu=True, has_height=False)[0] for in_cm2 in (True, False))


def test_tick_labels_count_failed_distances():
    table = pd.DataFrame({name: [0.9, 0.8, 0.7] for name in OVERLAP})
    table["hausdorff_px"], table["hausdorff95_px"] = [3.0, np.inf, np.inf], [1.0, 2.0, np.inf]
    figure = charts.distributions(table, LABELS)
    labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert labels == ["Hausdorff\ndistance\n(px)\n(2 failed)", "95 %\nHausdorff\ndistance\n(px)\n(1 failed)"]


def test_every_case_is_a_point_and_equal_tables_give_equal_figures():
    table = pd.DataFrame({"dice": np.linspace(0.2, 0.9, 1000)})
    first, second = (charts.distributions(table, {"dice": "Dice"}) for _ in range(2))
    points = max((part.get_offsets() for part in first.axes[0].collections), key=len)
    np.testing.assert_allclose(points[:, 1], table["dice"])
    assert figures.files({"plot": first}) == figures.files({"plot": second})


def test_a_table_of_failed_distances_can_be_plotted():
    table = pd.DataFrame({name: [0.0] for name in OVERLAP})
    table["hausdorff_px"] = table["hausdorff95_px"] = [np.inf]
    charts.distributions(table, LABELS).draw_without_rendering()


def test_tick_labels_do_not_overlap():
    table = pd.DataFrame({name: [0.9, 0.8] for name in OVERLAP})
    table["hausdorff_px"] = table["hausdorff95_px"] = [3.0, np.inf]
    figure = charts.distributions(table, LABELS)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_areas_are_plotted_with_bias_and_limits():
    true, predicted = np.array([100.0, 120.0, 140.0, 90.0]), np.array([104.0, 119.0, 150.0, 91.0])
    result = agreement.agree(true, predicted)
    left, right = charts.agreement(true, predicted, CM2, result).axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), np.stack([true, predicted], axis=1))
    np.testing.assert_allclose(
        right.collections[0].get_offsets(), np.stack([(true + predicted) / 2, predicted - true], axis=1)
    )
    assert sorted(line.get_ydata()[0] for line in right.lines) == pytest.approx(
        sorted([result.bias, result.lower_limit, result.upper_limit])
    )
    assert right.get_ylabel() == "Predicted − true area (cm²)"
    low, high = f"{result.lower_limit:.2f}".replace("-", "−"), f"{result.upper_limit:.2f}"
    assert right.get_title().startswith(f"Solid: bias {result.bias:.2f} cm²")
    assert right.get_title().endswith(f"limits of agreement {low} to {high} cm²")


def test_negative_limits_have_a_true_minus_sign():
    true, predicted = np.array([100.0, 120.0, 140.0, 90.0]), np.array([104.0, 119.0, 150.0, 60.0])
    right = charts.agreement(true, predicted, PX, agreement.agree(true, predicted)).axes[1]
    assert "limits of agreement −" in right.get_title()
    assert "-" not in right.get_title()


def test_three_cases_get_no_limits_and_the_plot_gives_the_reason():
    true, predicted = np.array([100.0, 120.0, 140.0]), np.array([104.0, 119.0, 150.0])
    right = charts.agreement(true, predicted, CM2, agreement.agree(true, predicted)).axes[1]
    assert len(right.lines) == 1
    assert "4 cases needed, 3 given" in right.get_title()


@pytest.mark.parametrize("areas", [([5.0], [5.0]), ([0.0, 0.0], [0.0, 0.0])])
def test_equal_areas_can_be_plotted(areas):
    true, predicted = map(np.array, areas)
    charts.agreement(true, predicted, PX, agreement.agree(true, predicted)).draw_without_rendering()


@pytest.mark.parametrize("count", [1, 400])
def test_no_text_is_cut_off_or_small(count):
    values = np.random.default_rng(0).uniform(0.5, 0.9, count)
    table = pd.DataFrame(dict.fromkeys([*LABELS, "predicted_dice", "assd_mm", "area_difference_percent"], values))
    labels = LABELS | {"assd_mm": "Average symmetric surface distance (mm)", "area_difference_percent": "Area (%)"}
    true, predicted = 50_000 * values, 49_000 * values[::-1]
    plots = (
        charts.distributions(table, labels),
        charts.agreement(true, predicted, PX, agreement.agree(true, predicted)),
        charts.predicted_and_true_dice(table),
    )
    for figure in plots:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
        needed, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(needed.x0, needed.y0, width - needed.x1, height - needed.y1) >= 0
        assert min(text.get_fontsize() for text in texts) >= 7
