"""Agreement statistics and confidence intervals against published values and textbook definitions."""

import numpy as np
import pytest

from masks import agreement

# The table of Shrout and Fleiss 1979: six cases, four readers.
READERS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def test_icc_equals_shrout_and_fleiss():
    # Their ICC(2,1) of all four readers is .29.
    assert agreement._icc(READERS) == pytest.approx(0.29, abs=0.005)


def icc_by_anova(first, second):
    """ICC(2,1) from the sums of squares of a two-way ANOVA table."""
    table = np.stack([first, second], axis=1)
    n, k = table.shape
    total = ((table - table.mean()) ** 2).sum()
    rows = k * ((table.mean(axis=1) - table.mean()) ** 2).sum()
    columns = n * ((table.mean(axis=0) - table.mean()) ** 2).sum()
    msr, msc, mse = rows / (n - 1), columns / (k - 1), (total - rows - columns) / ((n - 1) * (k - 1))
    return (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)


def test_bias_limits_icc_and_ccc_equal_their_definitions():
    generator = np.random.default_rng(1)
    first = generator.normal(120, 20, 40)
    second = first + generator.normal(3, 5, 40)
    result = agreement.agree(first, second)
    differences = second - first
    assert result.bias == pytest.approx(differences.mean())
    assert result.cases == 40
    assert (result.upper_limit - result.lower_limit) / 2 == pytest.approx(1.96 * np.std(differences, ddof=1))
    assert result.icc == pytest.approx(icc_by_anova(first, second))
    correlation = np.corrcoef(first, second)[0, 1]
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    assert result.ccc == pytest.approx(2 * correlation * first.std() * second.std() / spread)


@pytest.mark.parametrize("shift, factor", [(0, 1), (30, 1), (0, 0.5)])
def test_a_shift_or_a_scale_lowers_agreement_despite_perfect_correlation(shift, factor):
    first = np.arange(10.0)
    result = agreement.agree(first, factor * first + shift)
    identical = shift == 0 and factor == 1
    assert (result.icc == pytest.approx(1)) == identical
    assert (result.ccc == pytest.approx(1)) == identical


def test_undefined_icc_and_ccc_are_nan():
    for first, second in (([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 1.0]), ([0.1] * 3, [0.1] * 3)):
        result = agreement.agree(first, second)
        assert np.isnan(result.icc)
        assert np.isnan(result.ccc)
        assert result.cases == len(first)


@pytest.mark.parametrize("count, defined", [(0, False), (2, False), (3, False), (4, True)])
def test_limits_of_agreement_and_icc_need_four_cases(count, defined):
    first, second = np.array([10.0, 20, 30, 40])[:count], np.array([11.0, 19, 33, 40])[:count]
    result = agreement.agree(first, second)
    assert np.isfinite([result.lower_limit, result.upper_limit, result.icc, result.ccc]).tolist() == [defined] * 4
    assert np.isnan(result.bias) if count == 0 else result.bias == pytest.approx((second - first).mean())


def test_empty_reference_masks_and_their_false_positives_are_counted():
    references = agreement.EmptyReferences.count([5, 0, 0, 0, 7], [0, 0, 4, 9, 7])
    assert references == agreement.EmptyReferences(cases=5, empty=3, false_positives=2)
    assert references.text() == "3 of 5 reference masks are empty; 2 of 3 were predicted non-empty (false positives)."
    assert agreement.EmptyReferences.count([5, 7], [0, 7]).text() == ""


def test_failed_cases_are_counted_beside_the_mean():
    summary = agreement.summarize([1.0, 2.0, np.inf, 3.0, np.nan], list("abcde"), 1)
    statistics = (summary.mean, summary.sd, summary.median, summary.q1, summary.q3, summary.minimum, summary.maximum)
    assert statistics == (2, 1, 2, 1.5, 2.5, 1, 3)
    assert (summary.cases, summary.failed) == (3, 2)
    all_failed = agreement.summarize([np.inf, np.inf], ["a", "b"], 1)
    assert np.isnan(all_failed.mean)
    assert (all_failed.cases, all_failed.failed) == (0, 2)


@pytest.mark.parametrize("count, min_coverage", [(5, 0.87), (10, 0.91), (40, 0.92)])
def test_the_interval_covers_the_true_mean_in_about_95_percent_of_samples(count, min_coverage):
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        summary = agreement.summarize(generator.normal(5, 1, count), np.arange(count).astype(str), seed)
        hits += summary.ci_low <= 5 <= summary.ci_high
    assert min_coverage <= hits / 300 <= 0.98


def test_fewer_than_five_groups_get_no_interval():
    groups = np.arange(20) % 5
    assert np.isfinite(agreement.summarize(np.arange(20.0), groups.astype(str), 1).ci_low)
    assert np.isnan(agreement.summarize(np.arange(20.0), np.minimum(groups, 3).astype(str), 1).ci_low)


def test_images_of_one_patient_are_not_independent():
    # Ten patients with ten equal images each: as uncertain as ten images.
    values = np.repeat(np.random.default_rng(2).normal(0.9, 0.05, 10), 10)
    grouped = agreement.summarize(values, np.repeat(np.arange(10), 10).astype(str), 1)
    ungrouped = agreement.summarize(values, np.arange(100).astype(str), 1)
    assert 2.5 < (grouped.ci_high - grouped.ci_low) / (ungrouped.ci_high - ungrouped.ci_low) < 4
    assert np.isnan(agreement.summarize(values, ["one"] * 100, 1).ci_low)


def test_the_same_seed_gives_the_same_interval():
    first, second = (agreement.summarize([0.5, 0.7, 0.9, 0.8, 0.6], list("abcde"), seed) for seed in (1, 1))
    assert first == second
