"""Uploaded files and the images in zip archives, which are never unpacked to disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..preprocess import InvalidImageError
from .uploads import Limits, count_pixels


def uploaded_images(paths: list[str], limits: Limits) -> Iterator[tuple[str, bytes | ValueError]]:
    """Yield name and content of uploaded files, and of the files in those that are archives.

    Where there are too many of them, or of their pixels, an error is the last content.
    """
    count, pixels, most = 0, 0, 10 * limits.megapixels_together
    for path in map(Path, paths):
        content = path.read_bytes()
        single = not zipfile.is_zipfile(io.BytesIO(content))
        for name, found in [(path.name, content)] if single else zip_members(path, content, limits):
            count += 1
            if count > limits.images:
                words = f"more than {limits.images} images at once are not accepted"
                yield name, InvalidImageError(words)
                return
            pixels += count_pixels(found, limits) if isinstance(found, bytes) else 0
            if pixels > most * 1e6:
                words = f"more than {most:g} million pixels at once are not accepted"
                yield name, InvalidImageError(words)
                return
            yield name, found


def zip_members(
    path: Path, content: bytes, limits: Limits
) -> Iterator[tuple[str, bytes | ValueError]]:
    """Yield name and content of the files in a zip archive, which is never unpacked to disk.

    Refused as a whole, with an error in place of the content: an archive with names that lead out
    of it or nowhere, one with a password, one that unpacks to more than ten times what may be
    uploaded (a zip bomb), one without images, and one whose list of contents is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
            images = [entry for entry in entries if not is_hidden(entry.filename)]
            problem = find_problem(entries, limits) or (None if images else "no image is in it")
            if problem:
                yield path.name, InvalidImageError(f"{path.name} is refused: {problem}")
                return
            for entry in images:
                yield entry.filename, read_member(entry, archive, limits)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        yield path.name, InvalidImageError(f"{path.name} is not a whole zip archive: {error}")


def is_hidden(name: str) -> bool:
    """Return whether a name in an archive is one that systems add for themselves."""
    return PurePosixPath(name).name.startswith(".") or "__MACOSX" in name


def read_member(
    entry: zipfile.ZipInfo, archive: zipfile.ZipFile, limits: Limits
) -> bytes | InvalidImageError:
    """Return the content of a file in an archive, or what is wrong with it."""
    try:
        with archive.open(entry) as file:
            found = file.read(limits.bytes + 1)
    except Exception as error:  # whatever unpacking raises, the other images are to be predicted
        return InvalidImageError(f"it cannot be unpacked: {str(error) or type(error).__name__}")
    if len(found) > limits.bytes:
        return InvalidImageError(f"it unpacks to more than {limits.megabytes:g} MB")
    return found


def find_problem(entries: list[zipfile.ZipInfo], limits: Limits) -> str | None:
    """Return what is wrong with an archive's list of contents, if anything is."""
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        if not parts.name or parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
            return f"the name {entry.filename!r} leads out of it or nowhere"
        if entry.flag_bits & 1:
            return "it is protected by a password"
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > 10 * limits.bytes:
        return f"it would unpack to {unpacked / 1e6:,.0f} MB"
    return None
