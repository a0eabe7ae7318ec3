"""Writes config_template.py and docs/settings.md from the declarations: `make docs`."""

import json
import pathlib
import textwrap
from typing import Any

from settings import declarations, hyperparameters

ROOT = pathlib.Path(__file__).resolve().parents[2]
_WIDTH = 120

_TEMPLATE_HEAD = '''"""The settings. Copy this file to config.py and edit the copy.

Settings that config.py leaves out have the values below. Settings describe your machine, your data and the length of
each step; relative paths start at the folder of this file. What changes the quality of the model is a hyperparameter:
see HYPERPARAMETERS. This file is generated (`make docs`).
"""
'''

_PAGE_HEAD = """# Settings and hyperparameters

The tables below are generated from the declarations in `src/settings` (`make docs`).

Copy `config_template.py` to `config.py`, beside it, and edit the copy. Anything you leave out keeps its
default. The settings describe your machine and your data. What affects the quality of a model is a hyperparameter: the
final model's values go into `HYPERPARAMETERS`, the search space of step 2 into `EXPLORATION_SEARCH_SPACE`. Step 2
prints the line for its best trial.

```python
HYPERPARAMETERS = {"learning_rate": 5e-4, "clip_hu": None}  # None: not CT, each image is z-score normalised
```

A wrong name or value in `config.py` is an error that lists every problem, with the nearest correct name.

## Which ones to change first

1. `GROUP_CASES_BY`, if there are several images of one patient.
2. `clip_hu`, if the images are not CT or the structure lies outside of −200 to 200 HU.
3. `PIXEL_SPACING_MM`, for results in mm and cm².
4. `TRAINING_EPOCHS` or `TRAINING_TIME_LIMIT_MINUTES`: a longer training is usually better; see
   [steps.md](steps.md#how-long-it-takes) for durations.
5. `horizontal_flip`, if left and right differ in a way that matters: set it to False.

## Reproducibility

The seed `SEED` determines the split, the initial weights, the shuffling and the augmentation. A training by epochs with
`DETERMINISTIC = True` gives the same weights to the bit on the same machine. A training by minutes depends on the
machine's speed and cannot be repeated exactly. `model/training.json` records the seed, versions, times, precision and
the SHA-256 of every train image.

## Speed and accuracy

The U-Net folds each tile of `stem_patch_px` x `stem_patch_px` pixels into channels before its first layer (pixel
unshuffle) and unfolds them after its last. 1 is the standard U-Net; 2 trains about 5 times and 4 about 25 times as
fast. Masks keep the full resolution, and no pixel value is lost. In a limited time the faster network sees more
images and reaches a higher Dice: [the ablations](../benchmarks/README.md#ablations-of-the-default-recipe) give
numbers. `filters` sets the width; the training time grows about with its square. DeepLabV3+ takes about 1 s per image
and epoch on 2 CPU cores and needs a GPU in practice.

## Settings

Every step validates the whole file before it starts. "Fixed for" names the work that can only be resumed with the same
value.
"""

_HYPERPARAMETERS_HEAD = """
## Hyperparameters

Set them in `HYPERPARAMETERS`; narrow what step 2 searches in `EXPLORATION_SEARCH_SPACE`.
"""


def template() -> str:
    """The text of config_template.py."""
    blocks = [_TEMPLATE_HEAD]
    for name, known in declarations.DECLARATIONS.items():
        if known.section:
            blocks.append(f"# --- {known.section} ".ljust(_WIDTH, "-") + "\n")
        comment = textwrap.fill(
            known.meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
        comment += f"\n# Example: {known.example}" if known.example else ""
        blocks.append(f"{comment}\n{name} = {_literal(known.default)}\n")
    return "\n".join(blocks)


def page() -> str:
    """The text of docs/settings.md."""
    lines = [_PAGE_HEAD]
    for name, known in declarations.DECLARATIONS.items():
        if known.section:
            lines += [
                f"\n### {known.section}\n",
                "| setting | default | valid values | meaning | fixed for |",
                "|---|---|---|---|---|",
            ]
        cells = (
            f"`{name}`",
            f"`{_literal(known.default)}`",
            known.rule.description,
            known.meaning,
            ", ".join(known.fixed_for),
        )
        lines.append(_row(cells))
    lines += [
        _HYPERPARAMETERS_HEAD,
        "| hyperparameter | default | valid values | searched in step 2 | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, declared in hyperparameters.DECLARATIONS.items():
        cells = (
            f"`{name}`",
            f"`{_literal(declared.default)}`",
            declared.rule.description,
            _searched(declared.search),
            declared.meaning,
        )
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _literal(value: Any) -> str:
    # Double quotes, as in the documentation's examples.
    return json.dumps(value) if isinstance(value, str | dict) else repr(value)


def _searched(search: hyperparameters.Choices | hyperparameters.Range) -> str:
    if isinstance(search, hyperparameters.Choices):
        return ", ".join(_literal(value) for value in search.values)
    steps = f", step {search.step:g}" if search.step else ""
    return f"{search.low:g} to {search.high:g}{steps}{', logarithmic' if search.log else ''}"


def main() -> None:
    """Writes both files."""
    (ROOT / "config_template.py").write_text(template(), encoding="utf-8")
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "settings.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
