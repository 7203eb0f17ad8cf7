"""Files that may be compressed, opened as what is in them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO

BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
MOST_ZIPPED = 1032  # bytes that gzip can put into one


def opened(path: Path) -> IO[bytes]:
    """Open a file to read; a gzipped one, which its first two bytes tell, as what is in it."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")
