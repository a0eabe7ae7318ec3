"""The plot of subgroups shows every subgroup's means and intervals."""

import numpy as np
import pytest

from masks import quantities, subgroup_chart

AREA = quantities.quantities({}, in_cm2=True, in_hu=True, has_height=False)[0]
ROWS = [
    subgroup_chart.Row("sex: f (n = 9)", (0.9, 0.88, 0.92), (1.5, -1.0, 4.0)),
    subgroup_chart.Row("sex: m (n = 3)", (0.8, np.nan, np.nan), (-2.0, np.nan, np.nan)),
]


def test_means_intervals_and_labels_are_plotted():
    figure = subgroup_chart.plot(ROWS, AREA)
    for axes, means, interval in zip(figure.axes, ([0.9, 0.8], [1.5, -2.0]), ((0.88, 0.92), (-1, 4)), strict=True):
        np.testing.assert_allclose(axes.lines[0].get_xdata(), means)
        assert axes.collections[0].get_segments()[0][:, 0] == pytest.approx(interval)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [row.label for row in ROWS]
    assert figure.axes[1].get_xlabel() == "Predicted − true area (cm²), mean and 95 % CI"


@pytest.mark.parametrize("count", [1, 12])
def test_nothing_is_cut_off(count):
    figure = subgroup_chart.plot(ROWS[:1] * count, AREA)
    figure.draw_without_rendering()
    needed, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(needed.x0, needed.y0, width - needed.x1, height - needed.y1) >= 0
