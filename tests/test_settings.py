"""config.py: settings that it leaves out have their defaults; invalid ones are reported with the valid values."""

import decimal
import math
import os
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest

import settings
import storage
from conftest import ROOT
from masks import quantities
from settings import declarations, documents


def load(tmp_path, text):
    (tmp_path / "config.py").write_text(text)
    return settings.load(tmp_path)


def test_without_config_py_the_defaults_apply(tmp_path):
    options = settings.load(tmp_path)
    assert (options.IMAGE_SIZE, options.TEST_SHARE, options.SEED) == (512, 0.2, 1)


def test_every_default_is_valid():
    for name, declaration in settings.DECLARATIONS.items():
        assert declaration.rule.accepts(declaration.default), name


def test_the_template_has_every_setting_with_its_default(tmp_path):
    template = runpy.run_path(str(ROOT / "config_template.py"))
    assert {name: value for name, value in template.items() if name.isupper()} == vars(settings.load(tmp_path))


@pytest.mark.parametrize(
    ("file", "text"), [("config_template.py", documents.template), ("docs/settings.md", documents.page)]
)
def test_the_generated_documents_are_current(file, text):
    assert (ROOT / file).read_text(encoding="utf-8") == text(), "Type: make docs"


def test_fixed_returns_the_settings_that_must_not_change_during_a_search(tmp_path):
    fixed = load(tmp_path, "SEED = 7\nEXPLORATION_EPOCHS = 3\n").fixed(settings.SEARCH)
    assert fixed["SEED"] == 7
    assert fixed["EXPLORATION_EPOCHS"] == 3
    assert "EXPLORATION_MAX_TRIALS" not in fixed


def test_hyperparameters_and_search_space_are_validated_with_all_other_settings(tmp_path):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, 'HYPERPARAMETERS = {"filter": 3}\nEXPLORATION_SEARCH_SPACE = {"gamma": (1, 0)}\n')
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'config.py'}: HYPERPARAMETERS: filter is not known. Did you mean filters?",
        f'{tmp_path / "config.py"}: EXPLORATION_SEARCH_SPACE["gamma"] = (1, 0): must be a pair (low, high) of numbers.',
    ]


def test_settings_are_loaded_without_tensorflow():
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import settings; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_config_py_may_have_helper_variables(tmp_path):
    options = load(tmp_path, "import math\nsize = 64\nIMAGE_SIZE = size * 2\n")
    assert options.IMAGE_SIZE == 128
    assert options.TEST_SHARE == 0.2


@pytest.mark.parametrize(
    "line, message",
    [
        ("TRAINING_EPOCH = 3", "TRAINING_EPOCH is not known. Did you mean TRAINING_EPOCHS?"),
        ("IMAGE_SIZE = 500", "IMAGE_SIZE = 500: must be a multiple of 32"),
        ("TEST_SHARE = 20", "TEST_SHARE = 20: must be a number between 0 and 1"),
        ("GROUP_CASES_BY = '('", "GROUP_CASES_BY = '(': must be None"),
        ("SAVE_IMAGES_ON_DISK = 'yes'", "must be True or False"),
        ("TRAINING_BATCH_SIZE = True", "a whole number from 1 to 1024"),
        ("EXPLORATION_TUNER = 'grid'", '"random", "hyperband" or "bayesian"'),
        ("IMAGES_TO_DRAW = {'last': 3}", "first, random, worst_dice, worst_hausdorff"),
        ("SEED = ", "can't be run: SyntaxError"),
    ],
)
def test_an_invalid_setting_is_reported_with_the_valid_values(tmp_path, line, message):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, line + "\n")
    assert message in str(caught.value)
    assert str(tmp_path / "config.py") in str(caught.value)


def test_all_faults_are_reported_at_once(tmp_path):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, "SEED = -1\nTEST_SHARE = 2\nNOTHING_LIKE_IT = 0\n")
    assert len(str(caught.value).splitlines()) == 3


def test_two_choices_of_the_model_are_refused(tmp_path):
    with pytest.raises(settings.SettingsError, match=r"Remove MODEL, or set PREDICT_WITH_FOLDS = False\."):
        load(tmp_path, 'MODEL, PREDICT_WITH_FOLDS = "shared", True\n')
    assert load(tmp_path, 'MODEL = "shared"\n').MODEL == str(tmp_path / "shared")


def test_relative_paths_start_at_the_folder_of_the_project(tmp_path):
    text = 'ENCODER_WEIGHTS, TRAIN_SET_LOCATION = "weights.h5", "gs://bucket/train set"\n'
    options = load(tmp_path, text + 'PIXEL_SPACING_MM, PREDICTIONS_FOLDER = 0.7, "/their masks"\n')
    assert options.ENCODER_WEIGHTS == str(tmp_path / "weights.h5")
    assert options.PREDICTIONS_FOLDER == str(pathlib.Path("/their masks"))
    assert (options.TRAIN_SET_LOCATION, options.PIXEL_SPACING_MM, options.SECOND_READER_FOLDER) == (
        "gs://bucket/train set",
        0.7,
        None,
    )
    (tmp_path / "config.py").write_text("")
    assert settings.load(tmp_path).ENCODER_WEIGHTS == "imagenet"


@pytest.mark.parametrize("value", ["8", "None", "[1]", "{'first': -1}"])
def test_invalid_counts_of_images_are_reported(tmp_path, value):
    (tmp_path / "config.py").write_text(f"IMAGES_TO_DRAW = {value}\n")
    with pytest.raises(settings.SettingsError, match="IMAGES_TO_DRAW = .*must be a dict of counts"):
        settings.load(tmp_path)


INVALID_VALUES = [
    ("IMAGE_SIZE", ["320000000", "0", "-32", "512.0"]),
    ("TEST_SHARE", ["0", "1", "1.0", "math.nan", "math.inf", "'0.2'"]),
    ("TRAINING_BATCH_SIZE", ["10**30", "10**5000", "0", "2.0", "'2'"]),
    ("TRAINING_EPOCHS", ["10**30", "math.inf", "True"]),
    ("TRAINING_TIME_LIMIT_MINUTES", ["math.inf", "math.nan", "0", "-1", "True", "'10'"]),
    ("EXPLORATION_TIME_LIMIT_HOURS", ["math.inf", "math.nan", "10**400"]),
    ("CROSS_VALIDATION_FOLDS", ["10**9", "1"]),
    ("PREDICTION_BATCH_SIZE", ["10**30"]),
    ("MASK_SPECK_PX", ["False", "0.0", "math.inf"]),
    (
        "PIXEL_SPACING_MM",
        ["math.inf", "math.nan", "0", "True", "'0.78'", "'0,78'", "''", "np.array([0.7, 0.7])", "(0.7, 0.7)"],
    ),
    (
        "VALUE_WINDOWS",
        ["{'a': (1, 0)}", "{'a': (1,)}", "{'a b': (0, 1), 'A_b': (0, 1)}", "{'area': (0, 1)}", "{'?': (0, 1)}", "5"],
    ),
    ("PRIMARY_QUANTITY", ["''", "None", "['area']"]),
    ("SURFACE_DICE_TOLERANCE_MM", ["math.inf", "math.nan", "'2'"]),
    ("GROUP_CASES_BY", ["''", "b'a'", "re.compile('a')", "'('", "'a{99999999999}'", "5"]),
    ("TEST_CASES", ["''", "[]", "['a', '']", "[1]", "{'a'}", "0.2"]),
    ("PREDICTIONS_FOLDER", ["'a\\0b'", "''", "b'a'", "'\\ud800'", "5"]),
    ("HYPERPARAMETERS", ["{1: 2}", "[('gamma', 1)]", "None"]),
    ("EXPLORATION_SEARCH_SPACE", ["{None: 2}", "{'a'}"]),
    (
        "IMAGES_TO_DRAW",
        ["{'cases': [5]}", "{'cases': 'A__1'}", "{'first': 10**30}", "{'first': True}", "{'first': 1.0}", "{5: 1}"],
    ),
    ("SAVE_IMAGES_ON_DISK", ["1", "'True'", "None"]),
]


@pytest.mark.parametrize("name, value", [(name, value) for name, values in INVALID_VALUES for value in values])
def test_an_invalid_value_is_rejected_on_one_line_with_the_name_of_its_setting(tmp_path, name, value):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, f"import math, re\nimport numpy as np\n{name} = {value}\n")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / 'config.py'}: {name} = ")
    assert ": must be " in line
    assert len(line) < 400 + len(str(tmp_path))


def test_numpy_scalars_and_pathlib_paths_are_converted(tmp_path):
    text = """
import pathlib, numpy as np
IMAGE_SIZE, TEST_SHARE, PIXEL_SPACING_MM = np.int64(64), np.float64(0.25), np.float32(0.5)
DETERMINISTIC, IMAGES_TO_DRAW = np.bool_(True), {'first': np.int32(3)}
PREDICTIONS_FOLDER = pathlib.Path('theirs')
"""
    options = load(tmp_path, text)
    values = (
        options.IMAGE_SIZE,
        options.TEST_SHARE,
        options.PIXEL_SPACING_MM,
        options.DETERMINISTIC,
        options.IMAGES_TO_DRAW["first"],
    )
    assert values == (64, 0.25, 0.5, True, 3)
    assert [type(value) for value in values] == [int, float, float, bool, int]
    assert str(tmp_path / "theirs") == options.PREDICTIONS_FOLDER


# fmt: off
UNUSUAL_VALUES = [
    None, True, False, 0, 1, -1, 2, 10**30, -(10**30), 10**5000, 0.5, 1e300, math.nan, math.inf, -math.inf, 1j,
    decimal.Decimal("0.5"), "", "x", "0.2", "a\0b", "\ud800", "(", "x" * 10**5, b"x", (), (1, 2), (2, 1),
    (-math.inf, math.inf), (math.nan, 1), ("a", "b"), [], [1, 2], [[1, 2]], [None], {}, {1: 2}, {"a": 1},
    {-200: 1, 200: 2}, set(), {1, 2}, range(3), object(), lambda: 1, int, iter([1, 2]), np.array([1, 2]), np.array([]),
    np.array(1), np.array([[1, 2]] * 50), np.float64(0.2), np.float64("nan"), np.int64(2), np.bool_(True), np.str_("x"),
    np.datetime64("2020"), pathlib.Path("x"), pathlib.Path("a\0b"), NotImplemented, ...,
]
# fmt: on


@pytest.mark.parametrize("name", settings.DECLARATIONS)
def test_any_value_is_accepted_or_rejected_with_the_name_of_its_setting(tmp_path, monkeypatch, name):
    types = (type(None), bool, int, float, str, dict, tuple, list)
    (tmp_path / "config.py").touch()
    for value in UNUSUAL_VALUES:
        monkeypatch.setattr(settings.runpy, "run_path", {str(tmp_path / "config.py"): {name: value}}.__getitem__)
        try:
            accepted = getattr(settings.load(tmp_path), name)
        except settings.SettingsError as error:
            assert any(text in str(error) for text in (f": {name} = ", f": {name}: ", f": {name}[", "are both None"))
        else:
            assert type(accepted) in types
            if isinstance(accepted, float):
                assert math.isfinite(accepted)
            if isinstance(accepted, int):
                assert accepted < 2**31


def test_a_setting_in_lower_case_is_rejected_unless_it_is_a_helper_or_a_function(tmp_path):
    with pytest.raises(settings.SettingsError, match="image_size is not known. Write IMAGE_SIZE, in capitals."):
        load(tmp_path, "image_size = 256\n")
    with pytest.raises(settings.SettingsError, match="Write TEST_SHARE"):
        load(tmp_path, "Test_Share = 0.1\n")
    assert load(tmp_path, "seed = 2\nSEED = seed + 1\n").SEED == 3
    assert load(tmp_path, "from random import seed\n").SEED == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("import sys\n\nsys.exit()\n", "calls sys.exit() or ends the program in another way (line 3)"),
        ("quit()\n", "(line 1)"),
        ("SEED = 1\nTEST_SHARE = true\n", "NameError: name 'true' is not defined (line 2)"),
        ("SEED = 1\n\nTEST_SHARE = = 2\n", "SyntaxError: invalid syntax (config.py, line 3)"),
        ("def again():\n    again()\nagain()\n", "RecursionError"),
        ("open('not there')\n", "FileNotFoundError"),
        ("SEED = 1\nraise ValueError('a\\nb')\n", "ValueError: a (line 2)"),
    ],
)
def test_a_config_py_that_fails_is_reported_with_the_line(tmp_path, text, message):
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_ctrl_c_while_config_runs_ends_the_program(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, "raise KeyboardInterrupt\n")


@pytest.mark.parametrize(
    "content, message",
    [
        ("# Größe\nSEED = 1\n".encode("latin-1"), "not a text in UTF-8"),
        ("SEED = 1\n".encode("utf-16"), "not a text in UTF-8"),
        ("SEED = 1\n".encode("utf-16-le"), "null characters"),
        (b"# coding: nonsense\nSEED = 1\n", "not a text in UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n", "a Git LFS pointer"),
    ],
)
def test_a_config_py_that_is_not_a_text_is_reported(tmp_path, content, message):
    (tmp_path / "config.py").write_bytes(content)
    with pytest.raises(storage.UserError) as caught:
        settings.load(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "config.py") in str(caught.value)


@pytest.mark.parametrize(
    "content", ["SEED = 7  # Größe\n".encode("utf-8-sig"), "# coding: latin-1\nSEED = 7  # Größe\n".encode("latin-1")]
)
def test_a_byte_order_mark_and_a_coding_line_are_accepted(tmp_path, content):
    (tmp_path / "config.py").write_bytes(content)
    assert settings.load(tmp_path).SEED == 7


def test_a_folder_or_a_broken_link_named_config_py_is_reported(tmp_path):
    (tmp_path / "one" / "config.py").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    os.symlink("nowhere", tmp_path / "two" / "config.py")
    for folder in ("one", "two"):
        with pytest.raises(OSError) as caught:
            settings.load(tmp_path / folder)
        assert str(tmp_path / folder / "config.py") in storage.describe(caught.value)


def test_the_primary_quantity_is_a_known_one_or_a_window(tmp_path):
    text = 'VALUE_WINDOWS = {"muscle": (-29, 150)}\n'
    assert load(tmp_path, f'{text}PRIMARY_QUANTITY = "muscle"\n').VALUE_WINDOWS == {"muscle": (-29, 150)}
    with pytest.raises(settings.SettingsError, match="PRIMARY_QUANTITY: muscles is not known. Did you mean muscle"):
        load(tmp_path, f'{text}PRIMARY_QUANTITY = "muscles"\n')


def test_the_names_of_quantities_are_those_that_are_measured():
    known = quantities.quantities({}, in_cm2=True, in_hu=True, has_height=True)
    assert [quantity.name for quantity in known] == list(declarations.QUANTITIES)
