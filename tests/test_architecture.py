"""The house's laws, read off the source: floors, doors, sizes, words."""

import ast
import pathlib
import statistics
import subprocess
import sys

import pytest

import storage
from conftest import ROOT

SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {
    path.relative_to(SOURCE).with_suffix("").as_posix().removesuffix("/__init__").replace("/", "."): ast.parse(
        path.read_text()
    )
    for path in FILES
}
STEPS = {"data.original_dataset", "model_training", "prediction", "evaluation"}
# Steps that train other models than the final one, with the same pieces.
TRAINERS = {"model_exploration", "cross_validation"}

# From the top of the house to its ground. A module stands on the floor of the longest name given here that it begins with.
FLOORS = [
    {"main", "demo", "show_tensorboard"},
    {"command_line"},
    TRAINERS,
    STEPS,
    {"model_training.fitting"},
    {"model_training.diagnosis", "model_training.progress"},
    {
        "model_training.budget",
        "model_training.hyperparameters",
        "model_training.hardware",
        "model_training.distribution",
    },
    {"data", "networks"},
    {"masks"},
    {"settings", "isolated_process", "cpu_features", "resumable", "worker_pool"},
    {"storage"},
]


def floor(module):
    names = [name for name in set().union(*FLOORS) if module == name or module.startswith(name + ".")]
    return next(number for number, names_here in enumerate(FLOORS) if max(names, key=len) in names_here)


def imports(tree):
    """All modules that a file imports, those within functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name):
    """The module of ours that an imported name is or belongs to, or None."""
    parts = name.split(".")
    return next(
        (".".join(parts[:count]) for count in range(len(parts), 0, -1) if ".".join(parts[:count]) in TREES), None
    )


def test_the_reader_of_imports_sees_the_house():
    assert "data.preloaded_dataset" in {own(name) for name in imports(TREES["evaluation"])}
    assert floor("main") < floor("evaluation") < floor("networks.layers") < floor("masks.metrics") < floor("storage")


@pytest.mark.parametrize("module", TREES)
def test_a_file_imports_only_what_stands_on_a_lower_floor(module):
    package = module.split(".")[0]
    for name in filter(None, map(own, imports(TREES[module]))):
        same_package = name.split(".")[0] == package and package in (
            "networks",
            "data",
            "masks",
            "model_training",
            "model_exploration",
            "evaluation",
            "storage",
            "prediction",
            "settings",
        )
        assert name == module or same_package or floor(name) > floor(module), f"{module} imports {name}"


def test_networks_and_data_do_not_know_each_other():
    for module, tree in TREES.items():
        if module.startswith("networks"):
            assert not [name for name in imports(tree) if name.split(".")[0] == "data"]
        if module.startswith("data"):
            assert not [name for name in imports(tree) if name.split(".")[0] == "networks"]


def test_no_step_imports_a_step_but_those_that_train():
    for step in STEPS:
        assert not {own(name) for name in imports(TREES[step])} & (STEPS | TRAINERS) - {step}
    for trainer in TRAINERS:
        assert {own(name) for name in imports(TREES[trainer])} & (STEPS | TRAINERS) == {"model_training"}


@pytest.mark.parametrize(
    "library, doors",
    [
        ("tensorflow_addons", {"data.augmentation"}),
        ("keras_tuner", {"model_exploration.search", "model_exploration.oracle", "model_exploration.search_space"}),
        ("matplotlib", {"masks.drawing", "masks.charts"}),
        ("PIL", {"masks.drawing"}),
        ("seaborn", {"masks.charts"}),
        ("sklearn", {"data.splitting"}),
        ("runpy", {"settings"}),
    ],
)
def test_few_doors_for_the_giants(library, doors):
    assert {
        module for module, tree in TREES.items() if library in {name.split(".")[0] for name in imports(tree)}
    } == doors


def test_only_steps_load_the_settings():
    calls = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "settings.load"
    }
    assert calls == STEPS | TRAINERS


@pytest.mark.parametrize(
    "module",
    [
        "masks.metrics",
        "masks.cleaning",
        "masks.drawing",
        "masks.charts",
        "evaluation",
        "data.original_dataset",
        "command_line",
        "isolated_process",
        "data.phantoms",
    ],
)
def test_what_needs_no_tensorflow_does_not_wait_for_it(module):
    script = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import {module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def length(function):
    """Lines of code: without docstring, comments and blank lines."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return sum(len(ast.unparse(statement).splitlines()) for statement in body) + 1


def test_functions_are_short():
    lengths = sorted(length(function) for tree in TREES.values() for function in functions(tree))
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.9 * len(lengths))] <= 22


def test_files_are_short():
    # Each is one idea: a format with all its faults; a table.
    long = {path.name for path in FILES if len(path.read_text().splitlines()) > 250}
    assert long <= {"original_dataset.py", "declarations.py"}


def public(tree):
    """Module-level functions and classes whose name has no underscore in front."""
    return [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]


def test_public_names_are_few_typed_and_documented():
    names = {module: public(tree) for module, tree in TREES.items()}
    assert sum(map(len, names.values())) <= 3.5 * len(FILES)
    for module, nodes in names.items():
        assert ast.get_docstring(TREES[module]), f"{module} has no docstring"
        for node in nodes:
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"
            for function in [node] if isinstance(node, ast.FunctionDef) else []:
                arguments = function.args.args + function.args.kwonlyargs
                assert function.returns is not None and all(argument.annotation for argument in arguments), (
                    f"{module}.{node.name} is not typed"
                )


def test_there_are_enough_tests():
    def lines(paths):
        return sum(bool(line.strip()) for path in paths for line in path.read_text().splitlines())

    assert lines(pathlib.Path(__file__).parent.glob("*.py")) >= 0.6 * lines(FILES)


def test_no_assert_on_data_no_bare_except_and_materials_do_not_print():
    for module, tree in TREES.items():
        nodes = list(ast.walk(tree))
        assert not [node for node in nodes if isinstance(node, ast.Assert)], module
        assert not [node for node in nodes if isinstance(node, ast.ExceptHandler) and node.type is None], module
        printing = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]
        assert not printing or floor(module) < floor("data"), module


def test_git_ignores_every_folder_that_holds_a_users_data_or_results():
    folders = [value.fget(storage.PROJECT) for value in vars(storage.Workspace).values() if isinstance(value, property)]
    top = {folder.relative_to(ROOT).parts[0] for folder in folders} | {"failed model", "demo"}
    asked = [f"{name}/a file" for name in sorted(top)]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ignored.returncode == 128:
        pytest.skip("this is no git checkout")
    assert ignored.stdout.splitlines() == asked


def test_one_spelling_for_keras():
    for module, tree in TREES.items():
        assert not [
            name for name in imports(tree) if name.startswith(("keras.", "tensorflow.keras.")) or name == "keras"
        ], module


def test_every_module_has_its_test_file():
    tested = {path.stem.removeprefix("test_") for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    # The layers are tested by the networks they make; fitting and progress by the training; the oracle and its trials by the search; demo by test_main.
    elsewhere = {"networks.layers", "networks.unet", "networks.deeplabv3_plus", "demo", "data", "masks"}
    elsewhere |= {
        "model_training.fitting",
        "model_training.progress",
        "model_exploration.oracle",
        "model_exploration.trials",
    }
    # What the evaluation is made of, by the evaluation; its report in a browser; the nearest pixel by the metrics.
    elsewhere |= {"evaluation.tables", "evaluation.methods", "evaluation.evaluation_log", "masks.nearest"}
    # Names of files by the input files; the processes of step 1 by that step.
    elsewhere |= {"data.file_names", "worker_pool"}
    # The parts of a prediction by the steps that predict.
    elsewhere |= {"prediction.new_image", "prediction.quality"}
    # The parts of the storage by its own test.
    elsewhere |= {"storage.errors", "storage.atomic", "storage.locks", "storage.readers"}
    # The parts of the settings by their own test, the search space by the hyperparameters'.
    elsewhere |= {"settings.rules", "settings.declarations", "settings.documents", "model_exploration.search_space"}
    # The parts of a phantom by the phantoms.
    elsewhere |= {f"data.phantoms.{part}" for part in ("abdomen", "canvas", "muscles", "patient", "vertebra")}
    assert {module.split(".")[-1] for module in TREES if module not in elsewhere} <= tested
