"""Defaults that adapt to the train set: a few rules on its fingerprint, as in nnU-Net (Isensee et al. 2021).

A rule sets hyperparameters that config.py leaves open. `docs/accuracy.md` has the measurements on small targets.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from data import intensities
from model_training import starting_model
from settings import Settings
from settings.hyperparameters import DECLARATIONS, Choices, Hyperparameters

# Masks that cover less of the image are small targets: with the plain loss an empty prediction is nearly right.
SMALL_FRACTION = 0.002
SMALL_TARGET_LOSS = "small_target_crossentropy_dice"


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What the rules look at.

    cases, groups: their numbers. in_hu: whether the images are in Hounsfield units. mask_px: the median area of the
    masks that are not empty, in px; mask_fraction: the same as a fraction of the image. Both are 0 if all are empty.
    """

    cases: int
    groups: int
    in_hu: bool
    mask_px: float
    mask_fraction: float

    @classmethod
    def of(cls, cases: pd.DataFrame) -> "Fingerprint":
        """The fingerprint of a train set, rows of cases.csv."""
        masks = cases[cases["mask_px"] > 0]
        px = masks["mask_px"]
        fractions = px / (masks["height"] * masks["width"])
        medians = (float(px.median()), float(fractions.median())) if len(masks) else (0.0, 0.0)
        return cls(len(cases), cases["group"].nunique(), intensities.are_in_hu(cases), *medians)

    @property
    def is_small(self) -> bool:
        """Whether the masks are small targets."""
        return 0 < self.mask_fraction < SMALL_FRACTION

    @property
    def text(self) -> str:
        """Such as "48 cases of 8 groups, median mask 45 px (0.017 % of the image)"."""
        groups = f" of {self.groups} groups" if self.groups < self.cases else ""
        share = f"{100 * self.mask_fraction:.2g} % of the image"
        return f"{self.cases} cases{groups}, median mask {self.mask_px:.0f} px ({share})"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Sets `values` of hyperparameters where it `applies`; `reason` completes the line "<values>: <reason>"."""

    applies: Callable[[Fingerprint], bool]
    values: Mapping[str, Any]
    reason: str


RULES = (
    Rule(
        lambda fingerprint: not fingerprint.in_hu,
        {"clip_hu": None},
        "the images are not in Hounsfield units; each is normalized (z-score)",
    ),
    Rule(
        lambda fingerprint: fingerprint.is_small,
        {"stem_patch_px": 2, "loss": SMALL_TARGET_LOSS},
        f"the masks are small, less than {100 * SMALL_FRACTION:g} % of the image",
    ),
)


def settings_for(options: Settings, cases: pd.DataFrame) -> Settings:
    """The settings for a train set, rows of cases.csv: what config.py leaves open has the values of the rules.

    Prints the fingerprint and the reasons. With START_FROM, network, window and learning rate follow the starting model
    (see `starting_model.settings_for`). A search also tries values of the rules that are not in its declared choices.
    """
    fingerprint = Fingerprint.of(cases)
    if options.START_FROM is not None:
        options = starting_model.settings_for(options, fingerprint.in_hu)
    chosen = _chosen(fingerprint)
    options = options.for_images(fingerprint.in_hu).with_defaults(**chosen)
    searched = _added_choices(chosen) | options.EXPLORATION_SEARCH_SPACE
    print("\n  ".join(lines(cases, options.hyperparameters)))
    return dataclasses.replace(options, EXPLORATION_SEARCH_SPACE=searched)


def defaults(cases: pd.DataFrame) -> Hyperparameters:
    """The defaults for a train set, rows of cases.csv: the declared ones, except for those that the rules set."""
    return Hyperparameters(**_chosen(Fingerprint.of(cases)))


def lines(cases: pd.DataFrame, values: Hyperparameters) -> list[str]:
    """The fingerprint of a train set and, for each rule that the `values` follow, the values and the reason."""
    fingerprint = Fingerprint.of(cases)
    reasons = []
    for rule in RULES:
        followed = {name: value for name, value in rule.values.items() if getattr(values, name) == value}
        if rule.applies(fingerprint) and followed:
            reasons.append(f"{', '.join(f'{name} {value}' for name, value in followed.items())}: {rule.reason}")
    return [f"Train set: {fingerprint.text}.", *reasons]


def _chosen(fingerprint: Fingerprint) -> dict[str, Any]:
    return {name: value for rule in RULES if rule.applies(fingerprint) for name, value in rule.values.items()}


def _added_choices(chosen: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The choices of a search for hyperparameters whose chosen value is not among the declared ones."""
    declared = {name: DECLARATIONS[name].search for name in chosen}
    return {
        name: [*choices.values, chosen[name]]
        for name, choices in declared.items()
        if isinstance(choices, Choices) and chosen[name] not in choices.values
    }
