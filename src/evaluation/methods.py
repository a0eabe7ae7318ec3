"""A paragraph for a manuscript's section on methods, with what is known of data, training and metrics filled in."""
import math
from typing import TYPE_CHECKING, Any

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
    """The paragraph: how the masks were made, what they were tested on, what came out, and how each metric is defined."""
    groups, cases = found.cases["group"].nunique(), len(found.cases)
    row, failed = found.summary.loc["dice"], int(found.summary.loc["hausdorff_px", "failed"])
    interval = f"95 % CI {row['ci_low']:.3f} to {row['ci_high']:.3f}; " if math.isfinite(row["ci_low"]) else ""
    tolerance = found.options.SURFACE_DICE_TOLERANCE_MM
    return (
        f"{_training(found.made_by)}The test set held {cases} images"
        + (f" in {groups} group{'s' if groups > 1 else ''}, none of which was trained on" if groups < cases else "")
        + f". The mean Dice coefficient was {row['mean']:.3f} ({interval}SD {row['sd']:.3f}). "
        "Overlap was measured by the Dice coefficient and the Jaccard index; distances by the Hausdorff distance over all pixels of the masks and, over their border "
        "pixels, by its 95th percentile (the larger of both directions), by the average symmetric surface distance and by the surface Dice coefficient at a tolerance of "
        f"{f'{tolerance} mm' if tolerance else f'{metrics.TOLERANCE_PX:g} px'}. Where both masks were empty, overlap was taken as 1 and distances as 0; where one was, "
        f"overlap as 0 and distances as infinite, which was so in {failed} of {cases} cases; means are over the others. Confidence intervals are percentile bootstraps "
        f"({agreement.BOOTSTRAPS} samples of {'groups' if groups < cases else 'cases'}). Agreement of areas: Bland-Altman, ICC(2,1) and Lin's CCC."
    )


def _training(made_by: dict[str, Any] | None) -> str:
    if not made_by or "hyperparameters" not in made_by:
        return "The masks were predicted by another program. "
    values, training = made_by["hyperparameters"], made_by["training"]
    window = f"clipped to {values['clip_hu'][0]:g} to {values['clip_hu'][1]:g} HU" if values["clip_hu"] else "standardised one by one"
    together = f"; {made_by['models']} such networks, one per fold of a cross-validation, predicted together" if made_by["models"] > 1 else ""
    return (
        f"{_NETWORKS[values['architecture']]} was trained on {len(made_by['image_sha256'])} images of {training['image_size']} x {training['image_size']} px, {window}, for "
        f"{training['epochs']} epochs ({training['minutes']} min) in batches of {training['batch_size']} with Adam (learning rate {values['learning_rate']:g}, "
        f"warm-up and cosine decay), {_LOSSES[values['loss']]}, and {_augmentation(values)}{together} (TensorFlow {training['tensorflow']}, seed {training['seed']}). "
        + ("Small and isolated areas were taken out of the predicted masks. " if made_by["cleaned"] else "")
    )


def _augmentation(values: dict[str, Any]) -> str:
    kinds = {"rotation": values["rotation_degrees"], "scaling": values["scale"], "gamma": values["gamma"], "noise": values["gaussian_noise"]}
    used = ", ".join(name for name, amount in kinds.items() if amount)
    told = ["mirroring of half of the images"] if values["horizontal_flip"] else []
    told += [f"{used}, each of {values['augmentation_probability']:.0%} of them"] if used else []
    return "augmentation by " + " and ".join(told) if told else "no augmentation"
