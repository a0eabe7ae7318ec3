"""Does a trained network predict the same with batch statistics, as in training, as with its running statistics?

    python benchmarks/normalization.py WORKSPACE      # a folder in which step 3 has run

Prints the mean Dice over the train set both ways, in batches as in training.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import command_line

command_line.disable_malloc_trim()

import settings
import storage
from data import pipeline, preloaded_dataset
from networks import objectives, saved_model


def main(root):
    workspace = storage.Workspace(pathlib.Path(root))
    options = settings.load(workspace.root)
    network, cases = (
        saved_model.read(workspace.model),
        preloaded_dataset.read_cases(workspace, "train")["case"].tolist(),
    )
    found = {mode: objectives.Dice() for mode in ("training", "use")}
    statistics = [weight.numpy() for weight in network.non_trainable_weights]
    for images, masks in pipeline.pairs(workspace.train_set, cases, options.IMAGE_SIZE).batch(
        options.TRAINING_BATCH_SIZE, drop_remainder=True
    ):
        for mode, dice in found.items():
            dice.update_state(masks, network(images, training=mode == "training"))
            # Training mode would change them.
            for weight, value in zip(network.non_trainable_weights, statistics, strict=True):
                weight.assign(value)
    print(
        f"{network.name}, batch of {options.TRAINING_BATCH_SIZE}: "
        + ", ".join(f"Dice {float(dice.result()['dice']):.4f} in {mode}" for mode, dice in found.items())
    )


if __name__ == "__main__":
    main(sys.argv[1])
