"""Settings that depend on the hardware: precision, names of devices, deterministic operations."""

import types

import pytest

from model_training import hardware


@pytest.fixture
def simulate(monkeypatch):
    """Returns a function that simulates GPUs with these compute capabilities and a CPU with these flags."""

    def set_hardware(capabilities=(), flags="fpu sse2"):
        monkeypatch.setattr(hardware.cpu_features, "instructions", lambda: frozenset(flags.split()))
        monkeypatch.setattr(hardware, "_gpus", lambda: list(capabilities))
        monkeypatch.setattr(
            hardware.tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu}
        )

    return set_hardware


@pytest.mark.parametrize(
    "capabilities, flags, automatic, requested",
    [
        ([], "fpu avx512_bf16 amx_bf16", "mixed_bfloat16", "mixed_bfloat16"),
        ([], "fpu sse2 avx512f", "float32", "mixed_bfloat16"),
        ([(8, 6)], "fpu", "mixed_float16", "mixed_float16"),
        ([(6, 1)], "fpu", "float32", "mixed_float16"),
        ([(8, 6), (6, 1)], "fpu", "float32", "mixed_float16"),
    ],
)
def test_the_precision_depends_on_setting_and_hardware(simulate, capabilities, flags, automatic, requested):
    simulate(capabilities, flags)
    assert (hardware.precision(None), hardware.precision(True), hardware.precision(False)) == (
        automatic,
        requested,
        "float32",
    )


@pytest.mark.parametrize(
    "capabilities, text", [([], "on the CPU"), ([(8, 6)], "on 1 GPU"), ([(8, 6)] * 2, "on 2 GPUs")]
)
def test_the_devices_are_described_in_words(simulate, capabilities, text):
    simulate(capabilities)
    assert hardware.name() == text


@pytest.mark.parametrize("enabled", [True, False])
def test_deterministic_operations_are_a_setting(monkeypatch, enabled):
    called = []
    monkeypatch.setattr(hardware.tf.config.experimental, "enable_op_determinism", lambda: called.append(True))
    hardware.prepare(types.SimpleNamespace(DETERMINISTIC=enabled))
    assert bool(called) is enabled
