"""The model card: what a model was trained on and how, what it is for, how to predict with it, and its results.

Step 3 writes it as README.md into the folder of the final model, without results. Step 5 writes it with results as
results/model_card.md. It names no cases, no paths and no patients.
"""

from collections.abc import Sequence

import pandas as pd

import about
import training_text
from data import intensities
from data.preloaded_dataset import DatasetFacts
from provenance import Provenance

# The name of the card in a model's folder.
FILE = "README.md"

NOT_EVALUATED = (
    "This card was written before the evaluation. After steps 4 and 5, `results/model_card.md` in the project's folder "
    "has the results on the test set; its fingerprint must be the one above."
)

_USE = """\
* Research use only: this is not a medical device. A person must check its masks.
* It segments one structure on single 2-D images like those of the train set: the same modality, body region, unit of
  values and pixel spacing. How well it segments other images is unknown.
* Images are flagged as out-of-distribution (`ood_reasons`) if their intensities, size or mask area differ from all of
  the train set's. Not every unsuitable image is flagged.
* The predicted Dice ranks masks for review. If the model's folder has `calibration.json`, it was calibrated by
  cross-validation on images like those of the train set. Otherwise it is not calibrated, and tends to be too high."""

_PREDICT = """\
Put the images into `new images`, set `MODEL = "..."` in `config.py` to the path of the model's folder (without it, step
6 takes the folder `model`), and run `python src/main.py predict_new_images`. Or from Python:

```python
import sys

sys.path.insert(0, "src")  # of the program
import segmenter

model = segmenter.load("model")  # the model's folder
mask, quality = model.segment("image.dcm")  # or an array (rows, columns)
```

The folder `logs` is not needed. It has pictures of train images: delete it before you share the model."""


def text(provenance: Provenance, data: Sequence[str], results: str) -> str:
    """The card in Markdown. `data`: sentences on the train set; `results`: Markdown."""
    predicted = training_text.prediction(provenance)
    sections = {
        "Data": _listed(data),
        "Training": _listed([*training_text.training(provenance), *filter(None, [predicted])]),
        "Intended use and limits": _USE,
        "How to predict": _PREDICT,
        "Results": results,
    }
    kind = "Model" if provenance.models == 1 else f"Ensemble of {provenance.models} models"
    start = f'{kind} with the fingerprint `{provenance.id}`, of the program "{about.NAME}", version {about.VERSION}.'
    parts = ["# Model card", start, *(f"## {name}\n\n{body}" for name, body in sections.items())]
    return "\n\n".join(parts) + "\n"


def train_set(cases: pd.DataFrame, facts: DatasetFacts) -> list[str]:
    """Sentences on a train set, rows of cases.csv, and on the split of its dataset."""
    groups, side = cases["group"].nunique(), facts.image_size
    grouped = f" of {groups} groups, such as patients" if groups < len(cases) else ""
    sentences = [f"{len(cases)} images of {side} × {side} px{grouped}.", _values(cases), *_spacing(cases)]
    if empty := int((cases["mask_px"] == 0).sum()):
        sentences.append(f"{empty} of the reference masks are empty.")
    if facts.mask_speck_px:
        sentences.append(f"Connected components of at most {facts.mask_speck_px} px were removed from the masks.")
    return [*sentences, _split(cases, facts)]


def _values(cases: pd.DataFrame) -> str:
    unit = " HU" if intensities.are_in_hu(cases) else ""
    low, high = (f"{value:g}".replace("-", "−") for value in (cases["minimum"].min(), cases["maximum"].max()))
    return f"Image values from {low} to {high}{unit}."


def _spacing(cases: pd.DataFrame) -> list[str]:
    columns = [cases[name].dropna() for name in ("row_mm", "column_mm") if name in cases]
    spacings = pd.concat(columns) if columns else pd.Series(dtype=float)
    if spacings.empty:
        return []
    low, high = spacings.min(), spacings.max()
    return [f"Pixel spacing {low:.3g} mm." if low == high else f"Pixel spacings from {low:.3g} to {high:.3g} mm."]


def _split(cases: pd.DataFrame, facts: DatasetFacts) -> str:
    apart = "; no group is in both" if cases["group"].nunique() < len(cases) else ""
    if facts.test_cases is not None:
        return f"The other {facts.cases - len(cases)} of {facts.cases} images were selected as test set{apart}."
    share = training_text.percent(facts.test_share)
    how = f"at random into train and test set (target share {share}, seed {facts.seed}{apart})"
    return f"The dataset of {facts.cases} images was split {how}. The test set was not used for training."


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"* {sentence}" for sentence in sentences)
