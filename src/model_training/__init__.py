"""Step 3, training: the final model and the parts that all trainings share.

The hyperparameters and their search ranges are declared in `settings.hyperparameters`.
"""

from model_training.final_model import train_final_model
from model_training.training import train
from settings.hyperparameters import Hyperparameters

__all__ = ["Hyperparameters", "train", "train_final_model"]
