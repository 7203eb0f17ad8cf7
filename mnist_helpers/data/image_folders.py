"""MNIST as image files in a folder for each digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import IMAGE_EXTENSIONS
from .arrays import decode, make_digits, name_splits
from .digits import Digits, split_stratified

NAMES = {
    "train": ("train", "training", "trainingset", "mnist_train"),
    "test": ("test", "testing", "testset", "mnist_test", "t10k"),
}


def find_image_folders(folder: Path) -> dict[str, Path]:
    """Return the folders ``train`` and ``test`` with a folder of images for each digit, or {}.

    There may be none to test; each may be in a folder of its own name, as Kaggle unpacks them.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for part, names in NAMES.items():
        for path in sorted(folder.iterdir()):
            if path.name.lower() in names:
                for place in (path, path / path.name):
                    if all((place / str(digit)).is_dir() for digit in range(10)):
                        found.setdefault(part, place)
    return found if "train" in found else {}


def read_image_folders(folder: Path) -> tuple[Digits, Digits]:
    """Read images of 28×28; without a folder to test, hold out a seventh."""
    splits = {part: _read_part(path) for part, path in find_image_folders(folder).items()}
    train = splits["train"]
    if "test" in splits:
        return name_splits(train, splits["test"], folder)
    return name_splits(*split_stratified(train, len(train) // 7), folder)


def _read_part(folder: Path) -> Digits:
    """Read the images of one split."""
    images, labels = [], []
    for digit in range(10):
        for path in sorted((folder / str(digit)).iterdir()):
            if path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith("."):
                images.append(decode(path, path))
                labels.append(digit)
    if not images:
        raise ValueError(f"{folder} holds no images")
    return make_digits(np.stack(images), np.array(labels), folder)
