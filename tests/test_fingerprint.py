"""Every rule of the fingerprint, with a train set made for it; config.py has precedence; models keep the reasons."""

import contextlib
import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from conftest import configure
from data.original_dataset import create_preloaded_dataset
from model_exploration import default_trial, search_space
from model_training import diagnosis, fingerprint, train_final_model
from model_training.budget import Budget
from networks import objectives, saved_model
from settings import Settings
from settings.hyperparameters import Hyperparameters

# As DICOM says it; without it the lowest value decides.
CT, MR = "CT", "MR"


def cases(mask_px=40_000, modality=CT, count=10, size=512):
    """Rows of cases.csv; `mask_px`: of all cases, or a list."""
    return pd.DataFrame(
        {"mask_px": mask_px, "group": [f"patient {n // 2}" for n in range(count)], "height": size, "width": size}
        | {"minimum": -1024.0, "maximum": 1500.0, "modality": modality}
    )


def chosen(rows, **values):
    """The hyperparameters for a train set that differ from the declared defaults; `values`: config.py's."""
    with contextlib.redirect_stdout(io.StringIO()):
        adapted = fingerprint.settings_for(Settings(HYPERPARAMETERS=values), rows).hyperparameters
    declared = dataclasses.asdict(Hyperparameters())
    return {name: value for name, value in dataclasses.asdict(adapted).items() if value != declared[name]}


SMALL_TARGETS = {"stem_patch_px": 2, "loss": "small_target_crossentropy_dice"}


def test_ct_images_of_large_structures_have_the_declared_defaults():
    assert chosen(cases()) == {}


def test_images_that_are_not_ct_have_no_window():
    assert chosen(cases(modality=MR)) == {"clip_hu": None}


@pytest.mark.parametrize("mask_px, rule", [(500, SMALL_TARGETS), (524, SMALL_TARGETS), (525, {}), (0, {})])
def test_masks_below_0_2_percent_of_the_image_are_small_targets(mask_px, rule):
    assert chosen(cases(mask_px)) == rule


def test_the_median_of_the_masks_that_are_not_empty_decides():
    assert chosen(cases([0] * 6 + [40] * 3 + [90_000])) == SMALL_TARGETS
    assert chosen(cases([40] * 4 + [90_000] * 6)) == {}


def test_the_size_of_the_image_counts():
    assert chosen(cases(500, size=256)) == {}


def test_values_of_config_py_have_precedence():
    assert chosen(cases(40, MR), stem_patch_px=1) == SMALL_TARGETS | {"stem_patch_px": 1, "clip_hu": None}
    window = (0.0, 100.0)
    assert chosen(cases(modality=MR), clip_hu=window) == {"clip_hu": window}


def test_choices_and_reasons_are_printed(capsys):
    fingerprint.settings_for(Settings(HYPERPARAMETERS={"stem_patch_px": 1}), cases(40, MR))
    assert capsys.readouterr().out.splitlines() == [
        "Train set: 10 cases of 5 groups, median mask 40 px (0.015 % of the image).",
        "  clip_hu None: the images are not in Hounsfield units; each is normalized (z-score)",
        "  loss small_target_crossentropy_dice: the masks are small, less than 0.2 % of the image",
    ]


def test_the_first_trial_of_a_search_has_the_chosen_defaults(capsys):
    # Those of config.py are the final model's.
    adapted = fingerprint.settings_for(Settings(HYPERPARAMETERS={"filters": 16}), cases(40))
    space = search_space.build(adapted.EXPLORATION_SEARCH_SPACE)
    first = default_trial.values(space, fingerprint.defaults(cases(40)))
    assert {name: first[name] for name in SMALL_TARGETS} == SMALL_TARGETS
    assert first["filters"] == 32


def test_a_search_tries_the_loss_of_small_targets_only_for_these(capsys):
    for rows, searched in ((cases(), False), (cases(40), True)):
        space = fingerprint.settings_for(Settings(), rows).EXPLORATION_SEARCH_SPACE
        (losses,) = [hp.values for hp in search_space.build(space).space if hp.name == "loss"]
        assert (SMALL_TARGETS["loss"] in losses) == searched
    fixed = Settings(EXPLORATION_SEARCH_SPACE={"loss": "binary_crossentropy"})
    assert fingerprint.settings_for(fixed, cases(40)).EXPLORATION_SEARCH_SPACE["loss"] == "binary_crossentropy"


@pytest.fixture
def small_targets(workspace):
    """A workspace with ten images of 64 px that each have a bright mask of 8 px."""
    rng = np.random.default_rng(1)
    for number in range(10):
        image, mask = rng.normal(0, 10, (64, 64)).round(), np.zeros((64, 64), np.uint8)
        row, column = rng.integers(10, 50, 2)
        mask[row : row + 2, column : column + 4] = 1
        for kind, values in (("images", image + 300.0 * mask - 1000 * (np.arange(64) < 4)), ("masks", mask)):
            folder = workspace.original_dataset / "A" / kind
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{number}.npy", values.astype(np.int16))
    configure(workspace, MASK_SPECK_PX=0, HYPERPARAMETERS={"filters": 8}, TRAINING_EPOCHS=1)
    create_preloaded_dataset(workspace)
    return workspace


def test_a_model_keeps_the_choices_and_reasons(small_targets, capsys):
    train_final_model(small_targets)
    training = saved_model.read_training(small_targets.model)
    assert {name: getattr(training.hyperparameters, name) for name in SMALL_TARGETS} == SMALL_TARGETS
    assert training.chosen_defaults == [
        "Train set: 8 cases, median mask 8 px (0.2 % of the image).",
        "stem_patch_px 2, loss small_target_crossentropy_dice: the masks are small, less than 0.2 % of the image",
    ]
    assert training.chosen_defaults[0] in capsys.readouterr().out


def test_small_targets_are_found(small_targets):
    configure(small_targets, MASK_SPECK_PX=0, HYPERPARAMETERS={"filters": 8}, TRAINING_EPOCHS=100)
    train_final_model(small_targets)
    history = pd.read_csv(small_targets.model / "history.csv")
    assert history["dice"].iloc[-1] > 0.4


def test_the_loss_gives_a_small_mask_a_tenth_of_the_weight():
    masks = np.zeros((2, 100, 100, 1), np.float32)
    masks[0, :1, :10] = 1  # 0.1 %
    masks[1, :50] = 1
    logits = np.full_like(masks, -3.0)
    crossentropy = np.log1p(np.exp(-np.abs(logits))) + np.where(masks == 1, 3.0, 0.0)
    inside, outside = np.log1p(np.exp(-3)) + 3, np.log1p(np.exp(-3))
    probability = 1 / (1 + np.exp(3))
    dice = [1 - (2 * n * probability + 1) / (n + 10_000 * probability + 1) for n in (10, 5000)]
    expected = [0.1 * inside + 0.9 * outside + dice[0], crossentropy[1].mean() + dice[1]]
    loss = objectives.small_target_crossentropy_dice(tf.constant(masks), tf.constant(logits))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_an_empty_mask_has_the_plain_loss():
    masks, logits = tf.zeros((1, 8, 8, 1)), tf.random.stateless_normal((1, 8, 8, 1), (1, 2))
    small, plain = (
        getattr(objectives, name)(masks, logits)
        for name in ("small_target_crossentropy_dice", "binary_crossentropy_dice")
    )
    np.testing.assert_allclose(small, plain, rtol=1e-6)


@pytest.mark.parametrize("small_targets", [False, True])
def test_a_training_of_small_targets_is_stopped_later(small_targets):
    mask = np.zeros(64 * 64, np.float32)
    mask[:4] = 1
    shown = tuple(tf.constant(part.reshape(1, 64, 64, 1)) for part in (np.linspace(-100, 100, 64 * 64), mask))
    budget = Budget(steps_per_epoch=1, epochs=1000)
    monitor = diagnosis.CollapseMonitor(shown, Hyperparameters(), budget, small_targets=small_targets)
    monitor.set_model(tf.keras.layers.Lambda(lambda image: image * 0 - 1 - image / 1000))
    stopped_after = None
    for step in range(1, 1001):
        budget.step()
        try:
            monitor.on_train_batch_end(step)
        except diagnosis.TrainingFailed:
            stopped_after = step
            break
    assert stopped_after == (500 if small_targets else 200)
