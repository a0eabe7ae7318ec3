"""Sentences on a training and on how its model predicts, for Methods paragraphs, model cards and checklists."""

import pretrained
from provenance import Provenance, TrainingFacts
from settings.hyperparameters import Hyperparameters
from wording import counted, listed

_NETWORKS = {"unet": "U-Net", "deeplabv3_plus": "DeepLabV3+ with a ResNet50 encoder"}
_LOSSES = {
    "binary_crossentropy": "binary cross-entropy",
    "weighted_binary_crossentropy": "class-weighted binary cross-entropy",
    "binary_crossentropy_dice": "the sum of binary cross-entropy and soft Dice loss",
    "small_target_crossentropy_dice": "the sum of binary cross-entropy, weighted so that the mask has at least 10 % of "
    "the weight, and soft Dice loss",
}


def network(values: Hyperparameters) -> str:
    """The name of the network's architecture, such as "U-Net"."""
    return _NETWORKS[values.architecture]


def training(provenance: Provenance, start: str = "A") -> list[str]:
    """Sentences on network, intensities, training length, augmentation and software; the first begins with `start`."""
    values, facts = provenance.hyperparameters, provenance.training
    side, weights = facts.image_size, initial_weights(facts)
    initialised = f", initialised with {weights}," if weights else ""
    seen = images(facts.images, provenance.id)
    return [
        f"{start} {network(values)}{initialised} was trained on {seen} of {side} × {side} px.",
        intensities(values.clip_hu),
        f"Training lasted {facts.epochs} epochs ({facts.minutes} min) with a batch size of {facts.batch_size}, the "
        f"Adam optimiser (peak learning rate {facts.peak_learning_rate:g}, linear warm-up and cosine decay) and "
        f"{_LOSSES[values.loss]} as the loss function.",
        augmentation(values),
        software(facts),
    ]


def images(count: int, model: str, kind: str = "image") -> str:
    """How many images of a `kind` a model with this fingerprint was trained on, such as "1140 synthetic CT slices"."""
    return f"{count} {pretrained.IMAGES[model]}" if model in pretrained.IMAGES else counted(count, kind)


def initial_weights(facts: TrainingFacts) -> str:
    """What a training started from, such as "ImageNet weights"; "" for random weights."""
    if facts.start:
        return f"the weights of a model ({facts.start.id}) trained on {images(facts.start.images, facts.start.id)}"
    encoder = facts.encoder_weights
    return "ImageNet weights" if encoder == "imagenet" else f"the weights {encoder}" if encoder else ""


def intensities(clip_hu: tuple[float, float] | None) -> str:
    """A sentence on how the network scales the values of an image."""
    if not clip_hu:
        return "Each image was standardised to zero mean and unit variance."
    low, high = (f"{value:g}".replace("-", "−") for value in clip_hu)
    return f"Image values were clipped to {low} to {high} HU."


def augmentation(values: Hyperparameters) -> str:
    """A sentence on data augmentation."""
    kinds = {
        "rotation": "rotation_degrees",
        "scaling": "max_log_scale",
        "gamma correction": "gamma",
        "Gaussian noise": "noise_sd",
    }
    probability = values.augmentation_probability
    used = [name for name, amount in kinds.items() if getattr(values, amount)] if probability else []
    texts = ["horizontal flips of half of the images"] if values.horizontal_flip else []
    if used:
        each = "each " if len(used) > 1 else ""
        texts += [f"{listed(used)} ({each}with a probability of {percent(probability)})"]
    return f"Data augmentation consisted of {' and '.join(texts)}." if texts else "No data augmentation was used."


def software(facts: TrainingFacts) -> str:
    """A sentence on libraries, precision and seed."""
    versions = f"TensorFlow {facts.tensorflow}, Python {facts.python}"
    return f"Software: {versions}; precision {facts.precision}; seed {facts.seed}."


def prediction(provenance: Provenance) -> str:
    """Sentences on ensemble, test-time augmentation and post-processing; "" if there is none of these."""
    models, averaged = provenance.models, []
    if models > 1:
        start = provenance.training.start
        count = len(provenance.image_sha256) - (start.images if start else 0)
        averaged += [f"an ensemble of {models} such networks (one per fold of a cross-validation over {count} images)"]
    averaged += ["the image and its mirror image (test-time augmentation)"] if provenance.test_time_flip else []
    sentences = [f"Logits were averaged over {' and over '.join(averaged)} and thresholded at 0."] if averaged else []
    if provenance.postprocessed:
        sentences.append("Small isolated components were removed from the predicted masks.")
    return " ".join(sentences)


def percent(share: float) -> str:
    """A share, 0 to 1, as a whole percentage."""
    return f"{100 * share:.0f} %"
