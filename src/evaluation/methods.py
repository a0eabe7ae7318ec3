"""The Methods paragraph of a manuscript, with the facts about data, training and metrics filled in."""

import math

import about
import training_text
import wording
from data import splitting
from evaluation import comparison, texts
from evaluation.result import EvaluationResult
from evaluation.subject import Subject
from masks import agreement, metrics
from masks.quantities import Quantity


def paragraph(result: EvaluationResult) -> str:
    """Returns the paragraph: data, training, prediction, definitions of the metrics, mean Dice coefficient."""
    return " ".join(filter(None, [data(result), _training(result.subject), definitions(result), mean_results(result)]))


def data(result: EvaluationResult) -> str:
    """Sentences on the evaluated cases, their selection, and the reference masks."""
    subject = result.subject
    text = _cross_validated(result) if subject.folds else _external(result) if subject.external else _test_set(result)
    return " ".join(filter(None, [text, removed_components(result)]))


def removed_components(result: EvaluationResult) -> str:
    """A sentence on the post-processing of the reference masks; "" if there is none."""
    speck_px = result.subject.dataset.mask_speck_px
    removed = f"Connected components of at most {speck_px} px were removed from the reference masks."
    return removed if speck_px else ""


def _cross_validated(result: EvaluationResult) -> str:
    grouped = result.table["group"].nunique() < len(result.table)
    text = (
        f"A {result.subject.folds}-fold cross-validation comprised {_images(result)}: each image was predicted by the "
        "network that was trained on the images of the other folds."
    )
    return text + (" Images of one group, such as those of one patient, were assigned to the same fold." * grouped)


def _external(result: EvaluationResult) -> str:
    unused = "None of its images was used for training or for the split into train and test set."
    return f"The {result.subject.name} comprised {_images(result)}. {unused}"


def _images(result: EvaluationResult, total: int | None = None) -> str:
    """Returns the number of images, as "12 of 80 images from 3 groups"."""
    groups, cases = result.table["group"].nunique(), len(result.table)
    images = f"{cases} of {total} images" if total else texts.counted(cases, "image")
    return images + (f" from {texts.counted(groups, 'group')}" if groups < cases else "")


def _used_for_training(result: EvaluationResult) -> str:
    if result.subject.provenance:
        return " None of the test images was used for training."
    return " It is unknown whether any test image was used for training."


def _test_set(result: EvaluationResult) -> str:
    text = f"The test set comprised {_selected(result)}."
    if result.table["group"].nunique() < len(result.table):
        text += " Images of one group, such as those of one patient, were assigned to the same set."
    return text + _used_for_training(result)


def _selected(result: EvaluationResult) -> str:
    """Returns the number of test images and how they were selected."""
    facts, names = result.subject.dataset, result.table["case"]
    images = _images(result, facts.cases)
    if facts.test_cases is None:
        share = training_text.percent(facts.test_share)
        if len(names) <= splitting.max_cases(facts.cases, facts.test_share):
            return f"{images}, selected at random (target share {share}, seed {facts.seed})"
        return f"{images}: the smallest group, because each group exceeded the target share of {share}"
    before = ", selected before training" if result.subject.provenance else ""
    if not isinstance(facts.test_cases, str):
        return f"{images}, named in a list{before}"
    if names.str.startswith(f"{facts.test_cases}__").all():
        return f"{images}, those of {facts.test_cases}{before}"
    return f'{images}, those whose names match the regular expression "{facts.test_cases}"{before}'


def _training(subject: Subject) -> str:
    provenance = subject.provenance
    if not provenance:
        return f"The masks were predicted by another program. Evaluation used {_PROGRAM}."
    start = "For each fold, a" if subject.folds else "A"
    sentences = [*training_text.training(provenance, start), training_text.prediction(provenance)]
    return " ".join(filter(None, [*sentences, f"Training, prediction and evaluation used {_PROGRAM}."]))


_PROGRAM = f'the program "{about.NAME}", version {about.VERSION}'


def mean_results(result: EvaluationResult) -> str:
    """Sentences on the mean Dice, empty reference masks, missing intervals, and a second reader."""
    sentences = [_mean_dice(result), _empty_masks(result), texts.missing_intervals(result), texts.second_reader(result)]
    sentences += [comparison.sentences(result.comparison)] if result.comparison else []
    return " ".join(filter(None, sentences))


def _mean_dice(result: EvaluationResult) -> str:
    cases = len(result.nonempty)
    if not cases:
        return ""
    row, images = result.summary.loc["dice"], texts.counted(cases, "image")
    images += " with a non-empty reference mask" if result.empty.empty else ""
    images += f" from {texts.counted(result.groups, 'group')}" if result.sampling_unit == "group" else ""
    spread = [f"95 % CI {texts.interval('dice', row)}"] if math.isfinite(row["ci_low"]) else []
    spread += [f"SD over images {texts.metric('dice', row['sd'])}"] if math.isfinite(row["sd"]) else []
    in_brackets = f" ({'; '.join(spread)})" if spread else ""
    return f"The mean Dice coefficient over {images} was {texts.metric('dice', row['mean'])}{in_brackets}."


def _empty_masks(result: EvaluationResult) -> str:
    masks = result.empty
    if not masks.empty:
        return ""
    if masks.empty == masks.cases:
        start = "The reference masks of all images were empty; no means are given"
    else:
        of_masks = "mask of 1 image was" if masks.empty == 1 else f"masks of {masks.empty} images were"
        excluded = "this image was" if masks.empty == 1 else "these images were"
        start = f"The reference {of_masks} empty; {excluded} excluded from all means"
    return f"{start}. The prediction was non-empty for {masks.false_positives} of {masks.empty}."


def definitions(result: EvaluationResult) -> str:
    """Sentences on metrics, confidence intervals and agreement."""
    failed, cases = int(result.summary.loc["hausdorff_px", "failed"]), len(result.nonempty)
    all_pixels = ""
    if any(name.startswith("hausdorff_all_pixels") for name in result.names):
        all_pixels = "The Hausdorff distance over all pixels of the masks is given in addition. "
    tolerance = f"{result.tolerance_mm} mm" if result.tolerance_mm else f"{metrics.TOLERANCE_PX:g} px"
    return (
        "Overlap was quantified by the Dice coefficient, the Jaccard index, precision and recall. "
        "Distances between the border pixels of the two masks were quantified by the Hausdorff distance, the 95 % "
        "Hausdorff distance (the larger of the two directed 95th percentiles), the average symmetric surface distance "
        f"and the surface Dice coefficient at a tolerance of {tolerance}. "
        f"{all_pixels}The area difference (predicted − true) is given in percent of the true area."
        f"{_failed(failed, cases)}{_intervals(result)}{_quantities(result)}"
    )


def _failed(failed: int, cases: int) -> str:
    if not failed:
        return ""
    return (
        f" The prediction was empty in {failed} of {cases} cases; there, overlap was set to 0, and the infinite "
        "distances were excluded from the means."
    )


def _intervals(result: EvaluationResult) -> str:
    if result.summary["ci_low"].isna().all():
        return ""
    return (
        " Confidence intervals of means were computed by the expanded percentile bootstrap "
        f"({agreement.BOOTSTRAPS:,} resamples of {result.sampling_unit}s)."
    )


def _quantities(result: EvaluationResult) -> str:
    if len(result.nonempty) < agreement.MIN_CASES:
        return ""
    in_hu = any(each.quantity.unit == "HU" for each in result.measured)
    names = wording.listed([_quantity(each.quantity, in_hu) for each in result.measured])
    intervals = any(math.isfinite(low) for low, _ in result.primary.agreement.intervals.values())
    resampled = f", with bootstrap confidence intervals over {result.sampling_unit}s" if intervals else ""
    return (
        f" Agreement of {names} was assessed by Bland-Altman analysis, ICC(2,1) (two-way random effects, absolute "
        f"agreement, single measurement), Lin's CCC and Pearson's correlation over images{resampled}."
    )


def _quantity(quantity: Quantity, in_hu: bool) -> str:
    names = {"SMI": "area divided by squared height", "mean value": "mean", "SD of values": "SD"}
    name = names.get(quantity.name, quantity.phrase)
    if quantity.name in ("mean value", "SD of values"):
        return f"{name} of the image values in the mask{' (HU)' * in_hu}"
    if not quantity.window:
        return name
    low, high = (f"{limit:g}".replace("-", "−") for limit in quantity.window)
    return f"{name} ({low} to {high}{' HU' * in_hu})"
