"""Every step, in order, on generated slices, in a folder of its own: demo/. Shows in some minutes what the project does, and touches nothing else.

The slices are drawn (see `data.phantoms`), half the size of real ones, as are the network's patches; and it is narrow. What it reaches says
nothing about patients.
"""

import shutil

import command_line
import storage
from command_line import cross_validation, data, evaluation, model_exploration, model_training, prediction
from data import csv_array, phantoms

WORKSPACE = storage.Workspace(storage.PROJECT.root / "demo")
CASES, NEW_IMAGES = 48, 4

SETTINGS = """# The demo's settings: all small, so that it takes minutes.
IMAGE_SIZE = 256
TRAINING_BATCH_SIZE = 2
TRAINING_EPOCHS = 36
EXPLORATION_MAX_TRIALS = 2
EXPLORATION_EPOCHS = 1
EXPLORATION_REPEATS = 0
CROSS_VALIDATION_FOLDS = 2
ENCODER_WEIGHTS = None
DRAW_HAUSDORFF_LINE = True
HYPERPARAMETERS = {"filters": 8, "patch_px": 2, "learning_rate": 3e-3}
"""


def prepare(workspace: storage.Workspace = WORKSPACE) -> None:
    """Makes the demo's folder anew: settings, phantoms to train and test on, and new images of other sizes."""
    if workspace.root.exists():
        shutil.rmtree(workspace.root)
    workspace.new_images.mkdir(parents=True)
    (workspace.root / "config.py").write_text(SETTINGS, encoding="utf-8")
    phantoms.write_original_dataset(workspace.original_dataset / "phantoms", CASES, 256)
    for number in range(NEW_IMAGES):
        image, _ = phantoms.draw(1000 + number, (256, 320, 384, 512)[number])
        csv_array.write(workspace.new_images / f"new_{number}.csv", image[: image.shape[0] - 32 * number])


def main() -> None:
    """Runs all steps, saying which, and where to look afterwards."""
    command_line.install_error_handler()
    _heading(f"Drawing {CASES + NEW_IMAGES} phantoms into {WORKSPACE.root.name}/")
    prepare()
    steps = (
        data.original_dataset.create_preloaded_dataset,
        model_exploration.explore_hyperparameters,
        model_training.train_final_model,
        prediction.predict_test_set,
        evaluation.evaluate_test_set,
        prediction.predict_new_images,
        cross_validation.cross_validate_train_set,
    )
    for number, (step, described) in enumerate(zip(steps, storage.STEPS, strict=True), start=1):
        _heading(f"Step {number}: {described.title}")
        step(WORKSPACE)
    _heading("Done. Look at")
    print(f"the metrics          {WORKSPACE.results / 'metrics.csv'}")
    print(f"the report           {WORKSPACE.results / 'report.html'}")
    print(f"the comparisons      {WORKSPACE.images}")
    print(f"the new predictions  {WORKSPACE.new_predictions}")
    print(f"the doubted masks    {WORKSPACE.cross_validation / 'images'}")
    print("the trainings        python src/show_tensorboard.py demo")


def _heading(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
