"""Which folder a project's files belong to, and how a message names them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_helpers.cli.base import describe_error
from mnist_helpers.files import atomic_write, outputs_folder, project_root, short_path


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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to set")
def test_where_there_is_no_space_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("as before")
    code = (
        "import resource, sys; from mnist_helpers.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (99, resource.RLIM_INFINITY))\n"
        "with atomic_write(sys.argv[1]) as part:\n"
        "    part.write_bytes(bytes(100))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(f"File too large: '{path}'")
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "as before"


def test_errors_of_others_are_not_called_those_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "table.csv"):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.filename is None


def test_an_error_of_the_system_without_a_file_is_its_reason_alone() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert describe_error(full) == "No space left on device"


def test_a_folder_in_a_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "net.onnx"):
        pass
    assert caught.value.filename == str(tmp_path / "net.onnx")
