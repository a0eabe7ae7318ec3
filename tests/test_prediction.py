"""Steps 4 and 6: a mask for every case and every new image, of the right size, and no bad file stops the others."""

import errno
import json

import numpy as np
import pandas as pd
import pytest
import skimage.measure
from matplotlib import pyplot
from tensorflow import keras

import networks
import prediction
import storage
from conftest import configure, files, write_pair
from data import csv_array, mask_folder, out_of_distribution, phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from masks import cleaning, drawing, metrics
from networks import ensemble, saved_model


def write_model(folder, image_size=64, trained_on=(), seed=0, test_time_flip=True, harmless=True, clip_hu=(-200, 200)):
    """A model with fresh weights, which finds nothing in particular."""
    keras.utils.set_random_seed(seed)
    network = networks.build("unet", image_size, 2, 4, clip_hu)
    folder.mkdir(parents=True, exist_ok=True)
    known = out_of_distribution.train_set_statistics([np.linspace(-1, 1, 64)], [0.3]) | {
        "cleaning_is_harmless": harmless
    }
    training = {"image_size": image_size, "image_sha256": list(trained_on), "known": known}
    hyperparameters = {
        "architecture": "unet",
        "filters": 2,
        "patch_px": 4,
        "clip_hu": clip_hu,
        "horizontal_flip": test_time_flip,
    }
    saved_model.write(folder, network, hyperparameters, training, pd.DataFrame())


@pytest.fixture
def bright(monkeypatch):
    """In place of what the networks find: the pixels above 0, so that the right answer is known; a second member just misses the upper half."""

    def logits(self, images):
        found = np.asarray(images)[..., 0] - 0.5
        return np.stack([found, np.where(np.arange(found.shape[1])[:, None] < 32, -0.1, found)])

    monkeypatch.setattr(ensemble.Ensemble, "logits", logits)


@pytest.fixture
def prepared(dataset):
    create_preloaded_dataset(dataset)
    write_model(dataset.model)
    return dataset


def test_every_test_case_gets_its_own_cleaned_mask(prepared, bright):
    prediction.predict_test_set(prepared)
    cases = preloaded_dataset.read_cases(prepared, "test")["case"]
    assert sorted(files(prepared.predictions)) == sorted(
        ["_model.json", "_table.csv", *(f"{case}.npy" for case in cases)]
    )
    for case in cases:
        wanted = cleaning.clean(preloaded_dataset.read(prepared.test_set / "images", case) > 0)
        found = preloaded_dataset.read(prepared.predictions, case)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, wanted)


def test_masks_are_cleaned_if_that_leaves_the_train_masks_as_they_are_or_as_told(prepared, bright, capsys):
    cases = preloaded_dataset.read_cases(prepared, "test")["case"]
    found = {case: preloaded_dataset.read(prepared.test_set / "images", case) > 0 for case in cases}
    for harmless, told, cleaned in (
        (False, None, False),
        (False, True, True),
        (True, False, False),
        (True, None, True),
    ):
        write_model(prepared.model, harmless=harmless)
        configure(prepared, CLEAN_PREDICTIONS=told)
        prediction.predict_test_set(prepared)
        for case, mask in found.items():
            np.testing.assert_array_equal(
                preloaded_dataset.read(prepared.predictions, case), cleaning.clean(mask) if cleaned else mask
            )
        assert ("small and isolated areas taken out" in capsys.readouterr().out) is cleaned
        assert mask_folder.read_provenance(prepared.predictions)["cleaned"] is cleaned
    assert any((cleaning.clean(mask) != mask).any() for mask in found.values())


def test_the_network_itself_predicts(prepared):
    prediction.predict_test_set(prepared)
    network = saved_model.read(prepared.model)
    for case in preloaded_dataset.read_cases(prepared, "test")["case"]:
        image = preloaded_dataset.read(prepared.test_set / "images", case).astype(np.float32)
        # The mean of what it finds on the image and on its mirror image.
        there, back = network(image[None, ..., None]).numpy(), network(image[None, :, ::-1, None]).numpy()[:, :, ::-1]
        wanted = cleaning.clean((there + back)[0, ..., 0] >= 0)
        np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), wanted)


def test_the_true_masks_are_not_read(prepared):
    for path in (prepared.test_set / "masks").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    prediction.predict_test_set(prepared)
    assert len(files(prepared.predictions)) == 4
    # Which model made them is written down, with what it was trained on.
    provenance = mask_folder.read_provenance(prepared.predictions)
    assert provenance["id"] == saved_model.fingerprint([prepared.model])
    assert provenance["image_sha256"] == []
    assert provenance["hyperparameters"]["architecture"] == "unet"


def test_a_model_that_was_trained_on_a_test_image_is_refused(prepared):
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(prepared.model, trained_on=[row.image_sha256])
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set, but the model was trained on it"):
        prediction.predict_test_set(prepared)


def test_a_model_of_another_size_is_refused(prepared):
    write_model(prepared.model, 32)
    with pytest.raises(storage.DatasetError, match="trained on images of 32 px, the dataset's have 64 px"):
        prediction.predict_test_set(prepared)


def test_a_prediction_that_fails_half_way_leaves_the_former_ones(prepared, monkeypatch):
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


def test_steps_too_early_are_told(dataset):
    with pytest.raises(storage.MissingResult, match="Run step 1 first"):
        prediction.predict_test_set(dataset)
    create_preloaded_dataset(dataset)
    with pytest.raises(storage.MissingResult, match="Run step 3 first"):
        prediction.predict_test_set(dataset)


@pytest.fixture
def new_images(workspace, bright):
    write_model(workspace.model)
    workspace.new_images.mkdir(parents=True)
    return workspace


@pytest.mark.parametrize("shape", [(64, 64), (128, 128), (50, 80), (200, 90), (48, 48)])
def test_new_images_of_any_size_come_back_in_that_size(new_images, shape):
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
    assert pyplot.imread(new_images.new_predictions / "one.png").shape[:2] == (1024, 1024)


def test_beside_an_image_that_is_no_ct_lies_its_mirror_image(workspace):
    # Its lower quarter mirrors what is above it: without it, the image is padded to what it was.
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


def test_what_lies_beside_the_image_is_no_part_of_an_area(new_images):
    # With its mirror image it would be large enough to stay.
    write_model(new_images.model, clip_hu=None)
    image = np.full((48, 64), -100)
    image[5:25, 10:40] = image[42:48, 50:56] = 60
    csv_array.write(new_images.new_images / "one.csv", image)
    prediction.predict_new_images(new_images)
    np.testing.assert_array_equal(csv_array.read(new_images.new_predictions / "one.csv"), cleaning.clean(image > 0))
    assert cleaning.clean(image > 0)[42:48].sum() == 0


def test_a_resized_mask_has_no_new_areas(new_images):
    image, _ = phantoms.draw(3, 192)
    csv_array.write(new_images.new_images / "large.csv", image)
    prediction.predict_new_images(new_images)
    mask = csv_array.read(new_images.new_predictions / "large.csv")
    assert skimage.measure.label(mask, connectivity=2).max() < 12


def test_one_bad_file_does_not_stop_the_others_and_is_named_at_the_end(new_images):
    for name, content in (("a", "1,2\n3,4\n"), ("b", "1;2\n"), ("c", "5,6\n7,8\n"), ("_table", "1,2\n")):
        (new_images.new_images / f"{name}.csv").write_text(content)
    (new_images.new_images / "notes.txt").write_text("x")
    (new_images.new_images / ".hidden.csv").write_text("x")
    with pytest.raises(storage.DatasetError) as caught:
        prediction.predict_new_images(new_images)
    assert len(caught.value.faults) == 2
    assert "b.csv: semicolons" in caught.value.faults[1]
    assert "_table.csv: this name is kept" in caught.value.faults[0]
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png", "c.csv", "c.png"]


def test_nothing_to_predict_says_where_to_put_it(new_images):
    with pytest.raises(storage.DatasetError, match="new images: no CSV files found. Put the images to predict there"):
        prediction.predict_new_images(new_images)


def test_only_bad_files_leave_the_former_predictions(new_images):
    new_images.new_predictions.mkdir()
    (new_images.new_predictions / "former.csv").write_text("1")
    write_pair(new_images.root, "x", None, None)
    (new_images.new_images / "bad.csv").write_text("")
    with pytest.raises(storage.DatasetError, match="the file is empty"):
        prediction.predict_new_images(new_images)
    assert files(new_images.new_predictions) == {"former.csv": b"1"}


def test_the_model_keeps_what_it_was_trained_on(prepared):
    assert json.loads((prepared.model / "training.json").read_text())["image_size"] == 64


def test_a_test_case_is_told_with_its_predicted_dice_and_what_is_strange(prepared, bright, capsys):
    prediction.predict_test_set(prepared)
    table = pd.read_csv(prepared.predictions / "_table.csv").set_index("case")
    for case, row in table.iterrows():
        image = preloaded_dataset.read(prepared.test_set / "images", case)
        assert row["predicted_dice"] == pytest.approx(
            metrics.dice(image > 0, (image > 0) & (np.arange(64)[:, None] >= 32)), abs=1e-4
        )
    # The model's own train set was one image of evenly spread values.
    assert table["ood_reasons"].str.contains("intensities").all()
    output = capsys.readouterr().out
    assert "Predicted 2 test cases, small and isolated areas taken out. Look at these 2 first:" in output
    assert f"{table.index[0]}: predicted Dice 0." in output


def test_no_new_image_is_passed_over_for_its_name_s_capitals(new_images):
    csv_array.write(new_images.new_images / "SCAN.CSV", np.full((64, 64), 60))
    prediction.predict_new_images(new_images)
    assert {"SCAN.CSV", "SCAN.png"} <= set(files(new_images.new_predictions))


def test_of_two_names_that_differ_in_capitals_alone_one_is_told(new_images):
    for ending in ("csv", "CSV"):
        csv_array.write(new_images.new_images / f"a.{ending}", np.full((64, 64), 60))
    if len(files(new_images.new_images)) == 1:
        pytest.skip("this disk does not know capitals")
    with pytest.raises(storage.DatasetError, match=r"a\.CSV: differs from a.csv only in upper and lower case"):
        prediction.predict_new_images(new_images)
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png"]


def test_a_model_that_knows_no_mirror_images_guesses_nothing(prepared, capsys):
    write_model(prepared.model, test_time_flip=False)
    prediction.predict_test_set(prepared)
    assert pd.read_csv(prepared.predictions / "_table.csv")["predicted_dice"].isna().all()
    assert "nan" not in capsys.readouterr().out


def test_a_new_image_is_told_with_its_predicted_dice_and_what_is_strange(new_images, capsys):
    csv_array.write(new_images.new_images / "odd.csv", np.full((50, 80), 60))
    prediction.predict_new_images(new_images)
    row = pd.read_csv(new_images.new_predictions / "_table.csv").iloc[0]
    # One member finds all of its forty rows (of 64 that the network sees, with what is put below), the other one eight.
    assert row["predicted_dice"] == pytest.approx(1 / 3, abs=1e-3)
    assert row["ood_reasons"] == "intensities, mask larger than any, image size"
    assert f"odd: predicted Dice {row['predicted_dice']:.2f}; unlike" in capsys.readouterr().out


def test_the_folds_models_predict_together_when_asked_to(prepared):
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
        wanted = cleaning.clean(np.mean(logits, axis=0)[0, ..., 0] >= 0)
        np.testing.assert_array_equal(preloaded_dataset.read(prepared.predictions, case), wanted)
    # Each of them is asked what it has seen.
    row = preloaded_dataset.read_cases(prepared, "test").iloc[0]
    write_model(folders[1], trained_on=[row.image_sha256])
    with pytest.raises(storage.DatasetError, match=f"{row.case}: in the test set"):
        prediction.predict_test_set(prepared)


def predict_with_faults(workspace):
    """The text of the DatasetError with which step 6 ends."""
    with pytest.raises(storage.DatasetError) as caught:
        prediction.predict_new_images(workspace)
    return str(caught.value)


def write_bright(workspace, *names, shape=(64, 64)):
    for name in names:
        csv_array.write(workspace.new_images / f"{name}.csv", np.full(shape, 60))


def test_files_that_were_meant_as_data_are_counted_and_named_and_do_not_stop_the_others(new_images, capsys):
    write_bright(new_images, "a", "z")
    folder = new_images.new_images
    (folder / "broken.csv").symlink_to(folder.parent / "nowhere.csv")
    (folder / "packed.csv.gz").write_bytes(b"x")
    (folder / ("x" * 250 + ".csv")).write_text("1,2\n3,4\n")
    (folder / "line\rend.csv").write_text("1,2\n3,4\n")
    (folder / "scan.dcm").write_bytes(b"x")
    told = predict_with_faults(new_images)
    faults = "broken.csv: a symbolic link", "packed.csv.gz: compressed", "name is too long", "line\\rend.csv: a control"
    assert all(fault in told for fault in faults)
    output = capsys.readouterr().out
    assert "Predicted 2 of 6 images" in output
    assert "1 .dcm file skipped" in output
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png", "z.csv", "z.png"]


def test_a_name_that_is_not_utf_8_costs_no_other_prediction(new_images):
    write_bright(new_images, "a")
    try:
        (new_images.new_images / "b\udcff.csv").write_text("1,2\n3,4\n")
    except OSError:
        pytest.skip("this disk takes only names in UTF-8")
    assert "b\\xff.csv: its name is not UTF-8" in predict_with_faults(new_images)
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png"]


@pytest.mark.parametrize(
    "shape, text",
    [((1, 60000), "a flattened array"), ((2, 60000), "at most 8192 px a side"), ((9000, 3), "at most 8192 px a side")],
)
def test_an_image_too_long_for_a_square_is_refused_alone(new_images, shape, text):
    write_bright(new_images, "a"), write_bright(new_images, "long", shape=shape)
    told = predict_with_faults(new_images)
    assert "long.csv: " in told
    assert text in told
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png"]


def test_an_array_with_the_header_of_pandas_is_refused_alone(new_images):
    write_bright(new_images, "a")
    csv_array.write(new_images.new_images / "b.csv", np.vstack([np.arange(64), np.full((64, 64), 60)]))
    assert "b.csv: 65 x 64" in (told := predict_with_faults(new_images))
    assert "header" in told
    assert sorted(files(new_images.new_predictions)) == ["_table.csv", "a.csv", "a.png"]


@pytest.mark.parametrize("module, function", [(csv_array, "read"), (csv_array, "write"), (drawing, "to_png")])
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error", "b.csv")])
def test_what_fails_for_one_image_leaves_nothing_of_it_and_all_of_the_others(
    new_images, monkeypatch, module, function, error
):
    write_bright(new_images, "a", "b", "c")
    true = getattr(module, function)

    first = iter([True])  # A picture does not have its file's name: the first one fails, whosoever it is.

    def failing(*arguments):
        if next(first, False) if function == "to_png" else "b.csv" in str(arguments[0]):
            raise error
        return true(*arguments)

    monkeypatch.setattr(module, function, failing)
    told = predict_with_faults(new_images)
    assert ".csv: " in told
    assert "memory" in told or "disk" in told
    table = pd.read_csv(new_images.new_predictions / "_table.csv")["image"].tolist()
    assert len(table) == 2
    results = [f"{name}.{ending}" for name in table for ending in ("csv", "png")]
    assert sorted(files(new_images.new_predictions)) == sorted(["_table.csv", *results])


def test_a_full_disk_ends_the_step_and_leaves_the_former_predictions(new_images, monkeypatch):
    write_bright(new_images, "a", "b", "c")
    prediction.predict_new_images(new_images)
    before = files(new_images.new_predictions)

    def full(path, values):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(csv_array, "write", full)
    with pytest.raises(OSError, match="No space left"):
        prediction.predict_new_images(new_images)
    assert files(new_images.new_predictions) == before


def test_images_that_are_worked_on_side_by_side_keep_their_order_and_their_own_masks(new_images):
    shapes = {f"{number:02d}": (20 + number, 64) for number in range(14)}
    for name, shape in shapes.items():
        write_bright(new_images, name, shape=shape)
    prediction.predict_new_images(new_images)
    table = pd.read_csv(new_images.new_predictions / "_table.csv", dtype={"image": str})
    assert table["image"].tolist() == list(shapes)
    assert list(zip(table["height"], table["width"], strict=True)) == list(shapes.values())
    for name, shape in shapes.items():
        assert csv_array.read(new_images.new_predictions / f"{name}.csv").shape == shape


def test_new_images_that_link_to_nowhere_are_told_so(new_images):
    new_images.new_images.rmdir()
    new_images.new_images.symlink_to(new_images.root / "unmounted")
    assert "new images: a symbolic link to" in predict_with_faults(new_images)


def test_an_image_that_makes_the_network_overflow_is_refused_alone(workspace):
    write_model(workspace.model, clip_hu=None)
    workspace.new_images.mkdir()
    write_bright(workspace, "a")
    (workspace.new_images / "b.csv").write_text((",".join(["3e38"] * 64) + "\n") * 64)
    assert "b.csv: values from 3e+38" in predict_with_faults(workspace)
    assert sorted(files(workspace.new_predictions)) == ["_table.csv", "a.csv", "a.png"]


@pytest.mark.parametrize("step", ["predict_test_set", "predict_new_images"])
def test_a_model_whose_weights_are_not_finite_predicts_nothing(prepared, monkeypatch, step):
    prepared.new_images.mkdir()
    write_bright(prepared, "a")
    true = saved_model.read

    def damaged(folder):
        network = true(folder)
        network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
        return network

    monkeypatch.setattr(saved_model, "read", damaged)
    with pytest.raises(storage.UserError, match="model: the model's weights hold non-finite values. Train it again"):
        getattr(prediction, step)(prepared)
    assert not prepared.predictions.exists()
    assert not prepared.new_predictions.exists()
