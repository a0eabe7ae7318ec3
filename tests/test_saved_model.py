"""A model on disk predicts what it predicted in memory, to the bit, and holds neither code nor pickle."""
import networks
import numpy as np
import pandas as pd
import pytest
import storage
from networks import saved_model
from tensorflow import keras


def random_weights(network):
    rng = np.random.default_rng(0)
    # No weight is as it was first; all are positive, as variances must be.
    network.set_weights([rng.uniform(0.01, 0.1, weights.shape) for weights in network.get_weights()])


@pytest.mark.parametrize("architecture, clip_hu", [("unet", (-150.0, 250.0)), ("deeplabv3_plus", None)])
def test_saved_and_loaded_predictions_are_equal_to_the_bit(tmp_path, architecture, clip_hu):
    network = networks.build(architecture, 64, 4, 4, clip_hu)
    random_weights(network)
    images = np.random.default_rng(0).normal(0, 300, (2, 64, 64, 1)).astype(np.float32)
    saved_model.write(tmp_path, network, {"architecture": architecture, "filters": 4, "patch_px": 4, "clip_hu": clip_hu}, {"image_size": 64}, pd.DataFrame({"loss": [1.0]}))
    np.testing.assert_array_equal(saved_model.read(tmp_path)(images), network(images))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "hyperparameters.json", "training.json", "weights.weights.h5"]


def test_weights_of_mixed_precision_are_kept_in_full(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = networks.build("unet", 64, 4, 4, (-200, 200))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    random_weights(network)
    saved_model.write(tmp_path, network, {"architecture": "unet", "filters": 4, "patch_px": 4, "clip_hu": (-200, 200)}, {"image_size": 64}, pd.DataFrame())
    for own, other in zip(network.get_weights(), saved_model.read(tmp_path).get_weights(), strict=True):
        assert own.dtype == np.float32
        np.testing.assert_array_equal(own, other)


def test_a_missing_model_names_the_step(tmp_path):
    with pytest.raises(storage.MissingResult, match="train_final_model"):
        saved_model.read(tmp_path / "model")


def test_a_model_that_a_crash_left_aside_is_found(tmp_path):
    # As it lies between the two renamings of storage.replacing.
    (tmp_path / ".model.former").mkdir()
    (tmp_path / ".model.former" / "training.json").write_text('{"image_size": 64}')
    assert saved_model.read_training(tmp_path / "model") == {"image_size": 64}
