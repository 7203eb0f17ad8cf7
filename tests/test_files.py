"""Which folder a project's files belong to, and how a message names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_helpers.files import outputs_folder, project_root, short_path


@pytest.mark.parametrize("inside", [".", "notebooks", "work/mine"])
def test_anywhere_in_a_checkout_the_checkout_is_the_project(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    for name in ("pyproject.toml", "mnist_helpers/files.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    (clone / inside).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(clone / inside)
    assert project_root() == clone
    assert outputs_folder("train", "tiny") == clone / "outputs" / "train" / "tiny"
    assert (clone / "outputs" / "train" / "tiny").is_dir()


def test_elsewhere_the_current_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()  # of a project that is not this one
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    assert project_root() == tmp_path / "inner"


def test_files_are_shown_relative_where_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "outputs" / "x.png") == str(Path("outputs/x.png"))
    assert short_path("outputs/x.png") == str(Path("outputs/x.png"))
    assert short_path("/elsewhere/x.png") == str(Path("/elsewhere/x.png").absolute())
    monkeypatch.chdir(root / "notebooks")
    assert short_path(root / "outputs") == str(Path("../outputs"))
