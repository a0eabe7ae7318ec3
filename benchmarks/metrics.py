"""Metrics of two masks of 512 x 512: seconds against scikit-image's Hausdorff distance, and values against other libraries'.

    python benchmarks/metrics.py                  # times: muscle-like masks of three sizes, and noise with 2 % to 50 % of the pixels
    python benchmarks/metrics.py --values         # where definitions differ; asks those that are installed of medpy, monai, surface_distance, SimpleITK
    python benchmarks/metrics.py --cases 1000     # how long evaluating so many cases takes, without pictures of chosen ones, and its peak memory

Each row is the median of seven rounds; all of a row take turns in each round.
"""

import argparse
import contextlib
import importlib
import io
import pathlib
import resource
import statistics
import sys
import tempfile
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pandas as pd
import scipy.ndimage

from data import phantoms, preloaded_dataset
from masks import metrics

ROUNDS = 7


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", action="store_true")
    parser.add_argument("--cases", type=int)
    arguments = parser.parse_args()
    values() if arguments.values else evaluated(arguments.cases) if arguments.cases else times()


def muscle_like(number):
    """A phantom's muscle, about 20,000 px, and the same shifted by some pixels, with a piece cut off and a stray blob."""
    _, true = phantoms.draw(number, 512)
    predicted = np.roll(true, (2, -3), axis=(0, 1))
    predicted[:, : 140 + 5 * number] = 0
    predicted[60:66, 60:66] = 1
    return true.astype(bool), predicted.astype(bool)


def times():
    import skimage.metrics

    pairs = {"muscle": muscle_like(3)}
    pairs |= {
        f"muscle, {512 * times} px": tuple(mask.repeat(times, axis=0).repeat(times, axis=1) for mask in pairs["muscle"])
        for times in (2, 4)
    }
    for share in (0.02, 0.1, 0.5):
        generator = np.random.default_rng(0)
        pairs[f"noise, {share:.0%}"] = tuple(generator.random((512, 512)) < share for _ in range(2))
    ways = {
        "skimage Hausdorff": skimage.metrics.hausdorff_distance,
        "our Hausdorff": lambda true, predicted: metrics.Comparison(true, predicted).hausdorff_px(),
        "all our metrics": metrics.compare,
    }
    print(f"{'masks':16}{'pixels':>8}" + "".join(f"{name:>20}" for name in ways) + f"{'ratios':>16}")
    for name, pair in pairs.items():
        rounds = [[timed(way, pair) for way in ways.values()] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        print(
            f"{name:16}{pair[0].sum():8}"
            + "".join(f"{1000 * median:17.1f} ms" for median in medians)
            + f"{medians[0] / medians[1]:8.1f}{medians[0] / medians[2]:8.1f}"
        )


def timed(way, pair):
    start = time.perf_counter()
    way(*pair)
    return time.perf_counter() - start


def values():
    edge = np.zeros((64, 64), bool)
    edge[:, :30] = True
    disc = np.hypot(*(np.indices((64, 64)) - 32)) < 25
    ring = disc & ~scipy.ndimage.binary_erosion(disc)
    empty = np.zeros((64, 64), bool)
    pairs = {
        "muscle": muscle_like(3), "at the edge": (edge, np.roll(edge, 3, axis=1) & ~edge | edge[:, ::-1] & edge), "disc and its ring": (disc, ring),
        "empty prediction": (disc, empty), "both empty": (empty, empty),
    }  # fmt: skip
    rows = []
    for name, pair in pairs.items():
        for library, ask in {
            "ours": ours,
            "medpy": medpy,
            "monai": monai,
            "surface_distance": deepmind,
            "SimpleITK": simple_itk,
        }.items():
            rows.append({"masks": name, "library": library, **asked(ask, pair)})
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4f}".format, na_rep=""))


def asked(ask, pair):
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return ask(*pair)
    except ModuleNotFoundError:
        return {"note": "not installed"}
    except Exception as error:
        return {"note": f"{type(error).__name__}: {str(error)[:60]}"}


def ours(true, predicted):
    found = metrics.compare(true, predicted)
    return {
        "dice": found["dice"],
        "hausdorff": found["hausdorff_px"],
        "hd95": found["hausdorff95_px"],
        "assd": found["assd_px"],
        "surface dice": found["surface_dice"],
    }


def medpy(true, predicted):
    binary = importlib.import_module("medpy.metric.binary")
    return {
        "dice": binary.dc(predicted, true),
        "hausdorff": binary.hd(predicted, true),
        "hd95": binary.hd95(predicted, true),
        "assd": binary.assd(predicted, true),
    }


def monai(true, predicted):
    torch, found = importlib.import_module("torch"), importlib.import_module("monai.metrics")
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (predicted, true)]
    common = {"include_background": True}
    return {
        "dice": float(found.compute_dice(*pair)),
        "hausdorff": float(found.compute_hausdorff_distance(*pair, **common)),
        "hd95": float(found.compute_hausdorff_distance(*pair, percentile=95, **common)),
        "assd": float(found.compute_average_surface_distance(*pair, symmetric=True, **common)),
        "surface dice": float(found.compute_surface_dice(*pair, [metrics.TOLERANCE_PX], **common)),
    }


def deepmind(true, predicted):
    library = importlib.import_module("surface_distance")
    found = library.compute_surface_distances(true, predicted, (1, 1))
    return {
        "dice": library.compute_dice_coefficient(true, predicted),
        "hausdorff": library.compute_robust_hausdorff(found, 100),
        "hd95": library.compute_robust_hausdorff(found, 95),
        "assd": float(np.mean(library.compute_average_surface_distance(found))),
        "surface dice": library.compute_surface_dice_at_tolerance(found, metrics.TOLERANCE_PX),
    }


def simple_itk(true, predicted):
    library = importlib.import_module("SimpleITK")
    pair = [library.GetImageFromArray(mask.astype(np.uint8)) for mask in (true, predicted)]
    distance, overlap = library.HausdorffDistanceImageFilter(), library.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*pair)
    distance.Execute(*pair)
    return {"dice": overlap.GetDiceCoefficient(), "hausdorff": distance.GetHausdorffDistance()}


def evaluated(count):
    import evaluation
    import storage

    with tempfile.TemporaryDirectory() as folder:
        workspace = storage.Workspace(pathlib.Path(folder) / "evaluated")
        for kind in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
            kind.mkdir(parents=True)
        (workspace.root / "config.py").write_text("IMAGES_TO_DRAW = {}\nSAVE_IMAGES_ON_DISK = True\n")
        image, _ = phantoms.draw(0, 512)
        drawn = [muscle_like(number) for number in range(10)]
        names = [f"case_{number:05d}" for number in range(count)]
        for number, name in enumerate(names):
            true, predicted = drawn[number % 10]
            for kind, content in (
                (workspace.test_set / "images", image.astype(np.int16)),
                (workspace.test_set / "masks", true),
                (workspace.predictions, predicted),
            ):
                preloaded_dataset.write(kind, name, content if content.dtype == np.int16 else content.astype(np.uint8))
        table = pd.DataFrame(
            {"case": names, "split": "test", "group": names, "image_sha256": names, "mask_sha256": names}
        )
        table.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
        preloaded_dataset.write_facts(
            workspace.preloaded_dataset, {"cases": 5 * count, "SEED": 1, "TEST_SHARE": 0.2, "MASK_SPECK_PX": 4}
        )
        start = time.perf_counter()
        evaluation.evaluate_test_set(workspace)
        whole = time.perf_counter() - start
    print(
        f"{count} cases evaluated in {whole:.1f} s; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
