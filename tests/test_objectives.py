"""Losses and Dice against their definitions in numpy, with empty and full masks among the cases."""

import numpy as np
import pytest
import tensorflow as tf

from masks import metrics
from networks import objectives
from settings import hyperparameters

RNG = np.random.default_rng(0)
MASKS = np.stack([RNG.random((6, 6, 1)) < 0.3, np.zeros((6, 6, 1), bool), np.ones((6, 6, 1), bool)]).astype(np.uint8)
LOGITS = RNG.normal(0, 3, MASKS.shape).astype(np.float32)


def pixel_losses():
    probability = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    return -np.log(np.where(MASKS, probability, 1 - probability))


def test_binary_crossentropy_equals_its_definition():
    np.testing.assert_allclose(
        objectives.binary_crossentropy(MASKS, LOGITS), pixel_losses().mean(axis=(1, 2, 3)), rtol=1e-5
    )


def test_weighted_binary_crossentropy_weights_both_classes_equally():
    losses = pixel_losses()
    mixed = (losses[0][MASKS[0] == 1].mean() + losses[0][MASKS[0] == 0].mean()) / 2
    np.testing.assert_allclose(
        objectives.weighted_binary_crossentropy(MASKS, LOGITS), [mixed, losses[1].mean(), losses[2].mean()], rtol=1e-5
    )


def test_binary_crossentropy_dice_adds_the_soft_dice():
    probability = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    soft = (2 * (probability * MASKS).sum(axis=(1, 2, 3)) + 1) / (
        probability.sum(axis=(1, 2, 3)) + MASKS.sum(axis=(1, 2, 3)) + 1
    )
    np.testing.assert_allclose(
        objectives.binary_crossentropy_dice(MASKS, LOGITS), pixel_losses().mean(axis=(1, 2, 3)) + 1 - soft, rtol=1e-5
    )


def test_the_setting_offers_every_loss():
    assert sorted(hyperparameters.LOSSES) == sorted(objectives.LOSSES)


@pytest.mark.parametrize("name", objectives.LOSSES)
@pytest.mark.parametrize("logit", [-50.0, 0.0, 50.0])
def test_extreme_predictions_give_finite_losses_and_gradients(name, logit):
    logits = tf.fill(MASKS.shape, logit)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = objectives.LOSSES[name](MASKS, logits)
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, logits)).all()


@pytest.mark.parametrize("name", objectives.LOSSES)
def test_a_correct_prediction_has_a_loss_near_0(name):
    correct = np.where(MASKS, 50.0, -50.0).astype(np.float32)
    assert np.max(objectives.LOSSES[name](MASKS, correct)) < 1e-3
    assert np.min(objectives.LOSSES[name](MASKS, -correct)) > 1e-3


def measured(logits, masks=MASKS):
    """Returns the Dice coefficient and the false positives after two batches."""
    metric = objectives.Dice()
    metric.update_state(masks[:2], logits[:2])
    metric.update_state(masks[2:], logits[2:])
    return float(metric.result()["dice"]), float(metric.result()["false_positives"])


@pytest.mark.parametrize("logit", [-1, 1])
def test_dice_is_the_mean_of_masks_metrics_over_images_with_non_empty_masks(logit):
    logits = LOGITS.copy()
    logits[1] = logit  # The prediction for the empty mask does not count.
    expected = [
        metrics.dice(mask[..., 0], logit[..., 0] >= 0) for mask, logit in zip(MASKS, logits, strict=True) if mask.any()
    ]
    assert len(expected) == 2
    assert measured(logits)[0] == pytest.approx(np.mean(expected), abs=1e-6)


def test_empty_predictions_have_a_dice_of_0_even_if_masks_are_empty():
    nothing = np.full(LOGITS.shape, -1, np.float32)
    assert measured(nothing) == (0, 0)
    assert measured(nothing, np.zeros_like(MASKS)) == (0, 0)


def test_false_positives_are_the_empty_masks_that_are_predicted_non_empty():
    logits = np.full((5, 6, 6, 1), -1, np.float32)
    logits[[1, 3, 4], 2, 2] = 0
    masks = np.zeros((5, 6, 6, 1), np.uint8)
    masks[4] = 1
    assert measured(logits, masks)[1] == 2


def test_both_values_work_in_a_compiled_training():
    network = tf.keras.Sequential([tf.keras.layers.Conv2D(1, 1, bias_initializer="ones", kernel_initializer="zeros")])
    network.compile("sgd", objectives.binary_crossentropy, [objectives.Dice()])
    values = network.evaluate(LOGITS, MASKS, batch_size=2, verbose=0, return_dict=True)
    full = metrics.dice(MASKS[0, ..., 0], np.ones((6, 6)))
    assert values["dice"] == pytest.approx((full + 1) / 2)
    assert values["false_positives"] == 1
