"""Writes digits as others expect them: MNIST's own files, Kaggle's table, folders of images."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import atomic_write
from .digits import Digits


def save_idx(train: Digits, test: Digits, root: str | Path) -> Path:
    """Write two splits as MNIST's own four files.

    ``load_mnist("idx", root)`` and ``torchvision.datasets.MNIST(root)`` load them.

    Parameters
    ----------
    train, test : Digits
    root : path
        The files come into ``root/MNIST/raw``; those that are there are replaced.

    Returns
    -------
    Path
        The folder with the files.

    Examples
    --------
    >>> from mnist_helpers import load_mnist
    >>> train, _, test = load_mnist("sample")
    >>> sorted(path.name for path in save_idx(train[:80], test[:20], "mine").iterdir())[0]
    't10k-images-idx3-ubyte'
    """
    folder = Path(root) / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as all_four:  # replaced together: images would have the labels of others
        for name, digits in (("train", train), ("t10k", test)):
            images = digits.images.cpu().numpy()[:, 0]
            labels = digits.labels.cpu().numpy().astype(np.uint8)
            for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
                header = struct.pack(">4B", 0, 0, 8, values.ndim)
                header += struct.pack(f">{values.ndim}I", *values.shape)
                part = all_four.enter_context(atomic_write(folder / f"{name}-{kind}-ubyte"))
                part.write_bytes(header + values.tobytes())
    return folder


def save_csv(digits: Digits, path: str | Path) -> Path:
    """Write digits as a table in Kaggle's form: ``label``, then ``1x1`` to ``28x28``.

    Parameters
    ----------
    digits : Digits
    path : path
        `load_csv` reads it. A file that is there is replaced.

    Returns
    -------
    Path
        The file.
    """
    import pandas as pd

    names = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]
    table = pd.DataFrame(digits.images.cpu().numpy().reshape(-1, 28 * 28), columns=names)
    table.insert(0, "label", digits.labels.cpu().numpy())
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        table.to_csv(part, index=False)
    return path


def save_images(digits: Digits, folder: str | Path) -> Path:
    """Write digits as PNG files, in a folder for each label: ``folder/7/0042.png``.

    Parameters
    ----------
    digits : Digits
    folder : path
        Each file is named after the digit's place among `digits`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If images of other digits are in it, which would lie among these.
    """
    return write_by_label(digits.images[:, 0].cpu().numpy(), digits.labels.tolist(), folder)


def write_by_label(images: Iterable[np.ndarray], labels: Iterable[int], folder: str | Path) -> Path:
    """Write images of any size as PNG files, in a folder for each label; see `save_images`."""
    folder = Path(folder)
    paths = [folder / str(label) / f"{number:04}.png" for number, label in enumerate(labels)]
    others = set(folder.glob("[0-9]/*.png")) - set(paths)
    if others:
        raise ValueError(
            f"{min(others)} would lie among the images of other digits: choose another folder, or "
            f"move {folder} away first"
        )
    for path, image in zip(paths, images, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder
