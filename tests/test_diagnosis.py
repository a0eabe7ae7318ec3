"""Failing trainings are stopped, and the reported cause is the one that the test provoked."""

import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow import keras

import settings
import storage
from conftest import configure, files
from data import phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from model_training import Hyperparameters, diagnosis, train, train_final_model


@pytest.fixture
def prepared(workspace, monkeypatch):
    """A workspace of ten phantoms, with checks that are frequent enough for short trainings."""
    phantoms.write_original_dataset(workspace.original_dataset / "A", 10, 64)
    create_preloaded_dataset(workspace)
    monkeypatch.setattr(diagnosis, "CHECK_EVERY_STEPS", 10)
    monkeypatch.setattr(diagnosis, "PATIENCE_STEPS", 30)
    return workspace


def failure(workspace, **hyperparameters):
    configure(workspace, TRAINING_EPOCHS=30, HYPERPARAMETERS={"filters": 2} | hyperparameters)
    with pytest.raises(diagnosis.TrainingFailed) as caught:
        train_final_model(workspace)
    return str(caught.value)


def change_masks(workspace, change):
    table = workspace.preloaded_dataset / "cases.csv"
    cases = pd.read_csv(table)
    for path in (workspace.train_set / "masks").iterdir():
        mask = change(preloaded_dataset.read(path.parent, path.stem))
        preloaded_dataset.write(path.parent, path.stem, mask)
        cases.loc[cases["case"] == path.stem, "mask_px"] = mask.sum()
    cases.to_csv(table, index=False)


def test_a_non_finite_loss_stops_the_training_at_once(prepared):
    cases = preloaded_dataset.read_cases(prepared, "train").sort_values("mask_px")["case"].tolist()

    def write_nan(chosen):
        table = pd.read_csv(prepared.preloaded_dataset / "cases.csv")
        for case in chosen:
            preloaded_dataset.write(prepared.train_set / "images", case, np.full((64, 64), np.nan, np.float32))
            table.loc[table["case"] == case, "dtype"] = "float32"
        table.to_csv(prepared.preloaded_dataset / "cases.csv", index=False)

    write_nan(cases[:-2])
    text = failure(prepared)
    assert " steps: the loss is not finite (nan)" in text
    assert "image values: -1" in text
    # NaN in the images that are checked first is reported before the training.
    write_nan(cases)
    assert "not started: there is nothing to learn from" in (text := failure(prepared))
    assert "Likely: the images have values that are not" in text


def test_a_window_outside_the_data_is_reported_before_the_training(prepared):
    text = failure(prepared, clip_hu=(2000, 3000), learning_rate=1.0)
    assert "not started" in text
    assert "the window clip_hu is (2000, 3000)" in text
    assert "Likely: 100.0% of the values are outside the window" in text
    assert "learning rate is too high" not in text


def test_a_too_high_learning_rate_is_reported(prepared, capsys):
    # With cross-entropy alone no training recovers. With the Dice loss some do, depending on the processor.
    text = failure(prepared, learning_rate=1.0, loss="binary_crossentropy")
    assert "peak learning rate: 1" in text
    assert "Likely: the learning rate is too high. Try" in text
    # A note precedes the failure. The failed model is moved aside, not deleted.
    assert "Note: after 10 steps" in capsys.readouterr().out
    assert not prepared.unfinished_model.exists()
    assert "history.csv" in files(prepared.root / "failed model")


def test_empty_masks_are_reported_before_the_training(prepared):
    change_masks(prepared, np.zeros_like)
    text = failure(prepared)
    assert "The training was not started" in text
    assert "empty masks: 2 of 2" in text
    assert "Likely: all masks are empty." in text


def test_masks_so_small_that_background_is_nearly_right_are_reported(prepared):
    change_masks(prepared, lambda mask: np.pad(np.ones((2, 3), np.uint8), ((30, 32), (30, 31))))
    text = failure(prepared, loss="binary_crossentropy", learning_rate=4e-3)
    assert "the Dice coefficient is 0" in text
    assert 'Likely: the masks are so small that "all background" is nearly right' in text


def test_a_training_too_short_to_be_stopped_gets_a_warning_at_its_end(prepared, capsys):
    configure(prepared, TRAINING_EPOCHS=1, HYPERPARAMETERS={"filters": 2, "learning_rate": 1e-9})
    train_final_model(prepared)
    output = capsys.readouterr().out
    assert "Warning: the training has ended, but " in output
    assert "peak learning rate: 1e-09 for a batch size of 2" in output
    likely = [line for line in output.splitlines() if line.startswith("Likely: ")]
    assert (
        likely[0] == "Likely: the training was too short, 4 steps. "
        "Raise TRAINING_EPOCHS or TRAINING_TIME_LIMIT_MINUTES in config.py."
    )
    assert likely[1].startswith("Likely: the learning rate is too low.")
    assert "2e-10" not in output


def test_a_trial_that_finds_nothing_gets_one_line_without_advice(prepared, capsys):
    configure(prepared, TRAINING_EPOCHS=1)
    options, cases = settings.load(prepared.root), preloaded_dataset.read_cases(prepared, "train")
    values = Hyperparameters(filters=2, learning_rate=1e-9)
    validation = cases["case"].tolist()[-2:]
    train(
        prepared.train_set, cases[:-2], values, options, prepared.root / "unfinished a", prepared.root / "a", validation
    )
    output = capsys.readouterr().out
    (line,) = [line for line in output.splitlines() if "nothing" in line]
    assert line.startswith("  Found nothing in 1 epoch: ")
    assert "HYPERPARAMETERS" not in output
    assert "Likely" not in output


def test_a_trial_that_fails_has_one_line_without_advice():
    monitor = diagnosis.CollapseMonitor(
        (tf.constant(PIXELS), tf.constant(PIXELS)),
        Hyperparameters(),
        types.SimpleNamespace(fraction_done=0.5),
        is_trial=True,
    )
    with pytest.raises(diagnosis.TrainingFailed) as caught:
        monitor.on_train_batch_end(0, {"loss": np.nan})
    assert str(caught.value) == "The training was stopped after 1 steps: the loss is not finite (nan)."


def test_a_training_that_learns_is_not_stopped(prepared):
    configure(prepared, TRAINING_EPOCHS=12, HYPERPARAMETERS={"filters": 4, "learning_rate": 4e-3})
    train_final_model(prepared)
    assert prepared.model.exists()


PIXELS = np.array([[[[1], [0]], [[0], [0]]]])


@pytest.mark.parametrize("checks, failed_at", [("-+-+--+", 6), ("-++-+-+", None), ("--", 2)])
def test_only_two_consecutive_failed_checks_stop_the_training(checks, failed_at, monkeypatch, capsys):
    # Late in a long training the loss may jump, and one check may find background only.
    monkeypatch.setattr(diagnosis, "CHECK_EVERY_STEPS", 1)
    monkeypatch.setattr(diagnosis, "PATIENCE_STEPS", 2)
    logits = {"+": PIXELS * 4.0 - 2.0, "-": PIXELS * 0.5 - 2.0}
    remaining = iter(checks)
    monitor = diagnosis.CollapseMonitor(
        (tf.constant(PIXELS), tf.constant(PIXELS)), Hyperparameters(), types.SimpleNamespace(fraction_done=0.5)
    )
    monitor.model = lambda image, training: tf.constant(logits[next(remaining)])
    steps = 0
    try:
        for _ in checks:
            steps += 1
            monitor.on_train_batch_end(0, {"loss": 0.1})
    except diagnosis.TrainingFailed as failure:
        assert failed_at == steps
        assert f"stopped after {steps} steps: every pixel is predicted to be background" in str(failure)
    else:
        assert failed_at is None


@pytest.mark.parametrize(
    "logits, masks, expected",
    [
        ([[2, -1], [-1, -3]], PIXELS, ""),
        ([[-2, -1], [-1, -3]], PIXELS, "every pixel is predicted to be background: the Dice coefficient is 0"),
        ([[-2, 1], [-1, -3]], PIXELS, "no pixel of any mask is found: the Dice coefficient is 0"),
        ([[2, 1], [1, 3]], PIXELS, "every pixel is predicted to belong to the mask"),
        ([[2, 2], [2, 2]], PIXELS, "every pixel gets the same prediction, whatever the image"),
        ([[1, -1], [2, -2]], PIXELS, ""),
        (
            [[0, 2], [1, -3]],
            PIXELS,
            "the prediction is unrelated to the masks: their pixels do not get higher values than the others",
        ),
        ([[2, np.nan], [2, 2]], PIXELS, "the predictions are not finite"),
        ([[-2, -1], [-1, -3]], 0 * PIXELS, ""),
        ([[2, 1], [1, 3]], 0 * PIXELS + 1, ""),
        # The mask has 95 of 100 pixels, so a full prediction is nearly right.
        (np.arange(100.0).reshape(10, 10).tolist(), (np.arange(100).reshape(1, 10, 10, 1) >= 5).astype(int), ""),
    ],
)
def test_degenerate_predictions_are_recognized(logits, masks, expected):
    assert diagnosis.degenerate_prediction(np.array(logits, float)[None, ..., None], masks) == expected


@pytest.mark.parametrize(
    "images, masks, message",
    [
        (np.zeros((2, 8, 8, 1)), np.ones((2, 8, 8, 1)), "the images are constant"),
        (
            np.arange(64.0).reshape(1, 8, 8, 1),
            255 * np.eye(8).reshape(1, 8, 8, 1),
            "the masks have values other than 0 and 1",
        ),
        (
            np.arange(64.0).reshape(1, 8, 8, 1),
            np.eye(8).reshape(1, 8, 8, 1),
            "All of these are plausible. Compare images and masks",
        ),
    ],
)
def test_the_explanation_names_the_likely_cause(images, masks, message):
    assert message in diagnosis.explanation(images, masks, Hyperparameters(clip_hu=None))


def advice(mask_px, size=64, short_steps=None, **hyperparameters):
    """Returns the advice for images in which only the size of the masks is unusual."""
    masks = (np.arange(2 * size**2).reshape(2, size, size, 1) % size**2 < mask_px).astype(np.uint8)
    images = np.linspace(-100, 100, 2 * size**2).reshape(masks.shape)
    return diagnosis.explanation(images, masks, Hyperparameters(**hyperparameters), short_steps).partition("loss: ")[2]


@pytest.mark.parametrize(
    "hyperparameters, changes",
    [
        ({}, '{"loss": "small_target_crossentropy_dice", "stem_patch_px": 2}'),
        (
            {"stem_patch_px": 2, "loss": "binary_crossentropy"},
            '{"loss": "small_target_crossentropy_dice", "stem_patch_px": 1}',
        ),
        ({"stem_patch_px": 1}, '{"loss": "small_target_crossentropy_dice"}'),
        ({"architecture": "deeplabv3_plus"}, '{"loss": "small_target_crossentropy_dice"}'),
        ({"loss": "small_target_crossentropy_dice"}, '{"stem_patch_px": 2}'),
        ({"loss": "small_target_crossentropy_dice", "stem_patch_px": 1}, None),
    ],
)
def test_very_small_masks_get_advice_on_loss_and_stem_patches_but_no_lower_rate(hyperparameters, changes):
    text = advice(79, size=512, **hyperparameters)
    assert 'the masks are so small that "all background" is nearly right: at most 79 px, 0.03 % of the pixels. ' in text
    assert "learning_rate" not in text
    longer = "Raise TRAINING_EPOCHS or TRAINING_TIME_LIMIT_MINUTES in config.py."
    assert (f"Try HYPERPARAMETERS = {changes} in config.py, or train longer." if changes else longer) in text


@pytest.mark.parametrize(
    "rate, advised", [(1e-3, "0.0002"), (1.2345e-3, "0.000247"), (3e-4, "0.0001"), (1e-4, None), (5e-5, None)]
)
def test_a_lower_rate_is_advised_with_three_digits_and_never_below_1e_4(rate, advised):
    text = advice(500, learning_rate=rate)
    if advised:
        assert f'try HYPERPARAMETERS = {{"learning_rate": {advised}}} in' in text
    else:
        assert "train longer" in text
        assert "learning_rate" not in text


def test_after_too_short_a_training_no_lower_rate_is_advised():
    text = advice(500, short_steps=1)
    assert "Likely: the training was too short, 1 steps." in text
    assert "learning_rate" not in text


SPOT = np.zeros((1, 32, 32, 1))
SPOT[0, 5, 5] = 1.0


@pytest.mark.parametrize(
    "images, window, nothing",
    [
        (255 * np.eye(32).reshape(1, 32, 32, 1), (0, 255), False),  # two values: the ends of the window
        (10 + 500 * SPOT, (100, 1000), False),  # only the mask is in the window
        (10 + 50 * SPOT, (100, 1000), True),
    ],
)
def test_a_window_is_reported_only_if_it_contains_neither_background_nor_mask(images, window, nothing):
    text = diagnosis.explanation(images, SPOT, Hyperparameters(clip_hu=window))
    assert ("of the values are outside the window" in text) is nothing


@pytest.mark.parametrize("noise, maximum, warned", [(20, 1, True), (20, 255, False), (0, 1, False)])
def test_noise_beyond_the_value_range_gets_a_warning(capsys, noise, maximum, warned):
    diagnosis.warn_about_intensities(
        Hyperparameters(clip_hu=None, noise_sd=noise),
        pd.DataFrame({"minimum": [0] * 3, "maximum": [maximum] * 3}),
    )
    assert ("noise_sd = 20 is strong for images with a value range of 1." in capsys.readouterr().out) is warned


@pytest.mark.parametrize(
    "clip_hu, minimum, warned", [((-200, 200), 0, True), ((-200, 200), -1024, False), (None, 0, False)]
)
def test_images_other_than_ct_get_a_warning(capsys, clip_hu, minimum, warned):
    diagnosis.warn_about_intensities(
        Hyperparameters(clip_hu=clip_hu), pd.DataFrame({"minimum": [minimum] * 3, "maximum": [255] * 3})
    )
    assert ("do not look like Hounsfield units" in capsys.readouterr().out) is warned


def test_out_of_memory_names_the_settings_to_lower(prepared, monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: tf.zeros((2**25, 2**25)))
    with pytest.raises(storage.UserError, match=r"lower TRAINING_BATCH_SIZE.*\"filters\".*stem_patch_px"):
        train_final_model(prepared)
