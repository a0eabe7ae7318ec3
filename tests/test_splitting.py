"""Splits and folds keep groups whole and are identical on every machine."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data import splitting


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), st.floats(0.05, 0.95), st.integers(0, 99))
def test_a_split_keeps_groups_whole_and_neither_side_is_empty(groups, share, seed):
    if len(set(groups)) < 2:
        return
    in_test_set = splitting.split(groups, share, seed)
    assert {group for group, out in zip(groups, in_test_set, strict=True) if out}.isdisjoint(
        group for group, out in zip(groups, in_test_set, strict=True) if not out
    )
    assert 0 < in_test_set.sum() < len(groups)


def test_a_split_of_single_cases_has_exactly_the_share():
    assert splitting.split([f"case{number:03d}" for number in range(100)], 0.2, 1).sum() == 20


def test_a_split_does_not_change_with_the_order_of_the_cases():
    names = [f"case{number:03d}" for number in range(50)]
    in_test_set = splitting.split(names, 0.2, 3)
    again = splitting.split(names[::-1], 0.2, 3)[::-1]
    np.testing.assert_array_equal(in_test_set, again)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=30).filter(lambda groups: len(set(groups)) >= 3),
    st.integers(2, 3),
    st.integers(0, 5),
)
def test_folds_keep_groups_whole_and_contain_every_case_once(groups, count, seed):
    folds = splitting.folds(groups, count, seed)
    assert set(folds) == set(range(count))
    assert len(folds) == len(groups)
    for group in set(groups):
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    np.testing.assert_array_equal(folds, splitting.folds(groups, count, seed))


def test_folds_are_the_same_on_every_machine():
    # Recorded from this code. Other processors and NumPy versions must not change it, as they change scikit-learn's
    # GroupKFold.
    assert splitting.folds([f"case {number}" for number in range(12)], 4, 1).tolist() == [
        2,
        0,
        2,
        3,
        1,
        3,
        2,
        1,
        3,
        0,
        0,
        1,
    ]
    assert splitting.folds(list("aaaabbbccd"), 3, 1).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_folds_are_even_and_the_seed_matters():
    names = [f"case {number}" for number in range(20)]
    first, second = (splitting.folds(names, 5, seed) for seed in (1, 2))
    assert np.bincount(first).tolist() == [4] * 5
    assert np.bincount(second).tolist() == [4] * 5
    assert not np.array_equal(first, second)
