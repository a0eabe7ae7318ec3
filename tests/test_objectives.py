"""Losses and Dice against their definitions in numpy, with empty and full masks among the cases."""
import numpy as np
import pytest
import tensorflow as tf
from masks import metrics
from networks import objectives

RNG = np.random.default_rng(0)
MASKS = np.stack([RNG.random((6, 6, 1)) < 0.3, np.zeros((6, 6, 1), bool), np.ones((6, 6, 1), bool)]).astype(np.uint8)
LOGITS = RNG.normal(0, 3, MASKS.shape).astype(np.float32)


def pixel_losses():
    probability = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    return -np.log(np.where(MASKS, probability, 1 - probability))


def test_binary_crossentropy():
    np.testing.assert_allclose(objectives.binary_crossentropy(MASKS, LOGITS), pixel_losses().mean(axis=(1, 2, 3)), rtol=1e-5)


def test_weighted_binary_crossentropy_counts_both_classes_alike():
    losses = pixel_losses()
    mixed = (losses[0][MASKS[0] == 1].mean() + losses[0][MASKS[0] == 0].mean()) / 2
    np.testing.assert_allclose(objectives.weighted_binary_crossentropy(MASKS, LOGITS), [mixed, losses[1].mean(), losses[2].mean()], rtol=1e-5)


def test_binary_crossentropy_dice_adds_the_soft_dice():
    probability = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    soft = (2 * (probability * MASKS).sum(axis=(1, 2, 3)) + 1) / (probability.sum(axis=(1, 2, 3)) + MASKS.sum(axis=(1, 2, 3)) + 1)
    np.testing.assert_allclose(objectives.binary_crossentropy_dice(MASKS, LOGITS), pixel_losses().mean(axis=(1, 2, 3)) + 1 - soft, rtol=1e-5)


@pytest.mark.parametrize("name", objectives.LOSSES)
@pytest.mark.parametrize("logit", [-50.0, 0.0, 50.0])
def test_extreme_predictions_give_finite_losses_and_gradients(name, logit):
    logits = tf.fill(MASKS.shape, logit)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = objectives.LOSSES[name](MASKS, logits)
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, logits)).all()


@pytest.mark.parametrize("name", objectives.LOSSES)
def test_the_right_answer_costs_nearly_nothing(name):
    right = np.where(MASKS, 50.0, -50.0).astype(np.float32)
    assert np.max(objectives.LOSSES[name](MASKS, right)) < 1e-3 < np.min(objectives.LOSSES[name](MASKS, -right))


def test_dice_is_the_mean_over_images_of_what_masks_metrics_gives():
    logits = LOGITS.copy()
    logits[1] = -1  # An empty prediction of an empty mask.
    metric = objectives.Dice()
    metric.update_state(MASKS[:2], logits[:2])
    metric.update_state(MASKS[2:], logits[2:])
    wanted = [metrics.dice(mask[..., 0], logit[..., 0] >= 0) for mask, logit in zip(MASKS, logits, strict=True)]
    assert wanted[1] == 1
    assert float(metric.result()) == pytest.approx(np.mean(wanted), abs=1e-6)
