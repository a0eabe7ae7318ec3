"""The model that the project ships, "phantoms": what it is, and that START_FROM and MODEL take it by its name."""

import dataclasses

import numpy as np
import pytest

import pretrained
import segmenter
import settings
import training_text
from conftest import configure, prediction_provenance
from data import phantoms
from model_training import starting_model
from networks import saved_model
from prediction import predict_new_images
from provenance import StartingModel

FOLDER = pretrained.FOLDERS["phantoms"]
UNSEEN = 9_000  # The seeds of its train images are smaller.


@pytest.fixture
def dice_of_new_images(workspace):
    """A function that predicts phantoms as new images with MODEL = "phantoms" and returns the Dice of each."""

    def predicted(seeds):
        workspace.new_images.mkdir()
        drawn = {f"{seed}.npy": phantoms.draw_any_level(seed) for seed in seeds}
        for name, (image, _) in drawn.items():
            np.save(workspace.new_images / name, image)
        configure(workspace, MODEL="phantoms", IMAGES_TO_DRAW={})
        predict_new_images(workspace)
        masks = {name: np.load(workspace.new_predictions / name) for name in drawn}
        return [2 * np.sum(masks[n] & mask) / (masks[n].sum() + mask.sum()) for n, (_, mask) in drawn.items()]

    return predicted


def test_the_name_stands_for_the_shipped_folder_and_a_path_for_a_folder_of_the_project(workspace):
    configure(workspace, MODEL="phantoms", START_FROM="./phantoms")
    options = settings.load(workspace.root)
    assert options.MODEL == str(FOLDER)
    assert options.START_FROM == str(workspace.root / "phantoms")
    assert (FOLDER / "weights.weights.h5").exists()


def test_a_similar_name_is_corrected(workspace):
    workspace.new_images.mkdir()
    np.save(workspace.new_images / "one.npy", phantoms.draw(1, 64)[0])
    configure(workspace, MODEL="fantoms")
    with pytest.raises(settings.SettingsError, match='there is no model.*"phantoms"'):
        predict_new_images(workspace)


def test_it_segments_muscle_in_a_project_without_data_of_its_own(dice_of_new_images, capsys):
    assert min(dice_of_new_images([UNSEEN, UNSEEN + 1])) > 0.9
    assert f"Predicting with the model of MODEL, {FOLDER}." in capsys.readouterr().out


def test_it_is_the_network_of_the_defaults_trained_on_phantoms_alone():
    training = saved_model.read_training(FOLDER)
    assert saved_model.fingerprint([FOLDER]) in pretrained.IMAGES
    assert training.start is None
    assert training.image_size == settings.DECLARATIONS["IMAGE_SIZE"].default
    defaults = settings.Settings().hyperparameters
    for name in saved_model.BUILT_OF:
        assert getattr(training.hyperparameters, name) == getattr(defaults, name)


def test_it_is_small_and_has_no_pictures():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < 2.5e6
    assert not (FOLDER / "logs").exists()


def test_a_training_starts_from_it(workspace):
    configure(workspace, START_FROM="phantoms", IMAGE_SIZE=512, HYPERPARAMETERS={})
    options = settings.load(workspace.root)
    assert starting_model.settings_for(options, in_hu=True).hyperparameters.learning_rate < 1e-3
    record = starting_model.read(options).record
    assert record == StartingModel(saved_model.fingerprint([FOLDER]), saved_model.read_training(FOLDER).images)


def test_images_that_are_not_ct_are_refused(workspace):
    configure(workspace, START_FROM="phantoms", IMAGE_SIZE=512, HYPERPARAMETERS={})
    with pytest.raises(settings.SettingsError, match="not in Hounsfield units"):
        starting_model.settings_for(settings.load(workspace.root), in_hu=False)


def test_methods_say_what_its_images_are():
    (shipped,) = pretrained.IMAGES
    assert "was trained on 2 synthetic CT slices" in first_sentence(id=shipped)
    assert "trained on 1140 synthetic CT slices" in first_sentence(training=started_from(shipped))
    assert "synthetic" not in first_sentence(training=started_from("0123456789ab"))


def first_sentence(**changes):
    return training_text.training(prediction_provenance(**changes))[0]


def started_from(model):
    return dataclasses.replace(prediction_provenance().training, start=StartingModel(model, 1140))


def test_python_loads_it():
    image, mask = phantoms.draw_any_level(UNSEEN + 2)
    found, quality = segmenter.load(FOLDER).segment(image)
    assert 2 * np.sum(found & mask) / (found.sum() + mask.sum()) > 0.9
    assert quality.ood_reasons == ()
