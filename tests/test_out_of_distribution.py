"""Images unlike those of the train set are reported as out of distribution; images like them are not."""

import numpy as np
import pytest

from data import out_of_distribution, phantoms


def scaled(seed):
    image, mask = phantoms.draw(seed, 128)
    return np.clip(image, -200, 200) / 200.0, mask


@pytest.fixture(scope="module")
def statistics():
    """The statistics of twelve phantoms."""
    cases = [scaled(seed) for seed in range(12)]
    return out_of_distribution.train_set_statistics((image for image, _ in cases), [mask.mean() for _, mask in cases])


def test_similar_images_are_in_distribution(statistics):
    assert [out_of_distribution.ood_reasons(*scaled(seed), statistics) for seed in range(20, 32)] == [[]] * 12


@pytest.mark.parametrize(
    "changed",
    [lambda image: -image, lambda image: np.full_like(image, -1.0), lambda image: np.clip(image + 0.6, -1, 1)],
)
def test_other_intensities_are_out_of_distribution(statistics, changed):
    image, mask = scaled(20)
    assert out_of_distribution.ood_reasons(changed(image), mask, statistics) == ["intensities"]


def test_masks_smaller_or_larger_than_any_of_the_train_set_are_out_of_distribution(statistics):
    image, mask = scaled(20)
    assert out_of_distribution.ood_reasons(image, np.zeros_like(mask), statistics) == ["mask smaller than any"]
    assert out_of_distribution.ood_reasons(image, np.ones_like(mask), statistics) == ["mask larger than any"]


def test_empty_masks_are_in_distribution_if_the_train_set_has_some():
    image, mask = scaled(0)
    assert (
        out_of_distribution.ood_reasons(
            image, np.zeros_like(mask), out_of_distribution.train_set_statistics([image] * 2, [0.0, mask.mean()])
        )
        == []
    )


def test_images_like_those_of_a_train_set_of_copies_are_in_distribution():
    image, mask = scaled(0)
    statistics = out_of_distribution.train_set_statistics([image] * 3, [mask.mean()] * 3)
    assert out_of_distribution.ood_reasons(image + 0.001, mask, statistics) == []
