"""The preloaded dataset on disk: one file per image and mask, split into a train set and a test set.

    preloaded dataset/
      cases.csv                    a row per case: split, group, source files, SHA-256, shape, value range, mask pixels
      left out.csv                 the excluded pairs, and why
      report.html                  all of this on one page (see `data.dataset_report`)
      checks.csv, checks/          a row per case with the values of the data checks; pictures of what looks wrong
      facts.json                   the number of cases, and the settings of step 1
      grids.json                   where the slices of each image lie in space; nothing else of the files' headers
      train set/
        images/<case>.npy          NumPy files: uint8, int16 or float32, the smallest lossless dtype
        masks/<case>.npy           uint8, 0 and 1
      test set/
        images/  masks/            as above
        predictions/               the result of step 4: a mask per case, see `data.mask_folder`
        compared predictions/      the same of the model in COMPARE_WITH

A case is named `<subdirectory>__<file stem>` in every later result. `data.pipeline` reads the files with tf.data.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

import settings
import storage
from data import formats
from settings import rules

_CASES = rules.whole(1, 10**9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """The number of cases, and the settings of step 1 with which they were made (see docs/settings.md)."""

    cases: int
    image_size: int
    test_share: float
    test_cases: str | list[str] | tuple[str, ...] | None = None
    group_cases_by: str | None
    seed: int
    mask_speck_px: int

    def __post_init__(self) -> None:
        """ValueError for a value that no setting allows."""
        known = settings.DECLARATIONS
        allowed = {name: _CASES if name == "cases" else known[name.upper()].rule for name in vars(self)}
        rules.check(vars(self), allowed)


@dataclasses.dataclass(frozen=True)
class ImageGrid:
    """Where the slices of an image file lie, so that masks from any program can be brought onto them.

    name: `<subdirectory>__<name>`. slices: their names as in `formats.Image`; also of those that are no cases.
    """

    name: str
    slices: tuple[str, ...]
    grid: formats.Grid

    def __post_init__(self) -> None:
        """ValueError if the grid has another number of slices."""
        if len(self.slices) != len(self.grid.planes):
            raise ValueError(f"images: {self.name} has {len(self.slices)} slices and {len(self.grid.planes)} places")

    @property
    def cases(self) -> tuple[str, ...]:
        """The name of the case of each slice."""
        return tuple(formats.slice_name(self.name, number) for number in self.slices)

    def blank(self) -> formats.Image:
        """An image of zeros on this grid; they need no memory."""
        zeros = [np.broadcast_to(np.uint8(0), plane.size[1::-1]) for plane in self.grid.planes]
        return formats.Image(tuple(zeros), self.slices, grid=self.grid)


@dataclasses.dataclass(frozen=True)
class _Grids:
    images: tuple[ImageGrid, ...]


# The size of numpy.save's header of a 2-D array; `write` checks it.
HEADER_BYTES = 128

_FACTS = "facts.json"
_GRIDS = "grids.json"
_FIX = f"Run step 1 again: {storage.command('create_preloaded_dataset')}"
# The text columns of cases.csv; a case named 007 must stay a text.
_TEXTS = ("case", "split", "group", "image_file", "image_sha256", "mask_sha256", "dtype")
# Positive numbers, or empty where unknown. Datasets of earlier versions lack these columns.
_LENGTHS = ("row_mm", "column_mm", "resized_by")
_COLUMNS = (*_TEXTS, "height", "width", "minimum", "maximum", "mask_px")


def write(folder: pathlib.Path, case: str, values: np.ndarray) -> str:
    """Writes one image or mask, (height, width), as `folder`/<case>.npy and returns the file's SHA-256."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    content = file.getvalue()
    if len(content) != HEADER_BYTES + values.nbytes:
        raise ValueError(f"{case}: the header must have {HEADER_BYTES} bytes, found {len(content) - values.nbytes}")
    (folder / f"{case}.npy").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read(folder: pathlib.Path, case: str) -> np.ndarray:
    """The image or mask that `write` wrote, (height, width). FileNotFoundError or DamagedFile if incomplete."""
    return storage.read_array(folder / f"{case}.npy", _FIX)


def smallest_lossless(image: np.ndarray) -> np.ndarray:
    """The same values as uint8 or int16 if they are whole numbers in range, else as float32 (about 7 digits)."""
    for dtype in (np.uint8, np.int16):
        limits = np.iinfo(dtype)
        if limits.min <= image.min() and image.max() <= limits.max:
            small = image.astype(dtype)
            if (small == image).all():
                return small
    return image.astype(np.float32)


def read_table(workspace: storage.Workspace) -> pd.DataFrame:
    """All rows of cases.csv, sorted by case. MissingResult if step 1 has not run; DamagedFile if the table changed."""
    table_file = workspace.preloaded_dataset / "cases.csv"
    storage.require(workspace.preloaded_dataset, "create_preloaded_dataset")
    storage.require(table_file, "create_preloaded_dataset")
    cases = storage.read_table(table_file, _FIX, _COLUMNS, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False)
    if fault := _table_fault(cases):
        raise storage.DamagedFile(f"{table_file}: {fault}. A spreadsheet program may have changed it. {_FIX}")
    for name in set(_LENGTHS) & set(cases):
        cases[name] = pd.to_numeric(cases[name])
    return cases


def read_cases(workspace: storage.Workspace, split: str) -> pd.DataFrame:
    """The rows of `read_table` for `split` ("train" or "test").

    Errors as `read_table`; also MissingResult if files are missing, and DamagedFile if the size of one changed.
    """
    cases = read_table(workspace)
    cases = cases[cases["split"] == split].reset_index(drop=True)
    for case in cases.itertuples():
        pixels = case.height * case.width
        for kind, dtype in (("images", case.dtype), ("masks", "uint8")):
            file = workspace.preloaded_dataset / f"{split} set" / kind / f"{case.case}.npy"
            _check_size(file, pixels * np.dtype(dtype).itemsize)
    return cases


def _table_fault(cases: pd.DataFrame) -> str:
    whole = cases[["height", "width", "mask_px"]].map(lambda value: isinstance(value, int)).all(axis=1)
    tests = {
        "a split other than train and test": ~cases["split"].isin(("train", "test")),
        "an invalid SHA-256": ~(cases["image_sha256"].map(_is_sha256) & cases["mask_sha256"].map(_is_sha256)),
        "a dtype that step 1 does not write": ~cases["dtype"].isin(("uint8", "int16", "float32")),
        "a size or mask_px that is not a whole number": ~whole,
        "a case that occurs twice": cases["case"].duplicated(),
        **{f"{name} that is not a positive number": _is_no_length(cases[name]) for name in _LENGTHS if name in cases},
    }
    return next((f"row {wrong.idxmax() + 2} has {what}" for what, wrong in tests.items() if wrong.any()), "")


def _is_no_length(cells: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    return ~((cells.astype(str) == "") | cells.isna() | ((numbers > 0) & (numbers < np.inf)))


def _is_sha256(digest: object) -> bool:
    return bool(re.fullmatch("[0-9a-f]{64}", str(digest)))


def _check_size(file: pathlib.Path, value_bytes: int) -> None:
    storage.require(file, "create_preloaded_dataset")
    found, expected = file.stat().st_size, HEADER_BYTES + value_bytes
    if found != expected:
        raise storage.DamagedFile(
            f"{file}: {found} bytes, expected {expected}: incomplete, or not the file that step 1 wrote. {_FIX}"
        )


def facts(cases: int, options: settings.Settings) -> DatasetFacts:
    """The facts of a dataset with so many `cases`, made with these settings."""
    return DatasetFacts(
        cases=cases,
        image_size=options.IMAGE_SIZE,
        test_share=options.TEST_SHARE,
        test_cases=options.TEST_CASES,
        group_cases_by=options.GROUP_CASES_BY,
        seed=options.SEED,
        mask_speck_px=options.MASK_SPECK_PX,
    )


def write_facts(folder: pathlib.Path, facts: DatasetFacts) -> None:
    """Writes how the dataset in `folder` was made: config.py may change before the evaluation."""
    values = {name if name == "cases" else name.upper(): value for name, value in dataclasses.asdict(facts).items()}
    (folder / _FACTS).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_facts(workspace: storage.Workspace) -> DatasetFacts:
    """The facts that `write_facts` wrote. MissingResult if there are none; DamagedFile if they were edited."""
    file = workspace.preloaded_dataset / _FACTS
    storage.require(file, "create_preloaded_dataset")
    values = {name.lower(): value for name, value in storage.read_json(file, _FIX).items()}
    # Datasets of earlier versions lack test_cases.
    return storage.to_record({"test_cases": None} | values, DatasetFacts, file, _FIX)


def write_grids(folder: pathlib.Path, grids: Sequence[ImageGrid]) -> None:
    """Writes the grids of a dataset's images into `folder`."""
    text = json.dumps(dataclasses.asdict(_Grids(tuple(grids))), separators=(",", ":"))
    (folder / _GRIDS).write_text(text + "\n", encoding="utf-8")


def read_grids(workspace: storage.Workspace) -> tuple[ImageGrid, ...]:
    """What `write_grids` wrote; () for datasets of earlier versions. DamagedFile if it was edited."""
    file = workspace.preloaded_dataset / _GRIDS
    if not file.exists():
        return ()
    return storage.to_record(storage.read_json(file, _FIX), _Grids, file, _FIX).images


def check_no_leakage(
    cases: pd.DataFrame, image_sha256: Sequence[str], fix: str, part: str = "test set", model: str = "the model"
) -> None:
    """DatasetError with the `fix` if a model was trained on one of the `cases` (rows of cases.csv): leakage.

    `part` names these cases, `model` the model, in the message.
    """
    seen = cases["case"][cases["image_sha256"].isin(image_sha256)]
    if len(seen):
        raise storage.DatasetError([f"{case}: in the {part}, but {model} was trained on it. {fix}" for case in seen])
