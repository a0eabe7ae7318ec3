"""The settings. Copy this file to config.py and edit the copy.

Settings that config.py leaves out have the values below. Settings describe your machine, your data and the length of
each step; relative paths start at the folder of this file. What changes the quality of the model is a hyperparameter:
see HYPERPARAMETERS. This file is generated (`make docs`).
"""

# --- Dataset (step 1) -------------------------------------------------------------------------------------------------

# Height and width of every image, in px: a multiple of 32. Images of another size are excluded and listed, or fitted
# (see FIT_IMAGES).
IMAGE_SIZE = 512

# True: images of another size are padded to a square and resized to IMAGE_SIZE, with their masks. False: they are
# excluded and listed.
FIT_IMAGES = False

# The labels that belong to the structure, if the masks hold several: values, names of segments, or colours as #rrggbb.
# None: whatever is not background; masks with several labels are then an error that lists them.
# Example: MASK_LABELS = (1, 2) takes the labels 1 and 2 as one structure.
MASK_LABELS = None

# Whether slices of a volume become cases if their mask is empty. Slices that nobody annotated must stay out.
INCLUDE_EMPTY_SLICES = False

# Proportion of the cases in the test set. The test set is never used for training.
TEST_SHARE = 0.2

# Which cases are the test set. None: cases chosen at random (TEST_SHARE). A list of case names `<subdirectory>__<file
# stem>`: these; a name of a volume stands for all its slices. A text: all cases of the subdirectory of that name or, if
# there is none, those in whose name this regular expression is found. A group must not be divided (see GROUP_CASES_BY).
# Example: TEST_CASES = "hospital B" tests on all cases of that subdirectory of the original dataset.
TEST_CASES = None

# How cases are grouped, for example by patient. A group is never split between train, validation and test set, which
# would be data leakage. None: by the patients in DICOM headers; slices of a volume form a group, any other case is a
# group of its own. "subdirectory": the cases of one subdirectory of the original dataset. "case": every file is a group
# of its own. Or a regular expression that is searched in the case name `<subdirectory>__<file stem>`: cases with the
# same match (of the first capturing group, if there is one) form a group.
# Example: GROUP_CASES_BY = r"patient(\d+)" groups names such as hospital__patient07_slice3 by patient.
GROUP_CASES_BY = None

# Connected components of at most this many px are removed from the reference masks, as annotation artefacts. Their
# number is in cases.csv. 0 removes none.
MASK_SPECK_PX = 4

# Random seed of the split, initial weights, shuffling and augmentation.
SEED = 1

# --- Training (steps 2, 3 and 7) --------------------------------------------------------------------------------------

# Images per training step. Lower it if memory runs out; 1 works.
TRAINING_BATCH_SIZE = 2

# Length of the training in epochs (one epoch uses every image once). The learning-rate schedule spans the whole length.
# Only a training whose length is given in epochs is exactly reproducible.
TRAINING_EPOCHS = 100

# Length of the training in minutes, interruptions not counted. One of the two may be None; if both are set, the shorter
# one applies. Both may be changed while a training is stopped; the rest of it uses the new values.
TRAINING_TIME_LIMIT_MINUTES = None

# True: train in mixed precision (bfloat16 on a CPU, float16 on a GPU). None: only where the hardware has instructions
# for it, which are faster.
MIXED_PRECISION = None

# True: the same settings on the same machine give bit-identical weights, also on a GPU, where this is slower.
DETERMINISTIC = False

# Initial weights of DeepLabV3+'s encoder. "imagenet": Keras downloads them once, the project's only use of the
# internet. Or the path of that file (resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5). None: random weights. The
# U-Net has no such encoder.
ENCODER_WEIGHTS = "imagenet"

# Fine-tuning: the path of a model folder. Steps 3 and 7 start from its weights, with its network and CT window and a
# lower learning rate. Images that it was trained on must not be in the test set, nor in folds of step 7. "model"
# continues the training of the project's own model; "phantoms" is the pretrained model that the project ships: skeletal
# muscle on CT, trained on synthetic slices alone. None: random weights (but see ENCODER_WEIGHTS).
# Example: START_FROM = "shared models/L3 muscle"
START_FROM = None

# A copy of `preloaded dataset/train set` from which training reads the images and masks, on any disk or storage that
# TensorFlow reads, such as "/scratch/train set" or "gs://bucket/train set". None: the original.
TRAIN_SET_LOCATION = None

# Hyperparameters of the final model that differ from the defaults; docs/settings.md lists all. Step 2 ends by printing
# this line for its best trial.
# Example: HYPERPARAMETERS = {"learning_rate": 5e-4, "clip_hu": None}
HYPERPARAMETERS = {}

# --- Exploration (step 2) ---------------------------------------------------------------------------------------------

# Search algorithm of Keras Tuner.
EXPLORATION_TUNER = "random"

# Number of trials of the search. Hyperband, which trains many models for a few epochs and the best of them longer, also
# ends by itself.
EXPLORATION_MAX_TRIALS = 20

# Duration of the search in hours, interruptions not counted. One of the two may be None; if both are set, the search
# ends at the first limit reached.
EXPLORATION_TIME_LIMIT_HOURS = None

# Epochs per trial.
EXPLORATION_EPOCHS = 15

# How often the three best trials are repeated with other seeds, to test which differences are significant. 0: never.
EXPLORATION_REPEATS = 3

# Proportion of the train set in the validation set, which scores all trials. The test set is not used.
EXPLORATION_VALIDATION_SHARE = 0.2

# Search ranges that differ from the defaults in docs/settings.md. A value fixes a hyperparameter, a list [...] gives
# the values to choose from, a pair (low, high) gives a range. (A CT window clip_hu is one value, though it is a pair.)
# Example: EXPLORATION_SEARCH_SPACE = {"clip_hu": None, "filters": [16, 32], "learning_rate": (5e-4, 2e-3)}
EXPLORATION_SEARCH_SPACE = {}

# Number of the best trials whose weights are kept on disk.
EXPLORATION_KEPT_MODELS = 1

# What happens if a search exists that was started with other settings, data or package versions. False: step 2 stops
# and lists the differences. True: the existing search is renamed and a new one starts.
EXPLORATION_START_ANEW = False

# --- Cross-validation (step 7) ----------------------------------------------------------------------------------------

# Number of folds of the train set. One model is trained per fold, each as long as the final one.
CROSS_VALIDATION_FOLDS = 5

# True: step 7 also trains on 12, 25 and 50 % of each fold's train set, plots the Dice against the number of images, and
# extrapolates to twice the data. It then takes four times as long.
LEARNING_CURVE = False

# --- Prediction and evaluation (steps 4, 5, 6 and 8) ------------------------------------------------------------------

# Images per prediction step.
PREDICTION_BATCH_SIZE = 4

# False: the final model predicts. True: the models of the cross-validation predict as an ensemble, which takes as many
# times as long.
PREDICT_WITH_FOLDS = False

# The model that predicts in steps 4, 6 and 8: the path of another model folder, such as a shared model, or of another
# finished `cross-validation`, whose models are an ensemble; or "phantoms" (see START_FROM). None: the model of step 3,
# or those of step 7 (see PREDICT_WITH_FOLDS).
# Example: MODEL = "shared models/L3 muscle"
MODEL = None

# Post-processing: whether small isolated connected components are removed from predicted masks (see docs/steps.md).
# None: only if that would alter at most 2 % of the train masks.
CLEAN_PREDICTIONS = None

# True: step 6 writes for each DICOM image a DICOM SEG beside the NIfTI mask. As the standard demands, it holds the
# identity of its image: the patient's name, ID, birth date and sex, the study, its date, physician and institution. No
# other file that the program writes does.
WRITE_DICOM_SEG = False

# True: comparison images are written to `images`. False: they open in windows, one by one.
SAVE_IMAGES_ON_DISK = True

# Test cases for which comparison images are plotted: counts per way of selection, and names of cases.
# Example: "cases": ["hospital__0137"] within the braces adds a case by name.
IMAGES_TO_DRAW = {"first": 0, "random": 8, "worst_dice": 4, "worst_hausdorff": 4}

# Draws a line between the two points whose distance is the Hausdorff distance.
DRAW_HAUSDORFF_LINE = False

# Side of a pixel of the image files in mm, such as 0.78; or the path of a CSV file with the columns case and
# spacing_mm. Areas are then also reported in cm², distances in mm. None: the pixel spacing in the headers of the image
# files, if they have one.
PIXEL_SPACING_MM = None

# Tolerance of the surface Dice, in mm; it needs a pixel spacing. None: 2 px.
SURFACE_DICE_TOLERANCE_MM = None

# A folder of masks from another program that step 5 evaluates instead of the model's, such as "other masks/nnunet" (git
# ignores `other masks`): a file per case or per volume, in any format of masks. None: the model's.
PREDICTIONS_FOLDER = None

# A folder of a second reader's masks of the same cases: inter-reader agreement is the best that a model can reach.
# None: there is none.
SECOND_READER_FOLDER = None

# Other masks of the test cases to compare with the evaluated ones: a folder of masks, as in PREDICTIONS_FOLDER, or a
# model folder or cross-validation, as in MODEL, with which step 4 then also predicts. Step 5 reports the differences,
# their 95 % intervals, Wilcoxon's test, and the cases that differ most. None: there are none.
# Example: COMPARE_WITH = "other masks/nnunet"
COMPARE_WITH = None

# True: the masks in SECOND_READER_FOLDER are a second reading by the person who made the reference masks. The results
# then say intra-reader agreement instead of inter-reader agreement.
SECOND_READER_IS_SAME_PERSON = False

# Windows of image values (CT: HU). Steps 5 and 6 report the area of the mask's pixels whose values are in each window,
# both limits included.
# Example: VALUE_WINDOWS = {"muscle": (-29, 150), "low attenuation": (-29, 29), "fat": (-190, -30)}
VALUE_WINDOWS = {}

# The quantity whose agreement the terminal, the subgroups and the comparison of models show. All quantities are in the
# report. SMI is the area in cm² divided by the squared height in m, which PATIENTS_TABLE gives.
PRIMARY_QUANTITY = "area"

# A CSV file with a row per case (column case, the case names in cases.csv; for step 6, the names of the images without
# ending) or per group (column group). The column height_m gives the SMI. Other columns with few different values, such
# as sex or scanner, divide the cases into subgroups. None: there is none.
PATIENTS_TABLE = None
