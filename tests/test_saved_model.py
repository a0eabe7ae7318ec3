"""A saved model predicts bit-identically. Damaged and harmful files are reported."""

import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from tensorflow import keras

import about
import networks
import storage
from conftest import ROOT, training
from networks import saved_model


def random_weights(network):
    rng = np.random.default_rng(0)
    # All weights change, and all are positive, as variances must be.
    network.set_weights([rng.uniform(0.01, 0.1, weights.shape) for weights in network.get_weights()])


@pytest.mark.parametrize("architecture, clip_hu", [("unet", (-150.0, 250.0)), ("deeplabv3_plus", None)])
def test_predictions_of_a_loaded_model_are_bit_identical(tmp_path, architecture, clip_hu):
    network = networks.build(architecture, 64, 4, 4, clip_hu)
    random_weights(network)
    images = np.random.default_rng(0).normal(0, 300, (2, 64, 64, 1)).astype(np.float32)
    saved_model.write(
        tmp_path,
        network,
        training({"architecture": architecture, "filters": 4, "clip_hu": clip_hu}, image_size=64),
        pd.DataFrame({"loss": [1.0]}),
    )
    np.testing.assert_array_equal(saved_model.read(tmp_path)(images), network(images))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv",
        "hyperparameters.json",
        "training.json",
        "weights.weights.h5",
    ]


@pytest.mark.parametrize("archive", sorted((ROOT / "tests" / "models").iterdir()), ids=lambda path: path.stem)
def test_a_model_moves_from_each_version_of_tensorflow_to_this_one(tmp_path, archive):
    # Written by scripts/write_small_model.py.
    shutil.unpack_archive(archive, tmp_path)
    expected = np.load(tmp_path / "prediction.npz")
    np.testing.assert_allclose(saved_model.read(tmp_path)(expected["image"]), expected["logits"], rtol=0, atol=1e-5)


def test_a_model_of_an_earlier_version_has_no_packages(tmp_path):
    shutil.unpack_archive(ROOT / "tests" / "models" / "tensorflow-2.15.1.zip", tmp_path)
    file = tmp_path / "training.json"
    values = json.loads(file.read_text())
    del values["packages"]
    file.write_text(json.dumps(values))
    assert saved_model.read_training(tmp_path).packages == {}


def test_weights_of_mixed_precision_are_saved_as_float32(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = networks.build("unet", 64, 4, 4, (-200, 200))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    random_weights(network)
    saved_model.write(tmp_path, network, training({"filters": 4}, image_size=64), pd.DataFrame())
    for weights, loaded in zip(network.get_weights(), saved_model.read(tmp_path).get_weights(), strict=True):
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights, loaded)


def test_a_missing_model_names_the_step(tmp_path):
    with pytest.raises(storage.MissingResult, match="train_final_model"):
        saved_model.read(tmp_path / "model")


def test_a_model_that_a_crash_left_under_its_temporary_name_is_found(tmp_path):
    # The state between the two renames of storage.atomic_folder.
    (tmp_path / ".model.former").mkdir()
    values = dataclasses.asdict(training(image_size=64))
    (tmp_path / ".model.former" / "training.json").write_text(json.dumps(values))
    assert saved_model.read_training(tmp_path / "model") == training(image_size=64)


TRAINING = training({"filters": 2})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "model"
    folder.mkdir()
    saved_model.write(folder, networks.build("unet", 32, 2, 4, (-200.0, 200.0)), TRAINING, pd.DataFrame())
    return folder


@pytest.fixture
def model(tmp_path, written):
    """A model to be damaged."""
    return pathlib.Path(shutil.copytree(written, tmp_path / "model"))


def edit(name, **values):
    """Returns a change of values in a JSON file of a model. None deletes a value."""

    def change(folder):
        changed = json.loads((folder / name).read_text()) | values
        removed = [key for key, value in values.items() if value is None]
        (folder / name).write_text(json.dumps({key: changed[key] for key in changed if key not in removed}))

    return change


def rewrite(name, change):
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
DELETE = "Copy the folder 'model' from its source again, or delete it and run step 3"
DAMAGES = {
    "a truncated JSON file": (
        rewrite("training.json", lambda content: content[:-9]),
        f"training.json: not valid JSON.*{DELETE}",
    ),
    "an LFS pointer for JSON": (
        rewrite("hyperparameters.json", lambda content: LFS),
        "hyperparameters.json: a Git LFS pointer.*git lfs pull",
    ),
    "an LFS pointer for weights": (
        rewrite("weights.weights.h5", lambda content: LFS),
        "weights.weights.h5: a Git LFS pointer.*git lfs pull",
    ),
    "truncated weights": (
        rewrite("weights.weights.h5", lambda content: content[:-9]),
        f"weights.weights.h5: not a complete.*{DELETE}",
    ),
    "an unknown key": (
        edit("hyperparameters.json", filter=4),
        "hyperparameters.json: filter is not known. Did you mean filters",
    ),
    "a missing key": (
        edit("hyperparameters.json", filters=None),
        "hyperparameters.json: filters changed after the training. Copy",
    ),
    "another value": (
        edit("hyperparameters.json", filters=4),
        "hyperparameters.json: filters changed after the training. Copy",
    ),
    "no image size": (edit("training.json", image_size=None), f"training.json: image_size is missing.*{DELETE}"),
    "an image size that is a string": (
        edit("training.json", image_size="32"),
        "training.json: image_size: Input should be a valid integer",
    ),
    "an image size that is not a multiple of 32": (
        edit("training.json", image_size=33),
        "training.json: image_size = .*: must be a multiple of 32",
    ),
    "an image size beyond memory": (
        edit("training.json", image_size=32 * 10**9),
        "training.json: image_size = .*: must be a multiple of 32 from 32 to 8192",
    ),
    "an invalid format": (
        edit("training.json", format="new"),
        "training.json: format = .*: must be a whole number",
    ),
    "no weights": (
        lambda folder: (folder / "weights.weights.h5").unlink(),
        f"weights.weights.h5: the file is missing.*{DELETE}",
    ),
    "no hyperparameters": (
        lambda folder: (folder / "hyperparameters.json").unlink(),
        f"hyperparameters.json: the file is missing.*{DELETE}",
    ),
    "no training.json": (
        lambda folder: (folder / "training.json").unlink(),
        f"training.json: the file is missing.*{DELETE}",
    ),
}


@pytest.mark.parametrize("damage, message", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_model_is_reported_with_file_cause_and_fix(model, damage, message):
    damage(model)
    with pytest.raises(storage.DamagedFile, match=message):
        saved_model.read(model)


OUT_OF_LIMITS = [
    ("architecture", "resnet"),
    ("architecture", ["unet"]),
    ("filters", 0),
    ("filters", 257),
    ("filters", 2.5),
    ("filters", True),
    ("stem_patch_px", 3),
    ("clip_hu", [200, -200]),
    ("clip_hu", [float("-inf"), float("inf")]),
    ("clip_hu", [float("nan"), 1]),
    ("clip_hu", [0, 10**400]),
    ("clip_hu", "all"),
    ("horizontal_flip", "no"),
]


@pytest.mark.parametrize("name, value", OUT_OF_LIMITS)
def test_invalid_hyperparameters_are_refused_before_a_network_is_built(model, monkeypatch, name, value):
    monkeypatch.setattr(networks, "build", None)
    # Both files of the model agree.
    edit("hyperparameters.json", **{name: value})(model)
    edit("training.json", hyperparameters=json.loads((model / "hyperparameters.json").read_text()))(model)
    with pytest.raises(storage.DamagedFile, match=rf"training\.json: .*{name}.*[^.]\. It was damaged.*{DELETE}"):
        saved_model.read(model)


@pytest.mark.parametrize(
    "statistics, fault",
    [
        (5, "train_set_statistics: Input should be an object"),
        ({"quantiles": [float("nan")] * 33}, "train_set_statistics.quantiles: must be finite"),
        ({"max_distance": 10**400}, "train_set_statistics.max_distance: must be finite"),
        ({"max_distance": "far"}, "max_distance: Input should be a valid number"),
        ({"quantiles": []}, "quantiles"),
    ],
)
def test_invalid_statistics_are_refused(model, statistics, fault):
    if isinstance(statistics, dict):
        statistics = dataclasses.asdict(TRAINING.train_set_statistics) | statistics
    edit("training.json", train_set_statistics=statistics)(model)
    with pytest.raises(storage.DamagedFile, match=rf"training\.json: .*{fault}.*{DELETE}"):
        saved_model.read_training(model)


# Keys that training.json of earlier versions lacks, with the values that they stand for.
ADDED = {"packages": {}, "chosen_defaults": [], "start": None, "earlier_image_sha256": []}


def test_training_json_of_an_earlier_version_is_read(model):
    values = json.loads((model / "training.json").read_text())
    for name in ADDED:
        del values[name]
    (model / "training.json").write_text(json.dumps(values))
    assert saved_model.read_training(model) == dataclasses.replace(TRAINING, **ADDED)


@pytest.mark.parametrize("name", sorted(dataclasses.asdict(TRAINING).keys() - ADDED.keys()))
def test_a_missing_key_of_the_training_is_named(model, name):
    values = json.loads((model / "training.json").read_text())
    del values[name]
    (model / "training.json").write_text(json.dumps(values))
    with pytest.raises(storage.DamagedFile, match=rf"training\.json: {name} is missing.*{DELETE}"):
        saved_model.read_training(model)


def test_a_byte_order_mark_is_accepted(model):
    for name in ("training.json", "hyperparameters.json"):
        (model / name).write_bytes(b"\xef\xbb\xbf" + (model / name).read_bytes())
    assert saved_model.read(model).count_params() > 0


def test_a_model_one_folder_too_deep_is_reported(tmp_path, model):
    model.rename(tmp_path / "inner")
    model.mkdir()
    (tmp_path / "inner").rename(model / "model")
    with pytest.raises(storage.DamagedFile, match="the model is one folder too deep, in 'model'. Move its files up"):
        saved_model.read(model)


def test_an_empty_folder_is_a_missing_model(tmp_path):
    with pytest.raises(storage.MissingResult, match="train_final_model"):
        saved_model.read(tmp_path)


def test_a_damaged_fold_is_reported_with_the_cross_validation_to_repeat(model):
    fold = model.rename(model.with_name("fold 1"))
    (fold / "weights.weights.h5").unlink()
    with pytest.raises(storage.DamagedFile, match="'fold 1'.* run step 7 .cross_validate_train_set"):
        saved_model.fingerprint([fold])


def test_a_newer_format_names_both_versions(model):
    edit("training.json", version="3.1", format=2, image_size="another type")(model)
    this = rf"this is version {re.escape(about.VERSION)} \(format 1\)\. Update this program"
    with pytest.raises(storage.UserError, match=rf"written by version '3\.1' .*\(format 2\); {this}"):
        saved_model.read(model)


def test_a_model_without_versions_is_read(model):
    values = json.loads((model / "training.json").read_text())
    assert (values["version"], values["format"]) == (about.VERSION, saved_model.FORMAT)
    edit("training.json", version=None, format=None)(model)
    assert saved_model.read_training(model) == TRAINING


def test_different_models_have_different_fingerprints(tmp_path, model):
    other = pathlib.Path(shutil.copytree(model, tmp_path / "other"))
    assert (
        saved_model.fingerprint([model]) == saved_model.fingerprint([other]) != saved_model.fingerprint([model, other])
    )
    network = saved_model.read(other)
    random_weights(network)
    saved_model.write(other, network, TRAINING, pd.DataFrame())
    assert saved_model.fingerprint([model]) != saved_model.fingerprint([other])


def test_a_model_of_an_earlier_version_with_other_names_is_read(model):
    values = json.loads((model / "training.json").read_text())
    former = values["hyperparameters"]
    former |= {
        "patch_px": former.pop("stem_patch_px"),
        "scale": former.pop("max_log_scale"),
        "gaussian_noise": former.pop("noise_sd"),
    }
    statistics = values.pop("train_set_statistics")
    values["known"] = {
        "quantiles": statistics["quantiles"],
        "farthest": statistics["max_distance"],
        "mask_shares": statistics["mask_fractions"],
        "cleaning_is_harmless": values.pop("cleaning_is_harmless"),
    }
    for name in ("images", "version", "format"):
        del values[name]
    values["image_sha256"] = ["a", "b"]
    (model / "training.json").write_text(json.dumps(values))
    (model / "hyperparameters.json").write_text(json.dumps(former))
    assert saved_model.read_training(model) == dataclasses.replace(TRAINING, images=2, image_sha256=["a", "b"])
    assert saved_model.read_hyperparameters(model) == TRAINING.hyperparameters
    assert saved_model.read(model).count_params() > 0


@pytest.mark.parametrize("digests", [None, 5, True, "abc", {"a": 1}])
def test_an_earlier_model_with_damaged_digests_is_refused(model, digests):
    values = json.loads((model / "training.json").read_text())
    statistics = values.pop("train_set_statistics")
    values |= {"known": statistics | {"cleaning_is_harmless": True}, "image_sha256": digests}
    (model / "training.json").write_text(json.dumps(values))
    with pytest.raises(storage.DamagedFile, match=f"training.json: .*{DELETE}"):
        saved_model.read_training(model)
