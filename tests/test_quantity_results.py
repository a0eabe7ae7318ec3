"""Quantities in the results of steps 5 and 6: known areas and Hounsfield units of phantoms are read back."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
import scipy.stats
import SimpleITK
from matplotlib import pyplot

import networks
import prediction
import settings
import storage
from conftest import configure, training
from data import csv_array, out_of_distribution, phantoms, preloaded_dataset
from data.original_dataset import create_preloaded_dataset
from evaluation import evaluate_test_set
from networks import ensemble, saved_model

REAL_FIGURES = True  # See conftest.py.

WINDOWS = {"muscle": (-29, 150), "low attenuation": (-29, 29)}
EVALUATION = {
    "PIXEL_SPACING_MM": 6.0,  # 64 px are about the field of view of a CT.
    "VALUE_WINDOWS": WINDOWS,
    "PRIMARY_QUANTITY": "mean value",
    "PATIENTS_TABLE": "patients.csv",
    "COMPARE_WITH": "other masks",
}


def write_other_masks(workspace, cases):
    """Masks of another program: dilated reference masks, but that of the first case is perfect."""
    (workspace.root / "other masks").mkdir()
    for number, case in enumerate(cases):
        mask = preloaded_dataset.read(workspace.test_set / "masks", case)
        other = scipy.ndimage.binary_dilation(mask, iterations=2) if number else mask
        preloaded_dataset.write(workspace.root / "other masks", case, other.astype(np.uint8))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A workspace with 12 test phantoms of six patients, one of unknown height; predictions are eroded masks."""
    workspace = storage.Workspace(tmp_path_factory.mktemp("quantities") / "a project")
    configure(workspace, TEST_CASES=[f"A__phantom_{number:03d}" for number in range(12)])
    phantoms.write_original_dataset(workspace.original_dataset / "A", 13, 64)
    create_preloaded_dataset(workspace)
    workspace.predictions.mkdir()
    cases = pd.read_csv(workspace.preloaded_dataset / "cases.csv").sort_values("case")
    cases["group"] = [f"patient {number // 2}" for number in range(12)] + ["other"]
    cases.to_csv(workspace.preloaded_dataset / "cases.csv", index=False)
    for case in cases["case"][:12]:
        mask = preloaded_dataset.read(workspace.test_set / "masks", case)
        preloaded_dataset.write(workspace.predictions, case, scipy.ndimage.binary_erosion(mask).astype(np.uint8))
    heights = ["", *(f"{1.5 + number / 100}" for number in range(1, 6))]
    sexes, ages = "ffmmmm", range(60, 66)
    rows = zip(range(6), heights, sexes, ages, strict=True)
    lines = "".join(f"patient {number},{height},{sex},{age}\n" for number, height, sex, age in rows)
    (workspace.root / "patients.csv").write_text(f"group,height_m,sex,age\n{lines}")
    write_other_masks(workspace, cases["case"][:12])
    configure(workspace, **EVALUATION)
    evaluate_test_set(workspace)
    return workspace


@pytest.fixture(scope="module")
def metrics(evaluated):
    """metrics.csv by case."""
    return pd.read_csv(evaluated.results / "metrics.csv").set_index("case")


@pytest.fixture(scope="module")
def summary(evaluated):
    """summary.json."""
    return json.loads((evaluated.results / "summary.json").read_text())


def test_areas_and_hounsfield_units_of_phantoms_are_in_metrics_csv(evaluated, metrics):
    for case, row in metrics.iterrows():
        image = preloaded_dataset.read(evaluated.test_set / "images", case)
        for name, folder in (("true", evaluated.test_set / "masks"), ("predicted", evaluated.predictions)):
            mask = preloaded_dataset.read(folder, case)
            values = image[mask > 0]
            assert row[f"{name}_cm2"] == pytest.approx(mask.sum() * 0.36)
            assert row[f"{name}_mean_hu"] == pytest.approx(np.mean(values))
            assert row[f"{name}_sd_hu"] == pytest.approx(np.std(values))
            assert row[f"{name}_muscle_cm2"] == pytest.approx(np.sum((values >= -29) & (values <= 150)) * 0.36)
            assert row[f"{name}_low_attenuation_px"] == np.sum((values >= -29) & (values <= 29))


def test_the_summary_has_the_agreement_of_each_quantity_with_intervals(metrics, summary):
    quantities = ["mean value", "area", "SMI", "SD of values", "muscle", "low attenuation"]
    assert list(summary["quantities"]) == quantities
    for name, ending in (("area", "cm2"), ("mean value", "mean_hu"), ("muscle", "muscle_cm2")):
        agreement = summary["quantities"][name]
        difference = metrics[f"predicted_{ending}"] - metrics[f"true_{ending}"]
        assert agreement["bias"] == pytest.approx(difference.mean())
        assert agreement["bias_95_ci"][0] < agreement["bias"] < agreement["bias_95_ci"][1]
        assert (agreement["cases"], agreement["failed"]) == (12, 0)
    assert summary["areas"] == summary["quantities"]["area"]


def test_every_quantity_is_in_the_report_and_has_a_plot(evaluated):
    report = (evaluated.results / "report.html").read_text()
    titles = ("Area (cm²)", "Mean attenuation (HU)", "SD of attenuation (HU)", "Area of muscle (cm²)")
    for title in (*titles, "Area / height² (cm²/m²)"):
        assert f'<th scope="row">{title}</th>' in report
    assert (evaluated.results / "agreement_low_attenuation.pdf").stat().st_size > 1000


def test_the_methods_name_quantities_windows_and_the_resampled_unit(evaluated):
    methods = (evaluated.results / "methods.txt").read_text()
    assert "mean of the image values in the mask (HU), area, area divided by squared height" in methods
    assert "area of low attenuation (−29 to 29 HU)" in methods
    assert "with bootstrap confidence intervals over groups" in methods


def test_heights_give_the_skeletal_muscle_index_of_cases_that_have_one(metrics, summary):
    index = metrics["true_smi_cm2_per_m2"]
    assert np.isnan(index["A__phantom_001"])
    assert index["A__phantom_005"] == pytest.approx(metrics["true_cm2"]["A__phantom_005"] / 1.52**2)
    assert (summary["quantities"]["SMI"]["cases"], summary["quantities"]["SMI"]["failed"]) == (10, 2)


def test_means_of_groups_stand_next_to_means_of_images(evaluated, metrics, summary):
    by_group = (metrics["predicted_cm2"] - metrics["true_cm2"]).groupby(metrics["group"]).mean()
    assert summary["quantities"]["area"]["group_means"]["bias"] == pytest.approx(by_group.mean())
    by_group = metrics.groupby("group")["dice"].mean()
    assert summary["metrics"]["dice"]["group_mean"] == pytest.approx(by_group.mean())
    assert "<td>6 group means</td>" in (evaluated.results / "report.html").read_text()


def test_subgroups_have_counts_means_and_a_warning_if_they_are_small(evaluated, metrics, summary):
    by_sex = {each["value"]: each for each in summary["subgroups"]}
    women = metrics["group"].isin(["patient 0", "patient 1"])
    assert {name: each["dice"]["cases"] for name, each in by_sex.items()} == {"f": 4, "m": 8}
    assert by_sex["f"]["dice"]["mean"] == pytest.approx(metrics["dice"][women].mean())
    difference = metrics["predicted_mean_hu"] - metrics["true_mean_hu"]
    assert by_sex["m"]["quantity"]["bias"] == pytest.approx(difference[~women].mean())
    report = (evaluated.results / "report.html").read_text()
    assert "Warning: fewer than 5 cases, too few for a conclusion: sex: f (4)." in report
    assert "1 column of PATIENTS_TABLE with one or with many values form no subgroups: age." in report
    assert (evaluated.results / "subgroups.pdf").exists()


def test_the_comparison_has_differences_interval_and_wilcoxon_test_over_groups(evaluated, metrics, summary):
    table = pd.read_csv(evaluated.results / "comparison.csv").set_index("case").loc[metrics.index]
    other = preloaded_dataset.read(evaluated.root / "other masks", "A__phantom_003")
    true = preloaded_dataset.read(evaluated.test_set / "masks", "A__phantom_003")
    dice = 2 * (other & true).sum() / (other.sum() + true.sum())
    assert table["other_dice"]["A__phantom_003"] == pytest.approx(dice)
    differences = metrics["dice"] - table["other_dice"]
    result = summary["comparison"]["dice_difference"]
    assert result["mean"] == pytest.approx(differences.mean())
    assert result["p_value"] == pytest.approx(scipy.stats.wilcoxon(differences.groupby(metrics["group"]).mean()).pvalue)
    errors = (metrics["predicted_mean_hu"] - metrics["true_mean_hu"]).abs() - table["other_absolute_error_mean_hu"]
    assert summary["comparison"]["absolute_error_difference"]["mean"] == pytest.approx(errors.mean())


def test_the_comparison_shows_the_cases_that_differ_most_and_names_the_test(evaluated):
    report = (evaluated.results / "report.html").read_text()
    assert "Wilcoxon signed-rank test on the means of 6 groups" in report
    assert "Compared with other masks on the same 12 cases" in (evaluated.results / "methods.txt").read_text()
    table = pd.read_csv(evaluated.results / "comparison.csv")
    assert table["dice_difference"].is_monotonic_decreasing
    assert table["case"].iloc[-1] == "A__phantom_000"
    assert pyplot.imread(evaluated.results / "most_degraded.png").shape[1] == 1024


def test_the_summaries_have_tables_of_quantities_subgroups_and_comparison(evaluated):
    markdown, latex = ((evaluated.results / f"summary.{kind}").read_text() for kind in ("md", "tex"))
    assert "| Mean of groups (95 % CI) |" in markdown
    for row in ("| Area of muscle (cm²) | 12 cases |", "| sex: f (too few) | 4 | 2 |", "| Dice coefficient | 0."):
        assert row in markdown
    assert latex.count(r"\begin{tabular}") == 4
    assert r"Area of muscle (cm$^2$) & 12 cases &" in latex


def test_both_evaluations_are_in_the_log(evaluated):
    log = pd.read_csv(evaluated.evaluations)
    assert log["model"].tolist() == ["predictions", "other masks"]


def test_an_unknown_height_of_the_primary_quantity_is_an_error(evaluated):
    configure(evaluated, **EVALUATION | {"PATIENTS_TABLE": None, "PRIMARY_QUANTITY": "SMI"})
    with pytest.raises(settings.SettingsError, match='PRIMARY_QUANTITY = "SMI" in config.py needs the pixel spacing'):
        evaluate_test_set(evaluated)


@pytest.fixture
def new_images(workspace, monkeypatch):
    """A workspace with a model whose mask is the pixels above 0."""
    network = networks.build("unet", 64, 2, 4, (-200, 200))
    workspace.model.mkdir()
    statistics = out_of_distribution.train_set_statistics([np.linspace(-1, 1, 64)], [0.3])
    record = training({"filters": 2, "stem_patch_px": 4}, image_size=64, train_set_statistics=statistics)
    saved_model.write(workspace.model, network, record, pd.DataFrame())
    monkeypatch.setattr(
        ensemble.Ensemble, "logits", lambda self, images: np.repeat(np.asarray(images)[None, ..., 0] - 0.5, 2, axis=0)
    )
    workspace.new_images.mkdir()
    return workspace


def disc(hu, size=64):
    """An image of air with a disc of tissue of these HU, and the number of its pixels."""
    rows, columns = np.indices((size, size))
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 4) ** 2
    return np.where(inside, hu, -1000).astype(np.int16), int(inside.sum())


def predict(workspace, **changes):
    configure(workspace, VALUE_WINDOWS=WINDOWS, **changes)
    prediction.predict_new_images(workspace)
    return pd.read_csv(workspace.new_predictions / "_table.csv", dtype={"group": str}).set_index("image")


def test_areas_and_hounsfield_units_are_in_the_table_of_new_images(new_images):
    image, pixels = disc(40)
    image[32, 28:36] = 20  # Eight pixels of low attenuation.
    volume = SimpleITK.GetImageFromArray(image)
    volume.SetSpacing((0.5, 2.0))  # Columns, rows.
    SimpleITK.WriteImage(volume, new_images.new_images / "one.nrrd")
    csv_array.write(new_images.new_images / "two.csv", image)
    table = predict(new_images)
    one = table.loc["one"]
    assert (one.mask_px, one.row_mm, one.column_mm, one.area_cm2) == (pixels, 2, 0.5, pytest.approx(pixels / 100))
    assert one.mean_hu == pytest.approx((40 * (pixels - 8) + 20 * 8) / pixels, abs=1e-3)
    assert (one.low_attenuation_px, one.low_attenuation_cm2, one.muscle_px) == (8, 0.08, pixels)
    assert table.loc["two", ["row_mm", "area_cm2"]].isna().all()


def test_the_setting_of_the_pixel_spacing_holds_for_files_without_one(new_images, capsys):
    image, pixels = disc(40)
    volume = SimpleITK.GetImageFromArray(image)
    volume.SetSpacing((0.8, 0.8))
    SimpleITK.WriteImage(volume, new_images.new_images / "own.nrrd")
    csv_array.write(new_images.new_images / "none.csv", image)
    table = predict(new_images, PIXEL_SPACING_MM=0.5)
    assert table["area_cm2"].to_dict() == {
        "none": pytest.approx(pixels / 400, abs=1e-4),
        "own": pytest.approx(pixels * 0.0064, abs=1e-4),
    }
    assert "PIXEL_SPACING_MM differs from the pixel spacing in 1 of 2 images" in capsys.readouterr().out


def test_areas_of_resized_images_are_on_their_original_pixels(new_images):
    image, pixels = disc(40, size=128)
    csv_array.write(new_images.new_images / "large.csv", image)
    row = predict(new_images, PIXEL_SPACING_MM=1.0).loc["large"]
    mask = csv_array.read(new_images.new_predictions / "large.csv")
    assert mask.sum() == row.mask_px == pytest.approx(pixels, rel=0.1)
    assert (row.area_cm2, row.mean_hu) == (row.mask_px / 100, pytest.approx(image[mask > 0].mean(), abs=1e-3))


def test_images_that_are_not_ct_have_values_without_unit(new_images):
    image = np.where(disc(40)[0] > 0, 90, 0)
    csv_array.write(new_images.new_images / "mr.csv", image)
    table = predict(new_images)
    assert table.loc["mr", "mean_value"] == 90
    assert "mean_hu" not in table


def test_groups_and_heights_of_new_images_come_from_the_table_of_patients(new_images):
    image, pixels = disc(40)
    for name in ("a", "b"):
        csv_array.write(new_images.new_images / f"{name}.csv", image)
    (new_images.root / "patients.csv").write_text("case,group,height_m\na,patient 7,1.6\n")
    table = predict(new_images, PATIENTS_TABLE="patients.csv", PIXEL_SPACING_MM=1.0)
    assert table["group"].to_dict() == {"a": "patient 7", "b": "b"}
    assert table.loc["a", "smi_cm2_per_m2"] == pytest.approx(pixels / 100 / 1.6**2, abs=1e-4)
    assert np.isnan(table.loc["b", "smi_cm2_per_m2"])


def test_group_cases_by_also_groups_new_images(new_images):
    image, _ = disc(40)
    for name in ("p1_a", "p1_b", "other"):
        csv_array.write(new_images.new_images / f"{name}.csv", image)
    assert predict(new_images, GROUP_CASES_BY=r"p\d+")["group"].to_dict() == {
        "other": "other",
        "p1_a": "p1",
        "p1_b": "p1",
    }
