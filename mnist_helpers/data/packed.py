"""Files that may be compressed, opened as what is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

BROKEN_ARCHIVE = (
    *(gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
    RuntimeError,  # a zip archive with a password, or of a version to come
)
MAX_GZIP_RATIO = 1032  # bytes that gzip can put into one
_OPENERS: dict[bytes, Callable[..., Any]]
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@contextmanager
def open_packed(path: Path, ending: str = "") -> Iterator[IO[bytes]]:
    """Open a file to read; a compressed one, which its first bytes tell, as what is in it.

    Parameters
    ----------
    path : path
        A plain file, or one of gzip, bzip2, xz or zip, whatever its name.
    ending : str, default=""
        Of a zip archive's members, that one is opened whose name ends so.

    Raises
    ------
    ValueError
        If the file is a damaged bzip2 file, or an archive without exactly one such member.
    """
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((_OPENERS[magic] for magic in _OPENERS if start.startswith(magic)), None)
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive, _member(archive, path, ending) as file:
            yield file
    elif opener is bz2.open:
        with bz2.open(path) as file:
            yield io.BufferedReader(_Named(file, path))
    elif opener is not None:
        with opener(path) as file:
            yield file
    else:
        with path.open("rb") as file:
            yield file


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed."""
    with path.open("rb") as file:
        start = file.read(6)
    return start.startswith((b"PK\x03\x04", *_OPENERS))


def is_gzip(path: Path) -> bool:
    """Return whether a file is compressed with gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _member(archive: zipfile.ZipFile, path: Path, ending: str) -> IO[bytes]:
    """Open the one member of an archive that can be meant."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not Path(member.filename).name.startswith(".")
    ]
    fitting = [member for member in members if member.filename.lower().endswith(ending)]
    if len(fitting) != 1:
        if any(member.filename == "[Content_Types].xml" for member in members):
            raise ValueError(f"{path} is a spreadsheet: save it as CSV")
        names = ", ".join(member.filename for member in members[:5]) or "nothing"
        raise ValueError(
            f"{path} should hold one {ending or 'file'}, but holds {names}"
            f"{', …' * (len(members) > 5)}: unpack it, and name the file that is meant"
        )
    if fitting[0].flag_bits & 1:
        raise ValueError(f"{path} is encrypted: unpack it with its password first")
    return archive.open(fitting[0])


class _Named(io.RawIOBase):
    """A stream of bzip2, whose plain `OSError` about bad data becomes one that names the file."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self.file.read(len(buffer))
            buffer[: len(content)] = content
            return len(content)
        except (OSError, EOFError) as error:
            raise ValueError(f"{self.path} is a damaged bzip2 file ({error})") from error
