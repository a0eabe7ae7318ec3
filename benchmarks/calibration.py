"""Is the predicted Dice calibrated? Mean error and coverage of its interval on a test set, before and after step 7.

    python benchmarks/calibration.py WORKSPACE EPOCHS [--seeds 1 2 3] [--folds 5]

WORKSPACE is a folder in which step 1 has run. For each seed, steps 3, 7 and 4 run in a copy of it. "Raw" is the
agreement of the image's and its mirror image's prediction, which step 4 reports without calibration.
"""

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile

import pandas as pd

from accuracy import dices, read_predictions, read_set

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    command_line.disable_malloc_trim()
    rows = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory(dir=arguments.workspace) as folder:
            rows.append({"seed": seed, **measured(pathlib.Path(folder), arguments, seed)})
        print(rows[-1], flush=True)
    print(pd.DataFrame(rows).mean().round(3).to_string())


def measured(folder, arguments, seed):
    import cross_validation
    import model_training
    import prediction
    import storage

    copy = storage.Workspace(folder)
    shutil.copytree(arguments.workspace / "preloaded dataset", copy.preloaded_dataset, copy_function=os.link)
    lines = [f"SEED = {seed}", f"TRAINING_EPOCHS = {arguments.epochs}", f"CROSS_VALIDATION_FOLDS = {arguments.folds}"]
    config = arguments.workspace / "config.py"
    own = config.read_text(encoding="utf-8") if config.exists() else ""
    (folder / "config.py").write_text("\n".join([own, *lines]) + "\n", encoding="utf-8")
    tables = []
    with contextlib.redirect_stdout(io.StringIO()):
        model_training.train_final_model(copy)
        for calibrate in (False, True):
            if calibrate:
                cross_validation.cross_validate_train_set(copy)
            prediction.predict_test_set(copy)
            table = pd.read_csv(copy.predictions / "_table.csv").set_index("case")
            # The order of `read_predictions`.
            tables.append(table.loc[[file.stem for file in sorted(copy.predictions.glob("*.npy"))]])
    true = dices(read_predictions(copy), read_set(folder, "test")[1])
    raw, calibrated = tables
    if "predicted_dice_low" not in calibrated:
        raise SystemExit("step 7 did not calibrate the predicted Dice: too few cases or groups")
    within = calibrated["predicted_dice_low"].le(true) & calibrated["predicted_dice_high"].ge(true)
    width = calibrated["predicted_dice_high"] - calibrated["predicted_dice_low"]
    return {
        "cases": len(true),
        "dice": round(float(true.mean()), 3),
        "raw_error": round(float((raw["predicted_dice"] - true).mean()), 4),
        "calibrated_error": round(float((calibrated["predicted_dice"] - true).mean()), 4),
        "within_interval": round(float(within.mean()), 3),
        "mean_width": round(float(width.mean()), 3),
    }


if __name__ == "__main__":
    main()
