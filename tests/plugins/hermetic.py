"""Tests see no other machine, none of the user's settings, and no data but their own.

Whatever a user has set (a home folder with settings, a proxy, a folder with MNIST, a terminal's
width) is replaced here, once, before anything is collected. Processes that tests start inherit it.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest
from nbmake.pytest_items import NotebookItem
from xdist.workermanage import WorkerController

CLOSED_PORT = "http://127.0.0.1:9"
# Settings that reach into tests: of programs that they start, and of terminals that messages fit.
# Without bytecode each of those programs would compile PyTorch again, which takes seconds.
FOREIGN_PREFIXES = ("MNIST_HELPERS_", "JUPYTER", "IPYTHON", "GRADIO_", "RAY_", "XDG_", "MAKE")
FOREIGN = ("MPLBACKEND", "MPLCONFIGDIR", "MATPLOTLIBRC", "COLUMNS", "LINES", "FORCE_COLOR")
FOREIGN += ("MFLAGS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "PYTHONWARNINGS")
FOREIGN += ("PYTHONDONTWRITEBYTECODE",)
HOME = pytest.StashKey[Path]()
BEFORE = pytest.StashKey[dict[str, str]]()


class OfflineError(OSError):
    """A test tried to reach another machine."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Close the network, and replace the user's home folder and settings."""
    if hasattr(config, "workerinput"):  # workers inherit what the first process sets
        config.stash[BEFORE] = config.workerinput["before"]
    else:
        config.stash[BEFORE] = dict(os.environ)
        config.stash[HOME] = home = Path(tempfile.mkdtemp(prefix="mnist-tests-"))
        _replace_environment(home)
    # A shell's background job ignores Ctrl-C, and so would the commands that tests stop with it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _loopback_only(getattr(socket.socket, name)))


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker what the environment was."""
    node.workerinput["before"] = node.config.stash[BEFORE]


@pytest.fixture(scope="session")
def users_environment(pytestconfig: pytest.Config) -> dict[str, str]:
    """The environment that pytest was started in, for what is fetched from a registry."""
    return pytestconfig.stash[BEFORE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Execute a copy of a notebook, in a folder of its own.

    So it finds nothing in outputs/ that another run or the user left, and leaves nothing there.
    """
    if not isinstance(item, NotebookItem) or item.config.option.overwrite:
        return (yield)
    _ = item.location  # reports name the notebook, not its copy
    original = item.filename
    with tempfile.TemporaryDirectory(prefix="mnist_helpers-notebook-") as folder:
        item.filename = shutil.copy(original, folder)
        try:
            return (yield)
        finally:
            item.filename = original


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete the home folder of this run."""
    home = config.stash.get(HOME, None)
    if home is not None:
        shutil.rmtree(home, ignore_errors=True)


def _replace_environment(home: Path) -> None:
    """Point the environment at a home folder of this run, with nothing in it."""
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES) or name in FOREIGN:
            del os.environ[name]
    # An empty folder: neither the user's MNIST nor that in data/ is found, and `load_mnist` falls
    # back on the sample, on every machine.
    no_mnist = home / "no_mnist"
    no_mnist.mkdir()
    os.environ["MNIST_HELPERS_DATA"] = str(no_mnist)
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(home)
    # Another user's /tmp/ray may not be written to. A socket's path is 107 characters at most.
    if len(str(home)) < 40:
        os.environ["RAY_TMPDIR"] = str(home)
    # Kernels and commands run in processes of their own: a proxy that refuses stops them at once.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = CLOSED_PORT
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"


def _loopback_only(connect):
    """Wrap `connect` to refuse every address but this machine's own."""

    def guarded(self: socket.socket, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise OfflineError(f"tests run offline, but something connects to {address}")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    """Whether `host` is this machine; a name other than localhost counts as another one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
