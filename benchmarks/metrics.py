"""Metrics of two masks of 512 x 512: times against scikit-image's Hausdorff distance, values against other libraries.

    python benchmarks/metrics.py                  # times: muscle-like masks of three sizes, noise of 2 % to 50 %
    python benchmarks/metrics.py --values         # values of medpy, monai, surface_distance and SimpleITK, if installed
    python benchmarks/metrics.py --cases 1000     # time and peak memory of step 5 without pictures of selected cases

Times are medians of seven rounds; the functions of a row take turns in each round.
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
    values() if arguments.values else evaluation_time(arguments.cases) if arguments.cases else times()


def muscle_like(number):
    """A phantom's muscle, about 20,000 px, and a copy that is shifted by 2 and 3 px, cropped, and has a stray blob."""
    _, true = phantoms.draw(number, 512)
    predicted = np.roll(true, (2, -3), axis=(0, 1))
    predicted[:, : 140 + 5 * number] = 0
    predicted[60:66, 60:66] = 1
    return true.astype(bool), predicted.astype(bool)


def times():
    import skimage.metrics

    pairs = {"muscle": muscle_like(3)}
    for factor in (2, 4):
        enlarged = tuple(mask.repeat(factor, axis=0).repeat(factor, axis=1) for mask in pairs["muscle"])
        pairs[f"muscle, {512 * factor} px"] = enlarged
    for share in (0.02, 0.1, 0.5):
        generator = np.random.default_rng(0)
        pairs[f"noise, {share:.0%}"] = tuple(generator.random((512, 512)) < share for _ in range(2))
    functions = {
        "skimage Hausdorff": skimage.metrics.hausdorff_distance,
        "ours, all pixels": lambda true, predicted: metrics.Comparison(true, predicted).hausdorff_all_pixels_px(),
        "ours, borders": lambda true, predicted: metrics.Comparison(true, predicted).hausdorff_px(),
        "all our metrics": metrics.compare,
    }
    print(f"{'masks':16}{'pixels':>8}" + "".join(f"{name:>20}" for name in functions) + "  speedups over skimage")
    for name, pair in pairs.items():
        rounds = [[timed(function, pair) for function in functions.values()] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        print(
            f"{name:16}{pair[0].sum():8}"
            + "".join(f"{1000 * median:17.1f} ms" for median in medians)
            + "".join(f"{medians[0] / median:8.1f}" for median in medians[1:])
        )


def timed(function, pair):
    start = time.perf_counter()
    function(*pair)
    return time.perf_counter() - start


def values():
    edge = np.zeros((64, 64), bool)
    edge[:, :30] = True
    disc = np.hypot(*(np.indices((64, 64)) - 32)) < 25
    ring = disc & ~scipy.ndimage.binary_erosion(disc)
    empty = np.zeros((64, 64), bool)
    pairs = {
        "muscle": muscle_like(3),
        "at the edge": (edge, np.roll(edge, 3, axis=1) & ~edge | edge[:, ::-1] & edge),
        "disc and its ring": (disc, ring),
        "empty prediction": (disc, empty),
        "both empty": (empty, empty),
    }
    rows = []
    for name, pair in pairs.items():
        for library, compute in LIBRARIES.items():
            rows.append({"masks": name, "library": library, **values_or_note(compute, pair)})
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.4f}".format, na_rep=""))


def values_or_note(compute, pair):
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return compute(*pair)
    except ModuleNotFoundError:
        return {"note": "not installed"}
    except Exception as error:
        return {"note": f"{type(error).__name__}: {str(error)[:60]}"}


def ours(true, predicted):
    compared = metrics.compare(true, predicted)
    return {
        "dice": compared["dice"],
        "hausdorff": compared["hausdorff_px"],
        "hd95": compared["hausdorff95_px"],
        "assd": compared["assd_px"],
        "surface dice": compared["surface_dice"],
        "hausdorff, all pixels": compared["hausdorff_all_pixels_px"],
    }


def medpy(true, predicted):
    binary = importlib.import_module("medpy.metric.binary")
    functions = {"dice": binary.dc, "hausdorff": binary.hd, "hd95": binary.hd95, "assd": binary.assd}
    return {name: function(predicted, true) for name, function in functions.items()}


def monai(true, predicted):
    torch, library = importlib.import_module("torch"), importlib.import_module("monai.metrics")
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (predicted, true)]
    options = {"include_background": True}
    return {
        "dice": float(library.compute_dice(*pair)),
        "hausdorff": float(library.compute_hausdorff_distance(*pair, **options)),
        "hd95": float(library.compute_hausdorff_distance(*pair, percentile=95, **options)),
        "assd": float(library.compute_average_surface_distance(*pair, symmetric=True, **options)),
        "surface dice": float(library.compute_surface_dice(*pair, [metrics.TOLERANCE_PX], **options)),
    }


def deepmind(true, predicted):
    library = importlib.import_module("surface_distance")
    distances = library.compute_surface_distances(true, predicted, (1, 1))
    return {
        "dice": library.compute_dice_coefficient(true, predicted),
        "hausdorff": library.compute_robust_hausdorff(distances, 100),
        "hd95": library.compute_robust_hausdorff(distances, 95),
        "assd": float(np.mean(library.compute_average_surface_distance(distances))),
        "surface dice": library.compute_surface_dice_at_tolerance(distances, metrics.TOLERANCE_PX),
    }


def simple_itk(true, predicted):
    library = importlib.import_module("SimpleITK")
    pair = [library.GetImageFromArray(mask.astype(np.uint8)) for mask in (true, predicted)]
    distance, overlap = library.HausdorffDistanceImageFilter(), library.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*pair)
    distance.Execute(*pair)
    return {"dice": overlap.GetDiceCoefficient(), "hausdorff": distance.GetHausdorffDistance()}


LIBRARIES = {"ours": ours, "medpy": medpy, "monai": monai, "surface_distance": deepmind, "SimpleITK": simple_itk}


def evaluation_time(count):
    import evaluation
    import storage

    with tempfile.TemporaryDirectory() as folder:
        workspace = storage.Workspace(pathlib.Path(folder) / "evaluated")
        for kind in (workspace.test_set / "images", workspace.test_set / "masks", workspace.predictions):
            kind.mkdir(parents=True)
        (workspace.root / "config.py").write_text("IMAGES_TO_DRAW = {}\nSAVE_IMAGES_ON_DISK = True\n")
        image, _ = phantoms.draw(0, 512)
        pairs = [muscle_like(number) for number in range(10)]
        names = [f"case_{number:05d}" for number in range(count)]
        for number, name in enumerate(names):
            true, predicted = pairs[number % 10]
            preloaded_dataset.write(workspace.test_set / "images", name, image.astype(np.int16))
            preloaded_dataset.write(workspace.test_set / "masks", name, true.astype(np.uint8))
            preloaded_dataset.write(workspace.predictions, name, predicted.astype(np.uint8))
        table = pd.DataFrame(
            {"case": names, "split": "test", "group": names, "image_sha256": names, "mask_sha256": names}
        )
        table.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
        preloaded_dataset.write_facts(
            workspace.preloaded_dataset,
            preloaded_dataset.DatasetFacts(
                cases=5 * count, image_size=512, test_share=0.2, group_cases_by=None, seed=1, mask_speck_px=4
            ),
        )
        start = time.perf_counter()
        evaluation.evaluate_test_set(workspace)
        seconds = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} cases evaluated in {seconds:.1f} s; peak memory {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
