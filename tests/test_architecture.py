"""The architecture rules, checked on the source: layers, one importer per large dependency, sizes, names, words."""

import ast
import re
import statistics
import subprocess
import sys

import pytest

import storage
from conftest import ROOT

SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_name(path):
    return path.relative_to(SOURCE).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
STEPS = ("data.original_dataset", "model_training", "prediction", "evaluation")
# Steps that repeat other steps on other data, and which.
COMPOSED = {
    "model_exploration": {"model_training"},
    "cross_validation": {"model_training", "prediction", "evaluation"},
    "external_validation": {"prediction", "evaluation"},
}

# From top to bottom. A module imports only from lower layers and its own package. The longest matching name counts.
LAYERS = [
    {"main", "demo", "show_tensorboard", "segmenter"},
    {"command_line"},
    set(COMPOSED),
    set(STEPS),
    {"model_card"},
    {"data", "networks"},
    {"masks"},
    {"training_text"},
    {"resumable", "provenance"},
    {"settings", "isolated_process", "cpu_features", "gpu_support", "worker_pool", "progress", "about", "html_page"},
    {"storage", "environment_variables", "wording", "pretrained"},
]


def layer(module):
    names = [name for name in set().union(*LAYERS) if is_in(module, name)]
    return next(number for number, members in enumerate(LAYERS) if max(names, key=len) in members)


def is_in(module, package):
    return module == package or module.startswith(package + ".")


def imports(tree):
    """Yields all modules that a file imports, including imports in functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def project_module(name):
    """Returns the module of this project to which an imported name belongs, or None."""
    parts = name.split(".")
    candidates = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((module for module in candidates if module in TREES), None)


def imported_modules(module):
    """Returns the modules of this project that a module imports, except itself."""
    return {found for name in imports(TREES[module]) if (found := project_module(name))} - {module}


def test_imports_and_layers_are_recognized():
    assert "storage" in imported_modules("data.original_dataset")
    assert layer("main") < layer("evaluation") < layer("networks.layers") < layer("masks.metrics") < layer("storage")


@pytest.mark.parametrize("module", TREES)
def test_a_module_imports_only_from_lower_layers(module):
    package = module.split(".")[0]
    for name in imported_modules(module):
        assert name.split(".")[0] == package or layer(name) > layer(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", TREES)
def test_there_are_no_import_cycles(module):
    seen, waiting = set(), imported_modules(module)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= imported_modules(name) - seen
    assert module not in seen


def test_networks_and_data_do_not_import_each_other():
    for module in TREES:
        others = {"networks": "data", "data": "networks"}.get(module.split(".")[0])
        assert not [name for name in imported_modules(module) if name.split(".")[0] == others]


def test_only_composed_steps_import_another_step():
    for module in TREES:
        for step in (*STEPS, *COMPOSED):
            if is_in(module, step):
                other_steps = {name for name in (*STEPS, *COMPOSED) if name != step}
                found = {other for name in imported_modules(module) for other in other_steps if is_in(name, other)}
                assert found <= COMPOSED.get(step, set()), module


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("tensorflow_addons", {"data.augmentation"}),
        ("keras_tuner", {"model_exploration"}),
        ("matplotlib", {"masks"}),
        ("PIL", {"masks.drawing", "masks.overlay", "data.formats.pictures"}),
        ("SimpleITK", {"data.formats.spatial"}),
        ("pydicom", {"data.formats.dicom"}),
        ("highdicom", {"data.formats.dicom.segmentation_writer"}),
        ("pydantic", {"storage.readers"}),
        ("tqdm", {"progress"}),
        ("seaborn", {"masks.charts"}),
        ("sklearn", {"data.splitting"}),
        ("runpy", {"settings"}),
    ],
)
def test_a_large_dependency_is_imported_in_one_place(library, importers):
    users = {module for module, tree in TREES.items() if library in {name.split(".")[0] for name in imports(tree)}}
    assert users
    assert [module for module in users if not any(is_in(module, importer) for importer in importers)] == []


def test_only_steps_and_the_command_line_load_the_settings():
    for module, tree in TREES.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if "settings.load" in {ast.unparse(call.func) for call in calls}:
            assert any(is_in(module, name) for name in (*STEPS, *COMPOSED, "command_line")), module


@pytest.mark.parametrize(
    "module",
    [
        "masks.metrics",
        "masks.cleaning",
        "masks.drawing",
        "masks.charts",
        "evaluation",
        "data.original_dataset",
        "data.phantoms",
        "command_line",
        "isolated_process",
        "settings",
    ],
)
def test_modules_that_do_not_need_tensorflow_do_not_load_it(module):
    script = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=SOURCE, check=False).returncode == 0


def test_the_processes_of_trials_do_not_load_keras_tuner():
    script = "import sys, model_exploration.hparams_page, model_training; sys.exit('keras_tuner' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=SOURCE, check=False).returncode == 0


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def length(function):
    """Returns the lines of code, without docstring, comments and blank lines."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return sum(len(ast.unparse(statement).splitlines()) for statement in body) + 1


def test_functions_are_short():
    lengths = sorted(length(function) for tree in TREES.values() for function in functions(tree))
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.9 * len(lengths))] <= 22


def test_a_long_file_gives_its_reason():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 250:
            assert "is long because" in ast.get_docstring(ast.parse(text)), path


def public(tree):
    """Returns the module-level functions and classes whose names do not start with an underscore."""
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
                typed = function.returns is not None and all(argument.annotation for argument in arguments)
                assert typed, f"{module}.{node.name} is not typed"


def test_there_are_enough_tests():
    def lines(paths):
        return sum(bool(line.strip()) for path in paths for line in path.read_text().splitlines())

    assert lines(TESTS) >= 0.6 * lines(FILES)


def test_there_are_no_asserts_and_bare_excepts_and_shared_code_does_not_print():
    for module, tree in TREES.items():
        nodes = list(ast.walk(tree))
        assert not [node for node in nodes if isinstance(node, ast.Assert)], module
        assert not [node for node in nodes if isinstance(node, ast.ExceptHandler) and node.type is None], module
        printing = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]
        assert not printing or layer(module) < layer("data"), module


def test_git_ignores_every_folder_with_a_users_data_or_results():
    folders = [value.fget(storage.PROJECT) for value in vars(storage.Workspace).values() if isinstance(value, property)]
    top = {folder.relative_to(ROOT).parts[0] for folder in folders} | {"failed model", "demo"}
    paths = [f"{name}/a file" for name in sorted(top)]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.stdout.splitlines() == paths


def test_keras_is_imported_from_tensorflow():
    for module, tree in TREES.items():
        names = list(imports(tree))
        assert not [name for name in names if name.startswith(("keras.", "tensorflow.keras.")) or name == "keras"], (
            module
        )


def test_every_module_has_a_test_file():
    tests = {path.stem.removeprefix("test_") for path in TESTS if path.stem.startswith("test_")}
    # The demo is tested in test_main, nearest pixels with the metrics, file names with the files, the pipeline with
    # the dataset.
    elsewhere = {"demo", "masks.nearest", "data.file_names", "data.pipeline", "data", "masks"}
    # With the agreement, or with the evaluation.
    elsewhere |= {"masks.bootstrap", "data.spacing_table"}
    # Parts of step 1.
    elsewhere |= {"worker_pool", "data.dataset_summary", "data.grouping", "data.image_mask_pairs"}
    elsewhere |= {"data.labelled_cases"}
    elsewhere |= {"environment_variables", "gpu_support"}  # With the Python API, and with the hardware.
    elsewhere |= {"about", "training_text"}  # With the Methods paragraph.
    # With the conversion of files into cases, or with the diagnosis of a training.
    elsewhere |= {"data.mask_labels", "data.resizing", "data.intensities", "model_training.fingerprint"}
    missing = [module for module in TREES if module not in elsewhere and not set(module.split(".")) & tests]
    assert missing == []


# Phrases to avoid, each with the one to write instead.
PHRASES = {
    "by lot": "at random",
    "is told": "is reported",
    "are told": "are reported",
    "anew": "again",
    "comes to nothing": "fails",
    "predicted less true": "predicted − true",
    "in whatever": "in any",
    "the like": "similar",
    "so many of": "the number of",
    "goes on from": "resumes from",
}
TEXTS = [
    *FILES,
    *(path for path in TESTS if path.name != "test_architecture.py"),
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    ROOT / "config_template.py",
    *SOURCE.rglob("*.html"),
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_texts_use_plain_words(phrase):
    pattern = re.compile(rf"\b{phrase}\b", re.IGNORECASE)
    found = [str(path.relative_to(ROOT)) for path in TEXTS if pattern.search(path.read_text(encoding="utf-8"))]
    assert found == [], f"Write {PHRASES[phrase]!r} instead of {phrase!r}"
