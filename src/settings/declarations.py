"""The settings: each is declared once, with default, valid values, meaning, and what resumable work it is fixed for.

The file is long because it is one table: validation, config_template.py and docs/settings.md are derived from it.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pretrained
from settings import hyperparameters, rules
from settings.rules import none_or, one_of, positive, whole

# The kinds of work that grow in place and can be resumed.
TRAINING, SEARCH, CROSS_VALIDATION = "training", "search", "cross-validation"

_PRETRAINED = {name: str(folder) for name, folder in pretrained.FOLDERS.items()}
_MODEL_FOLDER = none_or(rules.Rule(rules.is_path, 'the path of a folder or "phantoms", in quotes'))


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What is known of one setting.

    `section`: the heading it begins in config_template.py, "" within a section. `names`: the values of a path that are
    names, and what they stand for.
    """

    default: Any
    rule: rules.Rule
    meaning: str
    fixed_for: tuple[str, ...]
    section: str
    is_path: bool
    example: str
    names: dict[str, str]


def _declare(
    default: Any,
    rule: rules.Rule,
    meaning: str,
    fixed_for: tuple[str, ...] = (),
    section: str = "",
    is_path: bool = False,
    example: str = "",
    names: dict[str, str] | None = None,
) -> Any:
    declaration = Declaration(default, rule, meaning, fixed_for, section, is_path, example, names or {})
    metadata = {"declaration": declaration}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _are_counts(value: Any) -> bool:
    counts = {name: count for name, count in value.items() if name != "cases"}
    cases = value.get("cases", [])
    return (
        set(counts) <= {"first", "random", "worst_dice", "worst_hausdorff"}
        and isinstance(cases, list)
        and all(isinstance(case, str) for case in cases)
        and all(rules.is_number(count, 0, 10**6, int) for count in counts.values())
    )


def _are_named(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _are_labels(value: Any) -> bool:
    labels = value if isinstance(value, (list, tuple)) else [value]
    texts = [label for label in labels if isinstance(label, str) and label]
    numbers = [label for label in labels if rules.is_number(label, 0, 2**31, int)]
    return bool(labels) and len(texts) + len(numbers) == len(labels) and 0 not in numbers


def _are_cases(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, (list, tuple)) and bool(names) and all(isinstance(each, str) and each for each in names)


# What PRIMARY_QUANTITY names besides windows; `masks.quantities` defines them.
QUANTITIES = ("area", "SMI", "mean value", "SD of values")


def _are_windows(value: Any) -> bool:
    names = [re.sub(r"\W+", "_", name.lower()).strip("_") for name in value]  # As in names of columns.
    taken = {"", "area", "smi", "mean", "sd", "mask", "true", "predicted"}
    return (
        isinstance(value, dict)
        and len(set(names) - taken) == len(value)
        and not set(value) & set(QUANTITIES)
        and all(len(window) == 2 and window[0] <= window[1] for window in value.values())
        and all(rules.is_number(limit, -1e9, 1e9) for window in value.values() for limit in window)
    )


def _is_spacing(value: Any) -> bool:
    return rules.is_number(value, 1e-9, 1000) or (rules.is_path(value) and not _reads_as_number(value))


def _reads_as_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Settings:
    """The validated settings of one workspace: numbers are Python's, paths are absolute texts. See DECLARATIONS."""

    # The maxima are far above what is useful: they catch a slip before it ends a step after hours.
    IMAGE_SIZE: int = _declare(
        512,
        rules.multiple(32, 8192, 512),
        "Height and width of every image, in px: a multiple of 32. Images of another size are excluded and listed, or "
        "fitted (see FIT_IMAGES).",
        fixed_for=(TRAINING, SEARCH, CROSS_VALIDATION),
        section="Dataset (step 1)",
    )
    FIT_IMAGES: bool = _declare(
        False,
        rules.SWITCH,
        "True: images of another size are padded to a square and resized to IMAGE_SIZE, with their masks. False: they "
        "are excluded and listed.",
    )
    MASK_LABELS: int | str | tuple[int | str, ...] | list[int | str] | None = _declare(
        None,
        none_or(rules.Rule(_are_labels, 'a label, such as 1, "Liver" or "#ff0000", or a list of labels')),
        "The labels that belong to the structure, if the masks hold several: values, names of segments, or colours as "
        "#rrggbb. None: whatever is not background; masks with several labels are then an error that lists them.",
        example="MASK_LABELS = (1, 2) takes the labels 1 and 2 as one structure.",
    )
    INCLUDE_EMPTY_SLICES: bool = _declare(
        False,
        rules.SWITCH,
        "Whether slices of a volume become cases if their mask is empty. Slices that nobody annotated must stay out.",
    )
    TEST_SHARE: float = _declare(
        0.2, rules.SHARE, "Proportion of the cases in the test set. The test set is never used for training."
    )
    TEST_CASES: str | list[str] | tuple[str, ...] | None = _declare(
        None,
        none_or(rules.Rule(_are_cases, "a list of case names, the name of a subdirectory, or a regular expression")),
        "Which cases are the test set. None: cases chosen at random (TEST_SHARE). A list of case names "
        "`<subdirectory>__<file stem>`: these; a name of a volume stands for all its slices. A text: all cases of the "
        "subdirectory of that name or, if there is none, those in whose name this regular expression is found. A "
        "group must not be divided (see GROUP_CASES_BY).",
        example='TEST_CASES = "hospital B" tests on all cases of that subdirectory of the original dataset.',
    )
    GROUP_CASES_BY: str | None = _declare(
        None,
        none_or(
            rules.Rule(
                rules.is_pattern, '"subdirectory", "case" or a regular expression in quotes, such as r"patient(\\d+)"'
            )
        ),
        "How cases are grouped, for example by patient. A group is never split between train, validation and test "
        "set, which would be data leakage. None: by the patients in DICOM headers; slices of a volume form a group, "
        'any other case is a group of its own. "subdirectory": the cases of one subdirectory of the original dataset. '
        '"case": every file is a group of its own. Or a regular expression that is searched in the case name '
        "`<subdirectory>__<file stem>`: cases with the same match (of the first capturing group, if there is one) form "
        "a group.",
        example='GROUP_CASES_BY = r"patient(\\d+)" groups names such as hospital__patient07_slice3 by patient.',
    )
    MASK_SPECK_PX: int = _declare(
        4,
        whole(0, 10**6),
        "Connected components of at most this many px are removed from the reference masks, as annotation artefacts. "
        "Their number is in cases.csv. 0 removes none.",
    )
    SEED: int = _declare(
        1,
        whole(0, 2**31 - 1),
        "Random seed of the split, initial weights, shuffling and augmentation.",
        fixed_for=(TRAINING, SEARCH, CROSS_VALIDATION),
    )
    TRAINING_BATCH_SIZE: int = _declare(
        2,
        whole(1, 1024),
        "Images per training step. Lower it if memory runs out; 1 works.",
        fixed_for=(TRAINING, SEARCH, CROSS_VALIDATION),
        section="Training (steps 2, 3 and 7)",
    )
    TRAINING_EPOCHS: int | None = _declare(
        100,
        none_or(whole(1, 100_000)),
        "Length of the training in epochs (one epoch uses every image once). The learning-rate schedule spans the "
        "whole length. Only a training whose length is given in epochs is exactly reproducible.",
        fixed_for=(CROSS_VALIDATION,),
    )
    TRAINING_TIME_LIMIT_MINUTES: float | None = _declare(
        None,
        none_or(positive(525_600, "minutes")),
        "Length of the training in minutes, interruptions not counted. One of the two may be None; if both are set, "
        "the shorter one applies. Both may be changed while a training is stopped; the rest of it uses the new values.",
        fixed_for=(CROSS_VALIDATION,),
    )
    MIXED_PRECISION: bool | None = _declare(
        None,
        none_or(rules.SWITCH),
        "True: train in mixed precision (bfloat16 on a CPU, float16 on a GPU). None: only where the hardware has "
        "instructions for it, which are faster.",
        fixed_for=(SEARCH,),
    )
    DETERMINISTIC: bool = _declare(
        False,
        rules.SWITCH,
        "True: the same settings on the same machine give bit-identical weights, also on a GPU, where this is slower.",
    )
    ENCODER_WEIGHTS: str | None = _declare(
        "imagenet",
        none_or(rules.Rule(rules.is_path, '"imagenet" or the path of a file, in quotes')),
        "Initial weights of DeepLabV3+'s encoder. \"imagenet\": Keras downloads them once, the project's only use of "
        "the internet. Or the path of that file (resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5). None: random "
        "weights. The U-Net has no such encoder.",
        fixed_for=(TRAINING, SEARCH, CROSS_VALIDATION),
        is_path=True,
        names={"imagenet": "imagenet"},
    )
    START_FROM: str | None = _declare(
        None,
        _MODEL_FOLDER,
        "Fine-tuning: the path of a model folder. Steps 3 and 7 start from its weights, with its network and CT window "
        "and a lower learning rate. Images that it was trained on must not be in the test set, nor in folds of step 7. "
        '"model" continues the training of the project\'s own model; "phantoms" is the pretrained model that the '
        "project ships: skeletal muscle on CT, trained on synthetic slices alone. None: random weights (but see "
        "ENCODER_WEIGHTS).",
        fixed_for=(TRAINING, CROSS_VALIDATION),
        is_path=True,
        names=_PRETRAINED,
        example='START_FROM = "shared models/L3 muscle"',
    )
    TRAIN_SET_LOCATION: str | None = _declare(
        None,
        rules.FOLDER,
        "A copy of `preloaded dataset/train set` from which training reads the images and masks, on any disk or "
        'storage that TensorFlow reads, such as "/scratch/train set" or "gs://bucket/train set". None: the original.',
        is_path=True,
    )
    HYPERPARAMETERS: dict[str, Any] = _declare(
        {},
        rules.Rule(_are_named, 'a dict with names as keys, such as {"learning_rate": 5e-4}'),
        "Hyperparameters of the final model that differ from the defaults; docs/settings.md lists all. Step 2 ends by "
        "printing this line for its best trial.",
        fixed_for=(TRAINING, CROSS_VALIDATION),
        example='HYPERPARAMETERS = {"learning_rate": 5e-4, "clip_hu": None}',
    )
    EXPLORATION_TUNER: str = _declare(
        "random",
        one_of(("random", "hyperband", "bayesian")),
        "Search algorithm of Keras Tuner.",
        fixed_for=(SEARCH,),
        section="Exploration (step 2)",
    )
    EXPLORATION_MAX_TRIALS: int | None = _declare(
        20,
        none_or(whole(1, 10_000)),
        "Number of trials of the search. Hyperband, which trains many models for a few epochs and the best of them "
        "longer, also ends by itself.",
    )
    EXPLORATION_TIME_LIMIT_HOURS: float | None = _declare(
        None,
        none_or(positive(8760, "hours")),
        "Duration of the search in hours, interruptions not counted. One of the two may be None; if both are set, the "
        "search ends at the first limit reached.",
    )
    EXPLORATION_EPOCHS: int = _declare(15, whole(1, 100_000), "Epochs per trial.", fixed_for=(SEARCH,))
    EXPLORATION_REPEATS: int = _declare(
        3,
        whole(0, 100),
        "How often the three best trials are repeated with other seeds, to test which differences are significant. "
        "0: never.",
    )
    EXPLORATION_VALIDATION_SHARE: float = _declare(
        0.2,
        rules.SHARE,
        "Proportion of the train set in the validation set, which scores all trials. The test set is not used.",
        fixed_for=(SEARCH,),
    )
    EXPLORATION_SEARCH_SPACE: dict[str, Any] = _declare(
        {},
        rules.Rule(_are_named, 'a dict with names as keys, such as {"architecture": "unet"}'),
        "Search ranges that differ from the defaults in docs/settings.md. A value fixes a hyperparameter, a list [...] "
        "gives the values to choose from, a pair (low, high) gives a range. (A CT window clip_hu is one value, though "
        "it is a pair.)",
        fixed_for=(SEARCH,),
        example='EXPLORATION_SEARCH_SPACE = {"clip_hu": None, "filters": [16, 32], "learning_rate": (5e-4, 2e-3)}',
    )
    EXPLORATION_KEPT_MODELS: int = _declare(
        1, whole(0, 10_000), "Number of the best trials whose weights are kept on disk."
    )
    EXPLORATION_START_ANEW: bool = _declare(
        False,
        rules.SWITCH,
        "What happens if a search exists that was started with other settings, data or package versions. False: step "
        "2 stops and lists the differences. True: the existing search is renamed and a new one starts.",
    )
    CROSS_VALIDATION_FOLDS: int = _declare(
        5,
        whole(2, 1000),
        "Number of folds of the train set. One model is trained per fold, each as long as the final one.",
        fixed_for=(CROSS_VALIDATION,),
        section="Cross-validation (step 7)",
    )
    LEARNING_CURVE: bool = _declare(
        False,
        rules.SWITCH,
        "True: step 7 also trains on 12, 25 and 50 % of each fold's train set, plots the Dice against the number of "
        "images, and extrapolates to twice the data. It then takes four times as long.",
    )
    PREDICTION_BATCH_SIZE: int = _declare(
        4, whole(1, 1024), "Images per prediction step.", section="Prediction and evaluation (steps 4, 5, 6 and 8)"
    )
    PREDICT_WITH_FOLDS: bool = _declare(
        False,
        rules.SWITCH,
        "False: the final model predicts. True: the models of the cross-validation predict as an ensemble, which takes "
        "as many times as long.",
    )
    MODEL: str | None = _declare(
        None,
        _MODEL_FOLDER,
        "The model that predicts in steps 4, 6 and 8: the path of another model folder, such as a shared model, or of "
        'another finished `cross-validation`, whose models are an ensemble; or "phantoms" (see START_FROM). None: the '
        "model of step 3, or those of step 7 (see PREDICT_WITH_FOLDS).",
        is_path=True,
        names=_PRETRAINED,
        example='MODEL = "shared models/L3 muscle"',
    )
    CLEAN_PREDICTIONS: bool | None = _declare(
        None,
        none_or(rules.SWITCH),
        "Post-processing: whether small isolated connected components are removed from predicted masks (see "
        "docs/steps.md). None: only if that would alter at most 2 % of the train masks.",
    )
    WRITE_DICOM_SEG: bool = _declare(
        False,
        rules.SWITCH,
        "True: step 6 writes for each DICOM image a DICOM SEG beside the NIfTI mask. As the standard demands, it holds "
        "the identity of its image: the patient's name, ID, birth date and sex, the study, its date, physician and "
        "institution. No other file that the program writes does.",
    )
    SAVE_IMAGES_ON_DISK: bool = _declare(
        True, rules.SWITCH, "True: comparison images are written to `images`. False: they open in windows, one by one."
    )
    IMAGES_TO_DRAW: dict[str, Any] = _declare(
        {"first": 0, "random": 8, "worst_dice": 4, "worst_hausdorff": 4},
        rules.Rule(
            _are_counts,
            "a dict of counts (0 to 10**6) named first, random, worst_dice, worst_hausdorff; and cases, a list of "
            "names",
        ),
        "Test cases for which comparison images are plotted: counts per way of selection, and names of cases.",
        example='"cases": ["hospital__0137"] within the braces adds a case by name.',
    )
    DRAW_HAUSDORFF_LINE: bool = _declare(
        False, rules.SWITCH, "Draws a line between the two points whose distance is the Hausdorff distance."
    )
    PIXEL_SPACING_MM: float | str | None = _declare(
        None,
        none_or(
            rules.Rule(_is_spacing, "a number of mm without quotes (above 0, at most 1000) or the path of a CSV file")
        ),
        "Side of a pixel of the image files in mm, such as 0.78; or the path of a CSV file with the columns case and "
        "spacing_mm. Areas are then also reported in cm², distances in mm. None: the pixel spacing in the headers of "
        "the image files, if they have one.",
        is_path=True,
    )
    SURFACE_DICE_TOLERANCE_MM: float | None = _declare(
        None,
        none_or(positive(1000, "mm")),
        "Tolerance of the surface Dice, in mm; it needs a pixel spacing. None: 2 px.",
    )
    PREDICTIONS_FOLDER: str | None = _declare(
        None,
        rules.FOLDER,
        "A folder of masks from another program that step 5 evaluates instead of the model's, such as "
        '"other masks/nnunet" (git ignores `other masks`): a file per case or per volume, in any format of masks. '
        "None: the model's.",
        is_path=True,
    )
    SECOND_READER_FOLDER: str | None = _declare(
        None,
        rules.FOLDER,
        "A folder of a second reader's masks of the same cases: inter-reader agreement is the best that a model can "
        "reach. None: there is none.",
        is_path=True,
    )
    COMPARE_WITH: str | None = _declare(
        None,
        _MODEL_FOLDER,
        "Other masks of the test cases to compare with the evaluated ones: a folder of masks, as in "
        "PREDICTIONS_FOLDER, or a model folder or cross-validation, as in MODEL, with which step 4 then also predicts. "
        "Step 5 reports the differences, their 95 % intervals, Wilcoxon's test, and the cases that differ most. None: "
        "there are none.",
        is_path=True,
        names=_PRETRAINED,
        example='COMPARE_WITH = "other masks/nnunet"',
    )
    SECOND_READER_IS_SAME_PERSON: bool = _declare(
        False,
        rules.SWITCH,
        "True: the masks in SECOND_READER_FOLDER are a second reading by the person who made the reference masks. The "
        "results then say intra-reader agreement instead of inter-reader agreement.",
    )
    VALUE_WINDOWS: dict[str, Any] = _declare(
        {},
        rules.Rule(
            _are_windows,
            'a dict of names, each with the lowest and the highest value, such as {"muscle": (-29, 150)}; the names '
            f"must differ from each other and from {', '.join(QUANTITIES)}",
        ),
        "Windows of image values (CT: HU). Steps 5 and 6 report the area of the mask's pixels whose values are in each "
        "window, both limits included.",
        example='VALUE_WINDOWS = {"muscle": (-29, 150), "low attenuation": (-29, 29), "fat": (-190, -30)}',
    )
    PRIMARY_QUANTITY: str = _declare(
        "area",
        rules.Rule(
            lambda value: isinstance(value, str) and value != "",
            ", ".join(f'"{name}"' for name in QUANTITIES) + " or a name in VALUE_WINDOWS",
        ),
        "The quantity whose agreement the terminal, the subgroups and the comparison of models show. All quantities "
        "are in the report. SMI is the area in cm² divided by the squared height in m, which PATIENTS_TABLE gives.",
    )
    PATIENTS_TABLE: str | None = _declare(
        None,
        none_or(rules.Rule(rules.is_path, "the path of a CSV file, in quotes")),
        "A CSV file with a row per case (column case, the case names in cases.csv; for step 6, the names of the images "
        "without ending) or per group (column group). The column height_m gives the SMI. Other columns with few "
        "different values, such as sex or scanner, divide the cases into subgroups. None: there is none.",
        is_path=True,
    )

    @property
    def hyperparameters(self) -> hyperparameters.Hyperparameters:
        """The hyperparameters of the final model."""
        return hyperparameters.from_overrides(self.HYPERPARAMETERS)

    @property
    def wanted_labels(self) -> tuple[int | str, ...] | None:
        """MASK_LABELS as a tuple; None for any label."""
        wanted = self.MASK_LABELS
        return tuple(wanted) if isinstance(wanted, (list, tuple)) else None if wanted is None else (wanted,)

    def for_images(self, in_hu: bool) -> "Settings":
        """These settings for images that are in Hounsfield units or not.

        Without them no CT window applies, unless config.py sets one: images are normalized (z-score).
        """
        if in_hu:
            return self
        searched = {"clip_hu": None} | self.EXPLORATION_SEARCH_SPACE
        return dataclasses.replace(self.with_defaults(clip_hu=None), EXPLORATION_SEARCH_SPACE=searched)

    def with_defaults(self, **values: Any) -> "Settings":
        """These settings with other defaults of hyperparameters; those that config.py sets keep their values."""
        return dataclasses.replace(self, HYPERPARAMETERS=values | self.HYPERPARAMETERS)

    def fixed(self, work: str) -> dict[str, Any]:
        """The values that must not change while `work` (TRAINING, SEARCH or CROSS_VALIDATION) is resumed.

        HYPERPARAMETERS and EXPLORATION_SEARCH_SPACE are left out: they are only what differs from the defaults, so each
        step records the complete hyperparameters or search space.
        """
        return {
            name: getattr(self, name)
            for name, known in DECLARATIONS.items()
            if work in known.fixed_for and not isinstance(known.default, dict)
        }


DECLARATIONS: Mapping[str, Declaration] = {
    field.name: field.metadata["declaration"] for field in dataclasses.fields(Settings)
}

# At least one of each pair must be set.
LIMITS = (
    ("TRAINING_EPOCHS", "TRAINING_TIME_LIMIT_MINUTES", "a training"),
    ("EXPLORATION_MAX_TRIALS", "EXPLORATION_TIME_LIMIT_HOURS", "a search"),
)
