"""The hyperparameters of the final model from config.py, and the search space of step 2."""

import json
import math

import keras_tuner
import numpy as np
import pytest

import settings
from conftest import ROOT
from model_exploration import search_space
from settings import hyperparameters
from test_settings import UNUSUAL_VALUES


def test_without_overrides_the_defaults_apply():
    assert hyperparameters.from_overrides({}) == hyperparameters.Hyperparameters()


def test_overrides_replace_defaults():
    values = hyperparameters.from_overrides({"learning_rate": 2e-4, "clip_hu": None})
    assert (values.learning_rate, values.clip_hu, values.architecture) == (2e-4, None, "unet")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"learningrate": 1e-3}, "HYPERPARAMETERS: learningrate is not known. Did you mean learning_rate?"),
        ({"architecture": "vnet"}, 'HYPERPARAMETERS["architecture"] = \'vnet\': must be "unet" or "deeplabv3_plus".'),
        (
            {"loss": "dice"},
            'must be "binary_crossentropy", "weighted_binary_crossentropy", "binary_crossentropy_dice" or '
            '"small_target_crossentropy_dice".',
        ),
        ({"clip_hu": (200, -200)}, 'HYPERPARAMETERS["clip_hu"] = (200, -200): must be None or a pair (low, high)'),
        ({"clip_hu": 5}, 'HYPERPARAMETERS["clip_hu"] = 5: must be'),
        ({"learning_rate": 0}, 'HYPERPARAMETERS["learning_rate"] = 0: must be a number between 0 and 1'),
        ({"horizontal_flip": 1}, 'HYPERPARAMETERS["horizontal_flip"] = 1: must be True or False'),
        ({"rotation_degrees": -5}, 'HYPERPARAMETERS["rotation_degrees"] = -5: must be an angle'),
    ],
)
def test_invalid_hyperparameters_are_reported(overrides, message):
    with pytest.raises(settings.SettingsError) as caught:
        hyperparameters.from_overrides(overrides)
    assert message in str(caught.value)


def test_the_published_recipe_is_valid_and_has_no_augmentation(workspace):
    text = (ROOT / "muscle_segmentation_L3.md").read_text()
    (workspace.root / "config.py").write_text(text.split("```python")[-1].split("```")[0])
    pasted = hyperparameters.from_overrides(settings.load(workspace.root).HYPERPARAMETERS)
    no_augmentation = {"horizontal_flip": False, "rotation_degrees": 0, "max_log_scale": 0, "gamma": 0, "noise_sd": 0}
    expected = no_augmentation | {
        "architecture": "deeplabv3_plus",
        "loss": "binary_crossentropy",
        "learning_rate": 2e-4,
        "clip_hu": (-200, 200),
    }
    assert pasted == hyperparameters.Hyperparameters(**expected)


def test_every_hyperparameter_is_validated_and_every_default_is_valid():
    assert set(hyperparameters.DECLARATIONS) == set(vars(hyperparameters.Hyperparameters()))
    assert hyperparameters.from_overrides(vars(hyperparameters.Hyperparameters())) == hyperparameters.Hyperparameters()


def test_the_search_starts_from_the_defaults_and_samples_only_valid_values():
    search = keras_tuner.HyperParameters()
    assert search_space.sample(search) == hyperparameters.Hyperparameters()
    # The first and the last value of each range, and two values between them.
    for share in (0.0, 0.3, 0.7, 0.999):
        sampled = keras_tuner.HyperParameters()
        sampled.values = {declared.name: declared.prob_to_value(share) for declared in search.space}
        values = search_space.sample(sampled)
        assert hyperparameters.from_overrides(vars(values)) == values


def test_neither_seed_nor_split_is_searched():
    search = keras_tuner.HyperParameters()
    search_space.sample(search)
    assert not [name for name in search.values if "seed" in name or "split" in name]


def sampled_from(space, count=200):
    """Returns the values of `count` randomly sampled trials."""
    trials = []
    for seed in range(count):
        trial = keras_tuner.HyperParameters()
        trial.merge(space.space)
        trial.values = {hp.name: hp.random_sample(seed * 100 + number) for number, hp in enumerate(space.space)}
        trials.append(search_space.sample(trial))
    return trials


def test_the_search_space_has_the_fixed_values_lists_and_ranges_of_the_user():
    overrides = {
        "architecture": "unet",
        "clip_hu": None,
        "filters": [8, 16],
        "learning_rate": (5e-4, 2e-3),
        "rotation_degrees": (0, 10),
        "horizontal_flip": True,
    }
    trials = sampled_from(search_space.build(overrides))
    seen = {name: {getattr(trial, name) for trial in trials} for name in vars(trials[0])}
    assert (seen["architecture"], seen["clip_hu"], seen["filters"], seen["horizontal_flip"]) == (
        {"unet"},
        {None},
        {8, 16},
        {True},
    )
    assert min(seen["learning_rate"]) >= 5e-4
    assert max(seen["learning_rate"]) <= 2e-3
    assert len(seen["learning_rate"]) > 100
    assert seen["rotation_degrees"] == {0.0, 5.0, 10.0}
    assert seen["gamma"] == {0.0, 0.3, 0.6}


def test_ranges_are_sampled_completely_and_without_a_step_that_does_not_divide_them():
    assert {round(trial.max_log_scale, 6) for trial in sampled_from(search_space.build({}))} == {0.0, 0.1, 0.2, 0.3}
    narrow = sampled_from(
        search_space.build(
            {"max_log_scale": (0, 0.2), "rotation_degrees": (0, 3), "augmentation_probability": (0.5, 0.7)}
        )
    )
    assert {round(trial.max_log_scale, 6) for trial in narrow} == {0.0, 0.1, 0.2}
    for name, low, high in (("rotation_degrees", 0, 3), ("augmentation_probability", 0.5, 0.7)):
        values = {getattr(trial, name) for trial in narrow}
        assert len(values) > 50
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high


@pytest.mark.parametrize("override, expected", [([True, False], {True, False}), ([False], {False}), (True, {True})])
def test_sampled_booleans_are_valid_in_config_py(override, expected):
    trials = sampled_from(search_space.build({"horizontal_flip": override}))
    assert {trial.horizontal_flip for trial in trials} == expected
    assert all(hyperparameters.from_overrides(vars(trial)) == trial for trial in trials)


def test_custom_windows_are_searched():
    trials = sampled_from(search_space.build({"clip_hu": [None, (-150, 250), (-10.5, 80)]}))
    assert {trial.clip_hu for trial in trials} == {None, (-150.0, 250.0), (-10.5, 80.0)}
    assert {trial.clip_hu for trial in sampled_from(search_space.build({"clip_hu": (-150, 250)}), 3)} == {
        (-150.0, 250.0)
    }


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"learningrate": 1e-3}, "learningrate is not known. Did you mean learning_rate?"),
        ({"architecture": "unnet"}, '"unet" or "deeplabv3_plus". Did you mean "unet"?'),
        ({"loss": ["binary_crosentropy"]}, 'Did you mean "binary_crossentropy"?'),
        (
            {"learning_rate": (1e-3, 1e-4)},
            '["learning_rate"] = (0.001, 0.0001): must be a pair (low, high) of numbers.',
        ),
        ({"rotation_degrees": (0, 270)}, '["rotation_degrees"] = 270: must be an angle from 0 to 180.'),
        ({"filters": (16, 32)}, '["filters"] = (16, 32): must be a list, such as [16, 32, 48].'),
        ({"gamma": []}, '["gamma"] = []: must not be empty'),
        ({"clip_hu": (200, -200)}, '["clip_hu"] = (200, -200): must be None or a pair (low, high)'),
    ],
)
def test_an_invalid_search_space_is_reported(overrides, message):
    with pytest.raises(settings.SettingsError) as caught:
        search_space.build(overrides)
    assert message in str(caught.value)
    assert "EXPLORATION_SEARCH_SPACE" in str(caught.value)


@pytest.mark.parametrize(
    "name, values",
    [
        (
            "clip_hu",
            [
                (-math.inf, math.inf),
                (0, math.nan),
                (0, 10**400),
                {-200: 1, 200: 2},
                {-200, 200},
                np.array([-200, 200]),
                "ab",
                (-200, 0, 200),
                (True, 5),
            ],
        ),
        ("clip_hu", [(0, 1e-50), (1e8, 1e8 + 1)]),  # Both ends are equal in float32.
        ("learning_rate", [math.nan, math.inf, 1e-320, 2, "1e-3", True]),
        ("noise_sd", [math.inf, math.nan, 1e30, -1]),
        ("gamma", [math.nan, math.inf, 10, [0.3]]),
        ("filters", [True, 10**30, 32.0, "32"]),
        ("stem_patch_px", [True, 3, 4.0, 8]),
        ("loss", [["binary_crossentropy"], np.array(["binary_crossentropy"] * 2), None]),
    ],
)
def test_non_finite_extreme_and_mistyped_values_are_rejected(name, values):
    for value in values:
        with pytest.raises(settings.SettingsError, match=rf'HYPERPARAMETERS\["{name}"\] = .*: must be '):
            hyperparameters.from_overrides({name: value})
        with pytest.raises(settings.SettingsError, match=rf'EXPLORATION_SEARCH_SPACE\["{name}"\] = .*: must be '):
            search_space.build({name: [value]})


def test_numpy_scalars_and_lists_are_converted():
    values = hyperparameters.from_overrides(
        {"clip_hu": [np.float64(-100), np.int64(150)], "filters": np.int32(8), "gamma": np.float32(0.5)}
    )
    assert (values.clip_hu, values.filters, values.gamma) == ((-100, 150), 8, 0.5)
    assert json.loads(json.dumps(vars(values)))["clip_hu"] == [-100, 150]
    trials = sampled_from(search_space.build({"filters": [np.int64(8)], "gamma": (np.float64(0), np.float64(0.3))}), 20)
    assert {trial.filters for trial in trials} == {8}
    assert {trial.gamma for trial in trials} == {0.0, 0.3}


@pytest.mark.parametrize("name", hyperparameters.DECLARATIONS)
def test_any_value_of_a_hyperparameter_is_accepted_or_rejected_by_name(name):
    for value in UNUSUAL_VALUES:
        for make in (
            hyperparameters.from_overrides,
            lambda overrides: sampled_from(search_space.build(overrides), 1)[0],
        ):
            try:
                values = make({name: value})
            except settings.SettingsError as error:
                assert f'["{name}"] = ' in str(error)
            else:
                assert all(
                    math.isfinite(number)
                    for number in np.ravel(getattr(values, name))
                    if isinstance(number, (int, float))
                )
                assert hyperparameters.from_overrides(json.loads(json.dumps(vars(values)))) == values


def test_a_name_that_is_not_a_string_is_reported():
    with pytest.raises(settings.SettingsError, match="5 is not known"):
        hyperparameters.from_overrides({5: 1})


def test_numbers_0_and_1_are_not_booleans():
    assert {trial.gamma for trial in sampled_from(search_space.build({"gamma": [0, 1]}))} == {0.0, 1.0}


def test_a_repeated_value_counts_once():
    assert {
        trial.horizontal_flip for trial in sampled_from(search_space.build({"horizontal_flip": [True, True]}), 20)
    } == {True}


def test_a_window_of_large_numbers_is_searched_as_given():
    assert {trial.clip_hu for trial in sampled_from(search_space.build({"clip_hu": (1234567, 1234573)}), 3)} == {
        (1234567.0, 1234573.0)
    }


def test_a_former_name_is_reported_with_the_current_one():
    with pytest.raises(settings.SettingsError, match="patch_px is now called stem_patch_px"):
        hyperparameters.from_overrides({"patch_px": 4})
