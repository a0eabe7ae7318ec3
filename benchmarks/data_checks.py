"""Which faults the data checks of step 1 find, and what they report about correct data.

FOLDER has the data sets as SET.npz (`images`, `masks`, `names`) and usgra40/{images,masks}/*.png. Each fault is put
into all cases (100%) or into 10 % of them. The output: in how many of 3 random choices of cases it was found, and the
share of the faulty cases that were named.
python benchmarks/data_checks.py FOLDER [SET ...]

Results on two shared cores, 3 ms per case of 512 x 512. Thresholds were chosen on the first six sets (380 cases), and
validated on the other five (675 cases; lung64_small and usgra40_2 have images in common with the first). Correct data:
no finding in any set, but for the hint to group the slices of one patient if they are not grouped.

| fault | found in the first sets | in the others |
|---|---|---|
| all masks in another orientation, 4 kinds | 24/24 | 20/20 |
| 10 % of the masks | 57/72 (usgra40_1 0/12, ts_ct512 9/12) | 57/60 |
| 10 % of the masks exchanged | 11/18 (not usgra40_1, ts_ct512) | 10/15 (not ts_muscle112: similar slices) |
| all masks exchanged: at least half of the cases named | 2/6 (lung64, isbi_em) | 2/5 (lung64_small, phantoms) |
| one mask for all, for 10 % | 6/6, 15/18 (not ts_ct512: one patient, 20 slices) | 5/5, 15/15 |
| image is its mask, constant, cut by its mask; copies | all | all |
| outline burned in | all; 94 % of the cases of fetal_head_us, else all cases | all |
| missing intercept, 50 % and 10 % of the images | 12/18 (not lung64: its values are no HU) | 12/18 (likewise) |
| window (2000, 3000) | 6/6 | 5/5 |
| masks shifted by 4 px at 512 px | not found, except 10 % in isbi_em | not found |

Where the fit is weak, about two thirds of the wrong masks are named, and a few correct ones with them (fetal_head_us).
"""

import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from PIL import Image

from data import checks, phantoms
from data.checks import mask_fit

# Thresholds were chosen on the first sets, and validated on the others.
CHOSEN_ON = ("ts_muscle30", "ts_ct512", "lung64", "fetal_head_us", "usgra40_1", "isbi_em")
VALIDATED_ON = ("ts_muscle112", "lung64_small", "hippocampus_mr", "usgra40_2", "phantoms")
CT = ("ts_muscle30", "ts_muscle112", "ts_ct512", "lung64", "lung64_small", "phantoms")
ONE_PATIENT = ("ts_muscle30", "ts_muscle112", "ts_ct512")
# Wide enough for muscle and lung.
WINDOW = (-1000, 1000)
MAX_CASES, ROUNDS, SHARE = 267, 3, 0.1


def main(folder, names):
    for name in names:
        images, masks = load(folder, name)
        print(f"\n{name}: {len(images)} cases, {'validation' if name in VALIDATED_ON else 'thresholds chosen here'}")
        report(name, images, masks)


def load(folder, name):
    """Images and masks, (cases, side, side) each, of cases with a mask."""
    if name == "phantoms":
        pairs = [phantoms.draw(seed) for seed in range(60)]
    elif name.startswith("usgra40"):
        label = int(name[-1])
        files = sorted((folder / "usgra40" / "images").iterdir())
        read = [[square(each) for each in (file, folder / "usgra40" / "masks" / file.name)] for file in files]
        pairs = [(image.astype(np.int16), (mask == label).astype(np.uint8)) for image, mask in read]
    else:
        arrays = np.load(folder / f"{name.removesuffix('_small')}.npz")
        suffix = "64" if name.endswith("_small") else ""
        pairs = list(zip(arrays["images" + suffix], arrays["masks" + suffix], strict=True))
    pairs = [pair for pair in pairs if pair[1].any()]
    chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), MAX_CASES)).astype(int)
    return tuple(np.stack(kind) for kind in zip(*(pairs[each] for each in chosen), strict=True))


def square(file):
    """A picture or a palette's numbers, padded to a square and resized to 512 x 512."""
    with Image.open(file) as picture:
        values = np.asarray(picture if picture.mode in "LP" else picture.convert("L"))
    side = max(values.shape)
    padded = np.pad(values, [((side - each) // 2, side - each - (side - each) // 2) for each in values.shape])
    how = Image.Resampling.NEAREST if file.parent.name == "masks" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(padded).resize((512, 512), how))


def report(name, images, masks):
    groups = {case_name(number): "one" for number in range(len(images))} if name in ONE_PATIENT else None
    window = WINDOW if name in CT else None
    start = time.process_time()
    correct = {
        case_name(number): describe(*pair, window) for number, pair in enumerate(zip(images, masks, strict=True))
    }
    milliseconds = (time.process_time() - start) * 1000 / len(images)
    start = time.perf_counter()
    found = checks.findings(correct, groups, window)
    print(f"  {milliseconds:.1f} ms per case, {time.perf_counter() - start:.2f} s for all")
    print(f"  correct data: {[finding.message for finding in found] or 'no finding'}")
    hint = [finding.check for finding in checks.findings(correct, None, window)]
    print(f"  without groups: {hint or 'no finding'}")
    for fault, (check, shares, change) in FAULTS.items():
        if fault == "missing intercept" and name not in CT:
            continue
        print(
            f"  {fault:28}",
            *(outcome(share, check, change, (images, masks, correct, groups, window)) for share in shares),
        )
    clipped = {
        case: describe(*pair, (2000, 3000)) for case, pair in zip(correct, zip(images, masks, strict=True), strict=True)
    }
    checks_found = {finding.check for finding in checks.findings(clipped, groups, (2000, 3000))}
    print(f"  {'window (2000, 3000)':28} {'found' if 'window hides the outline' in checks_found else 'NOT FOUND'}")


def describe(image, mask, window):
    return checks.describe(image, mask, window)


def case_name(number):
    return f"case_{number:03d}"


def outcome(share, check, change, data):
    """In how many rounds the fault was found, the share of the faulty cases that were named, and wrongly named ones."""
    images, masks, correct, groups, window = data
    found, named, wrongly = 0, [], 0
    rounds = ROUNDS if share < 1 else 1
    for seed in range(rounds):
        count = max(2, round(share * len(images)))
        faulty = np.sort(np.random.default_rng(seed).choice(len(images), count, replace=False))
        features = dict(correct)
        for number, image, mask in change(images, masks, faulty):
            features[case_name(number)] = describe(image, mask, window)
        more = None if groups is None else dict.fromkeys(features, "one")
        cases = {case for each in checks.findings(features, more, window) if each.check == check for case in each.cases}
        names = {case_name(number) for number in faulty}
        found += bool(cases & names)
        named.append(len(cases & names) / count)
        wrongly += len(cases - names) if check != "copies of an image" else 0
    text = f"{share:4.0%}: {found}/{rounds}, {statistics.mean(named):4.0%} of the cases"
    return text + (f", {wrongly} wrongly" if wrongly else "") + "."


def of_mask(change):
    return lambda images, masks, faulty: ((each, images[each], change(masks[each])) for each in faulty)


def of_image(change):
    return lambda images, masks, faulty: ((each, change(images[each], masks[each]), masks[each]) for each in faulty)


def exchanged(images, masks, faulty):
    return ((each, images[each], masks[other]) for each, other in zip(faulty, np.roll(faulty, -1), strict=True))


def one_mask(images, masks, faulty):
    return ((each, images[each], masks[faulty[0]]) for each in faulty)


def burned_in(image, mask):
    inner = mask.astype(bool) & mask_fit.grown(~mask.astype(bool), 1)
    return np.where(inner, image.max(), image)


def added_copies(images, masks, faulty):
    for each in faulty:
        yield len(images) + each, images[each][:, ::-1] + np.int16(100), masks[each][:, ::-1]


ORIENTATION, FOREIGN = "orientation of masks", "mask of another image"
FAULTS = {
    "masks transposed": (ORIENTATION, (1, SHARE), of_mask(np.transpose)),
    "masks mirrored left to right": (ORIENTATION, (1, SHARE), of_mask(np.fliplr)),
    "masks mirrored top to bottom": (ORIENTATION, (1, SHARE), of_mask(np.flipud)),
    "masks rotated by 90 degrees": (ORIENTATION, (1, SHARE), of_mask(np.rot90)),
    "masks exchanged": (FOREIGN, (1, SHARE), exchanged),
    "masks shifted by 4 px": (FOREIGN, (1, SHARE), of_mask(lambda mask: np.roll(mask, 4, axis=0))),
    "one mask": ("same mask", (1, SHARE), one_mask),
    "image is its mask": ("image is its mask", (1, SHARE), of_image(lambda image, mask: 100 * mask.astype(np.int16))),
    "constant image": ("constant image", (1, SHARE), of_image(lambda image, mask: np.full_like(image, 7))),
    "outline burned in": ("outline burned in", (1, SHARE), of_image(burned_in)),
    "image cut by its mask": (
        "image cut by its mask",
        (1, SHARE),
        of_image(lambda image, mask: np.where(mask, image, 0)),
    ),
    "missing intercept": ("missing intercept", (0.5, SHARE), of_image(lambda image, mask: image + np.int16(1024))),
    "mirrored copies with offset": ("copies of an image", (1, SHARE), added_copies),
}

if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:] or [*CHOSEN_ON, *VALIDATED_ON])
