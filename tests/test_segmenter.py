"""The Python API: masks and qualities equal those of step 6, bit by bit, for every format."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from skimage import io

import prediction
import segmenter
import storage
from conftest import ROOT, configure
from data import csv_array, formats
from test_prediction import write_in_format, write_model

ENDINGS = (".csv", ".png", ".dcm", "series", ".nii.gz")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A workspace in which the models of two folds predicted an image in each format; the images' paths by format."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("segmenter") / "a project")
    configure(workspace, PREDICT_WITH_FOLDS=True, CROSS_VALIDATION_FOLDS=2)
    for seed, folder in enumerate(workspace.fold_models(2)):
        write_model(folder, seed=seed, clip_hu=None, harmless=False)
    image = np.random.default_rng(0).normal(100, 40, (64, 64)).round().astype(np.int16)
    image[10:30, 5:50] += 300
    paths = {}
    for ending in ENDINGS:
        (folder := workspace.root / f"written {ending}").mkdir()
        path = write_in_format(folder, ending, image[:, :40] if ending == ".csv" else image)
        paths[ending] = workspace.new_images / f"{ending.strip('.')}{''.join(path.suffixes)}"
        workspace.new_images.mkdir(exist_ok=True)
        path.rename(paths[ending])
    prediction.predict_new_images(workspace)
    return workspace, paths


@pytest.fixture(scope="module")
def model(predicted):
    """The ensemble of the two folds' models."""
    return segmenter.load([str(folder) for folder in predicted[0].fold_models(2)])


def written_mask(workspace, path):
    """The array in the mask's file that step 6 wrote for an image."""
    (file,) = workspace.new_predictions.glob(f"{formats.stem(path)}.*")
    if file.suffix == ".csv":
        return csv_array.read(file)
    if file.suffix == ".png":
        return io.imread(file) // 255
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_masks_of_files_equal_those_of_step_6(predicted, model, ending):
    workspace, paths = predicted
    mask, _ = model.segment(paths[ending])
    expected = written_mask(workspace, paths[ending])
    assert mask.dtype == np.uint8
    assert 0.05 < mask.mean() < 0.95
    np.testing.assert_array_equal(mask, expected[0] if ending == ".dcm" else expected)


@pytest.mark.parametrize("ending", ENDINGS)
def test_qualities_of_files_equal_the_table_of_step_6(predicted, model, ending):
    workspace, paths = predicted
    _, found = model.segment(paths[ending])
    qualities = found if isinstance(found, tuple) else (found,)
    table = pd.read_csv(workspace.new_predictions / "_table.csv", keep_default_na=False)
    rows = table[table["image"].str.startswith(formats.stem(paths[ending]))]
    assert [each.predicted_dice for each in qualities] == rows["predicted_dice"].tolist()
    assert [", ".join(each.ood_reasons) for each in qualities] == rows["ood_reasons"].tolist()
    assert [each.area_px for each in qualities] == rows["mask_px"].tolist()


def test_the_mask_of_a_volume_lies_on_the_voxels_of_its_file(predicted, model):
    path = predicted[1][".nii.gz"]  # It is stored transposed.
    mask, qualities = model.segment(path)
    assert mask.shape == SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).shape
    assert len(qualities) == len(mask) == 2


def test_an_array_has_the_mask_of_a_file_with_the_same_values(predicted, model):
    path = predicted[1][".csv"]
    mask, quality = model.segment(path)
    from_array, quality_of_array = model.segment(csv_array.read(path).astype(float))
    np.testing.assert_array_equal(mask, from_array)
    assert repr(quality) == repr(quality_of_array)  # Without calibration the interval is NaN.
    assert quality.mean_value == pytest.approx(csv_array.read(path)[mask == 1].mean())


@pytest.mark.parametrize("shape", [(64, 64), (90, 50), (200, 130), (7, 20)])
def test_the_mask_of_an_array_has_its_shape(model, shape):
    mask, quality = model.segment(np.random.default_rng(0).normal(0, 100, shape))
    assert mask.shape == shape
    assert ("image size" in quality.ood_reasons) is (shape != (64, 64))


def test_the_area_uses_the_given_spacing_else_that_of_the_file(predicted, model):
    paths = predicted[1]
    _, quality = model.segment(paths[".csv"])
    assert quality.area_cm2 is None
    _, quality = model.segment(paths[".csv"], spacing_mm=(0.5, 2))
    assert quality.area_cm2 == pytest.approx(quality.area_px / 100)
    _, quality = model.segment(paths[".dcm"])  # 0.5 mm
    assert quality.area_cm2 == pytest.approx(quality.area_px * 0.0025)
    _, quality = model.segment(paths[".dcm"], spacing_mm=1)
    assert quality.area_cm2 == pytest.approx(quality.area_px * 0.01)


@pytest.mark.parametrize(
    "image, spacing_mm, text",
    [
        (np.zeros((2, 64, 64)), None, r"shape \(2, 64, 64\). Pass one slice at a time"),
        (np.zeros((0, 64)), None, "shape"),
        (np.full((64, 64), "1"), None, "type <U1"),
        (np.full((64, 64), np.nan), None, "NaN"),
        (np.zeros((64, 64)), 0, "spacing_mm: 0 is not"),
        (np.zeros((64, 64)), (1, np.nan), "spacing_mm"),
    ],
)
def test_wrong_arguments_are_reported(model, image, spacing_mm, text):
    with pytest.raises(ValueError, match=text):
        model.segment(image, spacing_mm=spacing_mm)


def test_a_file_that_does_not_exist_is_reported(model, tmp_path):
    with pytest.raises((storage.DatasetError, FileNotFoundError), match="nowhere"):
        model.segment(tmp_path / "nowhere.csv")


def test_a_folder_without_a_model_is_reported(tmp_path):
    with pytest.raises(storage.MissingResult, match="'model' is missing"):
        segmenter.load(tmp_path / "model")
    with pytest.raises(ValueError, match="needs the folder"):
        segmenter.load([])


@pytest.mark.parametrize(
    "other, text", [({"image_size": 32}, "its image size is 32"), ({"clip_hu": None}, "its clip_hu is None")]
)
def test_models_that_cannot_predict_together_are_refused(tmp_path, other, text):
    write_model(tmp_path / "a")
    write_model(tmp_path / "b", **other)
    with pytest.raises(storage.UserError, match=text):
        segmenter.load([tmp_path / "a", tmp_path / "b"])


def test_the_environment_variables_of_the_steps_are_set_before_tensorflow_is_imported():
    # The import of TensorFlow ends this program.
    script = """if True:
        import os, sys
        class Finder:
            def find_spec(self, name, *_):
                if name == "tensorflow":
                    print(sorted(set(os.environ.items()) - before), flush=True)
                    os._exit(0)
        before = set(os.environ.items())
        sys.meta_path.insert(0, Finder())
        import MODULE
        import tensorflow
    """
    hidden = ("TF_", "PYTHONIOENCODING", "HDF5_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    printed = [
        subprocess.check_output(
            [sys.executable, "-c", script.replace("MODULE", module)], cwd=ROOT / "src", env=environment, text=True
        )
        for module in ("command_line", "segmenter")
    ]
    assert "TF_ENABLE_ONEDNN_OPTS" in printed[0]
    assert printed[0] == printed[1]
