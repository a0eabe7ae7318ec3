"""What training reads is what was written, in an order that anybody can repeat."""
import numpy as np
import pytest
import storage
from conftest import configure
from data import original_dataset, preloaded_dataset
from hypothesis import given
from hypothesis import strategies as st

CASES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def folder(tmp_path):
    """A set of five cases, whose images are of all three types; the image of the case number n is n everywhere."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number, case in enumerate(CASES):
        values = np.full((32, 32), number, [np.uint8, np.int16, np.float32][number % 3])
        preloaded_dataset.write(tmp_path / "images", case, values)
        preloaded_dataset.write(tmp_path / "masks", case, np.eye(32, dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    "values, dtype",
    [([0, 255], np.uint8), ([-1, 255], np.int16), ([-1024, 3071], np.int16), ([0, 40000], np.float32), ([0, 0.5], np.float32)],
)
def test_the_smallest_type_that_loses_nothing(values, dtype):
    small = preloaded_dataset.smallest_lossless(np.array([values], np.float64))
    assert small.dtype == dtype and small.tolist() == [values]


def test_pairs_come_as_written_in_the_order_asked_for(folder):
    pairs = list(preloaded_dataset.pairs(folder, ["c", "a", "b"], 32).as_numpy_iterator())
    assert [image.mean() for image, _ in pairs] == [2, 0, 1]
    for image, mask in pairs:
        assert (image.dtype, image.shape, mask.dtype) == (np.float32, (32, 32, 1), np.uint8)
        np.testing.assert_array_equal(mask[..., 0], np.eye(32))


def numbers(folder, count, seed=7, start=0):
    stream = preloaded_dataset.endless_pairs(folder, CASES, 32, seed, start)
    return [int(image.mean()) for _, image, _ in stream.take(count).as_numpy_iterator()]


def test_each_round_shows_every_case_once_in_another_order(folder):
    seen = numbers(folder, 20)
    rounds = [seen[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(cases) == [0, 1, 2, 3, 4] for cases in rounds)
    assert len({tuple(cases) for cases in rounds}) > 1
    assert numbers(folder, 20, seed=8) != seen


def test_a_stream_that_starts_later_goes_on_as_if_it_had_not_stopped(folder):
    assert numbers(folder, 20)[8:] == numbers(folder, 12, start=8)


def test_no_two_samples_have_the_same_lot(folder):
    lots = {tuple(lot) for lot, _, _ in preloaded_dataset.endless_pairs(folder, CASES, 32, 7).take(30).as_numpy_iterator()}
    assert len(lots) == 30


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), st.floats(0.05, 0.95), st.integers(0, 99))
def test_a_split_keeps_groups_whole_and_both_sides_filled(groups, share, seed):
    if len(set(groups)) < 2:
        return
    aside = preloaded_dataset.split(groups, share, seed)
    assert {group for group, out in zip(groups, aside) if out}.isdisjoint(group for group, out in zip(groups, aside) if not out)
    assert 0 < aside.sum() < len(groups)


def test_a_split_of_single_cases_has_exactly_the_share():
    assert preloaded_dataset.split([f"case{number:03d}" for number in range(100)], 0.2, 1).sum() == 20


def test_a_split_does_not_change_with_the_order_of_the_cases():
    names = [f"case{number:03d}" for number in range(50)]
    aside = preloaded_dataset.split(names, 0.2, 3)
    again = preloaded_dataset.split(names[::-1], 0.2, 3)[::-1]
    np.testing.assert_array_equal(aside, again)


def test_a_missing_file_is_told_with_the_step_to_run(dataset):
    with pytest.raises(storage.MissingResult, match="Run step 1 first"):
        preloaded_dataset.read_cases(dataset, "train")
    original_dataset.create_preloaded_dataset(dataset)
    case = preloaded_dataset.read_cases(dataset, "train")["case"][0]
    (dataset.train_set / "masks" / f"{case}.npy").unlink()
    with pytest.raises(storage.MissingResult, match=case):
        preloaded_dataset.read_cases(dataset, "train")


def test_case_names_stay_text(workspace):
    # As pandas guesses, 007 would become 7 and NA a missing value.
    from conftest import write_pair

    configure(workspace, IMAGE_SIZE=32)
    for number, name in enumerate(("007", "NA", "1e5")):
        write_pair(workspace.original_dataset / "1", name, np.full((32, 32), number + 5), np.eye(32, dtype=int))
    original_dataset.create_preloaded_dataset(workspace)
    names = [*preloaded_dataset.read_cases(workspace, "train")["case"], *preloaded_dataset.read_cases(workspace, "test")["case"]]
    assert sorted(names) == ["1__007", "1__1e5", "1__NA"]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=30).filter(lambda groups: len(set(groups)) >= 3), st.integers(2, 3), st.integers(0, 5))
def test_folds_keep_groups_whole_and_hold_every_case_once(groups, count, seed):
    folds = preloaded_dataset.folds(groups, count, seed)
    assert set(folds) == set(range(count)) and len(folds) == len(groups)
    for group in set(groups):
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    np.testing.assert_array_equal(folds, preloaded_dataset.folds(groups, count, seed))


def test_folds_are_even_and_the_seed_matters():
    names = [f"case {number}" for number in range(20)]
    drawn = [preloaded_dataset.folds(names, 5, seed) for seed in (1, 2)]
    assert [np.bincount(folds).tolist() for folds in drawn] == [[4] * 5] * 2 and not np.array_equal(*drawn)
