"""The steps, in order. Uncomment a line and run this file: python src/main.py

Each step reads the results of earlier steps from disk. Or choose steps by number or name: python src/main.py 1 3-5
"""

import command_line
from command_line import (  # noqa: F401
    cross_validation,
    data,
    evaluation,
    external_validation,
    model_exploration,
    model_training,
    prediction,
)

command_line.run_named_steps()

# --- Step 1: Create the preloaded dataset from the images and masks in `original dataset`
# data.original_dataset.create_preloaded_dataset()

# --- Step 2 (optional): Explore architectures and hyperparameters; view them with `python src/show_tensorboard.py`
# model_exploration.explore_hyperparameters()

# --- Step 3: Train the final model with the hyperparameters of config.py
# model_training.train_final_model()

# --- Step 4: Predict the test set
# prediction.predict_test_set()

# --- Step 5: Evaluate the predictions; look at `results/report.html` and `images`
# evaluation.evaluate_test_set()

# --- Step 6: Predict the images in `new images`
# prediction.predict_new_images()

# --- Step 7 (optional): Cross-validate the train set; finds reference masks that may be wrong
# cross_validation.cross_validate_train_set()

# --- Step 8 (optional): Evaluate the model on the labelled images in `external test sets`
# external_validation.evaluate_external_test_sets()

command_line.list_steps()
