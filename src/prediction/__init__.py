"""Steps 4 and 6: predicts masks of the test set and of new images, with a quality estimate for each.

Networks trained with horizontal flips use test-time augmentation. With PREDICT_WITH_FOLDS, the models of the
cross-validation form an ensemble. The Dice between the members' masks is reported as the predicted Dice (see
`networks.ensemble`).
"""

from prediction.cases import predict_test_set
from prediction.new_images import predict_new_images

__all__ = ["predict_new_images", "predict_test_set"]
