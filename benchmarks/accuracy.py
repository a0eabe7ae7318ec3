r"""Test Dice against minutes of training: the default recipe and two well-known ones, on the same images and machine.

    python benchmarks/accuracy.py WORKSPACE ours 5 --seeds 1 2 3    # trains for 5 minutes, as main.py does, three times
    python benchmarks/accuracy.py WORKSPACE plain_unet 20 --seeds 1 2 3
    python benchmarks/accuracy.py                                   # the table of all measurements

WORKSPACE is a folder in which step 1 has run; its name is the name of the data set. Each run adds a row to accuracy.csv
beside this script (or to --results FILE). The column `settings` holds the differences from the default recipe. When a
default changes, its earlier value is added to the existing rows, as a comment if no setting expresses it.

`ours` runs steps 3 and 4 in a copy of the workspace, with test-time flip, and with post-processing if that suits the
train masks. The baselines follow their published descriptions, with neither. They are evaluated every half minute, or
less often where that takes long, while their clock is stopped. Their best value on the test set counts, which favours
them. Loading libraries and building networks is not timed. The baselines get the same memory settings as `ours`
(`command_line.disable_malloc_trim`), and plain_unet the same oneDNN. Run one training at a time, and compare runs with
the same `cpu` only: this column holds the processor's instructions.

plain_unet   Ronneberger et al. 2015 with 16 filters and padding: no normalization, binary cross-entropy, Adam 2e-4,
             batch size 1, no augmentation, images clipped to the window of clip_hu and not scaled.
basic_unet   MONAI's BasicUNet of the same width: Dice + cross-entropy, Adam 1e-3, batch size 2, images scaled from that
             window to 0..1, or z-score normalised. It needs an environment with torch, monai, numpy and pandas, and
             runs with that environment's python. Measured with torch 2.13.0 and monai 1.6.1.
nnunet       nnU-Net's 2-D configuration for 512 x 512 px, from nnunetv2 2.8.1 (which that environment also needs): its
             network, loss with deep supervision, augmentation, normalization, optimizer and polynomial decay. Reduced:
             batch size 2 instead of 12, a decay over the given minutes instead of 250,000 steps, one model instead of
             five folds, prediction without mirroring.

accuracy.csv was measured on 2 cores with split seed 1, on blocks of neighbouring slices or on other patients. Train
and test images, and the settings of each data set:

ts_muscle112  blocks of ten: 90 and 22      GROUP_CASES_BY = r"tsm112_(\d\d)"
ts_muscle30   blocks of ten: 20 and 10      GROUP_CASES_BY = r"tsm30_0(\d)"
small_targets blocks of six: 48 and 12       written by small_targets.py from ts_muscle112, with its config.py
fetal_head_us patients: 160 and 40          GROUP_CASES_BY = r"(patient\d+)"   HYPERPARAMETERS = {"clip_hu": None}
hippocampus_mr  the same
isbi_em       blocks of five: 25 and 5      GROUP_CASES_BY = r"m_\d(?=[0-4])|_\d(?=[5-9])"   MASK_SPECK_PX = 0
                                            HYPERPARAMETERS = {"clip_hu": None}
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

EVALUATED_EVERY_S = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", nargs="?", type=pathlib.Path)
    parser.add_argument("recipe", nargs="?", choices=["ours", *BASELINES])
    parser.add_argument("minutes", nargs="?", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--settings",
        default="",
        help="lines added to config.py, such as 'HYPERPARAMETERS = {\"stem_patch_px\": 1}'; for ours only",
    )
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    for seed in arguments.seeds if arguments.recipe else []:
        row = {
            "cpu": instructions(),
            "set": arguments.workspace.resolve().name,
            "recipe": arguments.recipe,
            "settings": arguments.settings,
            "minutes": arguments.minutes,
            "seed": seed,
        }
        if arguments.recipe == "ours":
            row |= ours(arguments.workspace, arguments.minutes, seed, arguments.settings)
        else:
            row |= best_state(BASELINES[arguments.recipe], arguments.workspace, arguments.minutes, seed)
        rows = [read_results(arguments.results)] if arguments.results.exists() else []
        pd.concat([*rows, pd.DataFrame([row])]).to_csv(arguments.results, index=False)
    print_table(read_results(arguments.results))


def read_results(file):
    # The last two columns were not recorded before small targets were measured.
    added = ("median_dice", "found")
    table = pd.read_csv(file, keep_default_na=False, na_values=dict.fromkeys(added, ""))
    return table.reindex(columns=list(dict.fromkeys([*table, *added])))


def print_table(table):
    runs = table.groupby(["cpu", "set", "recipe", "settings", "minutes"])
    text = runs.agg(
        dice=("dice", "mean"),
        lowest=("dice", "min"),
        highest=("dice", "max"),
        median=("median_dice", "mean"),
        found=("found", "min"),
        background=("background_dice", "mean"),
        at_s=("seconds", "mean"),
        images=("images", "mean"),
        seeds=("seed", "count"),
    )
    print(
        text.round({"dice": 4, "lowest": 4, "highest": 4, "median": 4, "background": 4, "at_s": 0, "images": 0})
        .reset_index()
        .to_string(index=False)
    )


def instructions():
    """The widest arithmetic instructions of the processor: only runs with the same ones are comparable."""
    import cpu_features

    return next(
        name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx") if name in cpu_features.instructions()
    )


def ours(workspace, minutes, seed, settings):
    import command_line

    command_line.disable_malloc_trim()
    import model_training
    import prediction
    import storage

    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        copy = storage.Workspace(pathlib.Path(folder))
        shutil.copytree(workspace / "preloaded dataset", copy.preloaded_dataset)
        config = (workspace / "config.py").read_text(encoding="utf-8") if (workspace / "config.py").exists() else ""
        budget = f"\nSEED = {seed}\nTRAINING_EPOCHS = None\nTRAINING_TIME_LIMIT_MINUTES = {minutes}\n"
        (copy.root / "config.py").write_text(config + budget + settings, encoding="utf-8")
        model_training.train_final_model(copy)
        prediction.predict_test_set(copy)
        history = pd.read_csv(copy.model / "history.csv")
        return {
            "seconds": round(history["seconds"].sum(), 1),
            "images": history["images"].sum(),
            **mean_dices(read_predictions(copy), read_set(copy.root, "test")[1]),
        }


def best_state(baseline, workspace, minutes, seed):
    """Trains `baseline` and returns the row of its best state.

    `baseline` yields once when it is ready, then after each step: (its function from images to masks, images in the
    step). It is sent the fraction of its time that is spent.
    """
    train, test = read_set(workspace, "train"), read_set(workspace, "test")
    window = read_window(workspace)
    spent, images, evaluated, pause, rows = 0.0, 0, 0.0, EVALUATED_EVERY_S, []
    steps = baseline(*train, window, seed)
    next(steps)
    start = time.perf_counter()
    while True:
        predict, batch = steps.send(min((spent + time.perf_counter() - start) / 60 / minutes, 1.0))
        images += batch
        now = time.perf_counter() - start
        if spent + now - evaluated >= pause or spent + now >= 60 * minutes:
            spent = evaluated = spent + now
            rows.append(
                {
                    "seconds": round(spent, 1),
                    "images": images,
                    **mean_dices(np.concatenate([predict(image[None]) for image in test[0]]), test[1]),
                }
            )
            print(f"seed {seed}: {rows[-1]}", flush=True)
            if spent >= 60 * minutes:
                return max(rows, key=lambda row: row["dice"])
            pause = max(EVALUATED_EVERY_S, 4 * (time.perf_counter() - start - now))
            start = time.perf_counter()


def read_set(workspace, name):
    """Images, float32, and masks, uint8, of the "train" or "test" set: both (cases, size, size), sorted by case."""
    folder = workspace / "preloaded dataset" / f"{name} set"
    images, masks = ([np.load(file) for file in sorted((folder / kind).glob("*.npy"))] for kind in ("images", "masks"))
    return np.stack(images).astype(np.float32), np.stack(masks)


def read_predictions(workspace):
    """The masks that step 4 wrote, uint8 (cases, size, size), sorted by case."""
    return np.stack([np.load(file) for file in sorted(workspace.predictions.glob("*.npy"))])


def read_window(workspace):
    import settings

    return settings.load(workspace).HYPERPARAMETERS.get("clip_hu", (-200.0, 200.0))


def mean_dices(predicted, true):
    """Mean Dice over the cases, of masks and background; median Dice; number of masks that overlap the true one."""
    values = dices(predicted, true)
    return {
        "dice": round(float(values.mean()), 5),
        "background_dice": round(float(dices(1 - predicted, 1 - true).mean()), 5),
        "median_dice": round(float(np.median(values)), 5),
        "found": int((values > 0).sum()),
    }


def dices(predicted, true):
    both = (predicted & true).sum((1, 2))
    total = predicted.sum((1, 2), dtype=np.int64) + true.sum((1, 2), dtype=np.int64)
    return np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0)


def plain_unet(images, masks, window, seed):
    import command_line

    command_line.disable_malloc_trim()
    import tensorflow as tf
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    clip = (lambda x: np.clip(x, *window)) if window else (lambda x: x)

    def block(x, filters):
        for _ in range(2):
            x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        return x

    inputs = keras.Input((*images.shape[1:], 1))
    stages = [block(inputs, 16)]
    for depth in range(1, 5):
        stages.append(block(keras.layers.MaxPool2D()(stages[-1]), 16 * 2**depth))
    x = stages.pop()
    for stage in reversed(stages):
        x = keras.layers.Conv2DTranspose(stage.shape[-1], 2, strides=2)(x)
        x = block(keras.layers.Concatenate()([stage, x]), stage.shape[-1])
    network = keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))
    optimizer = keras.optimizers.legacy.Adam(2e-4)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, network(x, training=True))
        optimizer.apply_gradients(
            zip(tape.gradient(value, network.trainable_variables), network.trainable_variables, strict=True)
        )

    forward = tf.function(lambda x: network(x, training=False))
    yield None, 0
    for number in endless(len(images), seed):
        step(clip(images[number])[None, ..., None], masks[number][None, ..., None])
        yield lambda x: (forward(clip(x)[..., None]).numpy()[..., 0] >= 0).astype(np.uint8), 1


def basic_unet(images, masks, window, seed, batch=2):
    import command_line

    command_line.disable_malloc_trim()
    import monai
    import torch

    torch.manual_seed(seed)
    network = monai.networks.nets.BasicUNet(2, 1, 1, features=(16, 32, 64, 128, 256, 16))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loss = monai.losses.DiceCELoss(sigmoid=True)

    def normalized(x):
        if window:
            x = (np.clip(x, *window) - window[0]) / (window[1] - window[0])
        else:
            x = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
        return torch.from_numpy(np.ascontiguousarray(x[:, None], np.float32))

    def predict(x):
        network.eval()
        with torch.inference_mode():
            logits = network(normalized(x)).numpy()[:, 0]
        network.train()
        return (logits >= 0).astype(np.uint8)

    order = endless(len(images), seed)
    yield None, 0
    while True:
        numbers = [next(order) for _ in range(batch)]
        optimizer.zero_grad()
        loss(network(normalized(images[numbers])), torch.from_numpy(masks[numbers][:, None]).float()).backward()
        optimizer.step()
        yield predict, batch


def nnunet(images, masks, window, seed, batch=2):
    import command_line

    command_line.disable_malloc_trim()
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - nnU-Net's transforms use it
    stages, size = 8, images.shape[1:]
    network = PlainConvUNet(
        input_channels=1,
        n_stages=stages,
        features_per_stage=[min(32 * 2**stage, 512) for stage in range(stages)],
        conv_op=torch.nn.Conv2d,
        kernel_sizes=3,
        strides=[1] + [2] * (stages - 1),
        n_conv_per_stage=2,
        num_classes=2,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    network.apply(network.initialize)
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
    terms = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    weights = np.array([0.5**stage for stage in range(stages - 2)] + [0.0])
    loss = DeepSupervisionWrapper(
        DC_and_CE_loss(terms, {}, dice_class=MemoryEfficientSoftDiceLoss), weights / weights.sum()
    )
    scales = [[0.5**stage] * 2 for stage in range(stages - 1)]
    transform = nnUNetTrainer.get_training_transforms(
        size, (-np.pi, np.pi), scales, (0, 1), False, use_mask_for_norm=[False], foreground_labels=[1]
    )
    inside = images[masks > 0]
    low, high = np.percentile(inside, (0.5, 99.5))

    def normalized(x):
        if window:  # CT
            return (np.clip(x, low, high) - inside.mean()) / inside.std()
        return (x - x.mean((-2, -1), keepdims=True)) / x.std((-2, -1), keepdims=True)

    def predict(x):
        network.eval()
        network.decoder.deep_supervision = False
        with torch.inference_mode():
            logits = network(torch.from_numpy(normalized(x)[:, None].astype(np.float32))).numpy()
        network.train()
        network.decoder.deep_supervision = True
        return (logits[:, 1] >= logits[:, 0]).astype(np.uint8)

    def augmented(number):
        image = torch.from_numpy(normalized(images[number])[None].astype(np.float32))
        return transform(image=image, segmentation=torch.from_numpy(masks[number][None].astype(np.int16)))

    order = endless(len(images), seed)
    spent = yield None, 0
    while True:
        pairs = [augmented(next(order)) for _ in range(batch)]
        target = [torch.stack(level) for level in zip(*(pair["segmentation"] for pair in pairs), strict=True)]
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - spent) ** 0.9
        optimizer.zero_grad()
        loss(network(torch.stack([pair["image"] for pair in pairs])), target).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        spent = yield predict, batch


def endless(count, seed):
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count)


BASELINES = {"plain_unet": plain_unet, "basic_unet": basic_unet, "nnunet": nnunet}

if __name__ == "__main__":
    main()
