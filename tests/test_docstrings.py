"""The examples in docstrings run, and show what they say they show."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import mnist_helpers

PACKAGE = Path(mnist_helpers.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def module_names() -> list[str]:
    """Return the modules whose docstrings have examples."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    parts = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in paths]
    return [".".join(names).removesuffix(".__init__") for names in parts]


def run_examples(name: str) -> doctest.TestResults:
    """Run the examples of a module's docstrings; a report on each failure goes to stdout."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for examples in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(examples)
    return doctest.TestResults(runner.failures, runner.tries)


@pytest.mark.parametrize("name", module_names())
def test_examples_show_what_they_say(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)  # files that examples write
    try:
        results = run_examples(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mnist_helpers"):
            raise
        pytest.skip(f"an extra is not installed: {error}")
    assert results.failed == 0, capsys.readouterr().out


def test_a_wrong_example_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.py").write_text('"""One and one.\n\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert run_examples("wrong").failed == 1


def test_no_example_is_skipped() -> None:
    for path in PACKAGE.rglob("*.py"):
        found = re.search(r".*doctest:.*\+SKIP", path.read_text("utf-8"))
        assert found is None, f"{path}: {found[0]}: let it run, and make the files that it needs"


def documented_defaults() -> list[tuple[str, str, str]]:
    """List the documented parameters that have a default: function, parameter, its line."""
    found = []
    for name in mnist_helpers.__all__:
        thing = getattr(mnist_helpers, name)
        if not inspect.isroutine(thing) and not inspect.isclass(thing):
            continue
        if inspect.isclass(thing) and issubclass(thing, Exception):
            continue
        for parameter in inspect.signature(thing).parameters.values():
            line = rf"^(?:\w+, )*{parameter.name}(?:, \w+)* : .*$"
            stated = re.search(line, inspect.getdoc(thing) or "", re.MULTILINE)
            if stated and parameter.default is not parameter.empty:
                found.append((name, parameter.name, stated[0]))
    return found


def test_documented_parameters_state_their_default() -> None:
    stated = documented_defaults()
    assert len(stated) > 100
    silent = [(name, line) for name, _, line in stated if "default=" not in line]
    assert not silent
