"""Agreement statistics and confidence intervals against published values and textbook definitions."""

import numpy as np
import pytest
from scipy import stats

from masks import agreement

# The table of Shrout and Fleiss 1979: six cases, four readers.
READERS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def icc_by_anova(table):
    """ICC(2,1) of a table (cases, readers) from the sums of squares of a two-way ANOVA table."""
    n, k = table.shape
    total = ((table - table.mean()) ** 2).sum()
    rows = k * ((table.mean(axis=1) - table.mean()) ** 2).sum()
    columns = n * ((table.mean(axis=0) - table.mean()) ** 2).sum()
    msr, msc, mse = rows / (n - 1), columns / (k - 1), (total - rows - columns) / ((n - 1) * (k - 1))
    return (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)


def test_the_anova_of_these_tests_equals_shrout_and_fleiss():
    # Their ICC(2,1) of all four readers is .29.
    assert icc_by_anova(READERS) == pytest.approx(0.29, abs=0.005)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_icc_of_two_readers_equals_the_anova(pair):
    result = agreement.agree(*READERS[:, pair].T)
    assert result.icc == pytest.approx(icc_by_anova(READERS[:, pair]))


# Peak expiratory flow in l/min of 17 people, first measurements with the Wright and the mini Wright meter: Bland and
# Altman 1986, Lancet 327.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_bias_sd_and_correlation_equal_bland_and_altman():
    result = agreement.agree(MINI, WRIGHT)
    assert (round(result.bias, 1), round(result.sd, 1), round(result.pearson, 2)) == (-2.1, 38.8, 0.94)
    # Theirs are 2 SD wide: -79.7 to 75.5.
    assert result.lower_limit == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.1)
    assert result.upper_limit == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.1)


def test_bias_limits_icc_and_ccc_equal_their_definitions():
    generator = np.random.default_rng(1)
    first = generator.normal(120, 20, 40)
    second = first + generator.normal(3, 5, 40)
    result = agreement.agree(first, second)
    differences = second - first
    assert result.bias == pytest.approx(differences.mean())
    assert result.cases == 40
    assert (result.upper_limit - result.lower_limit) / 2 == pytest.approx(1.96 * np.std(differences, ddof=1))
    assert result.icc == pytest.approx(icc_by_anova(np.stack([first, second], axis=1)))
    assert result.pearson == pytest.approx(np.corrcoef(first, second)[0, 1])
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


def resampled(first, second, groups, statistic, samples=2000):
    """The values of a statistic of the cases of groups chosen with replacement: loops instead of sums."""
    generator, names = np.random.default_rng(5), np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    for _ in range(samples):
        index = np.concatenate([members[name] for name in generator.choice(names, len(names))])
        yield statistic(first[index], second[index])


def limit(first, second):
    return np.mean(second - first) + 1.96 * np.std(second - first, ddof=1)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("bias", lambda first, second: np.mean(second - first)),
        ("upper_limit", limit),
        ("pearson", lambda first, second: np.corrcoef(first, second)[0, 1]),
        ("icc", lambda first, second: icc_by_anova(np.stack([first, second], axis=1))),
    ],
)
def test_intervals_equal_those_of_a_bootstrap_with_loops(name, statistic):
    generator = np.random.default_rng(3)
    groups = np.arange(60) % 20
    first = generator.normal(120, 20, 20)[groups] + generator.normal(0, 5, 60)
    second = first + generator.normal(3, 6, 20)[groups] + generator.normal(0, 2, 60)
    low, high = agreement.agree(first, second, groups.astype(str), 1).intervals[name]
    # The expanded percentiles of 20 groups.
    tail = 100 * stats.norm.cdf(np.sqrt(20 / 19) * stats.t.ppf(0.025, 19))
    expected = np.percentile(list(resampled(first, second, groups, statistic)), (tail, 100 - tail))
    assert (low, high) == pytest.approx(expected, abs=0.12 * (expected[1] - expected[0]))


def test_intervals_of_agreement_are_over_groups():
    generator = np.random.default_rng(4)
    first, errors = np.repeat(generator.normal(120, 20, 10), 10), np.repeat(generator.normal(2, 4, 10), 10)
    widths = []
    for groups in (np.repeat(np.arange(10), 10), np.arange(100)):
        low, high = agreement.agree(first, first + errors, groups.astype(str), 1).intervals["bias"]
        widths.append(high - low)
    assert 2.5 < widths[0] / widths[1] < 4


def test_fewer_than_five_groups_get_no_intervals_of_agreement():
    first = np.arange(20.0)
    few = agreement.agree(first, first + 1, (np.arange(20) % 4).astype(str))
    assert few.icc > 0.9
    assert np.isnan(list(few.intervals.values())).all()


def test_cases_without_a_value_are_counted_and_left_out():
    first, second = np.array([1.0, 2, 3, 4, np.nan, 6]), np.array([1.0, 2, 3, 5, 9, np.nan])
    result = agreement.agree(first, second)
    assert (result.bias, result.cases, result.failed) == (0.25, 4, 2)


def test_a_constant_difference_has_no_spread_and_an_interval_of_one_value():
    first = np.random.default_rng(1).normal(1e6, 1, 30)
    result = agreement.agree(first, first + 5)
    assert result.sd == pytest.approx(0, abs=1e-6)
    assert result.intervals["bias"] == pytest.approx((5, 5))


def test_means_per_group_weigh_every_group_alike():
    summary = agreement.summarize([1.0, 1.0, 1.0, 3.0], ["a", "a", "a", "b"], 1)
    assert (summary.mean, summary.group_mean, summary.groups) == (1.5, 2, 2)
    assert summary.group_sd == pytest.approx(np.sqrt(2))


def test_the_interval_of_the_group_mean_equals_that_of_the_groups_means_as_cases():
    values, groups = np.random.default_rng(1).normal(size=40), np.arange(40) % 8
    by_group = [values[groups == group].mean() for group in range(8)]
    summary = agreement.summarize(values, groups.astype(str), 1)
    alone = agreement.summarize(by_group, np.arange(8).astype(str), 1)
    assert (summary.group_ci_low, summary.group_ci_high) == pytest.approx((alone.ci_low, alone.ci_high))
