"""Records of trainings and predictions survive JSON and reject invalid values."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import pathlib

import pytest

import provenance
import storage
from conftest import prediction_provenance, training


@pytest.mark.parametrize(
    "record",
    [
        training(),
        training({"clip_hu": None, "filters": 1, "learning_rate": 1}, encoder_weights="imagenet"),
        prediction_provenance(image_sha256=["a", "b"]),
    ],
)
def test_a_record_is_read_from_json_as_it_was_written(record):
    values = json.loads(json.dumps(dataclasses.asdict(record)))
    assert storage.to_record(values, type(record), pathlib.Path("a.json"), "") == record


def test_the_installed_packages_are_recorded_with_their_versions():
    packages = provenance.installed_packages()
    assert packages["tensorflow"] == importlib.metadata.version("tensorflow")
    assert None not in packages.values()
    assert ("tf-keras" in packages) == (importlib.util.find_spec("tf_keras") is not None)


def test_statistics_have_a_fixed_number_of_quantiles():
    with pytest.raises(ValueError, match="quantiles: must be 33 numbers, found 2"):
        provenance.TrainSetStatistics(quantiles=[0.0, 1.0], max_distance=0.0, mask_fractions=(0.1, 0.2))
