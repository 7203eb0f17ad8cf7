"""The kinds of tests, as markers, and what each kind needs of a machine.

A path or a fixture decides about most kinds; `load`, `kill` and `slow` stand at the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from nbmake.pytest_items import NotebookFile, NotebookItem
from xdist.workermanage import WorkerController

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# What decides about a test's kind: the end of a notebook's or the name of a test's file, a fixture.
OF_PATH = {
    "test_cluster.py": "ray",
    "test_scale.py": "ray",
    "scaling_out.ipynb": "ray",
    "serving.ipynb": "serve",
}
OF_FIXTURE = {"browser_path": "browser", "mnist_root": "mnist", "book": "slow", "wheel": "slow"}
EXTRAS = {"ray": ("scale", "ray"), "serve": ("serve", "fastapi")}
# The kinds that --fast leaves out. The files of some of them are not even imported.
NOT_FAST = ("notebook", "browser", "ray", "load", "kill", "slow", "mnist")
NO_MNIST = (
    "needs all of MNIST, 60,000 images: make test-mnist DATA=/folder/with/mnist (fetch it first, "
    "if need be: python -m mnist_helpers data --download)"
)
MNIST = pytest.StashKey[str | None]()  # the folder with all of MNIST
NAMED_BY_THE_USER = os.environ.get("MNIST_HELPERS_DATA")  # before `hermetic` replaces it


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose what is run."""
    parser.addoption(
        "--fast",
        action="store_true",
        help=f"Leave out the tests of these kinds: {', '.join(NOT_FAST)}.",
    )
    parser.addoption(
        "--mnist",
        metavar="FOLDER",
        help="Folder with all of MNIST (write --mnist=FOLDER) for the tests marked `mnist`; with "
        "--nbmake notebooks are run on it as well. Default, without the notebooks: "
        "$MNIST_HELPERS_DATA.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find out where MNIST is; the workers of a parallel run are told."""
    if hasattr(config, "workerinput"):
        config.stash[MNIST] = config.workerinput["mnist"]
        return
    folder = config.option.mnist or NAMED_BY_THE_USER
    if config.option.mnist and not Path(folder).is_dir():
        raise pytest.UsageError(f"--mnist: there is no folder {folder}")
    config.stash[MNIST] = folder and str(Path(folder).expanduser().absolute())


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where MNIST is."""
    node.workerinput["mnist"] = node.config.stash[MNIST]


class NotebookOnMNIST(NotebookFile):
    """A notebook once more, to be executed on all of MNIST."""

    def collect(self) -> Iterator[NotebookItem]:
        """Yield the notebook, marked."""
        for item in super().collect():
            item.add_marker("mnist")
            yield item


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, leave out files that are of one of its kinds as a whole."""
    fast = config.option.fast and _kinds_of_path(collection_path) & set(NOT_FAST)
    return True if fast else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> NotebookOnMNIST | None:
    """Collect each notebook once more where --mnist says where MNIST is."""
    option = parent.config.option
    if file_path.suffix != ".ipynb" or not (option.nbmake and option.mnist):
        return None
    name = f"{file_path.name} (all of MNIST)"
    return NotebookOnMNIST.from_parent(
        parent, path=file_path, name=name, nodeid=f"{parent.nodeid}/{name}"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its kinds, before -m selects; skip what this machine cannot run."""
    for item in items:
        for kind in _kinds(item):
            item.add_marker(kind)
        if item.get_closest_marker("mnist") and not config.stash[MNIST]:
            item.add_marker(pytest.mark.skip(reason=NO_MNIST))
        if item.path.suffix == ".ipynb":
            for kind, (extra, module) in EXTRAS.items():
                if item.get_closest_marker(kind) and not is_installed(module):
                    item.add_marker(
                        pytest.mark.skip(reason=f"the extra `{extra}` is not installed")
                    )
    if config.option.fast:
        slow = [item for item in items if any(map(item.get_closest_marker, NOT_FAST))]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]


def _kinds(item: pytest.Item) -> set[str]:
    """Return the kinds that a test's path and fixtures decide."""
    fixtures = getattr(item, "fixturenames", ())
    kinds = {kind for fixture, kind in OF_FIXTURE.items() if fixture in fixtures}
    return kinds | _kinds_of_path(item.path)


def _kinds_of_path(path: Path) -> set[str]:
    kinds = {kind for name, kind in OF_PATH.items() if path.name.endswith(name)}
    if path.suffix == ".ipynb":
        kinds.add("notebook")
    if path.parent.name == "browser" and path.suffix == ".py":
        kinds.add("browser")
    return kinds


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        import_module(module)
    except ImportError:
        return False
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Show MNIST to the tests marked `mnist`, and to no other."""
    folder = item.config.stash[MNIST]
    with pytest.MonkeyPatch.context() as patch:
        if folder and item.get_closest_marker("mnist"):
            patch.setenv("MNIST_HELPERS_DATA", folder)
        return (yield)
