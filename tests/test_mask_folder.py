"""The quality table and the provenance of predictions: damaged and edited files are reported with file and fix."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import storage
from conftest import prediction_provenance
from data import mask_folder


def test_the_provenance_is_read_as_it_was_written(tmp_path):
    assert mask_folder.read_provenance(tmp_path) is None
    mask_folder.write_provenance(tmp_path, provenance := prediction_provenance(image_sha256=["x"]))
    assert mask_folder.read_provenance(tmp_path) == provenance


def test_the_quality_table_is_read_as_it_was_written(tmp_path):
    assert mask_folder.read_quality_table(tmp_path) is None
    table = pd.DataFrame({"case": ["007", "b"], "predicted_dice": [0.5, np.nan], "ood_reasons": ["", "intensities"]})
    mask_folder.write_quality_table(tmp_path, table)
    pd.testing.assert_frame_equal(mask_folder.read_quality_table(tmp_path), table)


def test_a_model_json_of_another_program_is_reported(tmp_path):
    (tmp_path / "_model.json").write_text("{}")
    with pytest.raises(storage.DamagedFile, match="_model.json: id is missing.*If it is another program's, remove it"):
        mask_folder.read_provenance(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "case;predicted_dice;ood_reasons\na;0,5;\n",
        "case,predicted_dice\na,0.5\n",
        "case,predicted_dice,ood_reasons\na,good,\n",
        "",
    ],
)
def test_a_damaged_table_of_predictions_is_reported_with_a_fix(tmp_path, content):
    (tmp_path / "_table.csv").write_text(content)
    with pytest.raises(storage.DamagedFile, match=r"_table\.csv: .*Repeat step 4"):
        mask_folder.read_quality_table(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"id": "abc", "image_sha'])
def test_a_damaged_description_of_the_model_is_reported_with_a_fix(tmp_path, content):
    (tmp_path / "_model.json").write_text(content)
    with pytest.raises(storage.DamagedFile, match=r"_model\.json: .*Repeat step 4"):
        mask_folder.read_provenance(tmp_path)


def test_predictions_of_an_earlier_version_are_read(tmp_path):
    (tmp_path / "_table.csv").write_text("case,predicted_dice,unlike_train_set\n007,0.5,intensities\n")
    assert mask_folder.read_quality_table(tmp_path)["ood_reasons"].tolist() == ["intensities"]
    mask_folder.write_provenance(tmp_path, provenance := prediction_provenance())
    values = json.loads((tmp_path / "_model.json").read_text())
    values |= {"mirrored": values.pop("test_time_flip"), "cleaned": values.pop("postprocessed")}
    values["hyperparameters"]["patch_px"] = values["hyperparameters"].pop("stem_patch_px")
    del values["calibrated_on"], values["training"]["start"]
    (tmp_path / "_model.json").write_text(json.dumps(values))
    assert mask_folder.read_provenance(tmp_path) == provenance


def key_paths(values, *path):
    """Yields the path of each key of nested dicts."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from key_paths(value, *path, name)


@pytest.mark.parametrize("path", key_paths(dataclasses.asdict(prediction_provenance())), ids=".".join)
def test_a_missing_key_and_a_value_of_another_type_are_reported_by_name(tmp_path, path):
    mask_folder.write_provenance(tmp_path, prediction_provenance())
    content = (tmp_path / "_model.json").read_text()
    changes = [(lambda parent, name: parent.update({name: [{}]}), path[-1])]
    if path[-1] not in ("calibrated_on", "start"):  # Earlier versions lack these.
        changes.append((lambda parent, name: parent.pop(name), f"{'.'.join(path)} is missing"))
    for change, message in changes:
        parent = values = json.loads(content)
        for name in path[:-1]:
            parent = parent[name]
        change(parent, path[-1])
        (tmp_path / "_model.json").write_text(json.dumps(values))
        with pytest.raises(storage.DamagedFile, match=rf"_model\.json: .*{message}.*Repeat step 4"):
            mask_folder.read_provenance(tmp_path)
