"""Progress bars: hidden if the output is a file, silent if they are interrupted."""

import sys

import pytest

import progress


def test_a_bar_yields_its_items_and_prints_nothing_into_a_file(capfd):
    assert list(progress.Bar([1, 2, 3], desc="Reading")) == [1, 2, 3]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("attributes", [{}, {"disable": False}])
def test_a_bar_whose_construction_was_interrupted_is_deleted_silently(monkeypatch, attributes):
    errors = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    bar = progress.Bar.__new__(progress.Bar)
    vars(bar).update(attributes)
    del bar
    assert not errors
