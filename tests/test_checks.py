"""Wrong data gives the finding that names it, correct data gives none; only what is certain is an error."""

import numpy as np
import pytest

from data import checks, phantoms
from data.checks import mask_fit
from data.checks.orientations import ORIENTATIONS

SIDE, COUNT, WINDOW = 128, 24, (-160, 240)
CERTAIN = {
    "constant image",
    "image is its mask",
    "outline burned in",
    "image cut by its mask",
    "same mask",
    "copies of an image",
    "identical images in different groups",
}


@pytest.fixture(scope="module")
def pairs():
    """Images and masks of phantoms."""
    return [phantoms.draw(seed, SIDE) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def correct(pairs):
    """Their features."""
    return {name(number): checks.describe(*pair, WINDOW) for number, pair in enumerate(pairs)}


def name(number):
    return f"case_{number:02d}"


def with_changes(correct, changed):
    """The features with other pairs of image and mask, {number: (image, mask)}."""
    return correct | {name(number): checks.describe(*pair, WINDOW) for number, pair in changed.items()}


def only(found):
    """The only finding; its certainty must be that of its check."""
    assert [finding.check for finding in found] == [found[0].check], found
    assert found[0].certain == (found[0].check in CERTAIN)
    return found[0]


def changed_masks(pairs, numbers, change):
    return {number: (pairs[number][0], change(pairs[number][1])) for number in numbers}


def changed_images(pairs, numbers, change):
    return {number: (change(*pairs[number]), pairs[number][1]) for number in numbers}


def test_correct_data_has_no_finding(correct):
    assert checks.findings(correct, None, WINDOW) == []


@pytest.mark.parametrize("size", [64, 96, 160])
def test_correct_data_of_other_sizes_has_no_finding(size):
    features = {name(seed): checks.describe(*phantoms.draw(seed, size), WINDOW) for seed in range(8)}
    assert checks.findings(features, None, WINDOW) == []


@pytest.mark.parametrize("cases", [{}, {1}, {1, 2}])
def test_few_cases_have_no_finding(correct, cases):
    assert checks.findings({name(number): correct[name(number)] for number in cases}, None, WINDOW) == []


def test_empty_and_full_masks_have_no_finding(pairs, correct):
    changed = changed_masks(pairs, [0, 1], np.zeros_like) | changed_masks(pairs, [2, 3], np.ones_like)
    assert checks.findings(with_changes(correct, changed), None, WINDOW) == []


@pytest.mark.parametrize("orientation", list(ORIENTATIONS)[1:])
def test_masks_in_another_orientation_are_found(pairs, correct, orientation):
    changed = changed_masks(pairs, range(COUNT), ORIENTATIONS[orientation])
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert found.check == "orientation of masks"
    assert orientation in found.message
    assert len(found.cases) > 0.9 * COUNT


@pytest.mark.parametrize("orientation", ["transposed", "mirrored left to right", "mirrored top to bottom"])
def test_some_masks_in_another_orientation_are_found(pairs, correct, orientation):
    changed = changed_masks(pairs, [3, 7, 8], ORIENTATIONS[orientation])
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert f"Some masks are probably {orientation}" in found.message
    assert set(found.cases) == {name(number) for number in (3, 7, 8)}


def test_exchanged_masks_are_found_and_their_owner_is_named(pairs, correct):
    changed = {2: (pairs[2][0], pairs[9][1]), 9: (pairs[9][0], pairs[2][1])}
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert found.check == "mask of another image"
    assert set(found.cases) == {name(2), name(9)}
    other = name(9) if found.cases[0] == name(2) else name(2)
    assert f"the mask of {other} fits the image of {found.cases[0]}" in found.message


def test_masks_that_are_all_exchanged_are_found_if_the_images_differ(pairs, correct):
    changed = {number: (image, pairs[number - 1][1]) for number, (image, _) in enumerate(pairs)}
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert found.check == "mask of another image"
    assert len(found.cases) > 0.7 * COUNT


def test_a_mask_of_an_image_outside_of_the_data_set_is_found(pairs, correct):
    changed = {4: (pairs[4][0], phantoms.draw(99, SIDE)[1])}
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert (found.check, found.cases) == ("mask of another image", (name(4),))
    assert "far worse" in found.message


def test_masks_that_are_unrelated_to_intensities_have_no_finding(pairs):
    noise = np.random.default_rng(0)
    images = [noise.normal(size=(SIDE, SIDE)).astype(np.float32) for _ in pairs]
    unrelated = {
        name(number): checks.describe(image, mask)
        for number, (image, (_, mask)) in enumerate(zip(images, pairs, strict=True))
    }
    assert checks.findings(unrelated) == []


def test_one_mask_for_different_images_is_an_error(pairs, correct):
    for numbers in (range(COUNT), [5, 6]):
        changed = changed_masks(pairs, numbers, lambda mask: pairs[0][1])
        found = checks.findings(with_changes(correct, changed), None, WINDOW)[0]
        assert (found.check, found.certain) == ("same mask", True)
        assert {name(number) for number in numbers} <= set(found.cases)


def test_neighbouring_slices_may_have_the_same_mask(pairs, correct):
    image, mask = pairs[0]
    noise = np.random.default_rng(0).normal(0, 15, image.shape)
    assert checks.findings(with_changes(correct, {COUNT: (image + noise.astype(np.int16), mask)}))[1:] == []


IMAGES = {
    "constant image": lambda image, mask: np.full_like(image, 7),
    "image is its mask": lambda image, mask: np.int16(300) * mask - np.int16(50),
    "outline burned in": lambda image, mask: np.where(inner_outline(mask), np.int16(3000), image),
    "image cut by its mask": lambda image, mask: np.where(mask, image, np.int16(-1024)),
}


def inner_outline(mask):
    return mask.astype(bool) & mask_fit.grown(~mask.astype(bool), 1)


@pytest.mark.parametrize("check", IMAGES)
@pytest.mark.parametrize("numbers", [[4], range(COUNT)])
def test_an_image_that_cannot_be_right_is_an_error(pairs, correct, check, numbers):
    changed = changed_images(pairs, numbers, IMAGES[check])
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert (found.check, found.cases) == (check, tuple(map(name, numbers)))


def test_an_inverted_mask_as_image_is_an_error(pairs, correct):
    changed = changed_images(pairs, [1], lambda image, mask: 1 - mask)
    assert only(checks.findings(with_changes(correct, changed))).check == "image is its mask"


@pytest.mark.parametrize("width", [1, 5, 40])
def test_a_structure_of_one_value_is_no_outline(pairs, correct, width):
    image, mask = pairs[3][0].copy(), np.zeros_like(pairs[3][1])
    mask[60 : 60 + width, 50:90] = 1
    image[mask == 1] = 3071
    assert checks.findings(with_changes(correct, {3: (image, mask)}))[1:] == []


def test_a_thick_bright_wall_around_the_mask_is_no_outline(pairs, correct):
    image, mask = pairs[3][0].copy(), np.zeros_like(pairs[3][1])
    mask[40:80, 50:90] = 1
    image[mask_fit.grown(mask.astype(bool), 4) & (mask == 0)] = 3071
    assert not any(finding.certain for finding in checks.findings(with_changes(correct, {3: (image, mask)})))


def test_small_masks_may_be_equal_by_chance(pairs, correct):
    mask = np.zeros_like(pairs[0][1])
    mask[60:63, 60:63] = 1
    found = checks.findings(with_changes(correct, changed_masks(pairs, [3, 4], lambda _: mask)))
    assert [finding.check for finding in found if finding.certain] == []
    assert "same mask" in {finding.check for finding in found}


def test_an_outline_beside_the_mask_is_found(pairs, correct):
    outline = {3: lambda mask: mask_fit.grown(mask.astype(bool), 1) & ~mask.astype(bool)}
    changed = changed_images(pairs, [3], lambda image, mask: np.where(outline[3](mask), image.min(), image))
    assert only(checks.findings(with_changes(correct, changed))).check == "outline burned in"


@pytest.mark.parametrize("numbers", [[4], [1, 5], range(COUNT // 2)])
def test_a_missing_intercept_in_part_of_the_images_is_found(pairs, correct, numbers):
    changed = changed_images(pairs, numbers, lambda image, mask: image + np.int16(1024))
    found = only(checks.findings(with_changes(correct, changed), None, WINDOW))
    assert found.check == "missing intercept"
    assert set(found.cases) == set(map(name, numbers))


def test_a_mask_in_the_air_is_not_a_missing_intercept(pairs, correct):
    changed = changed_masks(pairs, [4], lambda mask: np.pad(np.ones((6, 6), np.uint8), (0, SIDE - 6)))
    assert checks.describe(*changed[4]).median_within_mask < -900
    assert "missing intercept" not in {
        finding.check for finding in checks.findings(with_changes(correct, changed), None, WINDOW)
    }


def test_images_without_window_have_no_intercept(pairs, correct):
    changed = changed_images(pairs, [4], lambda image, mask: image + np.int16(1024))
    assert checks.findings(with_changes(correct, changed), None, None) == []


@pytest.mark.parametrize(("window", "hides"), [((2000, 3000), True), ((-3000, -2000), True), ((-1000, 1000), False)])
def test_a_window_that_hides_the_outline_is_found(pairs, window, hides):
    features = {name(number): checks.describe(*pair, window) for number, pair in enumerate(pairs[:8])}
    found = checks.findings(features, None, window)
    assert [(finding.check, len(finding.cases)) for finding in found] == [("window hides the outline", 8)] * hides


COPIES = {
    "offset": lambda array: array + np.int16(40),
    "mirrored": lambda array: array[:, ::-1],
    "rotated": np.rot90,
    "transposed and offset": lambda array: array.T - np.int16(7),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_an_image_is_an_error(pairs, correct, kind):
    changed = {COUNT: (COPIES[kind](pairs[3][0]), pairs[8][1][::-1])}
    found = checks.findings(with_changes(correct, changed))[0]
    assert (found.check, found.certain, found.cases) == ("copies of an image", True, (name(3), name(COUNT)))


def test_copies_in_different_groups_are_named_as_such(pairs, correct):
    features = with_changes(correct, {COUNT: (pairs[3][0][::-1], pairs[3][1][::-1])})
    groups = {case: "A" if case < name(10) else "B" for case in features}
    assert only(checks.findings(features, groups)).check == "identical images in different groups"
    assert only(checks.findings(features, dict.fromkeys(features, "A"))).check == "copies of an image"


@pytest.mark.parametrize("change", [np.asarray, np.fliplr, np.transpose])
def test_nearly_the_same_image_is_a_hint(pairs, correct, change):
    noise = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE)).round().astype(np.int16)
    found = only(checks.findings(with_changes(correct, {COUNT: (change(pairs[3][0] + noise), change(pairs[3][1]))})))
    assert (found.check, found.cases) == ("nearly the same image", (name(3), name(COUNT)))


def test_similar_images_without_groups_are_a_hint(pairs):
    noise = np.random.default_rng(0)
    features = {
        name(number): checks.describe(image + noise.normal(0, 60, image.shape).astype(np.int16), np.roll(mask, number))
        for number, (image, mask) in enumerate([*pairs[:4], *pairs[:4]])
    }
    found = only(checks.findings(features))
    assert found.check == "similar images without groups"
    assert "GROUP_CASES_BY" in found.message
    assert checks.findings(features, {case: str(number % 4) for number, case in enumerate(features)}) == []
    assert only(checks.findings(features, {case: case for case in features})).check == found.check


def test_errors_come_first_and_worst_names_three_cases(pairs, correct):
    changed = changed_masks(pairs, range(8), np.transpose) | changed_images(pairs, [20], IMAGES["constant image"])
    found = checks.findings(with_changes(correct, changed), None, WINDOW)
    assert [finding.certain for finding in found] == [True, False]
    assert [(finding.check, len(cases)) for finding, cases in checks.worst(found)] == [
        ("constant image", 1),
        ("orientation of masks", 3),
    ]


def test_the_table_has_a_row_for_each_case_with_its_findings(pairs, correct):
    features = with_changes(correct, changed_images(pairs, [20], IMAGES["constant image"]))
    table = checks.table(features, checks.findings(features), checks.nearest(features))
    assert table["case"].tolist() == list(features)
    assert table["findings"].tolist() == ["constant image" if case == name(20) else "" for case in features]
    assert table["mask_px"].tolist() == [int(mask.sum()) for _, mask in pairs]
    assert (table["best_orientation"] == "unchanged").sum() == COUNT - 1


def test_the_table_of_no_or_one_case(correct):
    assert checks.table({}, [], {}).empty
    assert len(checks.table({"a": correct[name(0)]}, [], {})) == 1
