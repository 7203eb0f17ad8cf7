"""Digits of noise, as idx files and as tables, for the tests of where digits come from."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mnist_helpers.data import (
    STEMS,
    Digits,
    Splits,
)


def idx(array: np.ndarray) -> bytes:
    """Write the idx format, straight from its description."""
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def made_up(number: int, seed: int) -> Digits:
    """Return images of noise whose labels go 0, 1, …, 9, 0, …"""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (number, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return Digits(images, torch.arange(number) % 10, "noise")


TRAIN, TEST = made_up(200, 1), made_up(50, 2)


def contents() -> dict[str, bytes]:
    """Return the four idx files of TRAIN and TEST."""
    arrays = []
    for digits in (TRAIN, TEST):
        arrays += [digits.images.squeeze(1).numpy(), digits.labels.to(torch.uint8).numpy()]
    return {stem: idx(array) for stem, array in zip(STEMS, arrays, strict=True)}


def write(folder: Path, name: Callable[[str], str] = str, pack: Callable = bytes) -> Path:
    """Write the four files, under other names or packed."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in contents().items():
        (folder / name(stem)).parent.mkdir(exist_ok=True)
        (folder / name(stem)).write_bytes(pack(content))
    return folder


def same(first: Digits, second: Digits) -> bool:
    return torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)


def both(splits: Splits) -> Digits:
    """Put training and validation split together again, in the order of TRAIN."""
    known = {image.numpy().tobytes(): place for place, (image, _) in enumerate(TRAIN)}
    images = torch.cat([splits.train.images, splits.val.images])
    labels = torch.cat([splits.train.labels, splits.val.labels])
    order = np.argsort([known[image.numpy().tobytes()] for image in images])
    return Digits(images, labels, "")[order]


def table(digits: Digits, labeled: bool = True) -> np.ndarray:
    pixels = digits.images.flatten(1).numpy().astype(int)
    return np.column_stack([digits.labels.numpy(), pixels]) if labeled else pixels


def text(rows: np.ndarray, header: list[str] | None = None, end: str = "\n") -> str:
    lines = [",".join(map(str, row)) for row in rows]
    return end.join(([",".join(header)] if header else []) + lines) + end


CELLS = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]
PIXELS = [f"pixel{number}" for number in range(784)]
LABELED, PLAIN = table(TEST), table(TEST, labeled=False)
HEAD = ["label", *PIXELS]
