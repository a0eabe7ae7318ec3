"""Trains the pretrained model `phantoms` on phantoms alone; its Dice on labelled CT slices that it has never seen.

    python benchmarks/phantom_model.py WORKSPACE [--count 1200] [--epochs 20] [--slices SLICES.npz ...] [--ship]

Writes `count` phantoms of levels T11 to L4 as the original dataset of WORKSPACE, a new folder, runs steps 1 and 3, and
predicts each set of slices: `images`, int16 in HU (n, 512, 512), and `masks` of skeletal muscle, uint8 0 and 1. With
--ship, the model replaces the one that the project ships, src/pretrained/phantoms. Drawing takes 0.3 s per phantom and
core, and comes first. Another processor draws and trains the same up to rounding.
"""

import argparse
import pathlib
import shutil
import sys

import joblib
import numpy as np

from accuracy import dices

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SOURCE))

import command_line

CONFIG = """GROUP_CASES_BY = "case"
TEST_SHARE = 0.05
MASK_SPECK_PX = 0
SEED = {seed}
DETERMINISTIC = True
TRAINING_EPOCHS = {epochs}
# Phantoms differ from patients more than patients from each other.
HYPERPARAMETERS = {{"augmentation_probability": 0.75}}
"""

SHIPPED = ("weights.weights.h5", "hyperparameters.json", "training.json", "history.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slices", type=pathlib.Path, nargs="*", default=[])
    parser.add_argument("--ship", action="store_true")
    arguments = parser.parse_args()
    command_line.disable_malloc_trim()
    if arguments.workspace.exists():
        print(f"{arguments.workspace} exists: its model is measured.")
    else:
        write(arguments)
        train(arguments.workspace)
    for file in arguments.slices:
        print(f"{file.name}: {summary(arguments.workspace / 'model', file)}")
    if arguments.ship:
        ship(arguments.workspace / "model")


def write(arguments):
    folder = arguments.workspace / "original dataset" / "phantoms"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    jobs = (joblib.delayed(draw)(folder, number) for number in range(arguments.count))
    joblib.Parallel(-1)(jobs)
    config = CONFIG.format(seed=arguments.seed, epochs=arguments.epochs)
    (arguments.workspace / "config.py").write_text(config, encoding="utf-8")


def draw(folder, seed):
    sys.path.insert(0, str(SOURCE))
    from data import phantoms

    for kind, values in zip(("images", "masks"), phantoms.draw_any_level(seed), strict=True):
        np.save(folder / kind / f"{seed:04d}.npy", values)


def train(folder):
    import model_training
    import storage
    from data.original_dataset import create_preloaded_dataset

    workspace = storage.Workspace(folder.resolve())
    create_preloaded_dataset(workspace)
    model_training.train_final_model(workspace)


def ship(model):
    from networks import saved_model

    for name in SHIPPED:
        shutil.copyfile(model / name, SOURCE / "pretrained" / "phantoms" / name)
    print(f"Write the fingerprint {saved_model.fingerprint([model])} into src/pretrained/__init__.py.")


def summary(model, file):
    import segmenter

    loaded, arrays = segmenter.load(model, postprocess=False), np.load(file)
    masks = np.stack([loaded.segment(image)[0] for image in arrays["images"]])
    values = dices(masks, arrays["masks"])
    return f"mean Dice {values.mean():.3f} ({values.min():.3f} to {values.max():.3f}) of {len(values)} slices"


if __name__ == "__main__":
    main()
