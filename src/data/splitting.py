"""Divides cases at random, groups kept whole: into train and test set, and into folds. The same cases are divided alike on every machine."""

import collections
from collections.abc import Sequence

import numpy as np


def split(groups: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which cases to set aside, as (cases,) bool: about `share` of them, at least one and never all; a group goes as a whole or not at all.

    `groups` holds each case's group. Depends on nothing but the arguments: groups are drawn from their sorted list, and a group that
    would exceed the share is passed over. ValueError for fewer than two groups.
    """
    import sklearn.utils  # Not above: it takes a second, which every worker process of step 1 would wait for.

    sizes = collections.Counter(groups)
    if len(sizes) < 2:
        raise ValueError(f"wanted at least two groups of cases to split, found {len(sizes)}")
    wanted = most(len(groups), share)
    aside: set[str] = set()
    for group in sklearn.utils.shuffle(sorted(sizes), random_state=seed):
        if sum(sizes[name] for name in aside) + sizes[group] <= wanted and len(aside) < len(sizes) - 1:
            aside.add(group)
    # Every group is larger than the share: then the smallest, for a split there must be.
    aside = aside or {min(sorted(sizes), key=sizes.__getitem__)}
    return np.array([group in aside for group in groups])


def most(cases: int, share: float) -> int:
    """How many of `cases` `split` sets aside at most, but where every group is larger."""
    return max(1, round(share * cases))


def folds(groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """The fold of each case, as (cases,) int, 0 to count - 1: about equally many cases each; a group goes into one fold as a whole.

    Depends on nothing but the arguments, like `split`. ValueError for fewer groups than folds.
    """
    import sklearn.utils

    sizes = collections.Counter(groups)
    if len(sizes) < count:
        raise ValueError(f"wanted at least {count} groups of cases for {count} folds, found {len(sizes)}")
    # The largest group first, each into the fold that holds least. Not by scikit-learn's GroupKFold: it sorts equal groups as the processor likes.
    held, fold_of = [0] * count, {}
    for group in sorted(sklearn.utils.shuffle(sorted(sizes), random_state=seed), key=sizes.__getitem__, reverse=True):
        fold_of[group] = held.index(min(held))
        held[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in groups])
