"""The processor's instructions are read where the system tells them."""

import pytest

import cpu_features


@pytest.mark.parametrize(
    "told, wanted", [("model name : A\nflags : fpu avx2 avx512f\n", {"fpu", "avx2", "avx512f"}), (None, set())]
)
def test_the_instructions_are_those_that_the_system_tells(monkeypatch, tmp_path, told, wanted):
    path = tmp_path / "cpuinfo"
    if told is not None:
        path.write_text(told)
    monkeypatch.setattr(cpu_features.pathlib, "Path", lambda _: path)
    assert cpu_features.instructions.__wrapped__() & {"fpu", "avx2", "avx512f"} == wanted
