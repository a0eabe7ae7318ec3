"""Images unlike those of the train set are reported as out of distribution; images like them are not."""

import numpy as np
import pytest

from data import out_of_distribution, phantoms


def scaled(seed):
    image, mask = phantoms.draw(seed, 128)
    return np.clip(image, -200, 200) / 200.0, mask


@pytest.fixture(scope="module")
def known():
    """The statistics of twelve phantoms."""
    cases = [scaled(seed) for seed in range(12)]
    return out_of_distribution.train_set_statistics((image for image, _ in cases), [mask.mean() for _, mask in cases])


def test_others_of_the_same_kind_are_not_strange(known):
    assert [out_of_distribution.ood_reasons(*scaled(seed), known) for seed in range(20, 32)] == [[]] * 12


@pytest.mark.parametrize(
    "changed",
    [lambda image: -image, lambda image: np.full_like(image, -1.0), lambda image: np.clip(image + 0.6, -1, 1)],
)
def test_other_intensities_are(known, changed):
    image, mask = scaled(20)
    assert out_of_distribution.ood_reasons(changed(image), mask, known) == ["intensities"]


def test_masks_of_another_size_are(known):
    image, mask = scaled(20)
    assert out_of_distribution.ood_reasons(image, np.zeros_like(mask), known) == ["mask smaller than any"]
    assert out_of_distribution.ood_reasons(image, np.ones_like(mask), known) == ["mask larger than any"]


def test_empty_masks_are_known_where_the_train_set_has_some():
    image, mask = scaled(0)
    assert (
        out_of_distribution.ood_reasons(
            image, np.zeros_like(mask), out_of_distribution.train_set_statistics([image] * 2, [0.0, mask.mean()])
        )
        == []
    )


def test_a_train_set_of_copies_still_knows_its_like():
    image, mask = scaled(0)
    known = out_of_distribution.train_set_statistics([image] * 3, [mask.mean()] * 3)
    assert out_of_distribution.ood_reasons(image + 0.001, mask, known) == []
