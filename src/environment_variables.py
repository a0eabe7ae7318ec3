"""Sets what TensorFlow, HDF5 and Python read from environment variables; the user's own values stay,
except for the choice of Keras.

The program's entry points import this module before TensorFlow, whose import reads the variables.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator

# Hides TensorFlow's notes for developers; its errors still reach Python.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow uses oneDNN convolutions only from AVX512-VNNI on (release notes 2.9). With AVX2 they are faster, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# The processes of trials and workers escape characters that the terminal lacks, as this one does.
os.environ.setdefault("PYTHONIOENCODING", ":backslashreplace")
# Network file systems without a lock service refuse HDF5's locks, which are not needed (see `storage.locked`). It must
# be set before h5py is imported.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
# By default TensorFlow reserves nearly all memory of a GPU: no prediction could run during a training.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# The pipeline is written for Keras 2. TensorFlow 2.15 contains it, and cannot import Keras if this is set without
# tf-keras. Later versions contain Keras 3, and take Keras 2 from tf-keras (requirements-new.txt) if this is set.
os.environ["TF_USE_LEGACY_KERAS"] = "1" if importlib.util.find_spec("tf_keras") else "0"


def is_import_noisy() -> bool:
    """Whether importing the installed TensorFlow prints notes, as it does from 2.16 on."""
    return os.environ["TF_USE_LEGACY_KERAS"] == "1"


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hides what libraries print to the error output while the block imports TensorFlow from 2.16 on.

    They print notes whatever TF_CPP_MIN_LOG_LEVEL is (issue 100442 of TensorFlow). If it is below 3, nothing is hidden.
    """
    if not is_import_noisy() or os.environ["TF_CPP_MIN_LOG_LEVEL"] != "3" or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    errors = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(errors, 2)
        os.close(errors)
