"""Agreement and intervals against published figures and definitions written out."""

import numpy as np
import pytest

from masks import agreement

# The table of Shrout and Fleiss 1979: six cases, four readers.
READERS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def test_icc_is_that_of_shrout_and_fleiss():
    # They tell ICC(2,1) of all four readers as .29.
    assert agreement._icc(READERS) == pytest.approx(0.29, abs=0.005)


def icc_by_anova(one, other):
    """ICC(2,1) by the sums of squares of a two-way table, as a textbook writes it."""
    table = np.stack([one, other], axis=1)
    n, k = table.shape
    total = ((table - table.mean()) ** 2).sum()
    rows = k * ((table.mean(axis=1) - table.mean()) ** 2).sum()
    columns = n * ((table.mean(axis=0) - table.mean()) ** 2).sum()
    msr, msc, mse = rows / (n - 1), columns / (k - 1), (total - rows - columns) / ((n - 1) * (k - 1))
    return (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)


def test_bias_limits_icc_and_ccc_by_definition():
    generator = np.random.default_rng(1)
    one = generator.normal(120, 20, 40)
    other = one + generator.normal(3, 5, 40)
    found = agreement.agree(one, other)
    differences = other - one
    assert found.bias == pytest.approx(differences.mean())
    assert found.cases == 40
    assert (found.upper_limit - found.lower_limit) / 2 == pytest.approx(1.96 * np.std(differences, ddof=1))
    assert found.icc == pytest.approx(icc_by_anova(one, other))
    correlation = np.corrcoef(one, other)[0, 1]
    lin = 2 * correlation * one.std() * other.std() / (one.var() + other.var() + (one.mean() - other.mean()) ** 2)
    assert found.ccc == pytest.approx(lin)


@pytest.mark.parametrize("shift, factor", [(0, 1), (30, 1), (0, 0.5)])
def test_a_shift_or_a_scale_is_no_agreement_though_it_is_correlated(shift, factor):
    one = np.arange(10.0)
    found = agreement.agree(one, factor * one + shift)
    assert (found.icc == pytest.approx(1) and found.ccc == pytest.approx(1)) == (shift == 0 and factor == 1)


def test_what_is_undefined_is_nan_and_never_raises():
    for one, other in (([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 1.0]), ([0.1] * 3, [0.1] * 3)):
        found = agreement.agree(one, other)
        assert np.isnan(found.icc)
        assert np.isnan(found.ccc)
        assert found.cases == len(one)


@pytest.mark.parametrize("count, defined", [(0, False), (2, False), (3, False), (4, True)])
def test_limits_of_agreement_and_icc_need_four_cases(count, defined):
    one, other = np.array([10.0, 20, 30, 40])[:count], np.array([11.0, 19, 33, 40])[:count]
    found = agreement.agree(one, other)
    assert np.isfinite([found.lower_limit, found.upper_limit, found.icc, found.ccc]).tolist() == [defined] * 4
    assert np.isnan(found.bias) if count == 0 else found.bias == pytest.approx((other - one).mean())


def test_empty_reference_masks_and_the_false_positives_among_them_are_counted():
    found = agreement.EmptyReferences.count([5, 0, 0, 0, 7], [0, 0, 4, 9, 7])
    assert found == agreement.EmptyReferences(cases=5, empty=3, false_positives=2)
    assert found.text() == "3 of 5 reference masks are empty; 2 of 3 were predicted non-empty (false positives)."
    assert agreement.EmptyReferences.count([5, 7], [0, 7]).text() == ""


def test_failed_cases_are_counted_beside_the_mean():
    found = agreement.summarize([1.0, 2.0, np.inf, 3.0, np.nan], list("abcde"), 1)
    assert (found.mean, found.median, found.minimum, found.maximum, found.cases, found.failed) == (2, 2, 1, 3, 3, 2)
    assert (found.sd, found.q1, found.q3) == (1, 1.5, 2.5)
    nothing = agreement.summarize([np.inf, np.inf], ["a", "b"], 1)
    assert np.isnan(nothing.mean)
    assert (nothing.cases, nothing.failed) == (0, 2)


@pytest.mark.parametrize("count, least", [(5, 0.87), (10, 0.91), (40, 0.92)])
def test_the_interval_covers_the_true_mean_in_about_95_of_100(count, least):
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        found = agreement.summarize(generator.normal(5, 1, count), np.arange(count).astype(str), seed)
        hits += found.ci_low <= 5 <= found.ci_high
    assert least <= hits / 300 <= 0.98


def test_so_few_groups_that_the_interval_would_be_wrong_have_none():
    groups = np.arange(20) % 5
    assert np.isfinite(agreement.summarize(np.arange(20.0), groups.astype(str), 1).ci_low)
    assert np.isnan(agreement.summarize(np.arange(20.0), np.minimum(groups, 3).astype(str), 1).ci_low)


def test_images_of_one_patient_are_no_independent_cases():
    # Ten patients of ten images, alike within each: as sure as of ten images.
    values = np.repeat(np.random.default_rng(2).normal(0.9, 0.05, 10), 10)
    grouped = agreement.summarize(values, np.repeat(np.arange(10), 10).astype(str), 1)
    alone = agreement.summarize(values, np.arange(100).astype(str), 1)
    assert 2.5 < (grouped.ci_high - grouped.ci_low) / (alone.ci_high - alone.ci_low) < 4
    assert np.isnan(agreement.summarize(values, ["one"] * 100, 1).ci_low)


def test_the_same_seed_gives_the_same_interval():
    one, other = (agreement.summarize([0.5, 0.7, 0.9, 0.8, 0.6], list("abcde"), seed) for seed in (1, 1))
    assert one == other
