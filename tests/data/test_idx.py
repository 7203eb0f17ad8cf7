"""MNIST's four files, in every layout, whole and damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import (
    TEST,
    TRAIN,
    both,
    idx,
    same,
    write,
)

from mnist_helpers.data import (
    STEMS,
    load_mnist,
    read_idx,
)

LAYOUTS: dict[str, tuple[str, Callable, Callable]] = {
    "flat gz": (".", lambda stem: f"{stem}.gz", gzip.compress),
    "flat raw": (".", str, bytes),
    "torchvision's, gz": ("MNIST/raw", lambda stem: f"{stem}.gz", gzip.compress),
    "torchvision's, raw": ("MNIST/raw", str, bytes),
    "Kaggle's dots": (".", lambda stem: stem.replace("-idx", ".idx"), bytes),
    "gz without its ending": (".", str, gzip.compress),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_files_is_read(layout: str, tmp_path: Path) -> None:
    below, name, pack = LAYOUTS[layout]
    folder = write(tmp_path / below, name, pack)
    splits = load_mnist("idx", tmp_path, val_size=50)
    assert [len(split) for split in splits] == [150, 50, 50]
    assert same(both(splits), TRAIN) and same(splits.test, TEST)
    assert folder.name in splits.source and not splits.is_sample
    assert splits.train.images.dtype == torch.uint8 and splits.train.labels.dtype == torch.int64


def test_a_part_of_the_files_is_said_by_name(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / STEMS[1]).unlink()
    (tmp_path / STEMS[2]).unlink()
    for source in ("auto", "idx", "download"):
        with pytest.raises(FileNotFoundError, match=f"{STEMS[1]}, {STEMS[2]}") as caught:
            load_mnist(source, tmp_path)
        assert STEMS[0] not in str(caught.value)


IMAGES = idx(TRAIN.images.squeeze(1).numpy())
DAMAGES = {
    "empty": (b"", "nothing"),
    "text": (b"<html>404 Not Found</html>", "3c 68 74 6d"),
    "floats": (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "00 00 0d"),
    "ends in its header": (IMAGES[:9], "within its header"),
    "truncated": (IMAGES[:-1], "156,816 bytes.*has 156,815"),
    "too long": (IMAGES + b"x", "has 156,817"),
    "huge counts": (b"\0\0\x08\x03" + b"\xff" * 12 + b"x", "should have"),
    "truncated gz": (gzip.compress(IMAGES)[:-1000], "damaged gzip"),
    "altered gz": (gzip.compress(IMAGES)[:60000] + b"?" + gzip.compress(IMAGES)[60001:], "damaged"),
    "gz of something else": (gzip.compress(b"hello"), "not an idx file"),
    "gz header alone": (b"\x1f\x8b", "damaged gzip"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_idx_files_are_named(damage: str, tmp_path: Path) -> None:
    content, words = DAMAGES[damage]
    path = write(tmp_path) / STEMS[0]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist("idx", tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("stem", "array", "words"),
    [
        (0, np.zeros((200, 28, 27), np.uint8), r"28×28.*\[200, 28, 27\]"),
        (0, np.zeros((200, 784), np.uint8), r"28×28"),
        (1, np.zeros(199, np.uint8), "one label for each of the 200"),
        (1, np.zeros((200, 1), np.uint8), "one label for each"),
        (3, np.full(50, 10, np.uint8), "a label 10"),
    ],
)
def test_wrong_shapes_and_labels_are_named(stem: int, array, words: str, tmp_path: Path) -> None:
    path = write(tmp_path) / STEMS[stem]
    path.write_bytes(idx(array))
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist("idx", tmp_path)
    assert str(path) in str(caught.value)


def test_read_idx_takes_any_number_of_dimensions(tmp_path: Path) -> None:
    for shape in ((0,), (3,), (2, 3), (2, 3, 4)):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        (tmp_path / "file").write_bytes(idx(array))
        assert np.array_equal(read_idx(tmp_path / "file").numpy(), array)


def test_mnist_is_mnist(mnist_root: Path) -> None:
    splits = load_mnist("idx", mnist_root)
    assert [len(split) for split in splits] == [55_000, 5_000, 10_000]
    counts = torch.bincount(torch.cat([splits.train.labels, splits.val.labels])).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(splits.test.labels).tolist()[:3] == [980, 1135, 1032]
    assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
