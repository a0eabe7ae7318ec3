"""A paragraph for a manuscript's section on methods, with what is known of data, training and metrics filled in."""
import math
from typing import TYPE_CHECKING, Any

from data import splitting
from masks import agreement, metrics

if TYPE_CHECKING:
    from evaluation.tables import Findings

_NETWORKS = {"unet": "A U-Net", "deeplabv3_plus": "A DeepLabV3+ with a ResNet50 encoder"}
_LOSSES = {
    "binary_crossentropy": "binary cross-entropy",
    "weighted_binary_crossentropy": "class-weighted binary cross-entropy",
    "binary_crossentropy_dice": "the sum of binary cross-entropy and soft Dice loss",
}


def paragraph(found: "Findings") -> str:
    """The paragraph: what the masks were tested on, how they were made, what came out, and how each metric is defined."""
    return " ".join(filter(None, [_test_set(found), _training(found.made_by), _result(found), _metrics(found)]))


def _test_set(found: "Findings") -> str:
    made, groups, cases = found.dataset, found.cases["group"].nunique(), len(found.cases)
    grouped, share = groups < cases, f"{made['TEST_SHARE']:.0%} of all"
    told = f"The test set held {cases} of {made['cases']} images{f' in {groups} group' + 's' * (groups > 1) if grouped else ''}, "
    fits = cases <= splitting.most(made["cases"], made["TEST_SHARE"])
    told += f"drawn at random (seed {made['SEED']}) as about {share}" if fits else f"the smallest one: each held more than {share}"
    told += "; groups, such as the images of one patient, lay wholly in the test set or outside it. " if grouped else ". "
    told += "None of its images was trained on." if found.made_by else "Whether any of them was trained on is not known."
    return told + (f" Areas of at most {made['MASK_SPECK_PX']} px had been taken out of the true masks as slips of the pen." if made["MASK_SPECK_PX"] else "")


def _training(made_by: dict[str, Any] | None) -> str:
    if not made_by or "hyperparameters" not in made_by:
        return "The masks were predicted by another program."
    values, training, models = made_by["hyperparameters"], made_by["training"], made_by["models"]
    window = f"clipped to {values['clip_hu'][0]:g} to {values['clip_hu'][1]:g} HU" if values["clip_hu"] else "standardised one by one"
    encoder = f" that began with the weights {training['encoder_weights']}" if training["encoder_weights"] else ""
    told = (
        f"{_NETWORKS[values['architecture']]}{encoder} was trained on {training['images']} images of {training['image_size']} x {training['image_size']} px, {window}, for "
        f"{training['epochs']} epochs ({training['minutes']} min) in batches of {training['batch_size']} with Adam (learning rate {training['peak_learning_rate']:g} at its "
        f"highest, warm-up and cosine decay), {_LOSSES[values['loss']]}, and {_augmentation(values)} (TensorFlow {training['tensorflow']}, Python {training['python']}, "
        f"{training['precision']}, seed {training['seed']})."
    )
    together = [f"{models} such networks (one per fold of a cross-validation over {len(made_by['image_sha256'])} images)"] if models > 1 else []
    together += ["the image and its mirror image"] if made_by["mirrored"] else []
    told += f" The mask is where the mean of the logits of {' on '.join(together)} is at least 0." if together else ""
    return told + (" Small and isolated areas were taken out of it." if made_by["cleaned"] else "")


def _result(found: "Findings") -> str:
    row = found.summary.loc["dice"]
    spread = [f"95 % CI {row['ci_low']:.3f} to {row['ci_high']:.3f}"] if math.isfinite(row["ci_low"]) else []
    spread += [f"SD {row['sd']:.3f}"] if math.isfinite(row["sd"]) else []
    told = f"The mean Dice coefficient was {row['mean']:.3f}{' (' + '; '.join(spread) + ')' if spread else ''}."
    return told + (f" {found.second_text()}" if found.second is not None else "")


def _metrics(found: "Findings") -> str:
    failed, cases = int(found.summary.loc["hausdorff_px", "failed"]), len(found.cases)
    tolerance = found.options.SURFACE_DICE_TOLERANCE_MM
    return (
        "Overlap was measured by the Dice coefficient, the Jaccard index, precision and recall; distances by the Hausdorff distance over all pixels of the masks and, over "
        "their border pixels, by its 95th percentile (the larger of both directions), by the average symmetric surface distance and by the surface Dice coefficient at a "
        f"tolerance of {f'{tolerance} mm' if tolerance else f'{metrics.TOLERANCE_PX:g} px'}; areas by their difference in percent of the true one. Where both masks were empty, "
        "overlap was taken as 1 and distances as 0; where one was, overlap as 0 and distances as infinite, which was so in "
        f"{failed} of {cases} cases; mean distances are over the others. {_intervals(found)}Agreement of areas: Bland-Altman, ICC(2,1) and Lin's CCC, all cases taken as independent."
    )


def _intervals(found: "Findings") -> str:
    if found.summary["ci_low"].isna().all():
        return ""
    drawn = "groups" if found.cases["group"].nunique() < len(found.cases) else "cases"
    return f"Confidence intervals are expanded percentile bootstraps ({agreement.BOOTSTRAPS} samples of {drawn}). "


def _augmentation(values: dict[str, Any]) -> str:
    kinds = {"rotation": values["rotation_degrees"], "scaling": values["scale"], "gamma": values["gamma"], "noise": values["gaussian_noise"]}
    used = ", ".join(name for name, amount in kinds.items() if amount)
    told = ["mirroring of half of the images"] if values["horizontal_flip"] else []
    told += [f"{used}, each of {values['augmentation_probability']:.0%} of the images"] if used and values["augmentation_probability"] else []
    return "augmentation by " + " and ".join(told) if told else "no augmentation"
