"""The model card: facts about data and training, no cases and no paths; step 5 adds the results."""

import pandas as pd
import pytest

import about
import model_card
from conftest import dataset_facts, prediction_provenance


def cases(**columns):
    """Rows of cases.csv of four CT slices of two patients."""
    table = pd.DataFrame({"case": [f"hospital__Doe_{n}" for n in range(4)], "group": ["Doe", "Doe", "Roe", "Roe"]})
    return table.assign(**{"minimum": -1024, "maximum": [900, 1200, 800, 700], "mask_px": [9, 0, 5, 4]} | columns)


def test_the_train_set_is_described_in_numbers():
    sentences = model_card.train_set(cases(row_mm=[0.7, 0.7, 0.8, 0.9], column_mm=0.7), dataset_facts(cases=6))
    assert sentences == [
        "4 images of 64 × 64 px of 2 groups, such as patients.",
        "Image values from −1024 to 1200 HU.",
        "Pixel spacings from 0.7 to 0.9 mm.",
        "1 of the reference masks are empty.",
        "Connected components of at most 4 px were removed from the masks.",
        "The dataset of 6 images was split at random into train and test set (target share 25 %, seed 7; no group is "
        "in both). The test set was not used for training.",
    ]


def test_unknown_spacing_and_unit_are_left_out():
    table = cases(minimum=0, maximum=255, mask_px=9, group=list("abcd"), row_mm=float("nan"), column_mm=float("nan"))
    assert model_card.train_set(table, dataset_facts(cases=5, mask_speck_px=0)) == [
        "4 images of 64 × 64 px.",
        "Image values from 0 to 255.",
        "The dataset of 5 images was split at random into train and test set (target share 25 %, seed 7). The test set "
        "was not used for training.",
    ]


@pytest.mark.parametrize("selected", [["hospital__Doe_7"], "hospital B", "Doe.*"])
def test_the_card_names_no_cases(selected):
    sentences = model_card.train_set(cases(), dataset_facts(cases=6, test_cases=selected))
    assert sentences[-1] == "The other 2 of 6 images were selected as test set; no group is in both."
    card = model_card.text(prediction_provenance(), sentences, model_card.NOT_EVALUATED)
    assert "Doe" not in card
    assert "hospital" not in card


def test_the_card_has_model_training_use_prediction_and_results():
    card = model_card.text(prediction_provenance(id="0a1b2c"), ["Data."], "Mean Dice 0.9.")
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[:2] == ["# Model card", "## Data"]
    assert headings[2:5] == ["## Training", "## Intended use and limits", "## How to predict"]
    assert f'fingerprint `0a1b2c`, of the program "{about.NAME}", version {about.VERSION}' in card
    for text in ("A U-Net", "TensorFlow 2.15.1", "Research use only", "not calibrated", "out-of-distribution", "MODEL"):
        assert text in card
    assert card.endswith("## Results\n\nMean Dice 0.9.\n")
