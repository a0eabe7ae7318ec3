"""A paragraph for a manuscript's section on methods, with what is known of data, training and metrics filled in."""

import math
from typing import TYPE_CHECKING, Any

from data import splitting
from masks import agreement, metrics

if TYPE_CHECKING:
    from evaluation.tables import EvaluationResult

_NETWORKS = {"unet": "A U-Net", "deeplabv3_plus": "A DeepLabV3+ with a ResNet50 encoder"}
_LOSSES = {
    "binary_crossentropy": "binary cross-entropy",
    "weighted_binary_crossentropy": "class-weighted binary cross-entropy",
    "binary_crossentropy_dice": "the sum of binary cross-entropy and soft Dice loss",
}


def paragraph(found: "EvaluationResult") -> str:
    """The paragraph: what the masks were tested on, how they were made, what came out, and how each metric is defined."""
    return " ".join(filter(None, [_test_set(found), _training(found.provenance), _result(found), _metrics(found)]))


def _test_set(found: "EvaluationResult") -> str:
    made, groups, cases = found.dataset, found.cases["group"].nunique(), len(found.cases)
    grouped, share = groups < cases, f"{made['TEST_SHARE']:.0%} of all"
    told = f"The test set held {cases} of {made['cases']} images{f' in {groups} group' + 's' * (groups > 1) if grouped else ''}, "
    fits = cases <= splitting.max_cases(made["cases"], made["TEST_SHARE"])
    told += (
        f"drawn at random (seed {made['SEED']}) as about {share}"
        if fits
        else f"the smallest one: each held more than {share}"
    )
    told += (
        "; groups, such as the images of one patient, lay wholly in the test set or outside it. " if grouped else ". "
    )
    unknown = "It is unknown whether any of them was used for training."
    told += "None of its images was used for training." if found.provenance else unknown
    speck = f" Connected components of at most {made['MASK_SPECK_PX']} px were removed from the reference masks."
    return told + (speck if made["MASK_SPECK_PX"] else "")


def _training(provenance: dict[str, Any] | None) -> str:
    if not provenance or "hyperparameters" not in provenance:
        return "The masks were predicted by another program."
    values, training, models = provenance["hyperparameters"], provenance["training"], provenance["models"]
    window = (
        f"clipped to {values['clip_hu'][0]:g} to {values['clip_hu'][1]:g} HU"
        if values["clip_hu"]
        else "standardised one by one"
    )
    encoder = f" that began with the weights {training['encoder_weights']}" if training["encoder_weights"] else ""
    told = (
        f"{_NETWORKS[values['architecture']]}{encoder} was trained on {training['images']} images of {training['image_size']} x {training['image_size']} px, {window}, for "
        f"{training['epochs']} epochs ({training['minutes']} min) in batches of {training['batch_size']} with Adam (learning rate {training['peak_learning_rate']:g} at its "
        f"highest, warm-up and cosine decay), {_LOSSES[values['loss']]}, and {_augmentation(values)} (TensorFlow {training['tensorflow']}, Python {training['python']}, "
        f"{training['precision']}, seed {training['seed']})."
    )
    together = (
        [f"{models} such networks (one per fold of a cross-validation over {len(provenance['image_sha256'])} images)"]
        if models > 1
        else []
    )
    together += ["the image and its mirror image"] if provenance["test_time_flip"] else []
    told += f" The mask is where the mean of the logits of {' on '.join(together)} is at least 0." if together else ""
    return told + (" Small isolated components were removed from it." if provenance["cleaned"] else "")


def _result(found: "EvaluationResult") -> str:
    sentences = [_mean_dice(found)] if len(found.measured) else []
    sentences += [_empty_masks(found)] if found.empty.empty else []
    if 0 < found.groups < agreement.MIN_GROUPS:
        unit = "groups" if found.groups < len(found.measured) else "images"
        needed = f"at least {agreement.MIN_GROUPS} {unit}, and there were {found.groups}"
        sentences += [f"No confidence interval is given: it would need {needed}."]
    return " ".join(sentences + ([found.second_text()] if found.second is not None else []))


def _mean_dice(found: "EvaluationResult") -> str:
    row, cases = found.summary.loc["dice"], len(found.measured)
    spread = [f"95 % CI {row['ci_low']:.3f} to {row['ci_high']:.3f}"] if math.isfinite(row["ci_low"]) else []
    over = f" over {cases} images of {found.groups} group{'s' * (found.groups > 1)}" if found.groups < cases else ""
    spread += [f"SD {row['sd']:.3f}{over}"] if math.isfinite(row["sd"]) else []
    which = f" over the {cases} images with a non-empty reference mask" if found.empty.empty and cases > 1 else ""
    return f"The mean Dice coefficient{which} was {row['mean']:.3f}{' (' + '; '.join(spread) + ')' if spread else ''}."


def _empty_masks(found: "EvaluationResult") -> str:
    masks = found.empty
    if masks.empty == masks.cases:
        start = "The reference masks of all images were empty, so that no mean of a metric is given"
    else:
        of_masks = "mask of 1 image was" if masks.empty == 1 else f"masks of {masks.empty} images were"
        start = f"The reference {of_masks} empty: these were excluded from all metrics"
    return f"{start}; the prediction was non-empty for {masks.false_positives} of {masks.empty}."


def _metrics(found: "EvaluationResult") -> str:
    failed, cases = int(found.summary.loc["hausdorff_px", "failed"]), len(found.measured)
    tolerance = found.options.SURFACE_DICE_TOLERANCE_MM
    return (
        "Overlap was measured by the Dice coefficient, the Jaccard index, precision and recall; distances by the Hausdorff distance over all pixels of the masks and, over "
        "their border pixels, by its 95th percentile (the larger of both directions), by the average symmetric surface distance and by the surface Dice coefficient at a "
        f"tolerance of {f'{tolerance} mm' if tolerance else f'{metrics.TOLERANCE_PX:g} px'}; "
        "areas by their difference in percent of the true one."
        f"{_missed(failed, cases)}{_intervals(found)}{_areas(cases)}"
    )


def _missed(failed: int, cases: int) -> str:
    if not cases:
        return ""
    return (
        " Where the prediction was empty, overlap was taken as 0 and distances as infinite, which was so in "
        f"{failed} of {cases} cases; mean distances are over the others."
    )


def _areas(cases: int) -> str:
    if cases < agreement.MIN_CASES:
        return ""
    return " Agreement of areas: Bland-Altman, ICC(2,1) and Lin's CCC, all cases taken as independent."


def _intervals(found: "EvaluationResult") -> str:
    if found.summary["ci_low"].isna().all():
        return ""
    sampled = "groups" if found.groups < len(found.measured) else "cases"
    return f" Confidence intervals are expanded percentile bootstraps ({agreement.BOOTSTRAPS} samples of {sampled})."


def _augmentation(values: dict[str, Any]) -> str:
    kinds = {
        "rotation": values["rotation_degrees"],
        "scaling": values["scale"],
        "gamma": values["gamma"],
        "noise": values["gaussian_noise"],
    }
    used = ", ".join(name for name, amount in kinds.items() if amount)
    told = ["mirroring of half of the images"] if values["horizontal_flip"] else []
    told += (
        [f"{used}, each of {values['augmentation_probability']:.0%} of the images"]
        if used and values["augmentation_probability"]
        else []
    )
    return "augmentation by " + " and ".join(told) if told else "no augmentation"
