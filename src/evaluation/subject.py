"""What is evaluated, and where the results go."""

import dataclasses
import functools
import pathlib

import numpy as np
import pandas as pd

from data import case_masks, mask_folder, preloaded_dataset
from data.case_masks import CaseMasks
from data.preloaded_dataset import DatasetFacts, ImageGrid
from provenance import Provenance


@dataclasses.dataclass(frozen=True)
class Subject:
    """Predicted masks and reference masks of the same cases.

    cases: rows of cases.csv.
    folder: has the subfolders images and masks of these cases, as in the preloaded dataset.
    predictions: a folder of masks (see `data.case_masks`).
    dataset: how the dataset was made.
    provenance: of the predictions; None for another program's.
    second_reader: a folder of a second reader's masks of the same cases.
    grids: of the cases' images. None are needed for masks that have the size of the case.
    wanted_labels: those that MASK_LABELS selects, of folders with several labels.
    compared: a folder of other masks of the same cases; None for no comparison.
    compared_name: what these masks are called.
    external: the name of an external test set; "" for another subject.
    folds: of a cross-validation, in which no model predicts cases that it was trained on; 0 for a test set.
    """

    cases: pd.DataFrame
    folder: pathlib.Path
    predictions: pathlib.Path
    dataset: DatasetFacts
    provenance: Provenance | None = None
    second_reader: pathlib.Path | None = None
    grids: tuple[ImageGrid, ...] = ()
    wanted_labels: tuple[int | str, ...] | None = None
    compared: pathlib.Path | None = None
    compared_name: str = ""
    external: str = ""
    folds: int = 0

    @property
    def name(self) -> str:
        """The name for readers, such as "test set"."""
        if self.folds:
            return "cross-validation"
        return f"external test set {self.external}" if self.external else "test set"

    @property
    def case_noun(self) -> str:
        """What one case is for readers."""
        return "out-of-fold case" if self.folds else "external test case" if self.external else "test case"

    @property
    def model_name(self) -> str:
        """The model's fingerprint; for another program's masks, the name of their folder."""
        return self.provenance.id if self.provenance else self.predictions.name

    @functools.cached_property
    def masks(self) -> CaseMasks:
        """The predicted masks, each read once. DatasetError that lists all missing and invalid ones."""
        wanted = None if self.provenance else self.wanted_labels
        return case_masks.read(self.predictions, self.cases, self.grids, wanted)

    @functools.cached_property
    def second_masks(self) -> CaseMasks | None:
        """The second reader's masks, as `masks`."""
        if self.second_reader is None:
            return None
        return case_masks.read(self.second_reader, self.cases, self.grids, self.wanted_labels)

    @functools.cached_property
    def compared_masks(self) -> CaseMasks | None:
        """The masks of `compared`, as `masks`."""
        if self.compared is None:
            return None
        wanted = None if mask_folder.has_provenance(self.compared) else self.wanted_labels
        return case_masks.read(self.compared, self.cases, self.grids, wanted)

    def read(self, case: str, masks: CaseMasks | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The image of a case, its reference mask and the one in `masks`, (height, width) each; None: the predicted."""
        image, true_mask = (preloaded_dataset.read(self.folder / kind, case) for kind in ("images", "masks"))
        return image, true_mask, (self.masks if masks is None else masks).read(case)

    def check_no_leakage(self) -> None:
        """DatasetError if a model was trained on a case that it predicts."""
        compared = mask_folder.read_provenance(self.compared) if self.compared else None
        for provenance in (self.provenance if not self.folds else None, compared):
            if provenance:
                fix = "Predict it with a model that was not trained on it."
                preloaded_dataset.check_no_leakage(self.cases, provenance.image_sha256, fix)

    def history(self) -> bytes | None:
        """The chart of the model's training, the content of a PNG file, if the predictions have one."""
        return mask_folder.read_history(self.predictions) if self.provenance else None

    def with_quality(self, table: pd.DataFrame) -> pd.DataFrame:
        """Adds the columns of the predictions' quality table to a table with a row per case, if there is one."""
        if not self.provenance:  # The _table.csv of another program holds something else.
            return table
        quality = mask_folder.read_quality_table(self.predictions)
        return table if quality is None else table.merge(quality, on="case", how="left")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where an evaluation writes.

    results: the folder of tables, plots and report.
    images: the folder of comparison images; None writes none.
    log: the file of `evaluation_log`; None counts no evaluations.
    """

    results: pathlib.Path
    images: pathlib.Path | None = None
    log: pathlib.Path | None = None
