"""Quantities of masks against values that follow from the painted pixels, and scipy.ndimage."""

import numpy as np
import pytest
from scipy import ndimage

from conftest import mask_from_text
from masks import quantities

WINDOWS = {"muscle": (-29, 150), "low attenuation": (-29, 29), "fat": (-190, -30)}


def test_areas_follow_from_row_and_column_spacing():
    mask = mask_from_text("##. ##. #..")
    measured = quantities.measure(np.zeros((3, 3)), mask, {}, in_hu=True, spacing_mm=(0.5, 2.0))
    assert (measured["px"], measured["cm2"]) == (5, pytest.approx(5 * 0.5 * 2 / 100))


def test_mean_and_sd_equal_those_of_scipy():
    generator = np.random.default_rng(1)
    image, mask = generator.normal(40, 15, (20, 30)).astype(np.float32), generator.integers(0, 2, (20, 30))
    measured = quantities.measure(image, mask.astype(np.uint8), {}, in_hu=True)
    assert measured["mean_hu"] == pytest.approx(ndimage.mean(image.astype(float), mask, 1))
    assert measured["sd_hu"] == pytest.approx(ndimage.standard_deviation(image.astype(float), mask, 1))


def test_both_limits_belong_to_a_window():
    image = np.array([[-191, -190, -30, -29.5], [-29, 29, 30, 151]])
    measured = quantities.measure(image, np.ones((2, 4)), WINDOWS, in_hu=True, spacing_mm=(1, 2))
    assert [measured[f"{name}_px"] for name in ("muscle", "low_attenuation", "fat")] == [3, 2, 2]
    assert measured["muscle_cm2"] == pytest.approx(0.06)


def test_only_pixels_of_the_mask_count():
    image = np.array([[100, 5000], [100, 100]])
    measured = quantities.measure(image, mask_from_text("#. ##"), WINDOWS, in_hu=False)
    assert (measured["mean_value"], measured["sd_value"], measured["muscle_px"]) == (100, 0, 3)


def test_an_empty_mask_has_areas_of_0_and_no_mean():
    measured = quantities.measure(np.ones((2, 2)), np.zeros((2, 2)), WINDOWS, True, (1, 1), height_m=1.7)
    assert {measured[name] for name in ("px", "cm2", "muscle_px", "fat_cm2", "smi_cm2_per_m2")} == {0}
    assert np.isnan([measured["mean_hu"], measured["sd_hu"]]).all()


def test_the_skeletal_muscle_index_is_the_area_over_the_squared_height():
    measured = quantities.measure(np.ones((100, 100)), np.ones((100, 100)), {}, True, (1, 1), height_m=2.0)
    assert measured["smi_cm2_per_m2"] == 25
    assert "smi_cm2_per_m2" not in quantities.measure(np.ones((2, 2)), np.ones((2, 2)), {}, True, (1, 1))


def test_large_integers_do_not_overflow():
    measured = quantities.measure(np.full((300, 300), 30000, np.int16), np.ones((300, 300)), {}, in_hu=False)
    assert (measured["mean_value"], measured["sd_value"]) == (30000, 0)


@pytest.mark.parametrize("in_cm2", [False, True])
@pytest.mark.parametrize("in_hu", [False, True])
def test_every_quantity_is_measured(in_cm2, in_hu):
    spacing_mm = (1.0, 1.0) if in_cm2 else None
    measured = quantities.measure(np.ones((2, 2)), np.ones((2, 2)), WINDOWS, in_hu, spacing_mm, height_m=1.7)
    known = quantities.quantities(WINDOWS, in_cm2, in_hu, has_height=True)
    assert {quantity.ending for quantity in known} <= set(measured)
    assert len({quantity.name for quantity in known}) == len(known) == (7 if in_cm2 else 6)
    assert known[0].title == ("Area (cm²)" if in_cm2 else "Area (px)")


def test_image_and_mask_must_have_the_same_shape():
    with pytest.raises(ValueError, match="same shape"):
        quantities.measure(np.ones((2, 2)), np.ones((2, 3)), {}, in_hu=True)
