"""Fine-tuning (START_FROM): trainings start from a model's weights; its images must not be held out."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

import resumable
import settings
import storage
import training_text
from conftest import configure, prediction_provenance
from cross_validation import cross_validate_train_set
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_training import fingerprint, fitting, starting_model, train_final_model
from networks import saved_model
from prediction import predict_test_set
from provenance import StartingModel


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two workspaces with different phantoms; the first has a model, trained for an epoch with another window."""
    workspaces = []
    for name, seed, values in (("first", 1, {"clip_hu": (-150, 250)}), ("second", 50, {})):
        workspace = storage.Workspace(tmp_path_factory.mktemp(name))
        configure(workspace, TRAINING_EPOCHS=1, HYPERPARAMETERS={"filters": 2} | values)
        phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64, seed)
        create_preloaded_dataset(workspace)
        workspaces.append(workspace)
    train_final_model(workspaces[0])
    return workspaces


@pytest.fixture
def start(made):
    return made[0].model


@pytest.fixture
def workspace(made, start):
    """The second workspace, without results, whose trainings start from the first one's model."""
    for folder in (made[1].model, made[1].unfinished_model, made[1].cross_validation):
        shutil.rmtree(folder, ignore_errors=True)
    configure(made[1], TRAINING_EPOCHS=1, HYPERPARAMETERS={}, START_FROM=str(start))
    return made[1]


def network_of(workspace):
    """The untrained network of step 3."""
    cases = preloaded_dataset.read_cases(workspace, "train")
    options = fingerprint.settings_for(settings.load(workspace.root), cases)
    return fitting.compiled_network(options.hyperparameters, cases, options)


def test_a_training_starts_from_the_weights_network_and_window_of_the_model(workspace, start):
    for own, given in zip(network_of(workspace).get_weights(), saved_model.read(start).get_weights(), strict=True):
        np.testing.assert_array_equal(own, given)
    train_final_model(workspace)
    values = saved_model.read_hyperparameters(workspace.model)
    assert (values.filters, values.clip_hu) == (2, (-150, 250))
    assert values.learning_rate == starting_model.LEARNING_RATE


def test_another_image_size_is_refused(workspace):
    # Images of another size have other hashes: leakage would not be found.
    options = dataclasses.replace(settings.load(workspace.root), IMAGE_SIZE=96)
    cases = preloaded_dataset.read_cases(workspace, "train")
    with pytest.raises(
        settings.SettingsError, match="IMAGE_SIZE is 96, the model in START_FROM has 64. Set IMAGE_SIZE"
    ):
        fingerprint.settings_for(options, cases)


def test_values_of_config_py_have_precedence(workspace, start):
    configure(workspace, START_FROM=str(start), HYPERPARAMETERS={"learning_rate": 1e-4})
    cases = preloaded_dataset.read_cases(workspace, "train")
    values = fingerprint.settings_for(settings.load(workspace.root), cases).hyperparameters
    assert (values.learning_rate, values.filters) == (1e-4, 2)


def test_the_record_has_the_starting_model_and_all_images_that_the_weights_depend_on(workspace, made, start, capsys):
    train_final_model(workspace)
    earlier, training = saved_model.read_training(start), saved_model.read_training(workspace.model)
    assert training.start == StartingModel(saved_model.fingerprint([start]), 8)
    assert training.seen_image_sha256 == sorted(earlier.image_sha256 + training.image_sha256)
    assert "initialised with the weights of a model" in (workspace.model / "README.md").read_text(encoding="utf-8")
    # Fine-tuning again: the model of the model.
    assert "MODEL" not in capsys.readouterr().out
    configure(workspace, TRAINING_EPOCHS=1, HYPERPARAMETERS={}, START_FROM="model", MODEL=str(start))
    train_final_model(workspace)
    assert "MODEL is set: steps 4, 6 and 8 predict with that model." in capsys.readouterr().out
    again = saved_model.read_training(workspace.model)
    assert again.start.images == 16
    assert again.seen_image_sha256 == training.seen_image_sha256


def test_test_images_that_the_starting_model_has_seen_are_refused_before_the_training(workspace, made, start):
    configure(made[0], TRAINING_EPOCHS=1, HYPERPARAMETERS={"filters": 2}, SEED=2, START_FROM=str(start))
    copy = storage.Workspace(made[0].root.with_name("other split"))
    shutil.copytree(made[0].root, copy.root)
    create_preloaded_dataset(copy)
    with pytest.raises(storage.DatasetError, match="in the test set, but the model in START_FROM was trained on it"):
        train_final_model(copy)
    assert not copy.unfinished_model.exists()


def test_evaluated_images_are_compared_with_those_of_the_starting_model(workspace, made):
    train_final_model(workspace)
    # As if images of the starting model were the test set.
    configure(made[0], MODEL=str(workspace.model), SEED=2)
    copy = storage.Workspace(made[0].root.with_name("predicted"))
    shutil.copytree(made[0].root, copy.root)
    create_preloaded_dataset(copy)
    with pytest.raises(storage.DatasetError, match="in the test set, but the model was trained on it"):
        predict_test_set(copy)


def test_step_7_refuses_a_model_that_has_seen_its_images(workspace, made, start):
    cross_validate_train_set(workspace)
    table = pd.read_csv(workspace.cross_validation / "out of fold.csv")
    assert len(table) == 8
    train_final_model(workspace)
    configure(workspace, HYPERPARAMETERS={}, START_FROM="model")
    with pytest.raises(storage.DatasetError, match="in the train set, which is cross-validated, but the model in"):
        cross_validate_train_set(workspace)


REFUSED = [
    ({"filters": 4}, r'HYPERPARAMETERS\["filters"\] is 4, but the model in START_FROM was trained with 2'),
    ({"clip_hu": None}, r'HYPERPARAMETERS\["clip_hu"\] is None, but .* trained with \(-150.0, 250.0\)'),
    ({"architecture": "deeplabv3_plus"}, r'HYPERPARAMETERS\["architecture"\] is deeplabv3_plus, but'),
]


@pytest.mark.parametrize("values, message", REFUSED)
def test_another_network_or_window_is_refused(workspace, start, values, message):
    configure(workspace, START_FROM=str(start), HYPERPARAMETERS=values)
    with pytest.raises(settings.SettingsError, match=message):
        train_final_model(workspace)


def test_a_model_of_ct_images_is_refused_for_other_images(workspace, start):
    cases = preloaded_dataset.read_cases(workspace, "train").assign(minimum=0.0)
    with pytest.raises(settings.SettingsError, match="trained on CT images within .* HU, but .* are not in Hounsfield"):
        fingerprint.settings_for(settings.load(workspace.root), cases)


def test_after_a_kill_between_model_and_clean_up_the_model_is_continued_once_more(workspace, monkeypatch):
    train_final_model(workspace)
    configure(workspace, TRAINING_EPOCHS=1, HYPERPARAMETERS={}, START_FROM="model")
    remove = storage.remove

    def stop_at_clean_up(folder):
        if folder == workspace.unfinished_model and (folder / "history.csv").exists():
            raise KeyboardInterrupt
        remove(folder)

    monkeypatch.setattr(storage, "remove", stop_at_clean_up)
    with pytest.raises(KeyboardInterrupt):
        train_final_model(workspace)
    monkeypatch.undo()
    finished = saved_model.fingerprint([workspace.model])
    assert workspace.unfinished_model.exists()
    train_final_model(workspace)
    assert saved_model.read_training(workspace.model).start.id == finished
    assert not workspace.unfinished_model.exists()


def test_an_unfinished_training_from_the_same_start_as_the_model_is_kept(workspace, start, monkeypatch):
    train_final_model(workspace)
    configure(workspace, TRAINING_EPOCHS=2, HYPERPARAMETERS={}, START_FROM=str(start))
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_final_model(workspace)
    configure(workspace, TRAINING_EPOCHS=2, HYPERPARAMETERS={}, START_FROM="model")
    with pytest.raises(resumable.ResumeMismatch, match="START_FROM"):
        train_final_model(workspace)
    assert (workspace.unfinished_model / "history.csv").exists()


def test_an_unfinished_training_of_another_start_is_refused(workspace, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_final_model(workspace)
    configure(
        workspace, TRAINING_EPOCHS=1, HYPERPARAMETERS={"clip_hu": (-150, 250), "learning_rate": 3e-4, "filters": 2}
    )
    with pytest.raises(resumable.ResumeMismatch, match=r"START_FROM \(was [0-9a-f]{12}, is None\)"):
        train_final_model(workspace)


def test_a_folder_without_a_model_is_reported(workspace, made):
    configure(workspace, START_FROM="no model")
    with pytest.raises(settings.SettingsError, match="no model: there is no model. Set START_FROM in config.py"):
        train_final_model(workspace)
    (workspace.root / "folds" / "fold 1").mkdir(parents=True)
    configure(workspace, START_FROM="folds")
    with pytest.raises(settings.SettingsError, match="It holds a cross-validation: choose one of its folds"):
        train_final_model(workspace)


def test_the_methods_paragraph_names_the_start():
    provenance = prediction_provenance(models=5, image_sha256=[f"{n:064x}" for n in range(20)])
    facts = dataclasses.replace(provenance.training, start=StartingModel("abc", 8))
    fine_tuned = dataclasses.replace(provenance, training=facts)
    assert "initialised with the weights of a model (abc) trained on 8 images," in " ".join(
        training_text.training(fine_tuned)
    )
    assert "cross-validation over 12 images" in training_text.prediction(fine_tuned)
