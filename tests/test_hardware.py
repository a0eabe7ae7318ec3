"""What the settings mean on this machine, whatever it has."""

import types

import pytest

from model_training import hardware


@pytest.fixture
def made_of(monkeypatch):
    """Makes the machine look as if it had these GPUs, by compute capability, and a CPU with these flags."""

    def make(capabilities=(), flags="fpu sse2"):
        monkeypatch.setattr(hardware.cpu_features, "instructions", lambda: frozenset(flags.split()))
        monkeypatch.setattr(hardware, "_gpus", lambda: list(capabilities))
        monkeypatch.setattr(
            hardware.tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu}
        )

    return make


@pytest.mark.parametrize(
    "capabilities, flags, automatic, asked_for",
    [
        ([], "fpu avx512_bf16 amx_bf16", "mixed_bfloat16", "mixed_bfloat16"),
        ([], "fpu sse2 avx512f", "float32", "mixed_bfloat16"),
        ([(8, 6)], "fpu", "mixed_float16", "mixed_float16"),
        ([(6, 1)], "fpu", "float32", "mixed_float16"),
        ([(8, 6), (6, 1)], "fpu", "float32", "mixed_float16"),
    ],
)
def test_the_precision(made_of, capabilities, flags, automatic, asked_for):
    made_of(capabilities, flags)
    assert (hardware.precision(None), hardware.precision(True), hardware.precision(False)) == (
        automatic,
        asked_for,
        "float32",
    )


@pytest.mark.parametrize(
    "capabilities, told", [([], "on the CPU"), ([(8, 6)], "on 1 GPU"), ([(8, 6)] * 2, "on 2 GPUs")]
)
def test_the_machine_is_told_in_words(made_of, capabilities, told):
    made_of(capabilities)
    assert hardware.name() == told


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_operations_are_a_setting(monkeypatch, asked):
    called = []
    monkeypatch.setattr(hardware.tf.config.experimental, "enable_op_determinism", lambda: called.append(True))
    hardware.prepare(types.SimpleNamespace(DETERMINISTIC=asked))
    assert bool(called) is asked
