"""MNIST's own files: four of the idx format."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..paths import as_text
from .digits import Digits
from .packed import BROKEN_ARCHIVE, MAX_GZIP_RATIO, opened

IDX_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
STEMS = [stem for pair in IDX_STEMS.values() for stem in pair]


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the path of each of MNIST's four files under `folder`, or {} if none is there.

    Raises
    ------
    FileNotFoundError
        If some of the four are there and others are not.
    """
    found = idx_files(folder)
    missing = [stem for stem in STEMS if stem not in found]
    if found and missing:
        raise FileNotFoundError(
            f"{folder} holds only a part of MNIST: {', '.join(missing)} (gzipped or not) is "
            "missing. Add it, or fetch all four: python -m mnist_helpers data --download"
        )
    return found


def idx_files(folder: Path) -> dict[str, Path]:
    """Return the path of those of MNIST's four files that are under `folder`."""
    places = (folder, folder / "MNIST" / "raw")
    found = {}
    for stem in STEMS:
        names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))
        paths = (place / name for place in places for name in names)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[stem] = path
    return found


def read_idx(path: str | Path) -> Tensor:
    """Read an idx file of unsigned bytes, gzipped or not.

    The format is a big-endian header, two zero bytes, the type (8: unsigned byte), the number of
    dimensions and the size of each, followed by the values.

    Parameters
    ----------
    path : path
        The file; gzip is recognised by its first two bytes, whatever the name.

    Returns
    -------
    Tensor, dtype uint8
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
    size = path.stat().st_size
    try:
        with opened(path) as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != b"\x00\x00\x08":
                raise ValueError(
                    f"{path} is not an idx file of bytes: expected it to begin with 00 00 08, "
                    f"found {start.hex(' ') or 'nothing'}. Fetch it again."
                )
            sizes = file.read(4 * start[3])
            if len(sizes) < 4 * start[3]:
                raise ValueError(f"{path} ends within its header: fetch it again")
            shape = struct.unpack(f">{start[3]}I", sizes)
            count, header = int(np.prod(shape, dtype=object)), 4 + len(sizes)
            zipped = isinstance(file, gzip.GzipFile)
            possible = count + header <= size * (MAX_GZIP_RATIO if zipped else 1)
            values = file.read(count + 1) if possible else b""  # never more than is wanted
    except BROKEN_ARCHIVE as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): fetch it again") from error
    if len(values) != count:
        has = f"{header + len(values):,}" if zipped else f"{size:,}"
        more = " or more" if zipped and len(values) > count else ""
        raise ValueError(
            f"{path} should have {count + header:,} bytes by its header (shape {list(shape)}), "
            f"but has {has}{more}: fetch it again"
        )
    return torch.from_numpy(np.frombuffer(values, np.uint8).reshape(shape).copy())


def read_idx_folder(folder: Path) -> tuple[Digits, Digits]:
    """Read the training and the test split from MNIST's four files."""
    paths = find_idx(folder)
    name = as_text(next(iter(paths.values())).parent.name)
    source = f"MNIST's idx files (folder {name})"
    splits = []
    for images_stem, labels_stem in IDX_STEMS.values():
        images, labels = read_idx(paths[images_stem]), read_idx(paths[labels_stem])
        if images.ndim != 3 or images.shape[1:] != (28, 28):
            raise ValueError(
                f"{paths[images_stem]} should hold pictures of 28×28, but its header says "
                f"{list(images.shape)}"
            )
        if labels.ndim != 1 or len(labels) != len(images):
            raise ValueError(
                f"{paths[labels_stem]} should hold one label for each of the {len(images):,} "
                f"pictures in {paths[images_stem].name}, but its header says {list(labels.shape)}"
            )
        if len(labels) and labels.max() > 9:
            raise ValueError(f"{paths[labels_stem]} holds a label {labels.max()}, expected 0 to 9")
        splits.append(Digits(images.unsqueeze(1), labels.long(), source))
    return splits[0], splits[1]


def idx_advice(folder: Path) -> str:
    """Return what to do where idx files were asked for and there are none."""
    return (
        f"no MNIST in {folder.absolute()}: expected train-images-idx3-ubyte.gz and its three "
        "companions there or in MNIST/raw/ below it. Name another folder, or let "
        'load_mnist(source="download") fetch them.'
    )
