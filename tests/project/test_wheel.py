"""The wheel: what somebody gets who installs the package instead of cloning it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from test_repository import ROOT, tracked

from mnist_helpers.files import notebooks_folder

CODE = "from mnist_helpers.files import notebooks_folder; print(notebooks_folder())"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel by way of a source archive, as `python -m build` makes it of the tracked files."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        copy = folder / "checkout" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    run = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", run], cwd=folder / "checkout", check=True)
    (archive,) = folder.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, archive], cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_package_and_the_notebooks_and_nothing_else(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix() for path in tracked("mnist_helpers") if path.is_file()
    }
    notebooks = {f"mnist_helpers/notebooks/{path.name}" for path in tracked("notebooks/*")}
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    assert names == expected | notebooks
    assert "mnist_helpers/py.typed" in names
    assert {"mnist_helpers/notebooks/01_dataset.ipynb", "mnist_helpers/notebooks/README.md"} < names
    assert wheel.stat().st_size < 5_000_000


def test_an_installed_package_finds_the_notebooks_that_it_carries(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {CODE}"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    folder = tmp_path / "site" / "mnist_helpers" / "notebooks"
    assert ran.stdout.strip() == str(folder)
    assert {path.name for path in folder.iterdir()} == {p.name for p in tracked("notebooks/*")}


def test_a_checkout_uses_its_own_notebooks() -> None:
    assert notebooks_folder() == ROOT / "notebooks"


def test_a_package_without_notebooks_says_how_to_get_them(tmp_path: Path) -> None:
    copy = tmp_path / "mnist_helpers" / "files.py"
    copy.parent.mkdir()
    copy.write_bytes((ROOT / "mnist_helpers" / "files.py").read_bytes())
    code = "from files import notebooks_folder; notebooks_folder()"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=copy.parent, capture_output=True, text=True
    )
    assert "FileNotFoundError: no notebooks in" in ran.stderr and "clone" in ran.stderr
