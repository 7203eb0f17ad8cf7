"""MNIST's four files, in every layout, whole and damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
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
    find_idx,
    find_mnist,
    is_complete,
    load_mnist,
    read_idx,
    remove_damaged,
)

LAYOUTS: dict[str, tuple[str, Callable, Callable]] = {
    "flat gz": (".", lambda stem: f"{stem}.gz", gzip.compress),
    "flat raw": (".", str, bytes),
    "torchvision's, gz": ("MNIST/raw", lambda stem: f"{stem}.gz", gzip.compress),
    "torchvision's, raw": ("MNIST/raw", str, bytes),
    "Kaggle's dots": (".", lambda stem: stem.replace("-idx", ".idx"), bytes),
    "gz without its ending": (".", str, gzip.compress),
    "dots, gz": (".", lambda stem: stem.replace("-idx", ".idx") + ".gz", gzip.compress),
    "capitals": (".", lambda stem: stem.upper() + ".GZ", gzip.compress),
    "underscores": (".", lambda stem: stem.replace("-", "_"), bytes),
    "downloaded twice": (".", lambda stem: f"{stem} (1).gz", gzip.compress),
    "xz": ("raw", lambda stem: f"{stem}.xz", lzma.compress),
    "bzip2": ("MNIST", lambda stem: f"{stem}.bz2", bz2.compress),
    "a folder each": (".", lambda stem: f"{stem}/{stem}", bytes),
    "a folder each, dots": (
        "mnist",
        lambda stem: f"{stem.replace('-idx', '.idx')}/{stem.replace('-idx', '.idx')}",
        bytes,
    ),
    "EMNIST's names": (".", lambda stem: f"emnist-digits-{stem.replace('t10k', 'test')}", bytes),
}
LAYOUTS |= {
    f"{kind} beside half-unpacked ones": (below, lambda stem, name=name: name(stem), pack)
    for kind, (below, name, pack) in LAYOUTS.items()
    if kind.endswith("gz")
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_files_is_read(layout: str, tmp_path: Path) -> None:
    below, name, pack = LAYOUTS[layout]
    folder = write(tmp_path / below, name, pack)
    if "half" in layout:
        (folder / STEMS[0]).write_bytes(IMAGES[:5000])
        (folder / STEMS[3]).write_bytes(b"")
    splits = load_mnist("idx", tmp_path, val_size=50)
    assert all(map(is_complete, find_mnist(tmp_path).files.values()))
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


def test_a_whole_set_is_preferred_and_sets_are_never_mixed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / STEMS[0]).write_bytes(IMAGES[:-1])
    with pytest.raises(ValueError, match="156,815"):
        load_mnist("idx", tmp_path)
    raw = write(tmp_path / "MNIST" / "raw")
    (raw / STEMS[3]).unlink()
    with pytest.raises(ValueError, match="156,815"):  # though each file is there once, undamaged
        load_mnist("idx", tmp_path)
    write(raw)
    assert find_idx(tmp_path)[STEMS[0]] == raw / STEMS[0]
    assert same(both(load_mnist("idx", tmp_path, val_size=50)), TRAIN)


def test_an_altered_copy_that_looks_whole_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, lambda stem: f"{stem}.gz", gzip.compress)
    altered = DAMAGES["altered gz"][0]
    (tmp_path / STEMS[0]).write_bytes(altered)
    assert is_complete(tmp_path / STEMS[0])
    assert same(both(load_mnist("idx", tmp_path, val_size=50)), TRAIN)
    assert remove_damaged(tmp_path) == [tmp_path / STEMS[0]]
    assert not (tmp_path / STEMS[0]).exists() and remove_damaged(tmp_path) == []


def test_the_only_copy_is_never_removed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / STEMS[0]).write_bytes(IMAGES[:-1])
    assert remove_damaged(tmp_path) == [] and (tmp_path / STEMS[0]).exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_shows_without_decoding_all(damage: str, tmp_path: Path) -> None:
    path = tmp_path / STEMS[0]
    path.write_bytes(DAMAGES[damage][0])
    assert is_complete(path) == (damage == "altered gz")


def qmnist(labels: np.ndarray) -> bytes:
    rows = np.zeros((len(labels), 8), ">i4")
    rows[:, 0], rows[:, 1:] = labels, 300
    return bytes([0, 0, 12, 2]) + struct.pack(">2I", *rows.shape) + bytes(rows)


def test_labels_of_qmnist_are_read(tmp_path: Path) -> None:
    write(tmp_path, lambda stem: f"{stem}.gz", gzip.compress)
    for digits, stem in ((TRAIN, STEMS[1]), (TEST, STEMS[3])):
        (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(qmnist(digits.labels.numpy())))
    splits = load_mnist("idx", tmp_path, val_size=50)
    assert same(both(splits), TRAIN) and same(splits.test, TEST)
    own = "qmnist-test-labels-idx2-int"
    (tmp_path / own).write_bytes(qmnist(TEST.labels.numpy()))
    assert read_idx(tmp_path / own).shape == (50, 8) and read_idx(tmp_path / own)[3, 0] == 3


@pytest.mark.parametrize(
    ("stem", "array", "words"),
    [
        (0, np.zeros((200, 28, 27), np.uint8), r"28×28.*\[200, 28, 27\]"),
        (0, np.zeros((200, 784), np.uint8), r"28×28"),
        (1, np.zeros(199, np.uint8), "one label for each of the 200"),
        (1, np.zeros((200, 1), np.uint8), "one label for each"),
        (3, np.full(50, 10, np.uint8), "a label 10.*not MNIST"),
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
