"""A JupyterLab on loopback, with settings of its own, and a browser to open it in."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from screens import CHROMIUM_FLAGS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # draw all cells
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}
OVERRIDES = ROOT / "mnist_helpers" / "widgets" / "mnist_helpers.json"  # installed with the package
for _plugin, _values in json.loads(OVERRIDES.read_text(encoding="utf-8")).items():
    SETTINGS.setdefault(_plugin.replace(":", "/"), {}).update(_values)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the notebooks into a folder of the test."""
    return Path(shutil.copytree(ROOT / "notebooks", tmp_path_factory.mktemp("lab") / "notebooks"))


@pytest.fixture(scope="module")
def lab(notebooks: Path) -> Iterator[str]:
    """Start JupyterLab on a copy of the notebooks; give the address to open them under.

    Settings and workspaces lie in a folder of the test, so that the user's own stay as they are.
    "reset" has each page open with its notebook alone, not with those of the page before it, which
    JupyterLab remembers after some seconds.
    """
    home = notebooks.parent
    for name, values in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--notebook-dir={notebooks}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    address = f"http://127.0.0.1:{port}"
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"{address}/api?token={token}", server, home / "log")
            yield f"{address}/lab/tree/{{}}?token={token}&reset"
        finally:
            server.terminate()
            server.wait(60)


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until the server answers; fail with its log if it has ended."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            opener.open(address, timeout=10).close()
            return
        except urllib.error.URLError:
            assert server.poll() is None, f"JupyterLab did not start:\n{log.read_text()}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    """Start the machine's browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=list(CHROMIUM_FLAGS)
        )
        yield browser
        browser.close()
