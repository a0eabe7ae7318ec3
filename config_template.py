"""The settings. Copy this file to config.py, beside it, and edit that copy; what it leaves out keeps the value given here.

Here stands what belongs to your machine and your data; paths begin at the folder of this file. What changes the model's quality is a
hyperparameter: see HYPERPARAMETERS.
"""

# --- Dataset (step 1) ---------------------------------------------------------------------------------------------------------

# Height and width of every image, in px: a multiple of 32. Pairs of another size are left out, and named.
IMAGE_SIZE = 512

# Share of the cases that is set aside for the test set. It is never trained on.
TEST_SHARE = 0.2

# What must never lie on both sides of a split, such as the images of one patient. None: every case is on its own.
# "subdirectory": all cases of one subdirectory of `original dataset` belong together. Or a regular expression, searched in the case
# name `<subdirectory>__<file stem>`: cases for which it finds the same text belong together (the text of its group, where it has one).
# Example: names such as hospital__patient07_slice3 are grouped by patient with r"patient(\d+)".
GROUP_CASES_BY = None

# Areas of at most this many px are taken out of the masks, as slips of the pen; they are counted in cases.csv. 0 keeps all.
MASK_SPECK_PX = 4

# Every draw of lots (split, first weights, order of the images, augmentation) follows from this number.
SEED = 1

# --- Training (steps 2 and 3) -------------------------------------------------------------------------------------------------

# Images per training step. Lower it when memory runs out; 1 works.
TRAINING_BATCH_SIZE = 2

# How long the final training takes: how often it sees every image, or how many minutes it has (stops and restarts are added up). The other
# may be None; of both, the one that ends first counts. The learning rate is spread over what is set: more is better, at any length. Only
# a training by epochs can be repeated exactly. What is changed while a training is stopped holds for the rest of it.
TRAINING_EPOCHS = 100
TRAINING_TIME_LIMIT_MINUTES = None

# Computes in 16 bit where that is safe: bfloat16 on a CPU, float16 on a GPU. None: where the machine has units for it, which are faster.
MIXED_PRECISION = None

# True: the same settings on the same machine give the same weights to the bit, on a GPU too, where that is slower.
DETERMINISTIC = False

# What the encoder of deeplabv3_plus starts from. "imagenet": weights that Keras downloads once (the only use of the network).
# Or the path of such a file (resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5). None: random weights. The unet has no such encoder.
ENCODER_WEIGHTS = "imagenet"

# Where the train set's images and masks are read from while training, if not from `preloaded dataset/train set`: a copy of that folder on
# any disk or storage that TensorFlow reads, such as "/scratch/train set" or "gs://bucket/train set".
TRAIN_SET_LOCATION = None

# The final model's hyperparameters where they differ from the defaults, which stand with their meaning in
# src/model_training/hyperparameters.py. Step 2 ends by printing such a line for its best trial.
# Example: HYPERPARAMETERS = {"architecture": "unet", "learning_rate": 5e-4, "clip_hu": None}
HYPERPARAMETERS = {}

# --- Exploration (step 2) -----------------------------------------------------------------------------------------------------

# "random", "hyperband" or "bayesian".
EXPLORATION_TUNER = "random"

# When the search ends: how many models it trains, and how many hours it has (stops are not counted). Either may be None; of both, the one
# that ends first counts. Hyperband, which trains many for a few epochs and the best of them for all, ends by itself, too.
EXPLORATION_MAX_TRIALS = 20
EXPLORATION_TIME_LIMIT_HOURS = None

# How often each of them sees every image.
EXPLORATION_EPOCHS = 15

# How often the three best are trained once more, with other seeds, so that you see which differences are more than chance. 0: not at all.
EXPLORATION_REPEATS = 3

# Share of the train set's cases that scores the trials, the same for all. The test set is not touched.
EXPLORATION_VALIDATION_SHARE = 0.2

# What is searched, where it differs from the ranges in src/model_training/hyperparameters.py: a value fixes a hyperparameter, a list
# [...] are the values to choose among, a pair (low, high) narrows a range. (A window clip_hu is a value, though it is a pair.)
# Example: EXPLORATION_SEARCH_SPACE = {"architecture": "unet", "clip_hu": None, "gaussian_noise": 0.0, "filters": [16, 32], "learning_rate": (5e-4, 2e-3)}
EXPLORATION_SEARCH_SPACE = {}

# Of how many of the best trials the weights are kept.
EXPLORATION_KEPT_MODELS = 1

# What happens where a search was begun with other settings, data or packages. False: it is refused, with the difference. True: the former
# search is renamed, and a new one begun.
EXPLORATION_START_ANEW = False

# --- Cross-validation (step 7) ------------------------------------------------------------------------------------------------

# Into how many parts the train set is divided. As many models are trained, each as long as the final one.
CROSS_VALIDATION_FOLDS = 5

# --- Prediction and evaluation (steps 4, 5 and 6) -----------------------------------------------------------------------------

PREDICTION_BATCH_SIZE = 4

# False: the final model predicts. True: the models of the cross-validation do so together, which takes as many times as long.
PREDICT_WITH_FOLDS = False

# True: small and isolated areas are taken out of the predicted masks, as src/masks/cleaning.py tells. False: not. None: if that would leave
# the train masks as they are. Where these have such areas of their own, the network is to find them.
CLEAN_PREDICTIONS = None

# True: pictures are written to `images`. False: they are shown in windows, one after the other.
SAVE_IMAGES_ON_DISK = True

# Which cases of the test set are drawn: how many, by how they are chosen; and some by name, as in "cases": ["hospital__0137"].
IMAGES_TO_DRAW = {"first": 0, "random": 8, "worst_dice": 4, "worst_hausdorff": 4}

# Draws a line between the two points whose distance is the Hausdorff distance.
DRAW_HAUSDORFF_LINE = False

# Side of a pixel in mm, such as 0.78; or the path of a CSV file with the columns case and spacing_mm. Areas are then told in cm2 and
# distances in mm too. None: unknown.
PIXEL_SPACING_MM = None

# How far two outlines may lie apart and still count as the same, for the surface Dice, in mm where the spacing is known. None: 2 px.
SURFACE_DICE_TOLERANCE_MM = None

# A folder of masks made by something else, <case>.csv or <case>.npy, to be evaluated in place of the model's, such as "other masks/them"
# (git ignores the folder `other masks`). None: the model's.
PREDICTIONS_FOLDER = None

# A folder of the same cases' masks by another reader: how well two people agree is what a model can reach. None: there is none.
SECOND_READER_FOLDER = None
