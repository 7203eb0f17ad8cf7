"""The images of a folder: their names, in a fixed order, and what is in them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..files import IMAGE_EXTENSIONS, escape_name, unescape_name

LARGE = 1 << 16  # bytes of a file


class ImageFolder:
    """The images of a folder or bucket, wherever fsspec can reach it.

    Hidden files and folders are left out, links to folders are not followed, and what is left out
    is counted in ``skipped``.

    Parameters
    ----------
    address : Path or str
        A Path is a folder of this machine; a str any address that fsspec knows, such as
        ``s3://bucket/scans``.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    """

    def __init__(self, address: Path | str) -> None:
        self.address = address
        if isinstance(address, Path):
            self.files, self.root = LocalFileSystem(), address.absolute().as_posix()
        else:
            self.files, self.root = url_to_fs(address)
        if not self.files.isdir(self.root):
            raise NotADirectoryError(f"there is no folder {address}")
        local = isinstance(self.files, LocalFileSystem)
        self.here = Path(address if isinstance(address, Path) else self.root) if local else None
        self.skipped: Counter[str] = Counter()

    def names(
        self, recursive: bool = True, pattern: str = "*", without: frozenset[Path] = frozenset()
    ) -> Iterator[str]:
        """Yield the images' paths within the folder, then the folders that cannot be listed.

        Parameters
        ----------
        recursive : bool, default=True
            Include the folders in the folder.
        pattern : str, default="*"
            Of the names; with ``"*"`` images are known by their extension (`IMAGE_EXTENSIONS`).
        without : frozenset of Path, default=frozenset()
            Folders of this machine to leave out, resolved.
        """
        self.skipped.clear()
        unreadable, folders = [], [self.root]
        while folders:
            folder = folders.pop()
            try:
                found = sorted(self.files.ls(folder, detail=True), key=lambda info: info["name"])
            except OSError as error:
                if self.here is None and not isinstance(error, PermissionError):
                    raise  # a bucket that is out of reach for now is not an empty one
                unreadable.append(folder)
                continue
            inner = []
            for info in found:
                name, is_folder = info["name"], info["type"] == "directory"
                if name.rstrip("/") == folder.rstrip("/"):
                    continue  # a bucket lists the folder itself
                if is_folder and without and Path(name).resolve() in without:
                    continue
                if reason := self._reason_to_skip(info, recursive, pattern):
                    self.skipped[reason] += 1
                elif is_folder:
                    inner.append(name)
                else:
                    yield self._name(name)
            folders += reversed(inner)
        yield from map(self._name, unreadable)

    def load(self, name: str) -> Path | bytes:
        """Return what `to_mnist` takes: the path of a file on this machine, else its content.

        Raises
        ------
        OSError
            If the file is gone, or may not be opened.
        ValueError
            If it is not a regular file: a pipe would be waited for without end.
        """
        if self.here is not None:
            return regular_file(self.path(name))
        path = f"{self.root}/{name}"
        if "\\x" in name and not self.files.exists(path):
            path = f"{self.root}/{unescape_name(name)}"
        try:
            return self.files.cat_file(path)
        except IsADirectoryError:
            self.files.ls(path)  # says why it could not be listed
            raise

    def is_large(self, name: str) -> bool:
        """Return whether an image on this machine takes long to decode."""
        try:
            return os.stat(os.path.join(self.root, name)).st_size >= LARGE
        except OSError:  # gone, or its name has bytes that are no UTF-8
            return False

    def path(self, name: str) -> Path:
        """Return the file of this machine to which `names` gave this name."""
        assert self.here is not None, "the folder is on this machine"
        path = self.here / name
        is_escaped = "\\x" in name and not os.path.exists(path)  # or too long, escaped
        return self.here / unescape_name(name) if is_escaped else path

    def _name(self, path: str) -> str:
        """Return a path within the folder; bytes that are no UTF-8 come out escaped."""
        return escape_name(path.removeprefix(self.root).strip("/"))

    def _reason_to_skip(self, info: dict[str, Any], recursive: bool, pattern: str) -> str | None:
        """Return what an entry is that is left out, or None."""
        path = PurePosixPath(info["name"].removeprefix(self.root).strip("/"))
        if path.name.startswith("."):
            return "hidden"
        if info.get("islink") and self.files.isdir(info["name"]):
            return "linked folder"
        if info["type"] == "directory":
            return None if recursive else "folder"
        taken = path.suffix.lower() in IMAGE_EXTENSIONS if pattern == "*" else path.match(pattern)
        return None if taken else escape_name(path.suffix) or "without extension"


def regular_file(path: Path) -> Path:
    """Return the path, if it is a regular file."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.listdir(path)  # says why it could not be listed
    if not stat.S_ISREG(mode):  # a pipe would be waited for without end
        raise ValueError(f"{path} is not a regular file")
    return path
