"""What the machine that trains can do, in TensorFlow's terms and in the user's."""

import types

import tensorflow as tf

import cpu_features
import storage
from model_training import distribution

_OUT_OF_MEMORY = (
    'The machine\'s memory is too small for this training. In config.py, lower TRAINING_BATCH_SIZE (1 works), then "filters" in HYPERPARAMETERS, '
    'where "patch_px" 4 needs least; MIXED_PRECISION = True needs less too. IMAGE_SIZE counts by its square.'
)


class OutOfMemory(storage.UserError):
    """The machine's memory is too small for a training; its text names the settings to lower."""

    def __init__(self, text: str = _OUT_OF_MEMORY) -> None:
        super().__init__(text)


def prepare(options: types.SimpleNamespace) -> None:
    """Makes TensorFlow repeat itself to the bit where the DETERMINISTIC setting asks for it, and finds the other workers where there are some."""
    if options.DETERMINISTIC:
        tf.config.experimental.enable_op_determinism()
    distribution.strategy()


def precision(mixed: bool | None) -> str:
    """The Keras policy that the MIXED_PRECISION setting means here: "float32", "mixed_float16" or "mixed_bfloat16". None: what is faster."""
    if mixed is None:
        mixed = _gpus_are_fast_in_16_bit() if _gpus() else _cpu_knows_bfloat16()
    if not mixed:
        return "float32"
    return "mixed_float16" if _gpus() else "mixed_bfloat16"


def name() -> str:
    """Such as "on the CPU", "on 2 GPUs" or "on 3 workers, each on the CPU"."""
    gpus = len(_gpus())
    own = f"on {gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "on the CPU"
    return f"on {distribution.count()} workers, each {own}" if distribution.count() > 1 else own


def _gpus() -> list[tf.config.PhysicalDevice]:
    return tf.config.list_physical_devices("GPU")


def _gpus_are_fast_in_16_bit() -> bool:
    # From compute capability 7.0 on they have units for it (NVIDIA's guide to mixed precision training).
    return all(
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (7, 0) for gpu in _gpus()
    )


def _cpu_knows_bfloat16() -> bool:
    # Others compute it by way of float32, slower than that.
    return bool({"avx512_bf16", "amx_bf16"} & cpu_features.instructions())
