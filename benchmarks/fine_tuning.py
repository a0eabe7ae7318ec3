"""Test Dice with few new cases: trained from scratch, and from the weights of a model (START_FROM).

    python benchmarks/fine_tuning.py WORKSPACE MODEL [--cases 5 10 20] [--epochs 20 100] [--seeds 1 2 3]

WORKSPACE is a folder in which step 1 has run, MODEL a model folder. For each seed, number of cases and of epochs it
trains on train cases that the model has not seen, of groups in random order, once from random weights and once from the
model, with step 3 in a copy of the workspace, and predicts the test set with step 4. The first row of each seed is the
model itself, without new cases. `--rates` tries other learning rates for the start from the model.
"""

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import pandas as pd

from accuracy import dices, read_predictions, read_set

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--cases", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rates", type=float, nargs="+", default=[None])
    arguments = parser.parse_args()
    command_line.disable_malloc_trim()
    rows = []
    for seed in arguments.seeds:
        rows.append({"seed": seed, "cases": 0, "start": "model", "dice": measured(arguments, seed, 0)})
        for count in arguments.cases:
            for epochs in arguments.epochs:
                starts = [("random", None), *(("model", rate) for rate in arguments.rates)]
                for start, rate in starts:
                    dice = measured(arguments, seed, count, epochs, start == "model", rate)
                    rows.append(
                        {"seed": seed, "cases": count, "epochs": epochs, "start": start, "rate": rate, "dice": dice}
                    )
                    print(rows[-1], flush=True)
    table = pd.DataFrame(rows).fillna({"epochs": 0, "rate": 0})
    summary = table.groupby(["cases", "epochs", "start", "rate"])["dice"].agg(["mean", "min", "max", "count"])
    print(summary.round(4).reset_index().to_string(index=False))


def measured(arguments, seed, count, epochs=0, from_model=True, rate=None):
    """The mean test Dice of the model trained on `count` new cases; of the starting model for 0."""
    import model_training
    import prediction
    import storage

    with tempfile.TemporaryDirectory(dir=arguments.workspace) as folder:
        copy = storage.Workspace(pathlib.Path(folder))
        shutil.copytree(arguments.workspace / "preloaded dataset", copy.preloaded_dataset, copy_function=os.link)
        lines = [f"SEED = {seed}", f"TRAINING_EPOCHS = {epochs or 1}"]
        model = arguments.model.resolve()
        if count:
            keep_some(copy, model, count, seed)
            lines += [f"START_FROM = {str(model)!r}"] if from_model else []
            lines += [f"HYPERPARAMETERS = {{'learning_rate': {rate}}}"] if rate else []
        else:
            lines += [f"MODEL = {str(model)!r}"]
        (copy.root / "config.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            if count:
                model_training.train_final_model(copy)
            prediction.predict_test_set(copy)
            return round(float(dices(read_predictions(copy), read_set(copy.root, "test")[1]).mean()), 4)


def keep_some(workspace, model, count, seed):
    """Removes all but `count` train cases of whole groups, which the model has not seen, from the copy's cases.csv."""
    from networks import saved_model

    file = workspace.preloaded_dataset / "cases.csv"
    table = pd.read_csv(file, keep_default_na=False)
    seen = table["image_sha256"].isin(saved_model.read_training(model).seen_image_sha256)
    new = table[(table["split"] == "train") & ~seen]
    order = np.random.default_rng(seed).permutation(sorted(new["group"].unique()))
    chosen = pd.concat([new[new["group"] == group] for group in order])[:count]
    if len(chosen) < count:
        raise SystemExit(f"only {len(chosen)} train cases that the model has not seen")
    file.unlink()  # A hard link to the workspace's.
    table[(table["split"] == "test") | table["case"].isin(chosen["case"])].to_csv(file, index=False)


if __name__ == "__main__":
    main()
