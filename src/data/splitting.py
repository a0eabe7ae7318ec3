"""Random splits of cases that keep groups whole: train and test set, and folds. Identical on every machine."""

import collections
from collections.abc import Sequence

import numpy as np


def split(groups: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Whether each case is in the test or validation set, (cases,) bool: about `share` of them, at least one, not all.

    `groups` has the group of each case; a group is never split. The result depends only on the arguments: groups are
    chosen at random from their sorted list, and one that would exceed the share is skipped. ValueError for fewer than
    two groups.
    """
    sizes = collections.Counter(groups)
    if len(sizes) < 2:
        raise ValueError(f"a split needs at least two groups of cases, found {len(sizes)}")
    limit = max_cases(len(groups), share)
    chosen: set[str] = set()
    for group in shuffled(groups, seed):
        if sum(sizes[name] for name in chosen) + sizes[group] <= limit and len(chosen) < len(sizes) - 1:
            chosen.add(group)
    # If every group is larger than the share, the smallest group is chosen.
    chosen = chosen or {min(sorted(sizes), key=sizes.__getitem__)}
    return np.array([group in chosen for group in groups])


def max_cases(cases: int, share: float) -> int:
    """The maximum number of cases that `split` chooses, unless every group is larger."""
    return max(1, round(share * cases))


def folds(groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """The fold of each case, (cases,) int from 0 to count - 1: folds of similar size; a group is never split.

    The result depends only on the arguments. ValueError for fewer groups than folds.
    """
    sizes = collections.Counter(groups)
    if len(sizes) < count:
        raise ValueError(f"{count} folds need at least {count} groups of cases, found {len(sizes)}")
    # The largest group first, each into the smallest fold. scikit-learn's GroupKFold is not used: its order of equal
    # groups depends on the machine.
    fold_sizes, fold_of = [0] * count, {}
    for group in sorted(shuffled(groups, seed), key=sizes.__getitem__, reverse=True):
        fold_of[group] = fold_sizes.index(min(fold_sizes))
        fold_sizes[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in groups])


def shuffled(groups: Sequence[str], seed: int) -> list[str]:
    """The names of the groups, each once, in a random order that depends on them and the seed only."""
    import sklearn.utils  # Not at the top: importing takes a second in every worker process of step 1.

    return sklearn.utils.shuffle(sorted(set(groups)), random_state=seed)
