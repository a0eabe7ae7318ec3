"""Steps are refused while another program writes the files they read, or uses the files they replace."""

import contextlib

import portalocker
import pytest

import cross_validation
import evaluation
import external_validation
import model_exploration
import model_training
import prediction
import storage
from conftest import files
from data import csv_array, phantoms
from data.original_dataset import create_preloaded_dataset
from test_prediction import write_model


@pytest.fixture
def prepared(dataset, monkeypatch):
    """A workspace whose test set is predicted, and one new image."""
    monkeypatch.setattr(storage, "MODEL_WAIT_SECONDS", 0.0)
    create_preloaded_dataset(dataset)
    write_model(dataset.model)
    prediction.predict_test_set(dataset)
    dataset.new_images.mkdir()
    csv_array.write(dataset.new_images / "new.csv", phantoms.draw(100, 64)[0])
    phantoms.write_original_dataset(dataset.external_test_sets / "C", 1, 64, seed=200)
    return dataset


@contextlib.contextmanager
def another_program(folder, flags):
    """Holds the lock on the folder, as another program would."""
    with folder.with_name(f".{folder.name}.lock").open("a+") as held:
        portalocker.lock(held, flags)
        yield
        portalocker.unlock(held)


WRITING, READING = portalocker.LOCK_EX, portalocker.LOCK_SH
STEPS = {
    create_preloaded_dataset: {"preloaded_dataset": READING},
    model_exploration.explore_hyperparameters: {"preloaded_dataset": WRITING, "model_tuning": WRITING},
    model_training.train_final_model: {"preloaded_dataset": WRITING, "unfinished_model": WRITING},
    prediction.predict_test_set: {"preloaded_dataset": WRITING, "model": WRITING, "predictions": READING},
    evaluation.evaluate_test_set: {
        "preloaded_dataset": WRITING,
        "predictions": WRITING,
        "results": READING,
        "images": WRITING,
    },
    prediction.predict_new_images: {"model": WRITING, "new_predictions": WRITING},
    external_validation.evaluate_external_test_sets: {"model": WRITING, "external_validation": READING},
    cross_validation.cross_validate_train_set: {"preloaded_dataset": WRITING, "cross_validation": WRITING},
}


@pytest.mark.parametrize(
    "step, name, flags", [(step, name, flags) for step, places in STEPS.items() for name, flags in places.items()]
)
def test_a_step_is_refused_while_another_program_uses_its_files(prepared, step, name, flags):
    before = files(prepared.root)
    folder = getattr(prepared, name)
    with another_program(folder, flags), pytest.raises(storage.InUse, match=f"Another program .* '{folder.name}'"):
        step(prepared)
    folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)
    assert files(prepared.root) == before


def test_several_programs_predict_at_once_from_the_same_model_and_dataset(prepared):
    with another_program(prepared.model, READING), another_program(prepared.preloaded_dataset, READING):
        prediction.predict_test_set(prepared)
        prediction.predict_new_images(prepared)
    assert (prepared.new_predictions / "new.csv").exists()
