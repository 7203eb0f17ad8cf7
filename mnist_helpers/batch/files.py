"""The files of a folder: which are images, in what order, under what names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jfif", "bmp", "gif", "tif", "tiff"),
        *("webp", "avif", "heic", "heif", "pbm", "pgm", "pnm", "ppm"),
    )
)
LARGE = 1 << 16  # bytes of a file


def is_large(path: Path) -> bool:
    """Return whether a file takes long to decode."""
    try:
        return path.stat().st_size >= LARGE
    except OSError:  # `preprocess` says why
        return False


def regular_file(path: Path) -> Path:
    """Return the path, if it is a regular file."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.listdir(path)  # says why it could not be listed
    if not stat.S_ISREG(mode):  # a pipe would be waited for without end
        raise ValueError(f"{path} is not a regular file")
    return path
