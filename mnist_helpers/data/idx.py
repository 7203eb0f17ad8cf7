"""MNIST's own files: four of the idx format, under all the names that they are found by."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ..files import escape_name
from .digits import Digits
from .identity import name_source
from .packed import BROKEN_ARCHIVE, MAX_GZIP_RATIO, is_gzip, is_packed, open_packed

IDX_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
STEMS = [stem for pair in IDX_STEMS.values() for stem in pair]
PLACES = (".", "MNIST/raw", "MNIST", "raw", "mnist", "mnist/raw")
MAX_PACKED = 2**30  # bytes in a compressed file; EMNIST's largest has 547 million
_TYPES: dict[int, np.dtype] = {8: np.dtype("u1"), 12: np.dtype(">i4")}
_NAME = re.compile(
    r"(?P<family>[a-z]*mnist[-_](?:[a-z]+[-_])?)?(?P<part>train|t10k|test)[-_.](?P<kind>images|labels)"
    r"[-_.]idx\d[-_.](?:ubyte|int)(?: ?\(\d+\))?(?:\.(?:gz|gzip|xz|bz2|zip))?",
    re.IGNORECASE,
)
Candidates = dict[str, list[Path]]  # of each of the four files


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the path of each of MNIST's four files under `folder`, or {} if none is there.

    Of several copies of a file the first that looks whole is taken.

    Raises
    ------
    FileNotFoundError
        If some of the four are there and others are not.
    """
    sets = idx_sets(folder)
    whole = [files for files in sets if len(files) == len(STEMS)]
    if sets and not whole:
        fullest = max(sets, key=len)
        missing = [stem for stem in STEMS if stem not in fullest]
        raise FileNotFoundError(
            f"{folder} holds only a part of MNIST: {', '.join(missing)} (gzipped or not) is "
            "missing. Add it, or fetch all four: python -m mnist_helpers data --download"
        )
    for files in whole:
        best = {stem: files[stem][0] for stem in STEMS}
        if all(map(is_complete, best.values())):
            return best
    return {stem: whole[0][stem][0] for stem in STEMS} if whole else {}


def idx_sets(folder: Path) -> list[Candidates]:
    """Return what there is of MNIST's four files under `folder`, in each place and by each family.

    Returns
    -------
    list of dict
        For each of the files that are there all its copies, those that look whole first. Sets of
        different folders, or of different families (``emnist-digits-…``), are never mixed.
    """
    sets: dict[tuple[Path, str], Candidates] = {}
    seen: set[Path] = set()
    for place in PLACES:
        where = (folder / place).resolve()
        if where in seen or not where.is_dir():
            continue
        seen.add(where)
        for path, name in _files_in(folder / place):
            stem = (
                f"{'train' if name['part'].lower() == 'train' else 't10k'}-{name['kind'].lower()}"
            )
            stem += "-idx3-ubyte" if stem.endswith("images") else "-idx1-ubyte"
            family = (name["family"] or "").lower()
            sets.setdefault((where, family), {}).setdefault(stem, []).append(path)
    for files in sets.values():
        for copies in files.values():
            copies.sort(key=lambda path: not is_complete(path))
    return [{stem: files[stem] for stem in STEMS if stem in files} for files in sets.values()]


def _files_in(folder: Path) -> Iterator[tuple[Path, re.Match]]:
    """Find idx files in a folder, and in folders that have the name of their only file."""
    for path in sorted(folder.iterdir()):
        name = _NAME.fullmatch(path.name)
        if name and path.is_dir():
            inside = ((inner, _NAME.fullmatch(inner.name)) for inner in sorted(path.iterdir()))
            yield from ((inner, match) for inner, match in inside if match and inner.is_file())
        elif name and path.is_file():
            yield path, name


def is_complete(path: Path) -> bool:
    """Return whether an idx file begins as one and has the length that it states.

    Of a gzipped file its own note of its length is compared; nothing is unpacked.
    """
    try:
        with open_packed(path) as file:
            kind, shape, header = _header(path, file)
        size = header + kind.itemsize * int(np.prod(shape, dtype=object))
        if not is_packed(path):
            return path.stat().st_size == size
        if not is_gzip(path):
            return True
        with path.open("rb") as file:
            file.seek(-4, 2)
            return struct.unpack("<I", file.read(4))[0] == size % 2**32
    except (ValueError, OSError, *BROKEN_ARCHIVE):
        return False


def read_idx(path: str | Path) -> Tensor:
    """Read an idx file of unsigned bytes (or of 32-bit integers), compressed or not.

    The format is a big-endian header, two zero bytes, the type (8: unsigned byte, 12: integer), the
    number of dimensions and the size of each, followed by the values.

    Parameters
    ----------
    path : path
        The file; gzip, bzip2, xz and zip are recognized by their first bytes, whatever the name.

    Returns
    -------
    Tensor, dtype uint8 (or int32)
        Of the shape that the header states.

    Raises
    ------
    ValueError
        If the file is no idx file of bytes, or its length is not what its header states.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section
    "File formats for the MNIST database".
    """
    path = Path(path)
    size, packed = path.stat().st_size, is_packed(path)
    try:
        with open_packed(path) as file:
            kind, shape, header = _header(path, file)
            count = kind.itemsize * int(np.prod(shape, dtype=object))
            limit = size * MAX_GZIP_RATIO if is_gzip(path) else MAX_PACKED
            possible = count + header <= (min(limit, MAX_PACKED) if packed else size)
            values = file.read(count + 1) if possible else b""  # never more than is wanted
    except BROKEN_ARCHIVE as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): fetch it again") from error
    if len(values) != count:
        has = f"{header + len(values):,}" if packed else f"{size:,}"
        more = " or more" if packed and len(values) > count else ""
        raise ValueError(
            f"{path} should have {count + header:,} bytes by its header (shape {list(shape)}), "
            f"but has {has}{more}: fetch it again"
        )
    array = np.frombuffer(values, kind).reshape(shape)
    return torch.from_numpy(array.astype(kind.newbyteorder("=")))


def _header(path: Path, file: IO[bytes]) -> tuple[np.dtype, tuple[int, ...], int]:
    """Read the type, the shape and the length of the header from the beginning of an idx file."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        raise ValueError(
            f"{path} is not an idx file of bytes: expected it to begin with 00 00 08, "
            f"found {start.hex(' ') or 'nothing'}. Fetch it again."
        )
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise ValueError(f"{path} ends within its header: fetch it again")
    return _TYPES[start[2]], struct.unpack(f">{start[3]}I", sizes), 4 + len(sizes)


def read_idx_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the training and the test split from MNIST's four files.

    A damaged copy is passed over if there is a good one.
    """
    find_idx(folder)  # says what is missing
    damages = []
    for files in idx_sets(folder):
        if len(files) < len(STEMS):
            continue
        try:
            return _read_set(files)
        except ValueError as error:
            damages.append(error)
    raise damages[0]


def _read_set(files: Candidates) -> tuple[Digits, Digits]:
    """Read one set of MNIST's four files."""
    splits, used = [], []
    for stems in IDX_STEMS.values():
        (images, image_path), (labels, label_path) = (_read_any(files[stem]) for stem in stems)
        splits.append(_digits(images, labels, image_path, label_path))
        used += [image_path, label_path]
    folder = Path(os.path.commonpath(used))
    train, test = splits
    source = name_source(
        train, test, f"idx files (folder {escape_name(folder.name)})", folder, used
    )
    train, test = (Digits(split.images, split.labels, source) for split in (train, test))
    return train, test


def _read_any(copies: list[Path]) -> tuple[Tensor, Path]:
    """Read the first of several copies that is undamaged."""
    damages = []
    for path in copies:
        try:
            return read_idx(path), path
        except ValueError as error:
            damages.append(error)
    raise damages[0]


def _digits(images: Tensor, labels: Tensor, image_path: Path, label_path: Path) -> Digits:
    """Check that two idx files hold the images and labels of digits, and join them."""
    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != torch.uint8:
        raise ValueError(
            f"{image_path} should hold images of 28×28, but its header says {list(images.shape)}"
        )
    if labels.ndim == 2 and labels.shape[1] == 8 and labels.dtype == torch.int32:
        labels = labels[:, 0]  # QMNIST's: the class, then who wrote it, and where it is in NIST's
    if labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(
            f"{label_path} should hold one label for each of the {len(images):,} "
            f"images in {image_path.name}, but its header says {list(labels.shape)}"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(
            f"{label_path} holds a label {labels.max()}, expected 0 to 9: not MNIST's "
            "(EMNIST's have letters as well)"
        )
    return Digits(images.unsqueeze(1), labels.long(), "")


def remove_damaged(folder: Path) -> list[Path]:
    """Delete damaged copies of MNIST's files that lie beside a whole copy; return their paths."""
    removed = []
    for files in idx_sets(folder):
        for copies in files.values():
            damaged = [path for path in copies if not _is_readable(path)]
            if len(damaged) < len(copies):
                removed += damaged
    for path in removed:
        path.unlink()
    return removed


def _is_readable(path: Path) -> bool:
    try:
        read_idx(path)
    except ValueError:
        return False
    return True


def idx_advice(folder: Path) -> str:
    """Return what to do where idx files were asked for and there are none."""
    return (
        f"no MNIST in {folder.absolute()}: expected train-images-idx3-ubyte.gz and its three "
        "companions there or in MNIST/raw/ below it. Name another folder, or let "
        'load_mnist(source="download") fetch them.'
    )
