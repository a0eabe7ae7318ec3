"""Sets what TensorFlow, HDF5 and Python read from environment variables; the user's own values stay.

The program's entry points import this module before TensorFlow, whose import reads the variables.
"""

import os

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
