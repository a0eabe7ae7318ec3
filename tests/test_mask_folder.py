"""Masks of given cases from any program: missing and invalid masks are reported with file and fix."""

import dataclasses
import json

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import SimpleITK

import storage
from conftest import prediction_provenance
from data import csv_array, mask_folder, preloaded_dataset
from format_files import write_tag

MASK = np.eye(4, dtype=np.uint8)


def test_both_formats_are_read(tmp_path):
    preloaded_dataset.write(tmp_path, "one", MASK)
    csv_array.write(tmp_path / "two.csv", MASK)
    mask_folder.check(tmp_path, ["one", "two"], "PREDICTIONS_FOLDER")
    for case in ("one", "two"):
        mask = mask_folder.read(tmp_path, case, (4, 4))
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, MASK)


def test_all_missing_masks_are_reported_at_once(tmp_path):
    with pytest.raises(storage.DatasetError) as caught:
        mask_folder.check(tmp_path, ["one", "two"], "PREDICTIONS_FOLDER")
    assert len(caught.value.faults) == 2
    assert "Add one.csv, one.npy, one.png or another format" in caught.value.faults[0]
    with pytest.raises(storage.DatasetError, match="no such folder. Change PREDICTIONS_FOLDER in config.py"):
        mask_folder.check(tmp_path / "nowhere", ["one"], "PREDICTIONS_FOLDER")


@pytest.mark.parametrize(
    "values, message",
    [
        (MASK * 2, "values 0 and 2; a mask holds 0 and 1. Export it as 1 inside"),
        (np.eye(3, dtype=int), "3 x 3 values; the reference mask has 4 x 4"),
    ],
)  # fmt: skip
def test_invalid_masks_are_reported(tmp_path, values, message):
    csv_array.write(tmp_path / "one.csv", values)
    with pytest.raises(storage.DatasetError) as caught:
        mask_folder.read(tmp_path, "one", (4, 4))
    assert message in str(caught.value)
    assert "one.csv" in str(caught.value)


def test_the_provenance_is_read_as_it_was_written(tmp_path):
    assert mask_folder.read_provenance(tmp_path) is None
    mask_folder.write_provenance(tmp_path, provenance := prediction_provenance(image_sha256=["x"]))
    assert mask_folder.read_provenance(tmp_path) == provenance


def test_the_quality_table_is_read_as_it_was_written(tmp_path):
    assert mask_folder.read_quality_table(tmp_path) is None
    table = pd.DataFrame({"case": ["007", "b"], "predicted_dice": [0.5, np.nan], "ood_reasons": ["", "intensities"]})
    mask_folder.write_quality_table(tmp_path, table)
    pd.testing.assert_frame_equal(mask_folder.read_quality_table(tmp_path), table)


def test_unreadable_and_duplicate_masks_are_reported(tmp_path):
    for values, message in (
        (np.ones(16), "16 values; the reference mask has 4 x 4"),
        (MASK[..., None], "4 x 4 x 1 values"),
        (np.array([None] * 4), "not a complete NumPy array"),
    ):
        np.save(tmp_path / "one.npy", values)
        with pytest.raises(storage.DatasetError) as caught:
            mask_folder.read(tmp_path, "one", (4, 4))
        assert message in str(caught.value)
        assert "one.npy" in str(caught.value)
    (tmp_path / "one.npy").write_text("no array")
    with pytest.raises(
        storage.DatasetError, match="one.npy: not a complete NumPy array.*Write it again with numpy.save"
    ):
        mask_folder.read(tmp_path, "one", (4, 4))
    csv_array.write(tmp_path / "one.CSV", MASK)
    with pytest.raises(storage.DatasetError, match="one.CSV exists, too. Remove one of them"):
        mask_folder.check(tmp_path, ["one"], "PREDICTIONS_FOLDER")
    (tmp_path / "one.npy").unlink()
    np.testing.assert_array_equal(mask_folder.read(tmp_path, "one", (4, 4)), MASK)


def test_a_model_json_of_another_program_is_reported(tmp_path):
    (tmp_path / "_model.json").write_text("{}")
    with pytest.raises(storage.DamagedFile, match="_model.json: id is missing.*If it is another program's, remove it"):
        mask_folder.read_provenance(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-3],
        lambda content: b"",
        lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_truncated_masks_empty_masks_and_git_lfs_pointers_are_reported_with_a_fix(tmp_path, damage):
    preloaded_dataset.write(tmp_path, "one", MASK)
    (tmp_path / "one.npy").write_bytes(damage((tmp_path / "one.npy").read_bytes()))
    with pytest.raises(storage.DatasetError, match=r"one\.npy: .* repeat step 4"):
        mask_folder.read(tmp_path, "one", (4, 4))


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
    for change, message in (
        (lambda parent, name: parent.pop(name), f"{'.'.join(path)} is missing"),
        (lambda parent, name: parent.update({name: [{}]}), path[-1]),
    ):
        parent = values = json.loads(content)
        for name in path[:-1]:
            parent = parent[name]
        change(parent, path[-1])
        (tmp_path / "_model.json").write_text(json.dumps(values))
        with pytest.raises(storage.DamagedFile, match=rf"_model\.json: .*{message}.*Repeat step 4"):
            mask_folder.read_provenance(tmp_path)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp", ".nii.gz", ".nrrd", ".tag"])
def test_masks_in_the_formats_of_other_programs_are_read(tmp_path, ending):
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:7] = 1
    file = tmp_path / f"one{ending}"
    if ending == ".tag":
        write_tag(file, mask)
    elif ending in (".nii.gz", ".nrrd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask[None]), str(file))
    else:
        PIL.Image.fromarray(mask * 255).save(file)
    mask_folder.check(tmp_path, ["one"], "PREDICTIONS_FOLDER")
    np.testing.assert_array_equal(mask_folder.read(tmp_path, "one", (6, 8)), mask)


def test_a_mask_with_several_labels_is_reported(tmp_path):
    PIL.Image.fromarray(np.arange(4, dtype=np.uint8)[None].repeat(4, axis=0)).save(tmp_path / "one.png")
    with pytest.raises(storage.DatasetError, match=r"one\.png: several labels \(1, 2, 3\)"):
        mask_folder.read(tmp_path, "one", (4, 4))
