"""The hardware of a training: devices, precision, memory."""

import tensorflow as tf

import cpu_features
import gpu_support
import storage
from model_training import distribution
from settings import Settings

_OUT_OF_MEMORY = (
    "The memory of this machine is too small for this training. In config.py, lower TRAINING_BATCH_SIZE (1 works), "
    'then "filters" in HYPERPARAMETERS, and set "stem_patch_px" to 4; MIXED_PRECISION = True also needs less. Memory '
    "grows with the square of IMAGE_SIZE."
)


class OutOfMemory(storage.UserError):
    """The memory is too small for a training. The text names the settings to lower."""

    def __init__(self, text: str = _OUT_OF_MEMORY) -> None:
        super().__init__(text)


def prepare(options: Settings) -> None:
    """Makes TensorFlow deterministic if DETERMINISTIC is set, and connects to the other workers if there are any.

    UserError if TensorFlow has no code for a GPU.
    TensorFlow's remarks for programmers, such as on slow callbacks, are not printed; its errors are raised.
    """
    tf.get_logger().setLevel("ERROR")
    gpu_support.check()
    if options.DETERMINISTIC:
        tf.config.experimental.enable_op_determinism()
    distribution.strategy()


def precision(mixed: bool | None) -> str:
    """The Keras policy for MIXED_PRECISION here: "float32", "mixed_float16" or "mixed_bfloat16".

    None: the faster one.
    """
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
    # They have units for it from compute capability 7.0 on (NVIDIA's guide to mixed precision training).
    return all(
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (7, 0) for gpu in _gpus()
    )


def _cpu_knows_bfloat16() -> bool:
    # Other CPUs emulate it with float32, which is slower than float32.
    return bool({"avx512_bf16", "amx_bf16"} & cpu_features.instructions())
