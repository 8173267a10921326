"""The structure of the packages: who may import whom, and what mirrors what."""

import ast
import functools
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the bottom to the top; those of one line never import each other.
LIBRARY = (
    "terminal",
    "utils",
    "layers",
    "graph",
    "models",
    "profiling",
    "convolutions",
    "export",
    "benchmarking",
    "lowrank groups sparsity regularizers tf_keras_twin",
    "compression",
    "analysis",
)
TRAINING = (
    "options",
    "data",
    "evaluation",
    "runs plans",
    "networks",
    "trainer",
    "stages",
    "experiments reports",
    "commands",
)


def _modules():
    found = {}
    for folder, prefix in (("keras_roots", "keras_roots"), ("training", "training")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join([prefix, *parts])] = path
    return found


MODULES = _modules()


@functools.cache
def _face(package):
    """Names that a package has in its `__all__`; a module may be among them."""
    path = MODULES.get(package)
    if path is None or path.name != "__init__.py":
        return ()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            names = getattr(node.value, "elts", ())
            return [item.value for item in names if isinstance(item, ast.Constant)]
    return ()


def _imports(module):
    """Names of the package's modules that a module imports, and the lines."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            face = _face(node.module.replace("keras_roots.training", "training"))
            names = [
                node.module if alias.name in face else f"{node.module}.{alias.name}"
                for alias in node.names
            ]
        for name in names:
            name = name.replace("keras_roots.training", "training")
            while name not in MODULES and "." in name:
                name = name.rpartition(".")[0]
            if name in MODULES:
                yield name, node.lineno


def _place(module):
    """The order that a module is in, and its level there; `None` at the top."""
    order = TRAINING if module.startswith("training") else LIBRARY
    parts = module.split(".")
    if len(parts) == 1:
        return order, None
    levels = [i for i, names in enumerate(order) if parts[1] in names.split()]
    assert levels, f"{module} has no place in the order of {__file__}"
    return order, levels[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards_and_at_the_face_of_packages(module):
    order, level = _place(module)
    package = module.split(".")[:2]
    for name, line in _imports(module):
        where = f"{MODULES[module]}:{line} imports {name}"
        if name.split(".")[:2] == package or "." not in name:
            continue
        other_order, other = _place(name)
        if order is LIBRARY:
            assert other_order is LIBRARY, f"{where}: the library knows no training"
        if order is other_order and level is not None:
            assert other < level, f"{where}, which is not below it"
        inner = len(name.split(".")) > 2
        assert not inner, f"{where}, an inner module of another package"


def test_there_is_no_circle():
    # That a package's face gathers its own modules is no circle.
    graph = {
        module: {
            name
            for name, _ in _imports(module)
            if name != module and not module.startswith(f"{name}.")
        }
        for module in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("keras_roots")])
def test_the_library_knows_no_training_and_no_flags(module):
    for number, line in enumerate(MODULES[module].read_text().splitlines(), 1):
        found = re.search(r"keras_roots\.training|\babsl\b|(?<![\w-])--[a-z]\w+", line)
        assert not found, f"{MODULES[module]}:{number} mentions {found[0]}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("training")])
def test_only_commands_define_flags(module):
    if not module.startswith("training.commands"):
        text = MODULES[module].read_text()
        found = re.search(r"absl import .*\b(flags|app)\b|absl\.flags", text)
        assert not found, f"{MODULES[module]} has {found[0]}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_test_module_of_its_name(module):
    if MODULES[module].name != "__init__.py":
        path = MODULES[module].relative_to(ROOT)
        parts = path.parts[1:] if path.parts[0] == "keras_roots" else path.parts
        mirror = ROOT.joinpath("tests", *parts[:-1], f"test_{parts[-1]}")
        assert mirror.exists(), f"{path} has no {mirror.relative_to(ROOT)}"
