"""Ensembles: mean logits and agreement of their members, computed by hand and with masks.metrics."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow import keras

import storage
from conftest import mask_from_text, training
from masks import metrics
from networks import build, ensemble, saved_model

VALUES = {"architecture": "unet", "filters": 2, "stem_patch_px": 4, "clip_hu": None}


def write(folder, seed, test_time_flip=True):
    keras.utils.set_random_seed(seed)
    network = build(image_size=32, **VALUES)
    folder.mkdir()
    saved_model.write(folder, network, training(VALUES | {"horizontal_flip": test_time_flip}), pd.DataFrame())
    return network


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 32, 32, 1)).astype(np.float32)


def test_members_are_all_networks_on_the_image_and_its_mirror_image(tmp_path, images):
    networks = [write(tmp_path / str(seed), seed) for seed in (1, 2)]
    model = ensemble.read([tmp_path / "1", tmp_path / "2"])
    logits = model.logits(images)
    assert logits.shape == (4, 3, 32, 32)
    assert model.image_size == 32
    for number, network in enumerate(networks):
        np.testing.assert_array_equal(logits[2 * number], network(images).numpy()[..., 0])
        np.testing.assert_array_equal(logits[2 * number + 1][:, :, ::-1], network(images[:, :, ::-1]).numpy()[..., 0])
    # The input of the networks has mean 0 and standard deviation 1.
    scaled = model.scaled(images[0, ..., 0])
    assert scaled.shape == (32, 32)
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - 1) < 1e-4


def test_training_without_flips_turns_test_time_augmentation_off(tmp_path, images):
    write(tmp_path / "1", 1)
    write(tmp_path / "2", 2, test_time_flip=False)
    assert ensemble.read([tmp_path / "2"]).logits(images).shape[0] == 1
    assert ensemble.read([tmp_path / "1", tmp_path / "2"]).logits(images).shape[0] == 2


def test_the_mask_is_where_the_mean_logit_is_at_least_0():
    logits = np.array([[[3.0, -1.0, 1.0]], [[-1.0, -1.0, -1.0]]])
    mask = ensemble.Ensemble([], test_time_flip=False, postprocess=False).mask(logits)
    assert mask.tolist() == [[1, 0, 1]]
    assert mask.dtype == np.uint8
    # Post-processing removes the two specks.
    assert ensemble.Ensemble([], test_time_flip=False, postprocess=True).mask(logits).sum() == 0


MASKS = [mask_from_text("##.. ##.."), mask_from_text(".##. .##."), mask_from_text("##.. #...")]


def test_the_agreement_is_the_mean_dice_of_all_pairs():
    logits = np.array(MASKS) - 0.5
    pairs = [metrics.dice(MASKS[one], MASKS[other]) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert ensemble.agreement(logits) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    "masks, expected", [([MASKS[0]] * 2, 1.0), ([0 * MASKS[0]] * 2, 1.0), ([MASKS[0], 0 * MASKS[0]], 0.0)]
)
def test_equal_masks_have_an_agreement_of_1_and_empty_against_filled_ones_0(masks, expected):
    assert ensemble.agreement(np.array(masks) - 0.5) == expected


def test_a_single_member_has_no_agreement():
    assert np.isnan(ensemble.agreement(np.zeros((1, 4, 4))))


def test_a_missing_fold_names_the_step_that_makes_it(tmp_path):
    with pytest.raises(storage.MissingResult, match="cross_validate_train_set"):
        ensemble.read([tmp_path / "fold 1"])


@pytest.mark.parametrize("clip_hu", [None, (-200, 200)])
def test_compiled_logits_equal_those_of_the_network_exactly_for_any_batch_size(images, clip_hu):
    keras.utils.set_random_seed(1)
    network = build("unet", 32, 2, 2, clip_hu)
    model = ensemble.Ensemble([network], test_time_flip=True, postprocess=False)
    for batch in (100 * images[:1], 100 * images):
        plain, flipped = network(batch).numpy()[..., 0], network(batch[:, :, ::-1]).numpy()[:, :, ::-1, 0]
        np.testing.assert_array_equal(model.logits(batch), [plain, flipped])
    scaled = network.get_layer("scale_intensity")(100 * images).numpy()[2, ..., 0]
    np.testing.assert_array_equal(model.scaled(100 * images[2, ..., 0]), scaled)


def test_non_finite_weights_are_refused_with_the_folder_of_the_model(tmp_path, images):
    networks, folders = [build(image_size=32, **VALUES) for _ in range(2)], [tmp_path / "1", tmp_path / "2"]
    networks[1].set_weights([np.full_like(weights, np.nan) for weights in networks[1].get_weights()])
    model = ensemble.Ensemble(networks, test_time_flip=False, postprocess=False, folders=folders)
    with pytest.raises(
        storage.UserError, match="2: the model's weights hold non-finite values. Train it again"
    ) as caught:
        model.logits(images)
    assert not isinstance(caught.value, ensemble.ImageOutOfRange)


def test_an_image_with_non_finite_logits_is_reported_as_out_of_range(tmp_path, images):
    # The sum of its values overflows float32.
    write(tmp_path / "1", 1)
    images[1] = 3e38
    with pytest.raises(ensemble.ImageOutOfRange, match=r"values from 3e\+38 to 3e\+38, .*Rescale the image"):
        ensemble.read([tmp_path / "1"]).logits(images)


def test_many_networks_are_compiled_without_a_tensorflow_warning(images, monkeypatch):
    warnings = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda text, *_: warnings.append(text))
    network = build(image_size=32, **VALUES)
    assert ensemble.Ensemble([network] * 6, test_time_flip=False, postprocess=False).logits(images).shape == (
        6,
        3,
        32,
        32,
    )
    assert warnings == []
