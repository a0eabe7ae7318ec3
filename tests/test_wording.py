"""Numbers and counts as texts: true minus signs, signs on demand, intervals only where there are any."""

import math

import pytest

import wording


@pytest.mark.parametrize(
    ("value", "places", "sign", "text"),
    [(-1.25, 1, "", "−1.2"), (1234.5, 1, "", "1,234.5"), (0.001, 2, "+", "+0.00"), (-0.001, 1, "", "0.0")],
)
def test_a_number_has_its_places_and_a_true_minus_sign(value, places, sign, text):
    assert wording.number(value, places, sign) == text


def test_undefined_numbers_and_spans_are_a_dash():
    assert (wording.number(math.nan, 2), wording.span(math.nan, math.nan, 2)) == ("-", "-")


def test_the_sd_and_the_interval_are_left_out_where_there_is_none():
    assert wording.mean_sd(0.9, 0.05, 2) == "0.90 ± 0.05"
    assert wording.mean_sd(0.9, math.nan, 2) == "0.90"
    assert wording.with_interval("3", (-1, 2), 0, "+") == "3 (−1 to +2)"
    assert wording.with_interval("3", (math.nan, math.nan), 0) == "3"


def test_lists_and_counts_read_as_english():
    assert wording.listed(["one", "two", "three"]) == "one, two and three"
    assert wording.listed([]) == ""
    assert (wording.counted(1, "case"), wording.counted(2000, "case")) == ("1 case", "2,000 cases")
