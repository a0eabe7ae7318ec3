"""Whether the installed TensorFlow has code for the GPUs of this machine."""

import re

import tensorflow as tf

import storage


def check() -> None:
    """UserError if the installed TensorFlow has no code for a visible GPU. Without this check, all operations fail."""
    built_for = tf.sysconfig.get_build_info().get("cuda_compute_capabilities", [])
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability")
        if built_for and capability and not _has_code(capability, built_for):
            name = details.get("device_name", "The GPU")
            raise storage.UserError(_NO_CODE.format(name, *capability, tf.__version__))


_NO_CODE = (
    "{} has the compute capability {}.{}, for which TensorFlow {} has no code: use NVIDIA's container or an own build "
    "of TensorFlow (docs/development.md#gpus), or the CPU with the environment variable CUDA_VISIBLE_DEVICES=-1."
)


def _has_code(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether one of `built_for`, such as "sm_75" or "compute_80", runs on a GPU of this compute capability.

    sm is machine code: it runs on GPUs of the same major version, with at least its minor version. The driver compiles
    compute for later GPUs as well. For those of compute capability 10 and more it fails with CUDA_ERROR_INVALID_PTX
    (issues 89272 and 101746 of TensorFlow).
    """
    for entry in built_for:
        parts = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", entry)
        if not parts:
            return True  # Unknown, so that nothing can be said.
        major, minor = int(parts[2]), int(parts[3])
        is_compiled_for_later_gpus = parts[1] == "compute" and major < capability[0] < _FIRST_WITHOUT_OLDER_CODE
        if is_compiled_for_later_gpus or (major == capability[0] and minor <= capability[1]):
            return True
    return False


_FIRST_WITHOUT_OLDER_CODE = 10
