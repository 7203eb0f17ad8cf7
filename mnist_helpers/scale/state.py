"""Folders that a job fills and may empty again."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..files import is_checkout, project_root


def emptied(folder: Path) -> Path:
    """Return the folder, new and empty, if it may be emptied."""
    check_ours(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark_of(folder).touch()
    return folder


def check_ours(folder: Path) -> None:
    """Refuse to empty a folder that a user has filled; a checkout's ``outputs/`` only we fill."""
    root = project_root()
    own = {root / "outputs", root / "predictions"} if is_checkout(root) else set()
    ours = mark_of(folder).exists() or own & set(folder.parents)
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise ValueError(
            f"{folder} holds files that were not made here, and would be emptied: choose another "
            "folder with out=… (--out), or move it away"
        )


def remove(folder: Path) -> None:
    """Delete a folder that `emptied` has made."""
    shutil.rmtree(folder)
    mark_of(folder).unlink(missing_ok=True)


def mark_of(folder: Path) -> Path:
    """Return the file beside a folder that says that it is ours, and may be emptied."""
    return folder.with_name(f".{folder.name}.ours")
