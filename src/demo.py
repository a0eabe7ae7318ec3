"""Runs all steps in order on synthetic slices, in the folder demo/. It takes minutes and changes nothing else.

The slices are phantoms (see `data.phantoms`) at half the size of real ones. The Dice says nothing about patients.
"""

import shutil

import command_line
import storage
from command_line import (
    cross_validation,
    data,
    evaluation,
    external_validation,
    model_exploration,
    model_training,
    prediction,
)

WORKSPACE = storage.Workspace(storage.PROJECT.root / "demo")
CASES, EXTERNAL_CASES, NEW_IMAGES = 80, 10, 4

SETTINGS = """# The settings of the demo: small, so that it takes minutes.
IMAGE_SIZE = 256
TRAINING_BATCH_SIZE = 2
TRAINING_EPOCHS = 30
EXPLORATION_SEARCH_SPACE = {"architecture": "unet", "filters": [8, 16], "stem_patch_px": 2, "clip_hu": (-200, 200),
                            "loss": "binary_crossentropy_dice", "learning_rate": (2e-3, 5e-3),
                            "augmentation_probability": 0.1}
EXPLORATION_MAX_TRIALS = 2
EXPLORATION_EPOCHS = 5
EXPLORATION_REPEATS = 0
CROSS_VALIDATION_FOLDS = 2
ENCODER_WEIGHTS = None
DRAW_HAUSDORFF_LINE = True
HYPERPARAMETERS = {"filters": 16, "stem_patch_px": 2, "learning_rate": 4e-3, "augmentation_probability": 0.1}
"""

_SUMMARY = """
=== Done. Look at these first:
report            {results}/report.html
worst cases       {images}/_worst.png
new predictions   {new_predictions}
masks to check    {cross_validation}/images
external set      {external_validation}/summary.md
trainings         {tensorboard}

To start with your own data: copy config_template.py to config.py, put images and masks into
original dataset/<any name>/images and .../masks, and type: {steps}
"""


def prepare(workspace: storage.Workspace = WORKSPACE) -> None:
    """Replaces the demo's folder: settings, phantoms for train, test and external set, new images of several sizes."""
    from data import csv_array, phantoms  # Here, so that a Python without packages is reported.

    if workspace.root.exists():
        shutil.rmtree(workspace.root)
    workspace.new_images.mkdir(parents=True)
    (workspace.root / "config.py").write_text(SETTINGS, encoding="utf-8")
    phantoms.write_original_dataset(workspace.original_dataset / "phantoms", CASES, 256)
    phantoms.write_original_dataset(workspace.external_test_sets / "more phantoms", EXTERNAL_CASES, 256, seed=2000)
    for number in range(NEW_IMAGES):
        image, _ = phantoms.draw(1000 + number, (256, 320, 384, 512)[number])
        csv_array.write(workspace.new_images / f"new_{number}.csv", image[: image.shape[0] - 32 * number])


def main() -> None:
    """Runs all steps, then prints where to look and how to continue."""
    command_line.install_error_handler()
    print(f"Creating {CASES + EXTERNAL_CASES + NEW_IMAGES} synthetic slices in {WORKSPACE.root.name}/ ...", flush=True)
    prepare()
    steps = (
        data.original_dataset.create_preloaded_dataset,
        model_exploration.explore_hyperparameters,
        model_training.train_final_model,
        prediction.predict_test_set,
        evaluation.evaluate_test_set,
        prediction.predict_new_images,
        cross_validation.cross_validate_train_set,
        external_validation.evaluate_external_test_sets,
    )
    for step in steps:
        step(WORKSPACE)
    folders = ("results", "images", "new_predictions", "cross_validation", "external_validation")
    commands = {"tensorboard": storage.command("demo", "show_tensorboard.py"), "steps": storage.command("1 3-5")}
    print(_SUMMARY.format(**{name: getattr(WORKSPACE, name) for name in folders}, **commands))


if __name__ == "__main__":
    main()
