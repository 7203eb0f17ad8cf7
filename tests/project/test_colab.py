"""The notebooks' first cell on a machine like Colab: it installs the package, and nothing else.

The environment is one of its own in which the package is missing. It borrows all the others, and
claims to have a PyTorch as Colab has it, which is none of the pins. pip builds
what is checked out here: git is told that the repository's address is a folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from test_repository import ROOT, tracked

sys.path.insert(0, str(ROOT / "tools"))
from links import set_up_cell

ADDRESS = "https://github.com/someone/digits"
COLABS = {"torch": "2.10.0+cu128", "torchvision": "0.25.0+cu128"}
COLAB = """\
def enable_custom_widget_manager():
    print("Colab shows the canvas")
"""
AFTER = """
from importlib.metadata import version
print("installed:", mnist_helpers.__file__)
print("versions:", *(version(name) for name in {names}))
digits = mnist_helpers.load_mnist("sample").test
digit = mnist_helpers.MNISTPredictor().predict(digits.images[0]).digit
print("reads:", "rightly" if digit == digits.labels[0] else "wrongly")
"""


@pytest.fixture
def address(tmp_path: Path) -> str:
    """What git calls a repository with the files that are tracked here, as they are now."""
    folder = tmp_path / "repository"
    for path in tracked("mnist_helpers", "notebooks", "pyproject.toml", "README.md", "LICENSE"):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--no-verify", "-m", "all"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder.as_uri()


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of an environment like Colab's."""
    venv.create(tmp_path / "colab", symlinks=os.name != "nt")
    python = tmp_path / "colab" / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", where], text=True).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    for name, version in COLABS.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "output.py").write_text(COLAB, encoding="utf-8")
    return python


@pytest.mark.slow
def test_the_first_cell_installs_the_package_alone(
    python: Path, address: str, tmp_path: Path
) -> None:
    first = set_up_cell(ADDRESS, "01_dataset")
    after = AFTER.format(names=list(COLABS))
    script = tmp_path / "cells.ipy"
    script.write_text(f"import google.colab, torch\n{first}\n{after}", encoding="utf-8")
    settings = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{address}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",  # so whatever is not there already fails
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way of saying: without
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "GIT_", "PYTHONPATH", "VIRTUAL_ENV"))
    }
    ran = subprocess.run(
        [python, "-m", "IPython", "--colors=NoColor", script],
        cwd=tmp_path,
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert f"installed: {python.parents[1]}" in said, said
    assert f"versions: {' '.join(COLABS.values())}" in said, said
    assert "Colab shows the canvas" in said
    assert "reads: rightly" in said, said
    assert "!!" not in said, f"check_environment() found something wrong: {said}"
