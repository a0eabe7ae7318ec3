"""The paired comparison against SciPy and a published example."""

import numpy as np
import pytest
from scipy import stats

from masks import paired

NAMES = [f"patient {number}" for number in range(40)]


def test_the_p_value_equals_scipys_wilcoxon_test():
    generator = np.random.default_rng(1)
    first = generator.normal(0.9, 0.03, 40)
    second = first + generator.normal(0.01, 0.02, 40)
    result = paired.compare(first, second, NAMES, 1)
    assert result.p_value == pytest.approx(stats.wilcoxon(second - first).pvalue)
    assert result.mean == pytest.approx(np.mean(second - first))
    assert result.ci_low < result.mean < result.ci_high


def test_the_p_value_equals_a_published_example():
    # Heights in inches of Darwin's 15 pairs of maize plants, crossed − self-fertilized (Fisher 1935, The Design of
    # Experiments). The sum of the negative ranks is 24; of all 2**15 signs, 4.1 % give a sum as small or as large.
    eighths = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    result = paired.compare(np.zeros(15), np.array(eighths) / 8, NAMES[:15], 1)
    assert result.p_value == pytest.approx(0.0413, abs=0.0001)


def test_the_test_is_on_the_means_of_the_groups():
    generator = np.random.default_rng(2)
    by_patient = np.repeat(generator.normal(0.01, 0.02, 8), 5)
    result = paired.compare(np.zeros(40), by_patient, np.repeat(np.arange(8), 5).astype(str), 1)
    assert result.p_value == pytest.approx(stats.wilcoxon(by_patient[::5]).pvalue)
    assert (result.groups, result.cases) == (8, 40)


def test_the_group_mean_weighs_every_group_alike():
    result = paired.compare([0, 0, 0, 0], [1, 1, 1, 3], ["a", "a", "a", "b"], 1)
    assert (result.mean, result.group_mean) == (1.5, 2)


def test_equal_masks_have_no_p_value():
    result = paired.compare([0.5] * 10, [0.5] * 10, NAMES[:10], 1)
    assert (result.mean, result.ci_low, result.ci_high) == (0, 0, 0)
    assert np.isnan(result.p_value)


def test_fewer_than_five_groups_get_neither_interval_nor_p_value():
    result = paired.compare(np.zeros(20), np.arange(20.0), (np.arange(20) % 4).astype(str), 1)
    assert result.mean == 9.5
    assert np.isnan([result.p_value, result.ci_low, result.ci_high]).all()


def test_cases_without_a_value_are_counted_and_left_out():
    result = paired.compare([1, np.nan, 3], [2, 5, np.inf], list("abc"), 1)
    assert (result.mean, result.cases, result.failed) == (1, 1, 2)
    nothing = paired.compare([np.nan], [1.0], ["a"], 1)
    assert (nothing.cases, nothing.failed) == (0, 1)
