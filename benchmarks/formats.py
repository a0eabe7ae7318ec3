"""Reads the try-out data in all formats and compares slices, sizes, spacings and pixels per label with expected.csv.

Prints one line per image, then "all equal" or the differences, then the median time to read one DICOM slice with its
mask and one CSV pair of the same values.
python benchmarks/formats.py ../shared/data
"""

import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pandas as pd

from data import csv_array, formats

ULTRASOUND = "usgra40"
ROUNDS = 30


def main():
    folder = pathlib.Path(sys.argv[1])
    rows = pd.read_csv(folder / "formats" / "expected.csv", dtype=str)
    equal = [compare(folder / "formats", row) for row in rows.to_dict("records")]
    equal.append(compare_ultrasound(folder / ULTRASOUND))
    print("all equal" if all(equal) else f"{equal.count(False)} of {len(equal)} differ")
    print_times(folder / "formats")


def compare(folder, row):
    image = formats.read_image(folder / row["image"])
    mask = formats.read_mask(folder / row["mask"], image)
    found = {
        "slices": str(len(image.slices)),
        "rows x columns": "{}x{}".format(*image.slices[0].shape),
        "spacing_mm": "{:.4f}x{:.4f}".format(*image.spacing_mm),
        "labelled_slices": str(sum(bool(values.any()) for values in mask.slices)),
        "label:px": labels(mask, row),
    }
    differences = [f"{key} {value}, expected {row[key]}" for key, value in found.items() if value != row[key]]
    print(f"{row['image']}: {'; '.join(differences) or 'equal'}", flush=True)
    return not differences


def labels(mask, row):
    # Contours and segments have names in the file and numbers in the table.
    named = len(mask.labels) == 1 and not next(iter(mask.labels)).isdigit()
    items = {"1": sum(mask.labels.values())} if named else mask.labels
    return " ".join(f"{name}:{number}" for name, number in items.items())


def compare_ultrasound(folder):
    from PIL import Image

    differences = []
    for path in sorted((folder / "images").iterdir()):
        image = formats.read_image(path)
        truth = np.array(Image.open(folder / "masks" / path.name))
        for label in (1, 2):
            mask = formats.read_mask(folder / "masks" / path.name, image, (label,))
            if not np.array_equal(mask.slices[0], truth == label) or image.slices[0].shape != truth.shape:
                differences.append(f"{path.name} label {label}")
    print(f"{folder.name}: {', '.join(differences) or 'equal'}")
    return not differences


def print_times(folder):
    source, mask_source = folder / "images/liver_a/02.dcm", folder / "masks/liver_a.nrrd"
    image = formats.read_image(source)
    mask = formats.read_mask(mask_source, image)
    with tempfile.TemporaryDirectory() as temporary:
        paths = [pathlib.Path(temporary, name) for name in ("image.csv", "mask.csv")]
        for path, values in zip(paths, (image.slices[0], mask.slices[0]), strict=True):
            csv_array.write(path, values)
        png = formats.write_mask(pathlib.Path(temporary, "mask"), mask.slices, image, "picture")
        nifti = formats.write_mask(pathlib.Path(temporary, "mask"), mask.slices, image, "dicom")
        pairs = {"DICOM and PNG": (source, png), "DICOM and NIfTI": (source, nifti), "CSV and CSV": tuple(paths)}
        for name, pair in pairs.items():
            print(
                f"{name}: {1000 * statistics.median(seconds(*pair) for _ in range(ROUNDS)):.1f} ms per 512 x 512 pair"
            )


def seconds(image_path, mask_path):
    start = time.perf_counter()
    formats.read_mask(mask_path, formats.read_image(image_path))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
