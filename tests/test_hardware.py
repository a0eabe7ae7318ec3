"""Settings that depend on the hardware: precision, names of devices, deterministic operations."""

import types

import pytest

import gpu_support
import storage
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


WHEEL_2_15 = ["sm_50", "sm_60", "sm_70", "sm_75", "compute_80"]
WHEEL_2_21 = ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]


@pytest.mark.parametrize(
    "capability, built_for, has_code",
    [
        ((6, 1), WHEEL_2_15, True),
        ((8, 6), WHEEL_2_15, True),  # Compiled by the driver.
        ((9, 0), WHEEL_2_15, True),
        ((12, 0), WHEEL_2_15, False),
        ((10, 0), WHEEL_2_21, False),
        ((12, 0), WHEEL_2_21, False),
        ((5, 2), WHEEL_2_21, False),
        ((12, 0), [*WHEEL_2_21, "compute_120"], True),
        ((12, 1), [*WHEEL_2_21, "sm_120a"], True),
        ((7, 0), ["sm_75"], False),
        ((12, 0), [], True),  # Of a build without CUDA nothing is known.
        ((12, 0), ["an unknown form"], True),
    ],
)
def test_a_gpu_without_code_in_tensorflow_is_reported_with_the_options(monkeypatch, capability, built_for, has_code):
    config, details = hardware.tf.config, {"compute_capability": capability, "device_name": "NVIDIA GeForce RTX 5090"}
    monkeypatch.setattr(hardware.tf.sysconfig, "get_build_info", lambda: {"cuda_compute_capabilities": built_for})
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(config.experimental, "get_device_details", lambda gpu: details)
    if has_code:
        gpu_support.check()
        return
    with pytest.raises(storage.UserError) as caught:
        hardware.prepare(types.SimpleNamespace(DETERMINISTIC=False))
    assert f"RTX 5090 has the compute capability {capability[0]}.{capability[1]}" in str(caught.value)
    assert "NVIDIA's container or an own build" in str(caught.value)
    assert "CUDA_VISIBLE_DEVICES=-1" in str(caught.value)


@pytest.mark.parametrize("enabled", [True, False])
def test_deterministic_operations_are_a_setting(monkeypatch, enabled):
    called = []
    monkeypatch.setattr(hardware.tf.config.experimental, "enable_op_determinism", lambda: called.append(True))
    hardware.prepare(types.SimpleNamespace(DETERMINISTIC=enabled))
    assert bool(called) is enabled
