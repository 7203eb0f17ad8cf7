"""The package as a house: a cheap door, names that exist, floors that only look up."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mnist_helpers

PACKAGE = Path(mnist_helpers.__file__).parent
# Rooms that few may enter, and what a room may import at most. All else follows from the code: no
# circle of imports.
ONLY_FOR = {
    "cli": {"__main__"},
    "batch": {"cli", "scale"},
    "doctor": {"cli"},
    "exercises": set(),
    "scale": {"cli"},
    "serve": {"cli"},
    "widgets": {"exercises"},
}
AT_MOST = {
    "files": set(),
    "data": {"compare", "decode", "files", "progress"},
    "evaluation": {"compare", "data", "logits", "wrapping"},
    "logits": set(),
    "runtime": set(),
}
FIXED = """
    load_mnist load_csv Digits Batches to_mnist preprocessing_steps build_model list_models
    summarize Recipe train load_checkpoint save_checkpoint evaluate misclassified calibration
    MNISTPredictor Prediction BatchProcessor DigitCanvas create_app
    plot_digits plot_history plot_confusion plot_probabilities
"""


def test_every_public_name_is_there() -> None:
    assert set(FIXED.split()) <= set(mnist_helpers.__all__)
    for name in mnist_helpers.__all__:
        found = getattr(mnist_helpers, name)
        assert found is not None
        assert name.startswith("__") or isinstance(found, dict) or found.__doc__, name
    assert dir(mnist_helpers) == sorted(mnist_helpers.__all__)
    assert len(set(mnist_helpers.__all__)) == len(mnist_helpers.__all__)


@pytest.mark.parametrize("name", sorted(set(mnist_helpers.__all__) - {"__version__"}))
def test_the_front_door_names_the_room_in_which_a_name_is_defined(name: str) -> None:
    room = f"mnist_helpers.{mnist_helpers._MODULE_OF[name]}"
    found = getattr(mnist_helpers, name)
    if hasattr(found, "__module__"):
        assert found.__module__ == room or found.__module__.startswith(f"{room}.")
    else:  # a table, which does not say where it comes from
        tree = ast.parse(Path(sys.modules[room].__file__).read_text(encoding="utf-8"))
        assigned = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
        targets = [
            ast.unparse(getattr(node, "target", None) or node.targets[0]) for node in assigned
        ]
        assert name in targets


def test_what_public_functions_return_and_raise_is_public() -> None:
    names = """Checkpoint History Evaluation Calibration McNemarResult Limits DownloadError
    InvalidImageError BlankImageError NumberPrediction Prediction Recipe Splits"""
    assert set(names.split()) <= set(mnist_helpers.__all__)
    assert issubclass(mnist_helpers.BlankImageError, mnist_helpers.InvalidImageError)


def test_every_figure_is_public() -> None:
    figures = set()
    for file in (PACKAGE / "plots").glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        figures |= {name for name in names if name.startswith("plot_")}
    assert len(figures) > 20 and figures <= set(mnist_helpers.__all__)


def test_unknown_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="'mnist_helpers' has no attribute 'load_cifar'"):
        _ = mnist_helpers.load_cifar
    with pytest.raises(ImportError, match="load_cifar"):
        from mnist_helpers import load_cifar  # noqa: F401


@pytest.mark.slow
def test_names_load_what_they_need_and_no_more() -> None:
    code = (
        "import sys, mnist_helpers as m; m.outputs_folder; m.check_environment; "
        "a = 'torch' in sys.modules; m.load_mnist; print(a, [n in sys.modules for n in "
        "('torch', 'torchvision', 'matplotlib', 'pandas', 'sklearn', 'ipycanvas', 'mlxtend')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert shown.stdout.strip() == f"False {[True] + [False] * 6}", shown.stdout + shown.stderr


def rooms() -> dict[str, list[Path]]:
    """The package's rooms: modules, and wings (folders of modules), with their files."""
    wings = {
        path.parent.name: sorted(path.parent.glob("*.py")) for path in PACKAGE.glob("*/__init__.py")
    }
    return wings | {path.stem: [path] for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def imported_from(file: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in its code, by their first name."""
    up = len(file.relative_to(PACKAGE).parts)  # dots that lead to the package
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == up:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.split(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("mnist_helpers"), f"{file}: use from ."
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("mnist_helpers") for alias in node.names), file
    return found


def imports() -> dict[str, set[str]]:
    """Which rooms each room imports; imports within a wing are its own business."""
    return {
        room: set().union(*map(imported_from, files)) & set(rooms()) - {room}
        for room, files in rooms().items()
    }


def test_nothing_in_the_package_stands_on_the_benchmarks() -> None:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] != "benchmarks", file
            elif isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] != "benchmarks" for alias in node.names), file


def test_rooms_import_each_other_in_no_circle() -> None:
    order = list(TopologicalSorter(imports()).static_order())  # raises CycleError
    assert (
        order.index("data") < order.index("training") < order.index("cli") < order.index("__main__")
    )
    with pytest.raises(CycleError):
        TopologicalSorter(imports() | {"files": {"cli"}}).prepare()


def test_who_enters_at_the_door_stays_out_of_the_core() -> None:
    found = imports()
    for room, few in ONLY_FOR.items():
        assert room in found
        assert {other for other, theirs in found.items() if room in theirs} <= few, room
    for room, most in AT_MOST.items():
        assert found[room] <= most, room


def test_every_package_is_in_the_wheel() -> None:
    """A folder that pyproject.toml does not list works in a checkout, and nowhere else."""
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^packages = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)
    folders = [path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("__init__.py")]
    assert {".".join(folder.parts) for folder in folders} <= set(re.findall(r'"(.+?)"', listed[1]))


def test_the_readme_lists_every_room() -> None:
    text = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    table = text.partition("## The package")[2].partition("\n## ")[0]
    rooms = re.findall(r"`(\w+)/?`", "".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)))
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert sorted(rooms) == sorted(modules | folders)


MAX_LINES = {"module": 400, "class": 250, "function": 60}  # of the last two without docstrings


def code_lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a body; docstrings do not count, nor does a signature, which is a table."""
    lines = set(range(node.body[0].lineno, node.end_lineno + 1))
    for inner in ast.walk(node):
        documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(inner, documented) and ast.get_docstring(inner):
            lines -= set(range(inner.body[0].lineno, inner.body[0].end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("folder", ["mnist_helpers", "benchmarks", "tools"])
def test_modules_classes_and_functions_are_of_a_size_to_take_in(folder: str) -> None:
    too_long = []
    files = sorted((PACKAGE.parent / folder).rglob("*.py"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        found = [("module", file.stem, text.count("\n"))]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                found.append(("class", node.name, code_lines(node)))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.append(("function", node.name, code_lines(node)))
        too_long += [
            f"{file.relative_to(PACKAGE.parent)}: the {kind} {name} has {lines} lines"
            for kind, name, lines in found
            if lines > MAX_LINES[kind]
        ]
    assert not too_long, "\n".join(too_long)
