"""The reporting checklist: complete item lists, known facts filled in, the rest marked for the author."""

import re

import numpy as np
import pandas as pd
import pytest

from conftest import dataset_facts, prediction_provenance
from evaluation import checklist
from evaluation.evaluation_log import Evaluations
from evaluation.result import EvaluationResult
from evaluation.subject import Subject
from masks import metrics

TRIPOD = """1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17
18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"""


def result(tmp_path, provenance=None, test_cases=None, external=""):
    """The result of an evaluation of six cases of three patients; one prediction is empty."""
    reference, empty, half = (np.array(mask, np.uint8) for mask in ([[1, 1, 0]], [[0, 0, 0]], [[1, 0, 0]]))
    rows = [
        {"case": f"Doe_{number}", "group": f"patient {number // 2}", **metrics.compare(reference, predicted)}
        | {"ood_reasons": "intensities" if number == 1 else ""}
        for number, predicted in enumerate([reference, empty, half, half, half, half])
    ]
    table = pd.DataFrame(rows)
    facts = dataset_facts(test_cases=test_cases)
    subject = Subject(table[["case", "group"]], tmp_path, tmp_path, facts, provenance, external=external)
    return EvaluationResult(table, subject, None, Evaluations(1, ("0a1b2c",)), None, 0)


def entries(text):
    """{item number of CLAIM: its entry}."""
    return dict(re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| (.*) \|$", text, re.MULTILINE))


def test_all_items_of_both_lists_occur(tmp_path):
    text = checklist.text(result(tmp_path))
    assert list(entries(text)) == [str(number) for number in range(1, 45)]
    cells = re.findall(r"^\| [\d–]+ \| ([^|]+) \|", text, re.MULTILINE)
    assert {number for cell in cells for number in cell.split(", ")} - {"–"} == set(TRIPOD.split())


@pytest.mark.parametrize(
    "item, fact",
    [
        ("1", "Deep learning: U-Net"),
        ("9", "at most 4 px were removed"),
        ("19", "The test set comprised 6 of 20 images from 3 groups"),
        ("20", "Groups of images, such as patients. The program checked that no evaluated image was used for training"),
        ("21", "Trained on: 2 images. Evaluated: 6 images of 3 groups."),
        ("23", "TensorFlow 2.15.1, Python 3.11.7"),
        ("24", "Random initial weights."),
        ("25", "Training lasted 30 epochs"),
        ("27", "test-time augmentation"),
        ("28", "Dice coefficient"),
        ("29", "No 95 % confidence intervals are given, because there are fewer than 5 groups (3)."),
        ("30", "1 of 6 images were flagged as out-of-distribution."),
        ("32", "This is evaluation 1 of this test set"),
        ("37", "The mean Dice coefficient over 6 images from 3 groups was"),
        ("39", "The prediction was empty for 1 of 6 images. Lowest Dice coefficient 0.000."),
    ],
)
def test_what_the_program_knows_is_filled_in(tmp_path, item, fact):
    assert fact in entries(checklist.text(result(tmp_path, prediction_provenance())))[item]


@pytest.mark.parametrize("item", ["2", "7", "8", "16", "18", "33", "36", "40", "44"])
def test_what_only_the_author_knows_is_marked(tmp_path, item):
    assert entries(checklist.text(result(tmp_path, prediction_provenance())))[item].startswith("**For the author:** ")


def test_nothing_is_claimed_of_the_model_of_another_program(tmp_path):
    text = entries(checklist.text(result(tmp_path)))
    assert all(text[item].startswith("**For the author:** ") for item in ("22", "23", "24", "25", "26", "27"))
    assert "It is unknown which images the other program was trained on." in text["20"]


def test_an_external_test_set_is_item_33(tmp_path):
    text = entries(checklist.text(result(tmp_path, prediction_provenance(), external="B")))
    assert "The external test set B comprised 6 images from 3 groups." in text["33"]
    assert text["32"] == "See the checklist of the test set."


def test_the_checklist_names_no_case(tmp_path):
    assert "Doe" not in checklist.text(result(tmp_path, prediction_provenance()))


def test_a_vertical_bar_does_not_break_the_table(tmp_path):
    text = checklist.text(result(tmp_path, prediction_provenance(), test_cases="Doe_(1|2)"))
    assert r"Doe_(1\|2)" in entries(text)["19"]
