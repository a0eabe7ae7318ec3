"""config.py: what is left out has the template's value, what is wrong is told with the right one."""
import pathlib

import pytest
import settings


def load(tmp_path, text):
    (tmp_path / "config.py").write_text(text)
    return settings.load(tmp_path)


def test_without_config_the_template_holds(tmp_path):
    options = settings.load(tmp_path)
    assert (options.IMAGE_SIZE, options.TEST_SHARE, options.SEED) == (512, 0.2, 1)


def test_every_setting_of_the_template_is_checked_and_the_other_way_round(tmp_path):
    assert set(vars(settings.load(tmp_path))) == set(settings._RULES)


def test_own_values_and_own_helpers(tmp_path):
    options = load(tmp_path, "import math\nsize = 64\nIMAGE_SIZE = size * 2\n")
    assert options.IMAGE_SIZE == 128 and options.TEST_SHARE == 0.2


@pytest.mark.parametrize(
    "line, told",
    [
        ("TRAINING_EPOCH = 3", "TRAINING_EPOCH is not known. Did you mean TRAINING_EPOCHS?"),
        ("IMAGE_SIZE = 500", "IMAGE_SIZE = 500: must be a multiple of 32"),
        ("TEST_SHARE = 20", "TEST_SHARE = 20: must be a number between 0 and 1"),
        ("GROUP_CASES_BY = '('", "GROUP_CASES_BY = '(': must be None"),
        ("SAVE_IMAGES_ON_DISK = 'yes'", "must be True or False"),
        ("TRAINING_BATCH_SIZE = True", "a whole number of at least 1"),
        ("EXPLORATION_TUNER = 'grid'", '"random", "hyperband" or "bayesian"'),
        ("IMAGES_TO_DRAW = {'last': 3}", "first, random, worst_dice, worst_hausdorff"),
        ("SEED = ", "can't be run: SyntaxError"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, line, told):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, line + "\n")
    assert told in str(caught.value) and str(tmp_path / "config.py") in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, "SEED = -1\nTEST_SHARE = 2\nNOTHING_LIKE_IT = 0\n")
    assert len(str(caught.value).splitlines()) == 3


def test_paths_begin_at_the_project_s_folder(tmp_path):
    (tmp_path / "config.py").write_text('ENCODER_WEIGHTS, TRAIN_SET_LOCATION, PIXEL_SPACING_MM = "weights.h5", "gs://bucket/train set", 0.7\nPREDICTIONS_FOLDER = "/their masks"\n')
    options = settings.load(tmp_path)
    assert options.ENCODER_WEIGHTS == str(tmp_path / "weights.h5") and options.PREDICTIONS_FOLDER == str(pathlib.Path("/their masks"))
    assert (options.TRAIN_SET_LOCATION, options.PIXEL_SPACING_MM, options.SECOND_READER_FOLDER) == ("gs://bucket/train set", 0.7, None)
    (tmp_path / "config.py").write_text("")
    assert settings.load(tmp_path).ENCODER_WEIGHTS == "imagenet"


@pytest.mark.parametrize("value", ["8", "None", "[1]", "{'first': -1}"])
def test_odd_counts_of_images_are_told(tmp_path, value):
    (tmp_path / "config.py").write_text(f"IMAGES_TO_DRAW = {value}\n")
    with pytest.raises(settings.SettingsError, match="IMAGES_TO_DRAW = .*must be a dict of counts"):
        settings.load(tmp_path)
