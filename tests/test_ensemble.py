"""Networks that predict together: the mean of what they find, and how far they agree, by hand and by masks.metrics."""
import numpy as np
import pandas as pd
import pytest
import storage
from conftest import drawn
from masks import metrics
from networks import build, ensemble, saved_model
from tensorflow import keras

VALUES = {"architecture": "unet", "filters": 2, "patch_px": 4, "clip_hu": None}


def write(folder, seed, mirrored=True):
    keras.utils.set_random_seed(seed)
    network = build(image_size=32, **VALUES)
    folder.mkdir()
    saved_model.write(folder, network, VALUES | {"horizontal_flip": mirrored}, {"image_size": 32, "known": {"cleaning_is_harmless": True}}, pd.DataFrame())
    return network


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 32, 32, 1)).astype(np.float32)


def test_members_are_all_networks_on_the_image_and_its_mirror_image(tmp_path, images):
    networks = [write(tmp_path / str(seed), seed) for seed in (1, 2)]
    model = ensemble.read([tmp_path / "1", tmp_path / "2"])
    logits = model.logits(images)
    assert logits.shape == (4, 3, 32, 32) and model.image_size == 32
    for number, network in enumerate(networks):
        np.testing.assert_array_equal(logits[2 * number], network(images).numpy()[..., 0])
        np.testing.assert_array_equal(logits[2 * number + 1][:, :, ::-1], network(images[:, :, ::-1]).numpy()[..., 0])
    # As the networks see it: mean 0, standard deviation 1.
    seen = model.scaled(images[0, ..., 0])
    assert seen.shape == (32, 32) and abs(seen.mean()) < 1e-4 and abs(seen.std() - 1) < 1e-4


def test_one_that_was_not_trained_on_mirror_images_predicts_none(tmp_path, images):
    write(tmp_path / "1", 1), write(tmp_path / "2", 2, mirrored=False)
    assert ensemble.read([tmp_path / "2"]).logits(images).shape[0] == 1
    assert ensemble.read([tmp_path / "1", tmp_path / "2"]).logits(images).shape[0] == 2


def test_the_mask_is_where_the_mean_logit_is_at_least_0():
    logits = np.array([[[3.0, -1.0, 1.0]], [[-1.0, -1.0, -1.0]]])
    mask = ensemble.Ensemble([], mirrored=False, cleaned=False).mask(logits)
    assert mask.tolist() == [[1, 0, 1]] and mask.dtype == np.uint8
    # Two specks, and nothing else.
    assert ensemble.Ensemble([], mirrored=False, cleaned=True).mask(logits).sum() == 0


MASKS = [drawn("##.. ##.."), drawn(".##. .##."), drawn("##.. #...")]


def test_the_predicted_dice_is_the_mean_of_all_pairs():
    logits = np.array(MASKS) - 0.5
    pairs = [metrics.dice(MASKS[one], MASKS[other]) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert ensemble.predicted_dice(logits) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("masks, wanted", [([MASKS[0]] * 2, 1.0), ([0 * MASKS[0]] * 2, 1.0), ([MASKS[0], 0 * MASKS[0]], 0.0)])
def test_agreement_is_1_and_empty_against_filled_0(masks, wanted):
    assert ensemble.predicted_dice(np.array(masks) - 0.5) == wanted


def test_one_member_alone_guesses_nothing():
    assert np.isnan(ensemble.predicted_dice(np.zeros((1, 4, 4))))


def test_a_missing_fold_names_the_step_that_makes_it(tmp_path):
    with pytest.raises(storage.MissingResult, match="cross_validate_train_set"):
        ensemble.read([tmp_path / "fold 1"])
