"""Models that the project ships. Their names stand for them in START_FROM, MODEL and COMPARE_WITH.

phantoms: a U-Net that segments skeletal muscle on CT from T11 to L4. It was trained on synthetic slices alone (see
`data.phantoms`), by benchmarks/phantom_model.py. phantoms/README.md says what to expect of it.
"""

import pathlib

FOLDERS = {"phantoms": pathlib.Path(__file__).resolve().parent / "phantoms"}

# What a shipped model's train images are, by its fingerprint (`networks.saved_model.fingerprint`).
IMAGES = {"5eefc2d1bab4": "synthetic CT slices"}
