"""CPU instructions are read from /proc/cpuinfo, if it exists."""

import pytest

import cpu_features


@pytest.mark.parametrize(
    "content, expected", [("model name : A\nflags : fpu avx2 avx512f\n", {"fpu", "avx2", "avx512f"}), (None, set())]
)
def test_the_instructions_are_those_of_cpuinfo(monkeypatch, tmp_path, content, expected):
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(cpu_features.pathlib, "Path", lambda _: path)
    assert cpu_features.instructions.__wrapped__() & {"fpu", "avx2", "avx512f"} == expected
