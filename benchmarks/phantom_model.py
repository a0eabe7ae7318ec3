"""A network trained on phantoms alone, and its Dice on labelled CT slices that it has never seen.

    python benchmarks/phantom_model.py WORKSPACE [--count 400] [--minutes 8] [--slices SLICES.npz ...]

Writes `count` phantoms of levels T11 to L4 as the original dataset of WORKSPACE, a new folder, runs steps 1 and 3, and
predicts each set of slices: `images`, int16 in HU (n, 512, 512), and `masks` of skeletal muscle, uint8 0 and 1. The
model is WORKSPACE/model: START_FROM takes it. Drawing takes 0.3 s per phantom and core, and comes first.
"""

import argparse
import pathlib
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
TRAINING_EPOCHS = None
TRAINING_TIME_LIMIT_MINUTES = {minutes}
# Phantoms differ from patients more than patients from each other.
HYPERPARAMETERS = {{"augmentation_probability": 0.75}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slices", type=pathlib.Path, nargs="*", default=[])
    arguments = parser.parse_args()
    command_line.disable_malloc_trim()
    if not arguments.workspace.exists():
        write(arguments)
        train(arguments.workspace)
    for file in arguments.slices:
        print(f"{file.name}: {summary(arguments.workspace / 'model', file)}")


def write(arguments):
    folder = arguments.workspace / "original dataset" / "phantoms"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    jobs = (joblib.delayed(draw)(folder, number) for number in range(arguments.count))
    joblib.Parallel(-1)(jobs)
    config = CONFIG.format(seed=arguments.seed, minutes=arguments.minutes)
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


def summary(model, file):
    import segmenter

    loaded, arrays = segmenter.load(model, postprocess=False), np.load(file)
    masks = np.stack([loaded.segment(image)[0] for image in arrays["images"]])
    values = dices(masks, arrays["masks"])
    return f"mean Dice {values.mean():.3f} ({values.min():.3f} to {values.max():.3f}) of {len(values)} slices"


if __name__ == "__main__":
    main()
