"""What holds for every test and every notebook: no network, and MNIST from where it lies.

It stands here, not in tests/, so that `pytest --nbmake notebooks/04_prediction.ipynb` has it too.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
SHARED_MNIST = ROOT.parent / "shared" / "data" / "mnist"
EXTRAS = {"08_serving.ipynb": ("serve", "fastapi"), "09_scaling_out.ipynb": ("scale", "ray")}
CLOSED_PORT = "http://127.0.0.1:9"


class OfflineError(OSError):
    """A test tried to reach another machine."""


def pytest_configure() -> None:
    """Close the network, and point everything at MNIST if it lies beside the checkout."""
    if "MNIST_HELPERS_DATA" not in os.environ and SHARED_MNIST.is_dir():
        os.environ["MNIST_HELPERS_DATA"] = str(SHARED_MNIST)
    # Kernels and commands run in processes of their own: a proxy that refuses stops them at once.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = CLOSED_PORT
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"
    # A shell's background job ignores Ctrl-C, and so would the commands that tests stop with it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _loopback_only(getattr(socket.socket, name)))


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the notebooks last and in order: a broken function shows in its own test first.

    Those that need an extra that is not installed are skipped.
    """
    items.sort(key=lambda item: (item.path.suffix == ".ipynb", _order(item)))
    for item in items:
        if item.path.name in EXTRAS:
            extra, module = EXTRAS[item.path.name]
            if not _is_installed(module):
                item.add_marker(pytest.mark.skip(reason=f"the extra `{extra}` is not installed"))


def _is_installed(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _order(item: pytest.Item) -> str:
    return item.path.name if item.path.suffix == ".ipynb" else ""
