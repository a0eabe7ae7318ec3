"""Steps 4 and 6: each case and new image gets a mask of its size; a bad file does not stop the others."""

import errno
import json

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import SimpleITK
import skimage.measure
from matplotlib import pyplot
from tensorflow import keras

import networks
import prediction
import settings
import storage
from conftest import configure, files, training, write_pair
from data import csv_array, formats, mask_folder, out_of_distribution, phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from evaluation import evaluate_test_set
from format_files import dicom, save, write_series
from masks import cleaning, metrics, overlay
from networks import ensemble, saved_model
from prediction import models


def write_model(folder, image_size=64, trained_on=(), seed=0, test_time_flip=True, harmless=True, clip_hu=(-200, 200)):
    """A model with random initial weights."""
    keras.utils.set_random_seed(seed)
    network = networks.build("unet", image_size, 2, 4, clip_hu)
    folder.mkdir(parents=True, exist_ok=True)
    statistics = out_of_distribution.train_set_statistics([np.linspace(-1, 1, 64)], [0.3])
    hyperparameters = {
        "architecture": "unet",
        "filters": 2,
        "stem_patch_px": 4,
        "clip_hu": clip_hu,
        "horizontal_flip": test_time_flip,
    }
    record = training(
        hyperparameters,
        image_size=image_size,
        image_sha256=list(trained_on),
        train_set_statistics=statistics,
        cleaning_is_harmless=harmless,
    )
    saved_model.write(folder, network, record, pd.DataFrame())


@pytest.fixture
def bright(monkeypatch):
    """Replaces the networks: the mask is the pixels above 0; a second member just misses the upper half."""

    def logits(self, images):
        complete = np.asarray(images)[..., 0] - 0.5
        return np.stack([complete, np.where(np.arange(complete.shape[1])[:, None] < 32, -0.1, complete)])

    monkeypatch.setattr(ensemble.Ensemble, "logits", logits)


@pytest.fixture
def prepared(dataset):
    create_preloaded_dataset(dataset)
    write_model(dataset.model)
    return dataset


def test_every_test_case_gets_its_own_post_processed_mask(prepared, bright):
    prediction.predict_test_set(prepared)
    cases = preloaded_dataset.read_cases(prepared, "test")["case"]
    assert sorted(files(prepared.predictions)) == sorted(
        ["_model.json", "_table.csv", *(f"{case}.npy" for case in cases)]
    )
    for case in cases:
        expected = cleaning.clean(preloaded_dataset.read(prepared.test_set / "images", case) > 0)
        mask = preloaded_dataset.read(prepared.predictions, case)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected)


def test_masks_are_post_processed_if_harmless_unless_the_setting_decides(prepared, bright, capsys):
    cases = preloaded_dataset.read_cases(prepared, "test")["case"]
    raw_masks = {case: preloaded_dataset.read(prepared.test_set / "images", case) > 0 for case in cases}
    for harmless, setting, cleaned in (
        (False, None, False),
        (False, True, True),
        (True, False, False),
        (True, None, True),
    ):
        write_model(prepared.model, harmless=harmless)
        configure(prepared, CLEAN_PREDICTIONS=setting)
        prediction.predict_test_set(prepared)
        for case, mask in raw_masks.items():
            expected = cleaning.clean(mask) if cleaned else mask
            np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), expected)
        assert ("post-processed" in capsys.readouterr().out) is cleaned
        assert mask_folder.read_provenance(prepared.predictions).postprocessed is cleaned
    assert any((cleaning.clean(mask) != mask).any() for mask in raw_masks.values())


def test_masks_are_those_of_the_network_with_test_time_augmentation(prepared):
    prediction.predict_test_set(prepared)
    network = saved_model.read(prepared.model)
    for case in preloaded_dataset.read_cases(prepared, "test")["case"]:
        image = preloaded_dataset.read(prepared.test_set / "images", case).astype(np.float32)
        # The mean of the logits of the image and of its mirror image.
        plain, flipped = (
            network(image[None, ..., None]).numpy(),
            network(image[None, :, ::-1, None]).numpy()[:, :, ::-1],
        )
        expected = cleaning.clean((plain + flipped)[0, ..., 0] >= 0)
        np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), expected)


def test_step_4_does_not_read_the_true_masks_and_writes_provenance(prepared):
    for path in (prepared.test_set / "masks").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    prediction.predict_test_set(prepared)
    assert len(files(prepared.predictions)) == 4
    provenance = mask_folder.read_provenance(prepared.predictions)
    assert provenance.id == saved_model.fingerprint([prepared.model])
    assert provenance.image_sha256 == []
    assert provenance.hyperparameters.architecture == "unet"


def test_step_4_keeps_the_chart_of_the_training_of_a_single_model(prepared):
    chart = b"\x89PNG and more"
    (prepared.model / "history.png").write_bytes(chart)
    prediction.predict_test_set(prepared)
    assert mask_folder.read_history(prepared.predictions) == chart
    assert models.history([prepared.model, prepared.model]) is None
    (prepared.predictions / "_history.png").write_bytes(b"text")
    with pytest.raises(storage.DamagedFile, match="not a PNG file. Repeat step 4"):
        mask_folder.read_history(prepared.predictions)


def test_a_model_trained_on_a_test_image_is_refused(prepared):
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(prepared.model, trained_on=[row.image_sha256])
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set, but the model was trained on it"):
        prediction.predict_test_set(prepared)


def test_a_model_of_another_image_size_is_refused(prepared):
    write_model(prepared.model, 32)
    with pytest.raises(storage.DatasetError, match="trained on images of 32 px, the data set has 64 px"):
        prediction.predict_test_set(prepared)


def test_a_failing_step_4_keeps_the_previous_predictions(prepared, monkeypatch):
    prediction.predict_test_set(prepared)
    before = files(prepared.predictions)
    calls = iter((False, True))

    def failing(mask):
        if next(calls):
            raise ZeroDivisionError
        return mask

    monkeypatch.setattr(cleaning, "clean", failing)
    with pytest.raises(ZeroDivisionError):
        prediction.predict_test_set(prepared)
    assert files(prepared.predictions) == before


def test_a_missing_input_names_the_step_to_run_first(dataset):
    with pytest.raises(storage.MissingResult, match="Run step 1 first"):
        prediction.predict_test_set(dataset)
    create_preloaded_dataset(dataset)
    with pytest.raises(storage.MissingResult, match="Run step 3 first"):
        prediction.predict_test_set(dataset)


def results_of(*names):
    """The sorted paths of what step 6 writes for CSV images of these names."""
    return sorted(["_table.csv", *(path for name in names for path in (f"{name}.csv", f"overlays/{name}.png"))])


@pytest.fixture
def new_images(workspace, bright):
    write_model(workspace.model)
    workspace.new_images.mkdir(parents=True)
    return workspace


@pytest.mark.parametrize("shape", [(64, 64), (128, 128), (50, 80), (200, 90), (48, 48)])
def test_masks_of_new_images_have_the_size_of_the_image(new_images, shape):
    image = np.full(shape, -1000)
    image[shape[0] // 4 : -shape[0] // 8, shape[1] // 8 : -shape[1] // 8] = 60
    csv_array.write(new_images.new_images / "one.csv", image)
    prediction.predict_new_images(new_images)
    mask = csv_array.read(new_images.new_predictions / "one.csv")
    assert mask.shape == shape
    assert set(np.unique(mask)) == {0, 1}
    assert metrics.dice(image > 0, mask) > 0.9
    table = pd.read_csv(new_images.new_predictions / "_table.csv")
    assert table.loc[0, ["image", "height", "width", "mask_px"]].tolist() == ["one", *shape, mask.sum()]
    assert table["mask_share"][0] == pytest.approx(mask.mean(), abs=1e-6)
    assert pyplot.imread(new_images.new_predictions / "overlays" / "one.png").shape[0] > 512


def test_images_other_than_ct_are_padded_symmetrically(workspace):
    # The lower quarter mirrors the rows above it: padding the cut image restores the whole one.
    write_model(workspace.model, harmless=False, clip_hu=None)
    image = np.random.default_rng(0).normal(200, 15, (64, 64)).round().astype(int)
    image[0, 0], image[48:] = 20, image[47:31:-1]
    workspace.new_images.mkdir()
    for name, content in (("whole", image), ("cut", image[:48])):
        csv_array.write(workspace.new_images / f"{name}.csv", content)
    prediction.predict_new_images(workspace)
    whole, cut = (csv_array.read(workspace.new_predictions / f"{name}.csv") for name in ("whole", "cut"))
    assert 0.1 < cut.mean() < 0.9
    np.testing.assert_array_equal(cut, whole[:48])


def test_padding_does_not_enlarge_a_component(new_images):
    # With its mirror image in the padding, the lower component would be large enough to stay.
    write_model(new_images.model, clip_hu=None)
    image = np.full((48, 64), -100)
    image[5:25, 10:40] = image[42:48, 50:56] = 60
    csv_array.write(new_images.new_images / "one.csv", image)
    prediction.predict_new_images(new_images)
    np.testing.assert_array_equal(csv_array.read(new_images.new_predictions / "one.csv"), cleaning.clean(image > 0))
    assert cleaning.clean(image > 0)[42:48].sum() == 0


def test_resizing_creates_no_new_components(new_images):
    image, _ = phantoms.draw(3, 192)
    csv_array.write(new_images.new_images / "large.csv", image)
    prediction.predict_new_images(new_images)
    mask = csv_array.read(new_images.new_predictions / "large.csv")
    assert skimage.measure.label(mask, connectivity=2).max() < 12


def test_a_bad_file_does_not_stop_the_others_and_is_reported_at_the_end(new_images):
    for name, content in (("a", "1,2\n3,4\n"), ("b", "1;2\n"), ("c", "5,6\n7,8\n"), ("_table", "1,2\n")):
        (new_images.new_images / f"{name}.csv").write_text(content)
    (new_images.new_images / "notes.txt").write_text("x")
    (new_images.new_images / ".hidden.csv").write_text("x")
    with pytest.raises(storage.DatasetError) as caught:
        prediction.predict_new_images(new_images)
    reserved, semicolons = caught.value.faults
    assert "_table.csv: this name is reserved" in reserved
    assert "b.csv: semicolons" in semicolons
    assert sorted(files(new_images.new_predictions)) == results_of("a", "c")


def test_an_empty_folder_says_where_to_put_the_images(new_images):
    with pytest.raises(storage.DatasetError, match="new images: no images found. Put the images to predict there"):
        prediction.predict_new_images(new_images)


def test_if_all_files_are_bad_the_previous_predictions_stay(new_images):
    new_images.new_predictions.mkdir()
    (new_images.new_predictions / "previous.csv").write_text("1")
    write_pair(new_images.root, "x", None, None)
    (new_images.new_images / "bad.csv").write_text("")
    with pytest.raises(storage.DatasetError, match="the file is empty"):
        prediction.predict_new_images(new_images)
    assert files(new_images.new_predictions) == {"previous.csv": b"1"}


def test_the_model_records_its_training(prepared):
    assert json.loads((prepared.model / "training.json").read_text())["image_size"] == 64


def test_test_cases_get_predicted_dice_and_out_of_distribution_reasons(prepared, bright, capsys):
    prediction.predict_test_set(prepared)
    table = pd.read_csv(prepared.predictions / "_table.csv").set_index("case")
    for case, row in table.iterrows():
        image = preloaded_dataset.read(prepared.test_set / "images", case)
        lower_half = (image > 0) & (np.arange(64)[:, None] >= 32)
        assert row["predicted_dice"] == pytest.approx(metrics.dice(image > 0, lower_half), abs=1e-4)
    # The train set was one image with a uniform distribution of values.
    assert table["ood_reasons"].str.contains("intensities").all()
    output = capsys.readouterr().out
    assert "Predicted 2 test cases, post-processed. Review these 2 first:" in output
    assert f"{table.index[0]}: predicted Dice 0." in output


def test_the_file_ending_is_case_insensitive(new_images):
    csv_array.write(new_images.new_images / "SCAN.CSV", np.full((64, 64), 60))
    prediction.predict_new_images(new_images)
    assert {"SCAN.csv", "overlays/SCAN.png"} <= set(files(new_images.new_predictions))


def test_names_that_differ_only_in_case_are_reported(new_images):
    for ending in ("csv", "CSV"):
        csv_array.write(new_images.new_images / f"a.{ending}", np.full((64, 64), 60))
    if len(files(new_images.new_images)) == 1:
        pytest.skip("this disk is case-insensitive")
    with pytest.raises(storage.DatasetError, match=r"a\.CSV: differs from a.csv only in upper and lower case"):
        prediction.predict_new_images(new_images)
    assert sorted(files(new_images.new_predictions)) == results_of("a")


def test_without_test_time_augmentation_there_is_no_predicted_dice(prepared, capsys):
    write_model(prepared.model, test_time_flip=False)
    prediction.predict_test_set(prepared)
    assert pd.read_csv(prepared.predictions / "_table.csv")["predicted_dice"].isna().all()
    assert "nan" not in capsys.readouterr().out


def test_new_images_get_predicted_dice_and_out_of_distribution_reasons(new_images, capsys):
    csv_array.write(new_images.new_images / "odd.csv", np.full((50, 80), 60))
    prediction.predict_new_images(new_images)
    row = pd.read_csv(new_images.new_predictions / "_table.csv").iloc[0]
    # The image is 40 of the network's 64 rows. One member finds all of these, the other eight.
    assert row["predicted_dice"] == pytest.approx(1 / 3, abs=1e-3)
    assert row["ood_reasons"] == "intensities, mask larger than any, image size"
    line = f"odd: predicted Dice {row['predicted_dice']:.2f} (not calibrated); out-of-distribution: intensities"
    assert line in capsys.readouterr().out


def test_predict_with_folds_uses_the_mean_logits_of_all_folds(prepared):
    configure(prepared, PREDICT_WITH_FOLDS=True, CROSS_VALIDATION_FOLDS=2)
    with pytest.raises(storage.MissingResult, match="cross_validate_train_set"):
        prediction.predict_test_set(prepared)
    folders = prepared.fold_models(2)
    for seed, folder in enumerate(folders):
        write_model(folder, seed=seed)
    prediction.predict_test_set(prepared)
    models = [saved_model.read(folder) for folder in folders]
    for case in preloaded_dataset.read_cases(prepared, "test")["case"]:
        image = preloaded_dataset.read(prepared.test_set / "images", case).astype(np.float32)[None, ..., None]
        logits = [
            part for model in models for part in (model(image).numpy(), model(image[:, :, ::-1]).numpy()[:, :, ::-1])
        ]
        expected = cleaning.clean(np.mean(logits, axis=0)[0, ..., 0] >= 0)
        np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), expected)
    # No fold's model may have been trained on a test image.
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(folders[1], trained_on=[row.image_sha256])
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set"):
        prediction.predict_test_set(prepared)


def predict_with_faults(workspace):
    """The text of step 6's DatasetError."""
    with pytest.raises(storage.DatasetError) as caught:
        prediction.predict_new_images(workspace)
    return str(caught.value)


def write_bright(workspace, *names, shape=(64, 64)):
    for name in names:
        csv_array.write(workspace.new_images / f"{name}.csv", np.full(shape, 60))


def test_unusable_files_are_counted_and_reported_and_do_not_stop_the_others(new_images, capsys):
    write_bright(new_images, "a", "z")
    folder = new_images.new_images
    (folder / "broken.csv").symlink_to(folder.parent / "nowhere.csv")
    (folder / "packed.csv.gz").write_bytes(b"x")
    (folder / ("x" * 250 + ".csv")).write_text("1,2\n3,4\n")
    (folder / "line\rend.csv").write_text("1,2\n3,4\n")
    (folder / "scan.pdf").write_bytes(b"x")
    text = predict_with_faults(new_images)
    for fault in (
        "broken.csv: a symbolic link",
        "packed.csv.gz: compressed",
        "name is too long",
        "line\\rend.csv: a control",
    ):
        assert fault in text
    output = capsys.readouterr().out
    assert "Predicted 2 of 6 images" in output
    assert "1 .pdf file skipped" in output
    assert sorted(files(new_images.new_predictions)) == results_of("a", "z")


def test_a_name_that_is_not_utf_8_does_not_stop_the_others(new_images):
    write_bright(new_images, "a")
    try:
        (new_images.new_images / "b\udcff.csv").write_text("1,2\n3,4\n")
    except OSError:
        pytest.skip("this disk requires UTF-8 names")
    assert "b\\xff.csv: its name is not UTF-8" in predict_with_faults(new_images)
    assert sorted(files(new_images.new_predictions)) == results_of("a")


@pytest.mark.parametrize(
    "shape, text",
    [
        ((1, 60000), "a flattened array"),
        ((2, 60000), "maximum is 8192 px a side"),
        ((9000, 3), "maximum is 8192 px a side"),
    ],
)
def test_an_image_too_long_for_a_square_is_refused_alone(new_images, shape, text):
    write_bright(new_images, "a")
    write_bright(new_images, "long", shape=shape)
    faults = predict_with_faults(new_images)
    assert "long.csv: " in faults
    assert text in faults
    assert sorted(files(new_images.new_predictions)) == results_of("a")


def test_an_array_with_a_pandas_header_is_refused_alone(new_images):
    write_bright(new_images, "a")
    csv_array.write(new_images.new_images / "b.csv", np.vstack([np.arange(64), np.full((64, 64), 60)]))
    faults = predict_with_faults(new_images)
    assert "b.csv: 65 x 64" in faults
    assert "header" in faults
    assert sorted(files(new_images.new_predictions)) == results_of("a")


@pytest.mark.parametrize("module, function", [(csv_array, "read"), (csv_array, "write"), (overlay, "to_png")])
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error", "b.csv")])
def test_an_error_in_one_image_leaves_no_files_of_it_and_all_of_the_others(
    new_images, monkeypatch, module, function, error
):
    write_bright(new_images, "a", "b", "c")
    original = getattr(module, function)
    first = iter([True])  # to_png does not know the file's name: its first call fails.

    def failing(*arguments):
        if next(first, False) if function == "to_png" else "b.csv" in str(arguments[0]):
            raise error
        return original(*arguments)

    monkeypatch.setattr(module, function, failing)
    faults = predict_with_faults(new_images)
    assert ".csv: " in faults
    assert "memory" in faults or "disk" in faults
    table = pd.read_csv(new_images.new_predictions / "_table.csv")["image"].tolist()
    assert len(table) == 2
    assert sorted(files(new_images.new_predictions)) == results_of(*table)


def test_a_full_disk_stops_step_6_and_keeps_the_previous_predictions(new_images, monkeypatch):
    write_bright(new_images, "a", "b", "c")
    prediction.predict_new_images(new_images)
    before = files(new_images.new_predictions)

    def full(path, values):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(csv_array, "write", full)
    with pytest.raises(OSError, match="No space left"):
        prediction.predict_new_images(new_images)
    assert files(new_images.new_predictions) == before


def test_parallel_images_keep_their_order_and_their_masks(new_images):
    shapes = {f"{number:02d}": (20 + number, 64) for number in range(14)}
    for name, shape in shapes.items():
        write_bright(new_images, name, shape=shape)
    prediction.predict_new_images(new_images)
    table = pd.read_csv(new_images.new_predictions / "_table.csv", dtype={"image": str})
    assert table["image"].tolist() == list(shapes)
    assert list(zip(table["height"], table["width"], strict=True)) == list(shapes.values())
    for name, shape in shapes.items():
        assert csv_array.read(new_images.new_predictions / f"{name}.csv").shape == shape


def test_a_broken_link_as_folder_is_reported(new_images):
    new_images.new_images.rmdir()
    new_images.new_images.symlink_to(new_images.root / "unmounted")
    assert "new images: a symbolic link to" in predict_with_faults(new_images)


def test_an_image_with_non_finite_logits_is_refused_alone(workspace):
    write_model(workspace.model, clip_hu=None)
    workspace.new_images.mkdir()
    write_bright(workspace, "a")
    (workspace.new_images / "b.csv").write_text((",".join(["3e38"] * 64) + "\n") * 64)
    assert "b.csv: values from 3e+38" in predict_with_faults(workspace)
    assert sorted(files(workspace.new_predictions)) == results_of("a")


@pytest.mark.parametrize("step", ["predict_test_set", "predict_new_images"])
def test_a_model_with_non_finite_weights_is_refused(prepared, monkeypatch, step):
    prepared.new_images.mkdir()
    write_bright(prepared, "a")
    read = saved_model.read

    def damaged(folder):
        network = read(folder)
        network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
        return network

    monkeypatch.setattr(saved_model, "read", damaged)
    with pytest.raises(storage.UserError, match="model: the model's weights hold non-finite values. Train it again"):
        getattr(prediction, step)(prepared)
    assert not prepared.predictions.exists()
    assert not prepared.new_predictions.exists()


def write_in_format(folder, ending, image):
    """An image of 64 x 64 in a format; the file or the folder of a DICOM series."""
    stored = (image + 1024).astype(np.uint16)
    if ending == "series":
        return write_series(folder / "scan", np.stack([stored, stored]), [(0, 0, 0), (0, 0, 5)])
    path = folder / f"scan{ending}"
    if ending == ".csv":
        csv_array.write(path, image)
    elif ending == ".npy":
        np.save(path, image)
    elif ending in (".png", ".tif"):
        PIL.Image.fromarray(np.clip(image, 0, None).astype(np.uint16)).save(path)
    elif ending == ".dcm":
        save(path, dicom(stored))
    else:
        volume = SimpleITK.GetImageFromArray(np.stack([image, image]).astype(np.int16))
        volume.SetSpacing((0.7, 0.8, 5.0))
        volume.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))  # Stored transposed and upside down.
        SimpleITK.WriteImage(volume, str(path))
    return path


@pytest.mark.parametrize(
    "ending, written",
    [
        (".csv", ".csv"),
        (".npy", ".npy"),
        (".png", ".png"),
        (".tif", ".png"),
        (".dcm", ".nii.gz"),
        ("series", ".nii.gz"),
        (".nii.gz", ".nii.gz"),
        (".nrrd", ".nrrd"),
        (".mha", ".mha"),
    ],
)
def test_a_predicted_mask_is_the_mask_of_its_image_in_step_1(new_images, bright, ending, written):
    image = np.full((64, 64), -500, np.int16)
    image[5:20, 10:50] = 60
    path = write_in_format(new_images.new_images, ending, image)
    prediction.predict_new_images(new_images)
    names = sorted(file.name for file in new_images.new_predictions.iterdir())
    assert names == sorted(["_table.csv", "overlays", f"scan{written}"])
    original = formats.read_image(path)
    mask = formats.read_mask(new_images.new_predictions / f"scan{written}", original)
    for pixels, predicted in zip(original.slices, mask.slices, strict=True):
        np.testing.assert_array_equal(predicted, cleaning.clean(pixels > 0))
    table = pd.read_csv(new_images.new_predictions / "_table.csv")
    assert len(table) == len(original.slices) == len(list((new_images.new_predictions / "overlays").iterdir()))


def test_captions_give_area_attenuation_window_and_predicted_dice(new_images, bright, monkeypatch):
    captions = []
    picture = np.zeros((8, 8), np.uint8)
    monkeypatch.setattr(overlay, "draw", lambda image, mask, lines, *_: captions.append(lines) or picture)
    image = np.full((64, 64), -500, np.int16)
    image[5:20, 10:50] = 60
    file = SimpleITK.GetImageFromArray(image[None])
    file.SetSpacing((2.0, 3.0, 5.0))
    SimpleITK.WriteImage(file, str(new_images.new_images / "scan.nrrd"))
    prediction.predict_new_images(new_images)
    [(name, caption)] = captions
    assert name == "scan"
    assert caption.startswith("area 36.00 cm² (600 px, 14.6 % of the image); mean 60.0 HU; W 400 L 40; predicted Dice ")
    assert "(not calibrated)" in caption


def test_a_slice_with_the_name_of_another_image_is_refused_alone(new_images):
    write_bright(new_images, "scan_1")
    volume = SimpleITK.GetImageFromArray(np.full((2, 64, 64), 60, np.int16))
    SimpleITK.WriteImage(volume, str(new_images.new_images / "scan.nrrd"))
    assert "would be named scan_1, as that of" in predict_with_faults(new_images)
    assert len(pd.read_csv(new_images.new_predictions / "_table.csv")) in (1, 2)
    overlays = {file.stem for file in (new_images.new_predictions / "overlays").iterdir()}
    assert overlays == set(pd.read_csv(new_images.new_predictions / "_table.csv")["image"])


def test_model_names_the_folder_of_a_shared_model(prepared, tmp_path):
    shared = tmp_path / "shared models" / "L3 muscle"
    write_model(shared, seed=5)
    configure(prepared, MODEL=str(shared))
    prediction.predict_test_set(prepared)
    provenance = mask_folder.read_provenance(prepared.predictions)
    assert provenance.id == saved_model.fingerprint([shared]) != saved_model.fingerprint([prepared.model])
    model = ensemble.read([shared])
    for case in preloaded_dataset.read_cases(prepared, "test")["case"]:
        image = preloaded_dataset.read(prepared.test_set / "images", case).astype(np.float32)
        expected = model.mask(model.logits(image[None, ..., None])[:, 0])
        np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), expected)


def test_model_can_be_another_cross_validation_if_it_is_finished(workspace):
    folders = [workspace.root / "other" / f"fold {number}" for number in range(1, 12)]
    for folder in folders:
        folder.mkdir(parents=True)
    configure(workspace, MODEL="other")
    options = settings.load(workspace.root)
    with (
        pytest.raises(settings.SettingsError, match="other: a cross-validation that is not finished"),
        models.reading(workspace, options),
    ):
        pass
    (workspace.root / "other" / "out of fold.csv").write_text("case\n")
    with models.reading(workspace, options) as found:
        assert found == folders


@pytest.mark.parametrize("step", ["predict_test_set", "predict_new_images"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_a_model_is_reported_with_the_setting(prepared, step, exists):
    (prepared.new_images).mkdir()
    write_bright(prepared, "a")
    if exists:
        (prepared.root / "nothing").mkdir()
    configure(prepared, MODEL="nothing")
    with pytest.raises(settings.SettingsError, match=r"nothing: there is no model\. Set MODEL in config\.py to a"):
        getattr(prediction, step)(prepared)


def test_fixes_for_a_shared_model_do_not_say_to_train_it_again(prepared):
    configure(prepared, MODEL="shared")
    write_model(prepared.root / "shared", 32)
    with pytest.raises(storage.DatasetError, match="has 64 px. Change MODEL, or set IMAGE_SIZE = 32 and FIT_IMAGES"):
        prediction.predict_test_set(prepared)
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(prepared.root / "shared", trained_on=[row.image_sha256])
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set, .* Change MODEL, or select another"):
        prediction.predict_test_set(prepared)


def test_step_4_also_predicts_with_a_model_to_compare_with(prepared, capsys):
    write_model(prepared.root / "shared", seed=5)
    configure(prepared, COMPARE_WITH="shared")
    prediction.predict_test_set(prepared)
    own, compared = map(mask_folder.read_provenance, (prepared.predictions, prepared.compared_predictions))
    assert compared.id == saved_model.fingerprint([prepared.root / "shared"]) != own.id
    assert mask_folder.read_source(prepared.compared_predictions) == str(prepared.root / "shared")
    evaluate_test_set(prepared)
    output = capsys.readouterr().out
    assert f"Compared with shared (model {compared.id}) on the same" in output
    configure(prepared, COMPARE_WITH="model")
    with pytest.raises(storage.MissingResult, match="those of another model than COMPARE_WITH. Run step 4 again"):
        evaluate_test_set(prepared)


def test_a_model_to_compare_with_must_not_have_seen_the_test_set(prepared):
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(prepared.root / "shared", trained_on=[row.image_sha256])
    configure(prepared, COMPARE_WITH="shared")
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set, .* Change COMPARE_WITH, or select"):
        prediction.predict_test_set(prepared)
    assert not prepared.compared_predictions.exists()
