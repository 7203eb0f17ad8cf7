"""Badges and install lines: one place decides on the repository's address."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from links import HERE, outdated, repository, set_up_cell

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESS = "https://github.com/someone/digits"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """README, notebooks and pyproject.toml in a folder of the test."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def state(folder: Path, address: str | None) -> None:
    """Write an address into pyproject.toml, or take it out."""
    path = folder / "pyproject.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith(("Repository =", "[project.urls]"))]
    if address is not None:
        lines += ["[project.urls]", f'Repository = "{address}"']
    path.write_text("\n".join(lines), encoding="utf-8")


def test_the_committed_files_have_the_links_of_the_address() -> None:
    assert [path.name for path in outdated()] == [], "run: make format"


def test_with_an_address_there_are_badges_and_install_lines(copy: Path) -> None:
    state(copy, ADDRESS)
    changed = outdated(copy)
    assert {path.name for path in changed} <= {"README.md", *NOTEBOOKS}
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    assert outdated(copy) == {}
    assert "github/someone/digits/blob/main/notebooks/01_" in (copy / "README.md").read_text(
        "utf-8"
    )
    for name in NOTEBOOKS:
        title, first = json.loads((copy / "notebooks" / name).read_text("utf-8"))["cells"][:2]
        assert f"github/someone/digits/blob/main/notebooks/{name})" in "".join(title["source"])
        assert f"%pip install --quiet git+{ADDRESS}\n" in "".join(first["source"])


def test_without_one_nothing_leads_nowhere(copy: Path) -> None:
    state(copy, ADDRESS)
    for path, text in outdated(copy).items():
        path.write_text(text, encoding="utf-8", newline="\n")
    state(copy, None)
    assert repository(copy) is None
    for path, text in outdated(copy).items():
        path.write_text(text, encoding="utf-8", newline="\n")
    for path in [copy / "README.md", *(copy / "notebooks").glob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert "colab.research" not in text and "%pip" not in text and "git+" not in text
        assert path.suffix == ".md" or HERE.replace('"', '\\"') in text


def test_another_hosts_address_is_refused(copy: Path) -> None:
    state(copy, "https://example.org/digits")
    with pytest.raises(ValueError, match=r"example\.org.*github\.com/OWNER/NAME"):
        repository(copy)


def test_only_what_needs_an_extra_installs_it() -> None:
    assert 'install_extra("serve")' in set_up_cell(None, "09_serving")
    assert 'install_extra("scale")' in set_up_cell(ADDRESS, "10_scaling_out")
    assert "install_extra" not in set_up_cell(ADDRESS, "01_dataset")
