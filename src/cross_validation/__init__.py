"""Step 7 (optional): cross-validation on the train set, calibration of the predicted Dice, learning curve."""

from cross_validation.step import cross_validate_train_set

__all__ = ["cross_validate_train_set"]
